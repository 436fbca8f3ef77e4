"""The result of a run, put together from the outcomes of its stages."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import torch

from spos._util.files import read_own, write_json
from spos._util.version import __version__
from spos.run.budgets import budget_rows, retraining_seconds
from spos.run.config import Config, required_method
from spos.run.context import Context
from spos.run.costs import latency_table
from spos.spaces import family

#: The fields that differ between two runs that are otherwise the same.
TIMES = ("seconds",)
STAGES = ("train", "search", "retrain", "compare")


def collect(context: Context) -> dict[str, Any]:
    """Put together what the finished stages found.

    Returns:
        What ``result.json`` holds; a stage that is not finished leaves its part empty.
    """
    config = context.config
    outcomes = {stage: context.finished(stage) for stage in STAGES}
    found, retrained, compared = outcomes["search"], outcomes["retrain"], outcomes["compare"]
    named, trained = config.network.name, outcomes["train"]
    data = read_own(context.directory.path / "data.json")
    data.pop("task", None)
    member = family(config.space)
    with torch.device("meta"):
        space = member.build(
            config.layout,
            classes=data.get("outputs", len(data["classes"])),
            image_channels=data["channels"],
        ).space
    return {
        "spos": __version__,
        "space": {
            "name": config.space,
            "preset": config.preset,
            "size": str(space.size),
            "choices": [{"name": c.name, "options": list(c.options)} for c in space.choices],
        },
        # What the fields that are called top1 hold: they keep their names whatever is measured.
        "metric": {"name": context.task.name, "share": context.task.share},
        # The test images are counted when they are read, at the very end.
        "data": {**data, "test": retrained.get("test_images")} if retrained else data,
        "constraint": {
            "text": str(config.bounds),
            "maximum": dict(config.bounds.maximum),
            "minimum": dict(config.constraint.minimum),
        },
        **_latency(context),
        "train": trained and {k: trained[k] for k in ("steps", "method", "label") if k in trained},
        "search": found
        and {
            **{name: getattr(config.search, name) for name in _search_settings(config)},
            "pareto": list(config.search.pareto),
            "evaluated": found["evaluated"],
            "exhausted": found["exhausted"],
        },
        "winner": found and {**found["winner"], **member.notated(found["winner"]["names"])},
        "network": {"name": named, **retrained["costs"]} if named and retrained else None,
        "retrain": retrained
        and {k: retrained[k] for k in ("test_top1", "steps", "teacher") if k in retrained},
        "top": found["top"] if found else [],
        "front": found.get("front", []) if found else [],
        "budgets": budget_rows(context, found) if found else [],
        "comparison": compared and {k: v for k, v in compared.items() if k != "seconds"},
        "seconds": {
            stage: outcome["seconds"]
            + (retraining_seconds(context, found) if stage == "retrain" else 0)
            for stage, outcome in outcomes.items()
            if outcome
        },
        "seeds": {"run": config.run.seed, "search": config.search.seed},
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "lightning-fabric", "optuna", "numpy")},
        },
        "device": str(context.fabric.device),
        "devices": context.devices,
    }


def _search_settings(config: Config) -> tuple[str, ...]:
    if required_method(config.search.algorithm):
        return ("algorithm",)
    return ("algorithm", "population", "iterations", "parents")


def _latency(context: Context) -> dict[str, Any]:
    """Where the latencies of a run come from; nothing where it has none."""
    table = latency_table(context.config, context.directory.path)
    return {} if table is None else {"latency": {"unit": "ns", **asdict(table.runtime)}}


def write_result(context: Context) -> dict[str, Any]:
    """Write ``result.json`` of what is there so far, and return it."""
    result = collect(context)
    write_json(context.directory.result_path, result)
    return result
