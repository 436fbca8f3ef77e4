"""Weights & Biases: a run on its server, or in files to be sent later (``WANDB_MODE=offline``)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from spos._util.errors import UserError, nearest
from spos._util.files import read_own, write_json
from spos.run.logger import LOGGERS, Logger, Point

#: Project of the runs, unless the environment names another.
PROJECT = "spos"
#: File of the run directory with the last step of each stage that was given to it, and with the
#: folders of processes that came to their end, which hold all that was given.
GIVEN = "wandb.json"
#: Modes that need an account, and those that need none.
ACCOUNT, NO_ACCOUNT = {"online", "run", "shared"}, {"offline", "dryrun", "disabled"}


@LOGGERS.register("wandb")
class WandbLogger(Logger):
    """A run of the project ``WANDB_PROJECT``."""

    needs = ("wandb",)
    extra = "wandb"

    @classmethod
    def check(cls) -> None:
        super().check()
        import wandb

        mode = os.environ.get("WANDB_MODE") or "online"
        if mode not in ACCOUNT | NO_ACCOUNT:
            raise UserError(f"WANDB_MODE={mode}: {nearest(mode, sorted(ACCOUNT | NO_ACCOUNT))}")
        if mode in NO_ACCOUNT:
            return
        advice = "run wandb login, or set WANDB_MODE=offline and send the run later"
        try:
            known = wandb.login(prompt=False, verify=False)
        # A key or an address that it refuses raises errors of several kinds.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"--logger wandb: your account cannot be used ({reason}); {advice}"
            ) from error
        if not known:
            raise UserError(f"--logger wandb: no account; {advice}")

    def __init__(self, path: Path, identity: str) -> None:
        import wandb

        super().__init__(path, identity)
        # Nothing is asked of the server: in offline mode there is none.
        self._file = path / GIVEN
        self._steps: dict[str, int] = {}
        self._whole: list[str] = []
        if self._file.exists():
            known = read_own(self._file, "delete it, and the points are given again")
            self._steps, self._whole = known["steps"], known["folders"]
        for folder in (path / "wandb").glob(f"offline-run-*-{identity}"):
            # The program keeps points in memory for many seconds: a killed process may have left
            # none, and what follows a record that was cut off would not be sent.
            if folder.name not in self._whole:
                shutil.rmtree(folder)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=identity,
            name=path.resolve().name,
            dir=str(path),
            resume="allow",
            # What a run prints, and the state of the machine, are not asked for.
            settings=wandb.Settings(console="off", silent=True, x_disable_stats=True),
        )

    def steps(self) -> Mapping[str, int]:
        return self._steps

    def log(self, points: Sequence[Point]) -> None:
        last = {one.stage: one.step for one in points}
        for stage in last:
            # Steps are those of a stage, where the program counts its own.
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
        self._steps = {**self._steps, **last}
        if not self._run.offline:
            # Before the points are given: after a kill none is there twice.
            self._keep()
        for one in points:
            self._run.log({f"{one.stage}/step": one.step, **one.named})

    def settings(self, values: Mapping[str, str]) -> None:
        self._run.config.update(dict(values), allow_val_change=True)

    def conclude(self, numbers: Mapping[str, float], files: Sequence[Path]) -> None:
        import wandb

        self._run.summary.update(dict(numbers))
        artifact = wandb.Artifact(f"spos-{self.identity}", type="result")
        for path in files:
            artifact.add_file(str(path))
        self._run.log_artifact(artifact)

    def close(self, *, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)
        if self._run.offline:
            self._whole = [*self._whole, Path(self._run.dir).parent.name]
            self._keep()

    def _keep(self) -> None:
        write_json(self._file, {"steps": self._steps, "folders": self._whole})
