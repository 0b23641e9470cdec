"""What is written of a batch for a person to find out why its numbers are not finite."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from vrft_pl.types import Demonstrations, Experience

ROWS = 64
"""Most completions that are kept of a micro-batch, the flawed ones first."""
CHARACTERS = 4000
"""Most characters that are kept of a question or a completion."""


def flaws(experience: Experience) -> Tensor:
    """Groups with a reward, an advantage or a log-prob that is not finite. Shape ``(P,)``, bool."""
    return flawed_rows(experience).view(len(experience), -1).any(dim=1)


def flawed_rows(experience: Experience) -> Tensor:
    """Completions with a reward, an advantage or a log-prob of the loss that is not finite. Shape ``(N,)``, bool."""
    flawed = ~(experience.rewards.isfinite() & experience.advantages.isfinite())
    for logprobs in (experience.completions.logprobs, experience.old_logprobs, experience.reference_logprobs):
        if logprobs is not None:
            flawed = flawed | (~logprobs.isfinite() & experience.loss_mask).any(dim=1)
    return flawed


def inspected(batch: Experience | Demonstrations) -> list[dict[str, Any]]:
    """Rows for JSON, one a completion: question, text and every number that the loss was made of."""
    if isinstance(batch, Demonstrations):
        pairs = zip(batch.samples, batch.targets.texts, strict=True)
        return [{"id": s.id, "problem": s.problem[:CHARACTERS], "target": t[:CHARACTERS]} for s, t in pairs][:ROWS]
    flawed = flawed_rows(batch).tolist()
    order = sorted(range(len(batch.completions)), key=lambda i: not flawed[i])[:ROWS]
    return [_row(batch, i, flawed[i]) for i in order]


def _row(batch: Experience, i: int, flawed: bool) -> dict[str, Any]:
    sample, mask = batch.samples[i // batch.group_size], batch.loss_mask[i]
    kept = {"sampled": batch.completions.logprobs, "old": batch.old_logprobs, "reference": batch.reference_logprobs}
    return {
        "id": sample.id,
        "problem": sample.problem[:CHARACTERS],
        "completion": batch.completions.texts[i][:CHARACTERS],
        "flawed": flawed,
        "scores": {name: number(scores[i]) for name, scores in batch.scores.items()},
        "reward": number(batch.rewards[i]),
        "advantage": number(batch.advantages[i]),
        "tokens": int(mask.sum()),
        "logprobs": {name: number((value[i] * mask).sum()) for name, value in kept.items() if value is not None},
    }


def number(value: Tensor) -> float | str:
    """A number as JSON holds it: one that is not finite by its name."""
    plain = torch.as_tensor(value).item()
    return plain if math.isfinite(plain) else str(plain)
