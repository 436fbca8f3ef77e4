"""Commands and settings that nobody means to give."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import click
import yaml
from commands import FEW
from values import TEXTS, alter, damage, number_or_text

from spos._cli.main import main
from spos.run.config import SECTIONS, make_config

#: Plausible values of options, by a part of their names: deeper code sees them.
PLAUSIBLE: dict[str, tuple[str, ...]] = {
    "out": (
        "out",
        "out/deeper",
        "run",
        "file",
        "network.onnx",
        "n.safetensors",
        "n.pt2",
        "file/out",
    ),
    "run": ("run", "out", "images", "file"),
    "reuse": ("run", "out", "images"),
    "space": ("shufflenetv2", "mobile", "nasbenchmacro", "fbnet", "plain", "resnet_bits"),
    "name": ("shufflenetv2", "nasbenchmacro", "nowhere"),
    "preset": ("tiny", "cifar", "imagenet", "official"),
    "data": (
        "digits",
        "folder:images",
        "folder:file",
        "folder:missing",
        "folder:",
        "cifar10:images",
    ),
    "stream": ("auto", "always", "never"),
    "on-broken": ("fail", "skip"),
    "algorithm": ("evolution", "random", "tpe", "nsga2", "fbnet", "darts", "proxylessnas"),
    "arch": ("0,0,0,0,0,0,0,0", "spos_block", "0", '{"a": "b"}', "4,0,0,0,0,0,0,0", "[0]"),
    "latency-table": ("table.json", "run/result.json", "file", "images"),
    "validate": ("table.json", "run/result.json", "file"),
    "format": ("onnx", "torch-export", "state-dict"),
    "stage": ("retrain", "compare-1", "compare-9", "supernet", "../retrain"),
    "config": ("settings.yaml", "run/config.yaml", "run/result.json", "images", "file"),
    "recipe": ("paper",),
    "time": ("1m", "1h30m", "1s", "0", "1w", "-1m", "1e9h"),
    "max": ("flops=1M", "flops=100K", "params=8K", "memory=1K"),
    "budgets": ("flops=110K,120K", "params=1K", "flops=1K"),
    "accelerator": ("cpu", "cuda", "mps", "auto", "tpu"),
    "precision": ("32-true", "bf16-mixed", "16-mixed"),
    "network": ("spos_block", "0,0,0", "mobilenet_v2", "nowhere"),
    "retrain-from": ("scratch", "supernet"),
    "pareto": ("flops", "flops,params", "latency", "flops,flops"),
    "storage": ("sqlite:///other.db", "sqlite:///run/study.db", "sqlite:///file"),
    "backend": ("torch", "onnxruntime", "torch.compile"),
    "images": ("images", "images/a/0.png", "file", "missing"),
    "model": ("network.onnx", "network.pt2", "network.safetensors", "run", "file", "images"),
    "checkpoint": ("run/supernet", "file", "network.pt2", "network.safetensors", "missing"),
}
#: Options of how many processes and threads there are: what is valid would start as many.
PROCESSES = (
    "devices",
    "num-nodes",
    "workers",
    "threads",
    "data-workers",
    "worker-cpus",
    "worker-gpus",
)
#: Sections and settings, each with its default.
DEFAULTS: dict[str, dict[str, Any]] = {
    "space": {"name": "shufflenetv2", "preset": "tiny"},
    **{
        name: {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}
        for name, part in vars(make_config({})).items()
        if name in SECTIONS and dataclasses.is_dataclass(part)
    },
}


def lay_out(material: Path, *names: str) -> None:
    """Copy some of the material to the working directory."""
    for name in names:
        source = material / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, name)


def commands(random: Random, material: Path) -> list[str]:
    """Any command with any options."""
    name = random.choice(sorted(main.commands))
    command = main.commands[name]
    # Options of few: where all are wrong, the first one hides the others.
    options = [one for one in command.params if isinstance(one, click.Option)]
    chosen = random.sample(options, min(len(options), random.choice((0, 1, 1, 2, 3, 6))))
    required = [one for one in command.params if one.required or isinstance(one, click.Argument)]
    given = [name]
    if random.random() < 0.02:
        given[0] = random.choice(TEXTS)
    for one in [*chosen, *(one for one in required if one not in chosen and random.random() < 0.9)]:
        flag = random.choice([*one.opts, *one.secondary_opts])
        values = [_value(one, random)]
        if isinstance(one, click.Option):
            given += [flag] if one.is_flag else [flag, *values]
        else:
            given += values * (1 if one.nargs == 1 else random.choice((1, 2)))
    if name == "spaces":
        # Those that exist are counted, which takes long and depends on nothing else.
        given[1:] = [number_or_text(random), *random.choice(([], ["--json"]))]
    if name in ("run", "plan", "doctor") and random.random() < 0.95:
        # Without a preset a plan is made, which takes as long as a hundred mistakes.
        given += ["--preset", "tiny"] if "--preset" not in given else []
    if random.random() < 0.03:
        given.append(random.choice(("--nowhere", "-x", *TEXTS)))
    _surroundings(given, random, material)
    return [text.replace("\0", "") for text in given]


def _value(option: click.Parameter, random: Random) -> str:
    flag = max(option.opts, key=len).lstrip("-")
    if flag in PROCESSES:
        text = number_or_text(random)
        # Without those of which as many processes would start.
        return "0" if text.strip() in ("2", "3") else text
    if flag in ("set", "assignments") and random.random() < 0.8:
        return assignment(random)
    known = PLAUSIBLE.get(flag, PLAUSIBLE.get(flag.partition("-")[0], ()))
    if known and random.random() < 0.6:
        return random.choice(known)
    return number_or_text(random)


def _surroundings(given: list[str], random: Random, material: Path) -> None:
    """Lay out what the arguments name, and a file of no kind."""
    text = " ".join(given)
    names = ("run", "images", "table.json", "network.onnx", "network.pt2", "network.safetensors")
    lay_out(material, *(name for name in names if name in text and random.random() < 0.9))
    if "file" in text:
        Path("file").write_bytes(random.choice((b"", b"text", random.randbytes(99))))
    if "settings.yaml" in text:
        Path("settings.yaml").write_bytes(settings_file(random))


def assignment(random: Random) -> str:
    """A setting with any value."""
    section = random.choice(SECTIONS)
    key = random.choice([*DEFAULTS[section], random.choice(TEXTS)])
    default = DEFAULTS[section].get(key)
    if section == "data" and key == "workers":
        return "data.workers=-1"
    value = str(default) if random.random() < 0.05 else number_or_text(random)
    return f"{section}.{key}={value}"


def settings_file(random: Random) -> bytes:
    """A YAML file of settings, altered in its values or its bytes."""
    sections = random.sample(SECTIONS, random.choice((1, 2, len(SECTIONS))))
    content: Any = {name: _plain(DEFAULTS[name]) for name in sections}
    for _ in range(random.choice((1, 1, 3))):
        content = alter(content, random)
    if isinstance(content, dict) and isinstance(content.get("data"), dict):
        content["data"]["workers"] = 0
    try:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=random.random() < 0.5)
        encoded = text.encode("utf-8", "surrogatepass")
    except (yaml.YAMLError, ValueError):
        encoded = b"run: {seed: .nan}"
    return damage(encoded, random) if random.random() < 0.4 else encoded


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    listed = {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
    return {name: dict(v) if hasattr(v, "keys") else v for name, v in listed.items()}


def settings(random: Random, material: Path) -> list[str]:
    """A small run with some other settings, up to its first step."""
    given = [random.choice(("run", "train", "search", "retrain")), *FEW, "--out", "out"]
    for _ in range(random.choice((1, 1, 2, 3))):
        given += ["--set", assignment(random)]
    return given


def settings_files(random: Random, material: Path) -> list[str]:
    """A run with a file of settings."""
    name = random.choice(("settings.yaml", "-", "ä ö.yaml", "s.json", os.fsdecode(b"\xff.yaml")))
    Path(name).write_bytes(settings_file(random))
    command = random.choices(("run", "train", "search", "retrain"), (1, 9, 9, 9))[0]
    return [command, "--config", name, "--out", random.choice(("out", "out", "."))]


KINDS: dict[str, Callable[[Random, Path], list[str]]] = {
    "commands": commands,
    "settings": settings,
    "settings files": settings_files,
}
