"""W&B, which never decides whether a run trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_info

SECONDS = 20
"""How long to wait for the server."""


class WandbOrOffline(WandbLogger):
    """Lightning's W&B logger; goes on offline, with one line, where the server does not answer or refuses the key.

    Where not even files can be written, W&B is left out.

    Args:
        folder: Folder of the run.
        name: Name of the run.
        project: W&B project.
        offline: Do not try to reach the server.
    """

    def __init__(self, folder: Path, name: str, project: str, offline: bool) -> None:
        settings = wandb.Settings(silent=True, init_timeout=SECONDS)
        super().__init__(name=name, save_dir=folder, offline=offline, project=project, settings=settings)
        self.offline = offline

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, started when it is asked for first."""
        if self._experiment is None:
            self._experiment = self._start()
        return super().experiment

    def _start(self) -> Any:
        for mode in ("offline",) if self.offline else ("online", "offline"):
            try:
                return self._run(mode)
            except (wandb.Error, OSError, ValueError) as error:
                way = "goes on offline" if mode == "online" else "leaves it out"
                reason = " ".join(str(error).split())
                rank_zero_info(f"W&B could not start {mode}, so the run {way}: {reason[:200]}")
        return self._run("disabled")

    def _run(self, mode: Any) -> Any:
        run = wandb.init(**{**self._wandb_init, "mode": mode})
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return run
