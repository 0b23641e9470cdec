"""Several task families as one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch.utils.data import Dataset

from vrft_pl.data.loading import SampleData
from vrft_pl.data.samples import Part, Split
from vrft_pl.types import Sample


class Mixture(SampleData):
    """Trains on the rows of several tasks, shuffled together, and evaluates each on its own splits.

    A split is named ``<task>_<split>``. What the tasks say of style, system prompt and bad rows holds for their rows;
    what they say of batches and seeds does not.

    Args:
        tasks: The tasks by name.
        **kwargs: Those of `SampleData`.

    Raises:
        ValueError: If there is no task, or a name holds an underscore, which would make names of splits ambiguous.
    """

    def __init__(self, tasks: dict[str, SampleData], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not tasks:
            raise ValueError("Expected `tasks` to hold at least one task, but got none.")
        if unclear := [name for name in tasks if "_" in name]:
            raise ValueError(f"Expected names of `tasks` without underscore, but got {unclear}.")
        self.tasks = tasks
        for task in tasks.values():
            task.seed = self.seed

    def datasets(self, split: Split) -> dict[str, Dataset[Sample]]:
        """The checked Samples of a split of every task."""
        parts = {
            f"{name}_{part}": samples
            for name, task in self.tasks.items()
            for part, samples in task.datasets(split).items()
        }
        for name, task in self.tasks.items():
            self.skipped |= {f"{name}_{key}": rows for key, rows in task.skipped.items()}
        return parts

    def every_part(self) -> list[Part]:
        """Those of all tasks."""
        parts = ((name, part) for name, task in self.tasks.items() for part in task.every_part())
        return [replace(part, prefix=f"{name}_{part.prefix}") for name, part in parts]
