"""A record of what the policy writes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import wandb
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from vrft_pl.callbacks.pictures import draw_answer
from vrft_pl.rollout import RolloutCallback
from vrft_pl.runs import CompletionRecord, Key, RunFolder, describe
from vrft_pl.types import Experience


class CompletionRecorder(RolloutCallback):
    """Appends a few completions to ``completions.jsonl``, and to a W&B table with their pictures, boxes drawn.

    Args:
        every_n_rollouts: Rollouts between records; 0 records nothing.
        num_prompts: Prompts kept a record, with their whole group.

    Raises:
        ValueError: If an argument is negative.
    """

    def __init__(self, every_n_rollouts: int = 10, num_prompts: int = 1) -> None:
        if every_n_rollouts < 0 or num_prompts < 0:
            raise ValueError(
                "Expected `every_n_rollouts` and `num_prompts` to be 0 or more, "
                f"but got {every_n_rollouts} and {num_prompts}."
            )
        self.every_n_rollouts, self.num_prompts = every_n_rollouts, num_prompts
        self._rollouts = 0

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

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> None:
        """Record the first groups of the window."""
        self._rollouts += 1
        due = self.every_n_rollouts and (self._rollouts - 1) % self.every_n_rollouts == 0
        folder = RunFolder.of(trainer)
        if not due or not trainer.is_global_zero:
            return
        records = self.records(trainer.global_step, experience)
        folder.append(folder.COMPLETIONS, records)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                self._log_table(logger, records, experience)

    def records(self, step: int, experience: Experience) -> list[CompletionRecord]:
        """Describe the completions of the first prompts."""
        size, grades = experience.group_size, (experience.scores, experience.parse_failures)
        records = []
        for i in range(min(self.num_prompts, len(experience)) * size):
            sample, advantage = experience.samples[i // size], round(experience.advantages[i].item(), 6)
            told = describe(Key(step, 0, i), sample.split, sample, experience.completions, i, *grades)
            records.append(replace(told.record, advantage=advantage))
        return records

    def _log_table(self, logger: WandbLogger, records: list[CompletionRecord], experience: Experience) -> None:
        data = []
        for i, record in enumerate(records):
            sample = experience.samples[i // experience.group_size]
            image = draw_answer(sample, record.completion, experience.completions.frames[i])
            picture = None if image is None else wandb.Image(image)
            data.append([json.dumps(v) if isinstance(v, dict | list) else v for v in vars(record).values()] + [picture])
        if data:
            logger.log_table("completions", columns=[*vars(records[0]), "picture"], data=data)
