"""The loggers of a run: a CSV file, and W&B, which never decides whether a run trains."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import wandb
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from vrft_pl.runs.metrics import MetricsLogger

WandbMode = Literal["auto", "online", "offline", "off"]

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


def run_loggers(folder: Path, mode: WandbMode, project: str) -> list[Logger]:
    """A CSV file in the run's folder, and W&B unless it is switched off.

    Args:
        folder: Folder of the run.
        mode: ``auto`` and ``online`` log online, or offline where there is no API key or no answer, which ``online``
            says; ``off`` leaves W&B out.
        project: W&B project.
    """
    loggers: list[Logger] = [MetricsLogger(folder)]
    if mode != "off":
        offline = mode == "offline" or not has_wandb_key()
        if offline and mode == "online":
            rank_zero_info("W&B has no API key here, so the run goes on offline. `wandb login` stores one.")
        # W&B writes elsewhere when there is no such folder; the processes beside the first may name it otherwise
        rank_zero_only(folder.mkdir)(parents=True, exist_ok=True)
        loggers.append(WandbOrOffline(folder, name="-".join(folder.parts[-2:]), project=project, offline=offline))
    return loggers


def has_wandb_key() -> bool:
    """Whether W&B would find an API key, in its environment variable or where ``wandb login`` puts it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "")).hostname or "api.wandb.ai"
    try:
        return netrc.netrc().authenticators(host) is not None
    except (OSError, UnicodeDecodeError, netrc.NetrcParseError):
        return False
