"""The folder of a run, its loggers and its summary."""

from __future__ import annotations

import json
import math
import netrc
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only
from rich.console import Console
from rich.table import Table

from vrft_pl.runs import MetricsLogger, WandbOrOffline
from vrft_pl.types import InputError

Scores = Mapping[str, float]
"""Metrics by logged name."""
_HALVES = "backslashreplace"
"""How half of an emoji, which UTF-8 can't hold, is written: as JSON escapes it."""


@dataclass(frozen=True)
class RunOptions:
    """Where a run keeps its files and what it measures.

    Args:
        folder: Folder of the run. Defaults to a new one below ``runs``, named after the config and the time.
        wandb: ``auto`` and ``online`` log online, or offline where there is no API key or no answer, which ``online``
            says; ``off`` leaves W&B out.
        project: W&B project.
        evaluate_before: Evaluate the policy before training.
        evaluate_after: Evaluate the policy after training.
    """

    folder: str | None = None
    wandb: Literal["auto", "online", "offline", "off"] = "auto"
    project: str = "vrft_pl"
    evaluate_before: bool = True
    evaluate_after: bool = True


def run_folder(options: RunOptions, config_name: str, seed: int = 0) -> Path:
    """Choose the folder of a run; nothing is written yet.

    Raises:
        InputError: If the named folder holds a finished run.
    """
    if options.folder is None:
        return Path("runs") / config_name / f"{time.strftime('%Y%m%d-%H%M%S')}-seed{seed}"
    folder = Path(options.folder)
    if any((folder / name).exists() for name in ("summary.json", "scores.json")):
        raise InputError(f"Expected `run.folder` to be new, but {folder} holds a finished run. Name another one.")
    return folder


def run_loggers(options: RunOptions, folder: Path) -> list[Logger]:
    """A CSV file in the run's folder, and W&B unless it is switched off."""
    loggers: list[Logger] = [MetricsLogger(folder)]
    if options.wandb != "off":
        offline = options.wandb == "offline" or not has_wandb_key()
        if offline and options.wandb == "online":
            rank_zero_info("W&B has no API key here, so the run goes on offline. `wandb login` stores one.")
        # W&B writes elsewhere when there is no such folder; the processes beside the first may name it otherwise
        rank_zero_only(folder.mkdir)(parents=True, exist_ok=True)
        loggers.append(
            WandbOrOffline(folder, name="-".join(folder.parts[-2:]), project=options.project, offline=offline)
        )
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


def write_summary(folder: Path, before: Scores, after: Scores, seconds: float) -> None:
    """Write ``summary.json``, whole or not at all; a score that is no number becomes null."""
    parts = {"before": finite(before), "after": finite(after)}
    write_json(folder / "summary.json", {**parts, "seconds": round(seconds, 1)})


def write_scores(folder: Path, scores: Scores) -> None:
    """Write ``scores.json``, every digit, whole or not at all; a score that is no number becomes null."""
    write_json(folder / "scores.json", finite(scores))


def finite(scores: Scores) -> dict[str, float | None]:
    """Replace scores that JSON can't hold."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}


def write_json(path: Path, value: object) -> None:
    """Write JSON for people to read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}")
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    scratch.write_text(text, encoding="utf-8", errors=_HALVES)
    scratch.replace(path)


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write rows as JSON lines as they come, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}")
    with scratch.open("w", encoding="utf-8", errors=_HALVES, newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    scratch.replace(path)


def print_scores(scores: Scores) -> None:
    """Print each metric."""
    table = Table("metric")
    table.add_column("value", justify="right")
    for name, value in scores.items():
        table.add_row(name, f"{value:.3f}")
    Console(soft_wrap=True).print(table)


def print_summary(folder: Path, before: Scores, after: Scores, seconds: float) -> None:
    """Print each metric before and after, and where the files are."""
    table = Table("metric", title=f"{seconds:.0f} seconds")
    for column in ("before", "after", "change"):
        table.add_column(column, justify="right")
    for name in dict.fromkeys([*before, *after]):
        first, last = before.get(name), after.get(name)
        change = f"{last - first:+.3f}" if first is not None and last is not None else ""
        table.add_row(name, *("" if v is None else f"{v:.3f}" for v in (first, last)), change)
    console = Console(soft_wrap=True)
    if table.rows:
        console.print(table)
    console.print(f"Files of this run: {folder}")
