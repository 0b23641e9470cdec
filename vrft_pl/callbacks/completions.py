"""A record of what the policy writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from vrft_pl.callbacks.console import print_records
from vrft_pl.callbacks.tables import log_table
from vrft_pl.rollout import RolloutCallback
from vrft_pl.runs import Key, RunFolder, describe
from vrft_pl.runs.pictures import KeptPicture, check_pictures, encoded
from vrft_pl.runs.records import Told
from vrft_pl.types import Experience, ImageSource


class CompletionRecorder(RolloutCallback):
    """Appends a few completions to ``completions.jsonl`` with their pictures, and shows them to loggers that can.

    Args:
        every_n_rollouts: Rollouts between records; 0 records nothing.
        num_prompts: Prompts kept a record, with their whole group.
        pictures: Most pictures of training kept in ``pictures`` of the run's folder; later records have none.
        max_side: Most pixels of a picture's longer side; a larger one is made smaller.
        console: Print each record too.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        every_n_rollouts: int = 10,
        num_prompts: int = 1,
        pictures: int = 64,
        max_side: int = 384,
        console: bool = False,
    ) -> None:
        if every_n_rollouts < 0 or num_prompts < 0:
            raise ValueError(
                "Expected `every_n_rollouts` and `num_prompts` to be 0 or more, "
                f"but got {every_n_rollouts} and {num_prompts}."
            )
        check_pictures(pictures, max_side)
        self.every_n_rollouts, self.num_prompts = every_n_rollouts, num_prompts
        self.pictures, self.max_side, self.console = pictures, max_side, console
        self._rollouts = 0
        self._named: set[str] = set()

    def state_dict(self) -> dict[str, Any]:
        """Rollouts counted so far."""
        return {"rollouts": self._rollouts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting where the run stopped that is resumed."""
        self._rollouts = state_dict["rollouts"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop what was recorded after the checkpoint; training will record it again."""
        folder = RunFolder.of(trainer)
        if trainer.is_global_zero:
            folder.cut_back(folder.COMPLETIONS, trainer.global_step)
            self._named = {name for record in folder.completions() for name in record.pictures}

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> None:
        """Record the first groups of the window."""
        self._rollouts += 1
        due = self.every_n_rollouts and (self._rollouts - 1) % self.every_n_rollouts == 0
        folder = RunFolder.of(trainer)
        if not due or not trainer.is_global_zero:
            return
        told = self.describe(trainer.global_step, experience, folder.kept_pictures())
        records = [one.record for one in told]
        folder.keep_pictures({name: data for one in told for name, data in one.pictures.items()})
        folder.append(folder.COMPLETIONS, records)
        log_table(trainer, folder, "completions", records)
        if self.console:
            print_records(records)

    def describe(self, step: int, experience: Experience, there: set[str]) -> list[Told]:
        """Describe the completions of the first prompts.

        Args:
            step: Optimizer steps done.
            experience: The window.
            there: Names of the pictures that are kept already.
        """
        size, grades = experience.group_size, (experience.scores, experience.parse_failures)
        told = []
        for group, sample in enumerate(experience.samples[: self.num_prompts]):
            pictures = self._pictures(sample.images, there)
            for i in range(group * size, (group + 1) * size):
                key = Key(step, 0, i)
                one = describe(key, sample.split, sample, experience.completions, i, *grades, pictures)
                record = replace(one.record, advantage=round(experience.advantages[i].item(), 6))
                told.append(Told(record, one.question, one.pictures))
        return told

    def _pictures(self, images: Sequence[ImageSource], there: set[str]) -> list[KeptPicture]:
        """Pictures of a sample, none where they would be too many."""
        if len(self._named) + len(images) > self.pictures:
            return []
        pictures = encoded(images, self.max_side, there)
        self._named |= {picture.name for picture in pictures}
        return pictures
