"""``metrics.csv``, which goes on where a run is resumed."""

from __future__ import annotations

import csv
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn

from vrft_pl.runs.folder import RunFolder
from vrft_pl.runs.rows import keep_damaged, read_table, write_table

Row = dict[str, str]


class MetricsLogger(Logger):
    """Appends each row to ``metrics.csv`` when it is logged; what an earlier process of the run wrote stays.

    Lightning's CSVLogger deletes the file that is there and keeps up to 100 rows in memory.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.path = folder / RunFolder.METRICS
        self._columns: list[str] | None = None
        self._earlier: list[Row] = []
        self._again = False

    @property
    def name(self) -> str:
        """Empty, as is the version: nothing lies between ``save_dir`` and what is saved."""
        return ""

    @property
    def version(self) -> str:
        """Empty: a run has one folder."""
        return ""

    @property
    def save_dir(self) -> str:
        """Folder of the run; Lightning's ``Trainer.log_dir`` is this for a logger that is none of its own."""
        return str(self.folder)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run's ``config.yaml`` holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Append a row.

        Args:
            metrics: Numbers by logged name.
            step: Optimizer steps done before this one.
        """
        self._open()
        assert self._columns is not None
        row = {name: str(float(value) if hasattr(value, "item") else value) for name, value in metrics.items()}
        row["step"] = str(0 if step is None else step)
        if self._columns and not self.path.exists():
            rank_zero_warn(
                f"{self.path} is gone, and with it what was logged before step {row['step']}: somebody deleted it, or "
                "the run's folder. The run goes on and begins a new one."
            )
            self._columns = []
        if self._again:
            self._write([*without_last(read_table(self.path), row), row])
        elif set(row) <= set(self._columns):
            with self.path.open("a", encoding="utf-8", newline="") as file:
                csv.DictWriter(file, self._columns, lineterminator="\n").writerow(row)
        else:
            self._write([*read_table(self.path), row])

    @rank_zero_only
    def cut_back(self, step: int, last: Mapping[str, float] | None = None) -> list[Row]:
        """Drop the rows of an earlier process that a run will write again when it goes on after ``step`` steps.

        What this process has written already is kept: the evaluation before training, in place of the earlier one,
        with which the file begins.

        Args:
            step: Optimizer steps done.
            last: What was logged of the last of them, for a process that was killed between its checkpoint and its row.

        Returns:
            The rows of earlier processes that stay.
        """
        self._open()
        if not self._earlier and not last:
            return []
        kept = in_order(row for row in self._earlier if row["step"].isdecimal() and int(row["step"]) < step)
        trained = last.keys() - {"epoch"} if last else set()  # validation in the middle of the step has an epoch too
        if last and not any(int(row["step"]) == step - 1 and row.keys() & trained for row in kept):
            kept.append({**{name: str(value) for name, value in last.items()}, "step": str(step - 1)})
        own = read_table(self.path)[len(self._earlier) :]
        self._earlier = []
        same = (measured(mine) == measured(row) for mine, row in zip(own, kept, strict=False))
        again = len(list(takewhile(bool, same)))
        self._write([*own, *kept[again:]])
        return kept[again:]

    @contextmanager
    def again(self) -> Iterator[None]:
        """Let a row take the place of the last one where that is of the same step and of the same names."""
        self._again = True
        try:
            yield
        finally:
            self._again = False

    def _open(self) -> None:
        """Read what is there before the first row is written."""
        if self._columns is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            broken: list[int] = []
            self._earlier = read_table(self.path, broken)
            keep_damaged(self.path, broken)
            self._columns = []  # so that the first row writes the file anew, without a line that a kill has cut in two

    def _write(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        self._columns = sorted({name for row in rows for name in row})
        write_table(self.path, self._columns, rows)


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Rows without those of an earlier step than a row before them: a process that was killed before it cut back."""
    kept: list[Row] = []
    for row in rows:
        if not kept or int(row["step"]) >= int(kept[-1]["step"]):
            kept.append(row)
    return kept


def without_last(rows: list[Row], again: Row) -> list[Row]:
    """Rows without the last where it is of the same step and measured the same."""
    return rows[:-1] if rows and measured(rows[-1]) == measured(again) else rows


def measured(row: Row) -> tuple[str, frozenset[str]]:
    """The step of a row and what was measured; two evaluations within one step have the same."""
    return row["step"], frozenset(row)
