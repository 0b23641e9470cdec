"""Several task families as one."""

from __future__ import annotations

from torch.utils.data import Dataset

from vrft_pl.answers import Solution
from vrft_pl.data.base import Split, VisionTask
from vrft_pl.data.sources import Record
from vrft_pl.types import Sample


class Mixture(VisionTask):
    """Trains on the rows of several tasks, shuffled together, and evaluates each on its own splits.

    A split is named ``<task>_<split>``. What the tasks say of style, system prompt and bad rows holds for their rows;
    what they say of batches and seeds does not.

    Args:
        tasks: The tasks by name.
        batch_size: Prompts per micro-batch and device while training.
        eval_batch_size: Prompts per batch and device while evaluating.
        num_workers: Worker processes of each loader.
        seed: Seed of the order of rows, and of procedural rows.

    Raises:
        ValueError: If there is no task, or a name holds an underscore, which would make names of splits ambiguous.
    """

    def __init__(
        self,
        tasks: dict[str, VisionTask],
        batch_size: int = 4,
        eval_batch_size: int = 32,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size=batch_size, eval_batch_size=eval_batch_size, num_workers=num_workers, seed=seed)
        if not tasks:
            raise ValueError("Expected `tasks` to hold at least one task, but got none.")
        if unclear := [name for name in tasks if "_" in name]:
            raise ValueError(f"Expected names of `tasks` without underscore, but got {unclear}.")
        self.tasks = tasks
        for task in tasks.values():
            task.seed = seed

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

    def chosen(self) -> dict[str, list[str]]:
        """Ids of the rows of each part that was drawn, by task and part."""
        return {f"{name}_{part}": ids for name, task in self.tasks.items() for part, ids in task.chosen().items()}

    def solution(self, record: Record) -> Solution:
        """Never called: each task checks its own rows."""
        raise NotImplementedError("A mixture has no rows of its own.")
