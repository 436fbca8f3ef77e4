"""How well supernets rank networks whose true accuracy a benchmark tells.

A part of ``gpu.py``: several trainings share the GPU, each in a process of its own for the same
time, and then score the same networks (``gpu_supernet.py``).
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_throughput import Emit
from gpu_variants import VARIANTS, network
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from spos import CostTable
from spos._util.randomness import generator
from spos.spaces.nasbench201 import parse_architecture_string

#: Multiply-adds of the networks that a search under a bound decides between.
BAND = (52e6, 59e6)
FILES = {"nasbenchmacro": "nasbenchmacro-cifar10.csv", "nasbench201": "nasbench201-cifar10.csv"}


class Truth:
    """What a benchmark says of the networks that are scored.

    Args:
        space: of the catalogue.
        tables: the folder of the benchmarks' tables; in a trial without it accuracies are made up.
        counts: how many networks to draw of all, and of the band.
        dry: whether this is a trial.
    """

    def __init__(self, space: str, tables: Path | None, counts: tuple[int, int], dry: bool) -> None:
        variant = next(one for one in VARIANTS.values() if one.space == space)
        with torch.device("meta"):
            self._supernet = network(variant, dry)
        names = self._supernet.space
        random = generator(0, "networks", space)
        if tables is None:
            assert dry, "the ranking needs the tables of the benchmarks"
            options = names.sample_many(100, random)
            accuracy = random.random(len(options))
        else:
            with (tables / FILES[space]).open(newline="") as file:
                rows = list(csv.DictReader(file))
            accuracy = np.array([float(row["cifar10_test_top1"]) for row in rows])
            if space == "nasbenchmacro":
                options = np.array([[int(digit) for digit in row["arch"]] for row in rows])
            else:
                read = (parse_architecture_string(row["arch"]) for row in rows)
                options = np.array([names.from_names(one) for one in read])
        # The costs of the variant's own layout: of Macro those of the benchmark.
        costs = CostTable(self._supernet).many(options)
        keys = ["".join(map(str, row)) for row in options.tolist()]
        self.accuracy = dict(zip(keys, accuracy.tolist(), strict=True))
        self.costs = {key: row[:2] for key, row in zip(keys, costs.tolist(), strict=True)}
        order = random.permutation(len(keys))
        inside = np.array([BAND[0] <= row[0] <= BAND[1] for row in costs])
        if dry:
            inside = costs[:, 0] >= np.median(costs[:, 0])
        if space != "nasbenchmacro":
            inside[:] = False
        self.band_all = [self.accuracy[keys[i]] for i in order if inside[i]]
        drawn = {"random": order[: counts[0]], "band": order[inside[order]][: counts[1]]}
        self.networks = {what: [keys[i] for i in rows] for what, rows in drawn.items()}
        # Random and band by turns, so that whoever runs out of time has some of both.
        parts = [options[rows[i::4]].tolist() for i in range(4) for rows in drawn.values()]
        self.chunks = [part for part in parts if part]


def measures(truth: Truth, scores: dict[str, list[float]]) -> dict[str, Any]:
    """Correlations with the true accuracy, over all networks and parts of them.

    Args:
        truth: of the benchmark.
        scores: loss and accuracy by architecture.
    """
    seen = [key for key in truth.networks["random"] if key in scores]
    band = [key for key in truth.networks["band"] if key in scores]
    ordered = sorted(seen, key=truth.accuracy.__getitem__, reverse=True)
    groups = {
        "all": seen,
        "better half": ordered[: len(ordered) // 2],
        "best tenth": ordered[: len(ordered) // 10],
        "band": band,
    }
    rankings: dict[str, Any] = {
        "loss": lambda key: -scores[key][0],
        "accuracy": lambda key: scores[key][1],
        "multiply-adds": lambda key: truth.costs[key][0],
        "parameters": lambda key: truth.costs[key][1],
    }
    found: dict[str, Any] = {"networks": len(seen), "of the band": len(band)}
    if seen:
        found["mean one-shot accuracy"] = round(float(np.mean([scores[k][1] for k in seen])), 4)
    for group, keys in groups.items():
        true = np.array([truth.accuracy[key] for key in keys])
        for name, value in rankings.items():
            by = np.array([value(key) for key in keys])
            found[f"tau {group}: {name}"] = _correlation(kendalltau, true, by)
            found[f"rho {group}: {name}"] = _correlation(spearmanr, true, by)
    if band:
        true = np.array([truth.accuracy[key] for key in band])
        for name, value in rankings.items():
            found[f"band, chosen by {name}"] = truth.accuracy[max(band, key=value)]
        found["band, mean"] = round(float(true.mean()), 3)
        found["band, best scored"] = float(true.max())
        found["band, best of all"] = max(truth.band_all)
    return found


def _correlation(function: Any, a: NDArray[Any], b: NDArray[Any]) -> float | None:
    if len(a) < 3 or not np.ptp(a) or not np.ptp(b):
        return None
    return round(float(function(a, b).statistic), 4)


def ranking(
    folder: Path,
    tables: Path | None,
    out: Path,
    device: torch.device,
    *,
    seconds: float,
    scoring: float,
    starting: float,
    end: float,
    counts: tuple[int, int],
    layouts: dict[str, str],
    names: Sequence[str],
    dry: bool,
    emit: Emit,
) -> None:
    """Train all variants side by side and compare their scores with the truth.

    Args:
        folder: with ``images.pt``; what the processes need and say is put there, too.
        tables: see :class:`Truth`.
        out: where the scores of all networks go.
        device: where.
        seconds: of each training; less where the scores would come after the end.
        scoring: seconds for the scores.
        starting: seconds at most until the trainings begin.
        end: of the monotonic clock, at which everything has to be known.
        counts: see :class:`Truth`.
        layouts: the memory format of each space.
        names: of the variants.
        dry: whether this is a trial.
        emit: takes each row.
    """
    children: dict[str, subprocess.Popen[bytes]] = {}
    everything: dict[str, Any] = {}
    try:
        for number, name in enumerate(names):
            variant = VARIANTS[name]
            command = [sys.executable, str(Path(__file__).with_name("gpu_supernet.py"))]
            command += ["--variant", name, "--number", str(number), "--folder", str(folder)]
            command += ["--device", device.type, "--layout", layouts[variant.space]]
            command += ["--scoring", str(scoring)]
            with (folder / f"log{number}").open("wb") as log:
                children[name] = subprocess.Popen(
                    [*command, *(["--dry-run"] if dry else [])], stdout=log, stderr=log
                )
        began = time.monotonic()
        # While the processes start.
        truths = {space: Truth(space, tables, counts, dry) for space in FILES}
        chunks = {space: truth.chunks for space, truth in truths.items()}
        (folder / "chunks.json").write_text(json.dumps(chunks))
        while time.monotonic() - began < starting:
            ready = [(folder / f"ready{n}").exists() for n in range(len(children))]
            dead = [child.poll() is not None for child in children.values()]
            if all(map(max, ready, dead)):
                break
            time.sleep(0.05)
        seconds = min(seconds, max(20.0, end - time.monotonic() - scoring - 15))
        (folder / "going").write_text(str(seconds))
        (folder / "going").replace(folder / "go")
        print(f"trainings begin after {time.monotonic() - began:.1f} s", flush=True)
        # What comes late trains less long than the others: its process is ended all the same.
        deadline = time.monotonic() + seconds + scoring + 10
        for child in children.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
    finally:
        for child in children.values():
            if child.poll() is None:
                child.kill()
            child.wait()
    contents: dict[str, Any] = {}
    for number, name in enumerate(names):
        result = folder / f"result{number}.json"
        if result.exists():
            contents[name] = json.loads(result.read_text())
            everything[name] = {
                key: [round(loss, 5), round(accuracy, 4)]
                for key, (loss, accuracy) in contents[name]["scores"].items()
            }
        else:
            lines = (folder / f"log{number}").read_text(errors="replace").strip().splitlines()
            reason = f"exit {children[name].returncode}: " + " / ".join(lines[-3:])[-400:]
            emit({"variant": name, "space": VARIANTS[name].space, "error": reason})
    (out / "scores.json").write_text(json.dumps(everything, separators=(",", ":")))
    for name, content in contents.items():
        variant = VARIANTS[name]
        # The networks that all variants of the space have scored, so that figures compare.
        common = set(content["scores"])
        for other, its in contents.items():
            if VARIANTS[other].space == variant.space and its["scores"]:
                common &= its["scores"].keys()
        try:
            found = measures(truths[variant.space], {key: content["scores"][key] for key in common})
        except Exception as error:  # The scores are on disk; other variants are still to come.
            found = {"error": f"{type(error).__name__}: {error}"}
        row = {"variant": name, **variant._asdict(), **content["facts"]}
        emit({**row, "scored": len(content["scores"]), **found})
