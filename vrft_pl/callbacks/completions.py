"""A record of what the policy writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from vrft_pl.callbacks.pictures import draw_answer
from vrft_pl.rollout import RolloutCallback
from vrft_pl.runs import append_rows, cut_back
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
        folder = trainer.log_dir  # on every rank: it is a broadcast
        if trainer.is_global_zero and folder is not None:
            cut_back(Path(folder) / "completions.jsonl", trainer.global_step)

    def on_rollout_end(self, trainer: Trainer, module: LightningModule, experience: Experience) -> None:
        """Record the first groups of the window."""
        self._rollouts += 1
        due = self.every_n_rollouts and (self._rollouts - 1) % self.every_n_rollouts == 0
        folder = trainer.log_dir  # on every rank: it is a broadcast
        if not due or not trainer.is_global_zero or folder is None:
            return
        records = self.records(trainer.global_step, experience)
        append_rows(Path(folder) / "completions.jsonl", records)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                self._log_table(logger, records, experience)

    def records(self, step: int, experience: Experience) -> list[dict[str, Any]]:
        """Describe the completions of the first prompts."""
        size = experience.group_size
        rows = range(min(self.num_prompts, len(experience)) * size)
        return [
            {
                "step": step,
                "sample": experience.samples[i // size].id,
                "problem": experience.samples[i // size].problem,
                "solution": str(experience.samples[i // size].solution),
                "completion": experience.completions.texts[i],
                "finish_reason": experience.completions.finish_reasons[i],
                "scores": {name: round(score[i].item(), 6) for name, score in experience.scores.items()},
                "advantage": round(experience.advantages[i].item(), 6),
            }
            for i in rows
        ]

    def _log_table(self, logger: WandbLogger, records: list[dict[str, Any]], experience: Experience) -> None:
        columns = [*records[0], "picture"] if records else []
        data = []
        for i, record in enumerate(records):
            sample = experience.samples[i // experience.group_size]
            image = draw_answer(sample, record["completion"], experience.completions.frames[i])
            picture = None if image is None else wandb.Image(image)
            data.append([json.dumps(v) if isinstance(v, dict) else v for v in record.values()] + [picture])
        if data:
            logger.log_table("completions", columns=columns, data=data)
