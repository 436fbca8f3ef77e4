"""The limit of a training step on a GPU: one network alone under ``torch.compile``.

A part of ``gpu.py``: each case is compiled in a process of its own, which can be ended; one of them
measures at a time.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from gpu_throughput import CASES, DRY, VARIANTS, Emit, Training, build

from spos.training.methods.uniform import uniform_paths

COMPILED = "bf16 channels_last"


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Only one of several processes measures at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def compiled(name: str, lock: Path, device: torch.device, dry: bool) -> dict[str, Any]:
    """Measure the first path alone, as it is and under ``torch.compile``."""
    case = (DRY if dry else CASES)[name]._replace(paths=1)
    supernet = build(case, device)
    path = next(uniform_paths(supernet.space, 0, 0))
    network = supernet.extract(path).train()
    seconds: dict[str, float] = {}
    row: dict[str, Any] = {"case": name, "variant": COMPILED, "model": "path 0 alone, compiled"}
    for what in ("eager", "compiled"):
        model = network
        if what == "compiled":
            model = torch.compile(network, backend="eager" if dry else "inductor")
        training = Training([model], [path], case, VARIANTS[COMPILED], device)
        began = time.monotonic()
        training.round()
        row["compile s"] = round(time.monotonic() - began, 1)
        with _turn(lock):
            training.round()
            seconds[what] = statistics.median(training.round() for _ in range(3 if dry else 30))
            single = training.singly()
    row |= {"images/s": round(case.batch / seconds["compiled"])}
    row |= {"ms": round(seconds["compiled"] * 1e3, 3), **single}
    row["eager ms"] = round(seconds["eager"] * 1e3, 3)
    row["to alone"] = round(seconds["compiled"] / seconds["eager"], 3)
    return row


def start_compiled(
    folder: Path, device: torch.device, dry: bool
) -> dict[str, subprocess.Popen[str]]:
    """Begin to compile, each case in a process of its own."""
    # The networks for ImageNet take longer to compile than there is time.
    names = list(DRY)[:1] if dry else [name for name in CASES if "imagenet" not in name]
    environment = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "4"}
    children = {}
    for name in names:
        command = [sys.executable, __file__, "--compile", name, "--device", device.type]
        command += ["--lock", str(folder / "lock"), *(["--dry-run"] if dry else [])]
        children[name] = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )
    return children


def collect_compiled(
    children: dict[str, subprocess.Popen[str]], deadline: float, emit: Emit
) -> None:
    """Take what the processes found by a deadline; end those that need longer."""
    for name, child in children.items():
        row = {"case": name, "variant": COMPILED, "model": "path 0 alone, compiled"}
        try:
            output, _ = child.communicate(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            # With its compilers, which hold the pipe open.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                child.communicate(timeout=5)
            emit({**row, "error": "skipped: compiling takes too long"})
            continue
        lines = output.strip().splitlines()
        if child.returncode == 0 and lines:
            emit(json.loads(lines[-1]))
        else:
            emit({**row, "error": " / ".join(lines[-3:])[-400:] or f"exit {child.returncode}"})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--compile", required=True)
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    print(json.dumps(compiled(options.compile, options.lock, device, options.dry_run)))


if __name__ == "__main__":
    main()
