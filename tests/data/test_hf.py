"""Datasets of Hugging Face, made here and saved to disk."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import datasets
import huggingface_hub
import pyarrow
import pyarrow.parquet as parquet
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value

from spos import UserError
from spos.data import StreamedImages, load_data
from spos.data.decode import BrokenImageError
from spos.data.peek import peek
from spos.data.sources import _hub
from spos.data.sources.hf import TableStore

CLASSES = ["cat", "dog"]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def table(encode: Any) -> Any:
    """Make a table: images of a count, with further columns."""

    def make(count: int = 20, seed: int = 0, label: Any = None, **more: Any) -> Dataset:
        kind = label or ClassLabel(names=CLASSES)
        labels = [row % 2 for row in range(count)]
        if getattr(kind, "dtype", "") == "string":
            labels = [CLASSES[one] for one in labels]
        images = [{"bytes": encode(seed=seed + row), "path": None} for row in range(count)]
        columns = {"picture": images, "label": labels, **{k: v[0] for k, v in more.items()}}
        features = {"picture": Image(), "label": kind, **{k: v[1] for k, v in more.items()}}
        return Dataset.from_dict(columns, features=Features(features))

    return make


def saved(tmp_path: Path, name: str = "set", **splits: Dataset) -> Path:
    DatasetDict(splits).save_to_disk(tmp_path / name)
    return tmp_path / name


def test_columns_are_found_by_their_types(table: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, train=table(), test=table(6, 100))
    data = load_data(f"hf:{path}")
    assert [len(data.train), len(data.validation), len(data.test())] == [18, 2, 6]
    assert data.classes == ("cat", "dog") and (data.channels, data.image_size) == (3, 12)
    facts = peek(f"hf:{path}")
    assert (facts.count, facts.classes, facts.side, facts.has_test) == (20, 2, 12, True)
    # As the file holds them, and the same when they are decoded on demand and in other processes.
    streamed = load_data(f"hf:{path}", stream="always", workers=0)
    assert isinstance(streamed.train, StreamedImages)
    assert torch.equal(streamed.train.pixels(range(18)), data.train.pixels(range(18)))
    sent = pickle.loads(pickle.dumps(streamed.train))
    assert torch.equal(sent.pixels([3]), data.train.pixels([3]))
    assert streamed.fingerprint == data.fingerprint


def test_a_table_without_splits_is_split(table: Any, tmp_path: Path) -> None:
    table().save_to_disk(tmp_path / "one")
    data = load_data(f"hf:{tmp_path / 'one'}")
    assert [len(data.train), len(data.validation), len(data.test())] == [16, 2, 2]


def test_labels_of_other_types(table: Any, tmp_path: Path) -> None:
    names = saved(tmp_path, "names", train=table(label=Value("string")))
    assert load_data(f"hf:{names}").classes == ("cat", "dog")
    numbers = saved(tmp_path, "numbers", train=table(label=Value("int64")))
    assert load_data(f"hf:{numbers}").classes == ("0", "1")


def test_validation_images_and_a_test_without_labels(table: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, train=table(), validation=table(4, 50), test=table(6, 100))
    data = load_data(f"hf:{path}")
    assert [len(data.train), len(data.validation), len(data.test())] == [20, 4, 6]
    assert data.notes == ("the split validation is the validation set of the search",)
    hidden = table(6, 100).map(lambda row: {"label": -1})
    path = saved(tmp_path, "hidden", train=table(), validation=table(4, 50), test=hidden)
    data = load_data(f"hf:{path}")
    assert len(data.test()) == 4
    assert data.notes == (
        "the split test has no labels: not read",
        "no split test: the split validation is the test set; validation is split off the split "
        "train",
    )


def test_splits_that_are_not_read_are_named(table: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, train=table(), test=table(6, 100), extra=table(4, 50), dev=table(4, 60))
    assert "splits that are not read: extra" in load_data(f"hf:{path}").notes


@pytest.mark.parametrize(
    "names", [["Cat", "cat"], ["caf\u00e9", "cafe\u0301"], ["a b", "a\u200b  b"]]
)
def test_classes_that_look_alike_are_named(names: list[str], table: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, train=table(label=ClassLabel(names=names)))
    *_, note = load_data(f"hf:{path}").notes
    assert note.startswith(
        f"class names that look alike but are different classes: '{names[0]}' and "
    )


def test_columns_and_splits_are_named(table: Any, tmp_path: Path) -> None:
    kinds = ([row % 4 for row in range(20)], ClassLabel(num_classes=4))
    path = saved(
        tmp_path, first=table(kind=kinds), second=table(6, 100, kind=(kinds[0][:6], kinds[1]))
    )
    with pytest.raises(UserError, match=r"it has no split train; name one: \?train=first"):
        load_data(f"hf:{path}")
    given = f"hf:{path}?train=first&test=second"
    with pytest.raises(UserError, match=r"columns of labels: label, kind; name one of .*\?label="):
        load_data(given)
    assert load_data(f"{given}&label=kind", validation=4).outputs == 4


def test_without_a_column_of_labels_those_that_can_be_one_are_named(
    table: Any, tmp_path: Path
) -> None:
    one = table().rename_column("label", "kind").cast_column("kind", Value("int64"))
    with pytest.raises(UserError, match=r"no column of labels; name one of kind: \?label=kind"):
        load_data(f"hf:{saved(tmp_path, train=one)}")
    bare = saved(tmp_path, "bare", train=one.remove_columns("kind"))
    with pytest.raises(UserError, match=r"\(whole numbers or text\); there are: picture \("):
        load_data(f"hf:{bare}")
    stars = one.cast_column("kind", Value("float64")).rename_column("kind", "stars")
    with pytest.raises(UserError, match=r"no column of labels \(whole .*, stars \(float64\)"):
        load_data(f"hf:{saved(tmp_path, 'stars', train=stars)}")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?lable=kind", "unknown '?lable=kind': did you mean 'label'?"),
        ("?image=label", "image=label: no such column of images; allowed: picture"),
        ("?label=picture", "label=picture: no such column of labels; allowed: label"),
        ("?test=tset", "test=tset: no such split; did you mean 'test'?"),
    ],
)
def test_a_mistake_is_one_line(query: str, told: str, table: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, train=table(), test=table(6, 100))
    with pytest.raises(UserError) as caught:
        load_data(f"hf:{path}{query}")
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_no_data_set_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: Any
) -> None:
    with pytest.raises(UserError, match="no such folder; allowed: a data set saved to disk, or a"):
        load_data(f"hf:{tmp_path / 'none'}")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.csv").write_text("picture,label\n1,2\n")
    with pytest.raises(UserError, match="read as csv; allowed: arrow, parquet, imagefolder"):
        load_data(f"hf:{tmp_path / 'texts'}")
    damaged = saved(tmp_path, train=table())
    for file in damaged.glob("train/*.arrow"):
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot be read"):
        load_data(f"hf:{damaged}")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"install it: pip install 'spos\[datasets\]'"):
        load_data(f"hf:{damaged}")


def test_a_folder_of_parquet_files_is_read(table: Any, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    table().to_parquet(tmp_path / "files" / "train-00000.parquet")
    table(6, 100).to_parquet(tmp_path / "files" / "test-00000.parquet")
    data = load_data(f"hf:{tmp_path / 'files'}")
    assert [len(data.train), len(data.test())] == [18, 6] and data.classes == ("cat", "dog")


def test_a_script_in_a_folder_is_not_run(table: Any, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "files.py").write_text("raise SystemExit('run')\n")
    table().to_parquet(folder / "train-00000.parquet")
    with pytest.raises(UserError, match="scripts are no longer supported"):
        load_data(f"hf:{folder}")


def test_broken_images_are_named_or_left_out(table: Any, tmp_path: Path) -> None:
    def damage(row: dict[str, Any], at: int) -> dict[str, Any]:
        # Cut off, and no image at all.
        cells = {
            3: {"bytes": row["picture"]["bytes"][:60], "path": None},
            4: None,
        }
        return {"picture": cells.get(at, row["picture"])}

    raw = table(30).cast_column("picture", Image(decode=False))
    path = saved(tmp_path, train=raw.map(damage, with_indices=True, features=raw.features))
    with pytest.raises(UserError, match=r"broken image train/3: .* \(and 1 more\)"):
        load_data(f"hf:{path}")
    data = load_data(f"hf:{path}", on_broken="skip")
    assert len(data.train) + len(data.validation) + len(data.test()) == 28
    assert [text.partition(":")[0] for text in data.skipped] == ["train/3", "train/4"]
    assert "there is no image in this row" in data.skipped[1]


def test_images_may_be_files_beside_a_table(encode: Any, tmp_path: Path) -> None:
    inside, outside = tmp_path / "set", tmp_path / "1.png"
    inside.mkdir()
    outside.write_bytes(encode())
    (inside / "1.png").write_bytes(encode())
    paths = [inside / "1.png", inside / "2.png", outside, inside / ".." / "1.png"]
    paths += ["https://example.org/1.png", inside / "1\0.png"]  # type: ignore[list-item]
    rows = [{"picture": {"bytes": None, "path": str(path)}} for path in paths]
    store = TableStore({"train": rows}, "picture", [str(inside)])
    assert store.read("train/0") == encode()
    with pytest.raises(BrokenImageError, match="No such file"):
        store.read("train/1")
    for row in (2, 3, 4):
        with pytest.raises(BrokenImageError, match=r"its file .*1\.png is outside of the data set"):
            store.read(f"train/{row}")
    with pytest.raises(BrokenImageError, match="embedded null byte"):
        store.read("train/5")


def test_a_table_names_no_file_outside_of_its_folder(
    table: Any, encode: Any, tmp_path: Path
) -> None:
    (tmp_path / "secret.png").write_bytes(encode())
    raw = table().cast_column("picture", Image(decode=False))
    cell = {"bytes": None, "path": str(tmp_path / "secret.png")}
    rows = raw.map(lambda row: {"picture": cell}, features=raw.features)
    (tmp_path / "files").mkdir()
    # Its own function would read the file into the table.
    written = rows.data.table.cast(rows.features.arrow_schema)
    parquet.write_table(written, tmp_path / "files" / "train-00000.parquet")
    with pytest.raises(UserError, match=r"broken image train/0: its file .*secret\.png is outside"):
        load_data(f"hf:{tmp_path / 'files'}")


def test_a_folder_of_images_is_read(
    encode: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        path = tmp_path / "pets" / CLASSES[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(seed=number))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("pets")
    for name in ("pets", "link"):
        assert load_data(f"hf:{name}").classes == ("cat", "dog")


@pytest.mark.parametrize("kind", ["arrow", "pandas"])
def test_the_format_in_which_a_table_was_saved_does_not_matter(
    kind: str, table: Any, tmp_path: Path
) -> None:
    path = saved(tmp_path, train=table().with_format(kind))
    assert load_data(f"hf:{path}").classes == ("cat", "dog")


def test_a_split_without_images_is_one_line(table: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, train=table(), test=table(6, 100))
    kinds = Features({"picture": Value("int64"), "label": ClassLabel(names=CLASSES)})
    shutil.rmtree(path / "test")
    Dataset.from_dict({"picture": [1], "label": [0]}, kinds).save_to_disk(path / "test")
    with pytest.raises(UserError, match="the split test has no images in the column picture, as"):
        load_data(f"hf:{path}")


@pytest.mark.parametrize(
    ("whole", "damaged", "told"),
    [
        (b"catdogcat", b"cat\xffogcat", "Invalid UTF8 sequence at string index 1"),
        # Where the texts of the labels begin.
        (struct.pack("<3i", 3, 6, 9), struct.pack("<3i", 3, 10**9, 9), "out of bounds: 1000000000"),
    ],
    ids=["text", "place"],
)
def test_a_damaged_table_is_one_line(
    whole: bytes, damaged: bytes, told: str, table: Any, tmp_path: Path
) -> None:
    path = saved(tmp_path, train=table(label=Value("string")))
    (file,) = path.glob("train/*.arrow")
    content = file.read_bytes()
    assert content.count(whole)
    file.write_bytes(content.replace(whole, damaged, 1))
    with pytest.raises(UserError, match=f"cannot be read .ArrowInvalid: .*{told}"):
        load_data(f"hf:{path}")


def test_a_pipe_among_the_tables_is_refused_and_not_waited_for(table: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, train=table())
    (file,) = path.glob("train/*.arrow")
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(UserError, match=r"\.arrow: it is not a regular file$"):
        load_data(f"hf:{path}")


def test_a_damaged_parquet_file_is_told_once(
    table: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "set"
    path.mkdir()
    table().to_parquet(path / "train.parquet")
    (path / "train.parquet").write_bytes((path / "train.parquet").read_bytes()[:2000])
    with pytest.raises(UserError, match=r"cannot be read \(ArrowInvalid: Parquet magic"):
        load_data(f"hf:{path}")
    assert not caplog.records


def test_a_class_whose_name_is_no_text_is_shown_by_its_code(table: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, train=table(label=ClassLabel(names=["cat", "d\ud800g"])))
    assert load_data(f"hf:{path}").classes == ("cat", "d\\ud800g")


def test_numbers_that_are_no_classes_are_names(table: Any, tmp_path: Path) -> None:
    numbers = table(label=Value("int64")).map(lambda row: {"label": row["label"] * 3_000_000})
    path = saved(tmp_path, train=numbers)
    assert load_data(f"hf:{path}").classes == ("0", "3000000")


def test_labels_beyond_the_classes_are_one_line(table: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, train=table(), test=table(6, 100))
    beyond = table(6, 100, label=ClassLabel(names=["cat", "dog", "owl"])).map(
        lambda row: {"label": 2}
    )
    shutil.rmtree(path / "test")
    beyond.save_to_disk(path / "test")
    with pytest.raises(UserError, match="the split test, row 0: label 'owl'; allowed: the 2"):
        load_data(f"hf:{path}")


@pytest.mark.parametrize("names", [["dog", "cat"], ["owl", "cat", "dog"]])
def test_the_classes_of_another_split_are_found_by_their_names(
    names: list[str], table: Any, tmp_path: Path
) -> None:
    others = table(6, 100, label=ClassLabel(names=names)).map(
        lambda row: {"label": names.index(CLASSES[row["label"]])}
    )
    path = saved(tmp_path, train=table(), test=others)
    assert load_data(f"hf:{path}").test().labels.tolist() == [0, 1, 0, 1, 0, 1]
    texts = saved(tmp_path, "texts", train=table(label=Value("string")), test=others)
    assert load_data(f"hf:{texts}").test().labels.tolist() == [0, 1, 0, 1, 0, 1]
    numbers = saved(tmp_path, "numbers", train=table(label=Value("int64")), test=others)
    with pytest.raises(UserError, match="the split test, row 0: label 'cat'; allowed: the 2"):
        load_data(f"hf:{numbers}")


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_files_that_number_their_classes_otherwise_are_named(
    kind: str, table: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()

    def write(split: str, names: list[str]) -> None:
        rows, path = table(20, label=ClassLabel(names=names)), folder / f"{split}.{kind}"
        if kind == "parquet":
            rows.to_parquet(path)
        else:
            with pyarrow.OSFile(str(path), "wb") as sink:
                schema = rows.features.arrow_schema
                with pyarrow.ipc.new_stream(sink, schema) as writer:
                    writer.write_table(rows.with_format("arrow")[:].cast(schema))

    write("train", CLASSES)
    write("test", CLASSES)
    assert load_data(f"hf:{folder}").classes == tuple(CLASSES)
    write("test", CLASSES[::-1])
    with pytest.raises(UserError, match=rf"{kind} numbers the classes of label differently from "):
        load_data(f"hf:{folder}")


def test_no_split_is_read_twice(table: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, test=table())
    with pytest.raises(UserError, match=r"no split train; name one: \?train=test"):
        load_data(f"hf:{path}")
    data = load_data(f"hf:{path}?train=test")
    assert [len(data.train), len(data.validation), len(data.test())] == [16, 2, 2]
    with pytest.raises(UserError, match="test=test: is read already; give each split at most"):
        load_data(f"hf:{path}?train=test&test=test")


def test_a_saved_split_without_rows_is_named(table: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, train=table(), test=table(6, 100).select([]))
    with pytest.raises(UserError, match=r"set/test has no rows; save it without such a split"):
        load_data(f"hf:{path}")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Put a server of this machine in the place of the hub, or none at all."""
    with ExitStack() as servers:

        def put(answer: Callable[[BaseHTTPRequestHandler], None] | None) -> None:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    assert answer is not None
                    answer(self)

                def do_HEAD(self) -> None:
                    self.do_GET()

                def log_message(self, *_: Any) -> None: ...

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            if answer is None:
                server.server_close()
            else:
                Thread(target=server.serve_forever, daemon=True).start()
                servers.callback(server.server_close)
                servers.callback(server.shutdown)
            address = f"http://127.0.0.1:{server.server_port}"
            monkeypatch.setattr(datasets.config, "HF_ENDPOINT", address)
            monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

        yield put


def test_a_name_that_the_hub_does_not_know_is_said_to_be_unknown(hub: Any) -> None:
    def unknown(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(404)
        asked.send_header("X-Error-Code", "RepoNotFound")
        asked.send_header("Content-Length", "0")
        asked.end_headers()

    hub(unknown)
    with pytest.raises(UserError, match="unknown: the hub has no such data set, or only for") as at:
        load_data("hf:ada/nothing")
    assert "\n" not in str(at.value)


@pytest.mark.parametrize("silent", [False, True], ids=["refused", "silent"])
def test_a_hub_that_is_not_reached_is_said_soon(
    silent: bool, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_hub, "PATIENCE", 0.2)
    hub((lambda _: time.sleep(1)) if silent else None)
    began = time.monotonic()
    with pytest.raises(UserError, match=r"the hub was not reached \(.*\), and there is no copy"):
        load_data("hf:ada/nothing")
    assert time.monotonic() - began < 5
    # A program that goes on may reach it later.
    assert not datasets.config.HF_HUB_OFFLINE
    assert not huggingface_hub.constants.HF_HUB_OFFLINE


def test_what_was_fetched_before_is_read_without_the_hub(
    hub: Any, table: Any, tmp_path: Path
) -> None:
    (tmp_path / "pets").mkdir()
    table().to_parquet(tmp_path / "pets" / "train.parquet")
    before = load_data(f"hf:{tmp_path / 'pets'}")
    # What a data set of the hub leaves in the cache differs by the name of its folder alone.
    (tmp_path / "cache" / "pets").rename(tmp_path / "cache" / "ada___pets")
    hub(None)
    assert torch.equal(load_data("hf:ada/pets").train.pixels([3]), before.train.pixels([3]))
