"""``spos.search``: from a model or a space, images and limits to a trained network, in one call."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spos._api.arguments import (
    check_kinds,
    folder_of,
    join_bounds,
    make_settings,
    name_folder,
    put,
    read_time,
)
from spos._api.found import FoundNetwork
from spos._api.own_images import OwnImages, as_dataset
from spos._api.own_model import add_model
from spos._api.wording import told_in_python
from spos._util.console import ConsoleListener
from spos._util.errors import UserError
from spos._util.listener import Listener
from spos._util.modes import one_run
from spos.data import DataOptions, ImageData
from spos.data.own_augmentation import Augmentation
from spos.data.peek import ImageFacts, peek
from spos.run.directory import RunDirectory
from spos.run.initial import BROUGHT, brought
from spos.run.planning.execute import run_planned
from spos.run.settings import read_constraint
from spos.run.workers import make_workers
from spos.spaces import family
from spos.spaces._own import PRESET

#: Called with the stage, the steps done, all steps, and the details as text.
Callback = Callable[[str, int, int, str], None]


@told_in_python
@one_run()
def search(
    model: nn.Module | str | None,
    data: Any,
    *,
    time: str | float | None = None,
    max_flops: str | float | None = None,
    max_params: str | float | None = None,
    limits: Mapping[str, str | float] | None = None,
    test: Any = None,
    classes: Sequence[str] | None = None,
    augment: Augmentation | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    compare: int | None = None,
    compare_with: Sequence[str] = (),
    threads: int | None = None,
    workers: int | str = 1,
    callback: Callback | None = None,
    reuse: FoundNetwork | str | Path | None = None,
    out: str | Path | None = None,
    loggers: Sequence[str] = (),
    init: str | Path | None = None,
) -> FoundNetwork:
    """Find the most accurate network within limits: train a supernet, search it, retrain the best.

    What is left open is chosen by the images, the limits, this machine and the time. A call with
    the same arguments resumes an interrupted one.

    Args:
        model (nn.Module | str | None): module with choices (:class:`spos.OneOf`,
            :class:`spos.nn.Width`), whose layers get fresh weights unless they are frozen or
            ``init`` says otherwise; or the name of a space; None for a space that suits the images.
        data (Any): source as for ``--data``; or a Dataset of (image, class), a DataLoader of one,
            or a pair of arrays: images of shape (N, C, H, W), (N, H, W, C) or (N, H, W), and
            classes.
        time (str | float | None): time for everything, such as ``"1h"``, or seconds.
        max_flops (str | float | None): most multiply-adds, such as ``"60M"``.
        max_params (str | float | None): most parameters.
        limits (Mapping | None): upper bounds of other costs by name.
        test (Any): test images as for ``data``; None to split them off.
        classes (Sequence[str] | None): names of the classes.
        augment (Callable | None): augmentation of the training images in place of a policy: from an
            image, uint8, shape (C, S, S), to one of the same shape, uint8 or float in 0 to 1, such
            as a transform of ``torchvision.transforms.v2``.
        settings (Mapping | None): further settings by section, as in ``config.yaml``.
        seed (int): seed of everything random, at least 0.
        compare (int | None): random networks to compare with; None to choose it.
        compare_with (Sequence[str]): names of known networks to compare with, as for
            ``--compare-with``.
        threads (int | None): CPU threads; None to choose them.
        workers (int | str): processes that evaluate candidates and train networks at the same time,
            ``"ray"``, or the address of a Ray cluster. With several, a script needs
            ``if __name__ == "__main__":`` around the call, and the classes of a model have to be
            in a module, not in a notebook.
        callback (Callable | None): function that is told of progress: stage, done, total, details;
            None to write it to standard error.
        reuse (FoundNetwork | str | Path | None): earlier search of the same space and images, or
            its run directory, whose supernet, evaluations and settings are taken over.
        out (str | Path | None): run directory; None for one named after model and limits.
        loggers (Sequence[str]): programs that show the curves beside TensorBoard: ``"csv"``,
            ``"mlflow"``, ``"wandb"``.
        init (str | Path | None): weights that the supernet begins from: a file, or ``"model"`` for
            those that a model brings, affine parameters of its batch norms included; None for
            fresh ones.

    Raises:
        UserError: an argument is not valid.
        KeyboardInterrupt: the search was interrupted; its state is saved.

    Example:
        >>> from spos import search
        >>> found = search("mobile", "digits", max_flops="1M", time="5m")  # doctest: +SKIP
        >>> found.accuracy, found.predict(images), found.export()  # doctest: +SKIP
        >>> smaller = search("mobile", "digits", max_flops="600K", reuse=found)  # doctest: +SKIP
    """
    began = clock.monotonic()
    check_kinds(model=model, time=time, limits=limits, settings=settings, seed=seed)
    check_kinds(classes=classes, compare_with=compare_with, loggers=loggers, callback=callback)
    check_kinds(compare=compare, threads=threads, workers=workers, reuse=reuse, out=out, init=init)
    compare_with, loggers = compare_with or (), loggers or ()
    processes = None if isinstance(workers, str) else workers
    for name, number, least, most in (
        # No machine has as many, and OpenMP ends the process that asks for more.
        ("threads", threads, 1, 1024),
        ("workers", processes, 1, 1024),
        ("compare", compare, 0, 10**6),
    ):
        if number is not None and not least <= number <= most:
            bound = f"at least {least}" if number < least else f"at most {most}"
            raise UserError(f"{name} {number}: must be {bound}")
    # JSON holds no numbers of numpy.
    compare, threads = (None if one is None else int(one) for one in (compare, threads))
    workers = workers if processes is None else int(processes)
    if isinstance(data, Path):
        data = f"folder:{data}"
    seconds = read_time(time)
    bounds = join_bounds(limits, flops=max_flops, params=max_params)
    given = make_settings(settings, bounds, seed, augment)
    earlier = folder_of(reuse) if reuse else None
    images = _read_images(data, test, classes, given)
    facts = peek(data) if images is None else images.facts
    facts.check(given["data"]["source"])
    smaller = ""
    if isinstance(model, nn.Module):
        smaller = _take_model(model, facts, given, earlier, affine=init == "model")
    elif model is not None:
        put(given, "space.name", model, "model")
    folder = Path(out) if out is not None else name_folder(model, data, bounds, seconds, seed)
    if init == "model" and not isinstance(model, nn.Module):
        raise UserError(f"init 'model': {model} is no model with weights; give a model, or a file")
    kept = folder / BROUGHT if init == "model" else init
    if kept is not None:
        put(given, "supernet.init", str(kept), "init")

    loaded: dict[str, Any] = {}

    def make_load(planned: Mapping[str, Any]) -> Callable[[], ImageData] | None:
        if images is not None:
            loaded["load"] = partial(images.load, planned, given["run"]["seed"])
        return loaded.get("load")

    # This process takes the threads of the plan.
    pool = None if workers == 1 else make_workers(workers, threads)
    module = model if init == "model" and isinstance(model, nn.Module) else None
    listener = ConsoleListener() if callback is None else _Told(callback)
    with ExitStack() as stack:
        # The caller's random numbers go on as if nothing had been drawn.
        stack.enter_context(torch.random.fork_rng(devices=range(torch.cuda.device_count())))
        if pool is not None:
            stack.enter_context(closing(pool))
        if module is not None:
            stack.enter_context(brought(module, folder))
        if isinstance(listener, ConsoleListener):
            stack.enter_context(closing(listener))
        if smaller:
            listener.message(smaller)
        result = run_planned(
            folder,
            given,
            seconds=seconds,
            threads=threads,
            compare=compare,
            compare_with=compare_with,
            listener=listener,
            began=began,
            facts=facts,
            make_load=make_load,
            reuse=earlier,
            workers=pool,
            loggers=loggers,
        )
    return FoundNetwork(result, folder, loaded.get("load"))


def _read_images(
    data: Any, test: Any, classes: Sequence[str] | None, given: dict[str, Any]
) -> OwnImages | None:
    """Read images that are no source by name, and note their source in the settings."""
    put(given, "data.source", data if isinstance(data, str) else "dataset", "data")
    if not isinstance(data, str):
        return OwnImages(as_dataset(data), as_dataset(test), classes, _side_of(given))
    if test is not None:
        raise UserError(
            f"test: {data} is a source with test images of its own; leave test out, or give both "
            "as a Dataset or arrays"
        )
    return None


def _take_model(
    model: nn.Module,
    facts: ImageFacts,
    given: dict[str, Any],
    earlier: Path | None,
    *,
    affine: bool,
) -> str:
    """Make a space of a model, and note it in the settings.

    Args:
        model (nn.Module): module with choices.
        facts (ImageFacts): what the images are like.
        given (dict): settings by section; those of the space are added.
        earlier (Path | None): run directory of a search that is reused.
        affine (bool): whether its batch norms keep their affine parameters.

    Returns:
        What is said of images that the model has resized; empty if it takes them as they are.
    """
    side = _side_of(given)
    if earlier and side is None:
        # That of its supernet.
        side = _side_of(RunDirectory(earlier).read_config())
    bounded = read_constraint(given.get("constraint", {})).get("maximum")
    known = bounded if isinstance(bounded, Mapping) else {}
    name, resized = add_model(model, facts, side, known, affine=affine)
    own = family(name).preset(PRESET)
    for setting, value in (
        ("space.name", name),
        ("space.preset", PRESET),
        # Given, so that a run is not resumed with another model of the same name.
        ("layout.model", own.model),
    ):
        put(given, setting, value, "model")
    if resized:
        given["layout"]["image_size"] = own.image_size
    return resized


def _side_of(settings: Mapping[str, Any]) -> int | None:
    """Side of the images by settings, if it is given."""
    return DataOptions(image_size=settings.get("layout", {}).get("image_size")).image_size


@dataclass
class _Told(Listener):
    """A listener that hands progress to a function."""

    callback: Callback

    def message(self, text: str) -> None:
        self.callback("message", 0, 0, text)

    def progress(self, stage: str, done: int, total: int, detail: str) -> None:
        self.callback(stage, done, total, detail)
