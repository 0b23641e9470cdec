"""Small values that tests of every stage are built from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vrft_pl.answers import AnswerFrame, Number, Solution
from vrft_pl.data import Record
from vrft_pl.data.scenes import SceneImage
from vrft_pl.types import Completions, Experience, Prompt, Prompts, Sample, Scores

PIXELS = AnswerFrame(100, 100, 1.0, 1.0)


def grey_scene(size: int = 64) -> SceneImage:
    """Return an empty picture of one grey."""
    return SceneImage((), size, (90, 90), 0)


def make_record(answer: Any, images: int = 1, size: int = 64) -> Record:
    """Return a row named ``rows.json, row 7`` with empty pictures."""
    return Record("rows.json, row 7", (grey_scene(size),) * images, "Question?", answer)


def make_sample(solution: Solution = Number(3.0), style: str = "think", **kwargs: Any) -> Sample:  # noqa: B008  # frozen
    """Return a sample without a picture."""
    return Sample("row 7", (), "Question?", solution, style=style, **kwargs)  # type: ignore[arg-type]


def make_completions(
    texts: Sequence[str],
    frame: AnswerFrame | None = PIXELS,
    mask: Tensor | None = None,
    logprobs: Tensor | None = None,
    truncated: Sequence[bool] | None = None,
) -> Completions:
    """Return completions of one token each, or of the tokens that a mask says."""
    mask = torch.ones(len(texts), 1, dtype=torch.bool) if mask is None else mask
    cut = truncated or [False] * len(texts)
    return Completions(
        ids=torch.arange(mask.numel()).view(mask.shape),
        mask=mask,
        logprobs=logprobs,
        texts=tuple(texts),
        finish_reasons=tuple("length" if c else "stop" for c in cut),
        frames=(frame,) * len(texts),
    )


def make_experience(
    mask: Tensor,
    advantages: Tensor,
    group_size: int = 1,
    sampled: Tensor | None = None,
    truncated: Sequence[bool] | None = None,
    loss_mask: Tensor | None = None,
    **kwargs: Any,
) -> Experience:
    """Return experience whose step is this one micro-batch; prompt ``i`` has the single token ``i``."""
    n = len(advantages)
    loss_mask = mask if loss_mask is None else loss_mask
    return Experience(
        samples=tuple(make_sample(Number(float(i))) for i in range(n // group_size)),
        prompts=Prompts(tuple(Prompt({"input_ids": torch.tensor([[i]])}) for i in range(n // group_size))),
        completions=make_completions([f"text {i}" for i in range(n)], None, mask, sampled, truncated),
        scores={"Some": torch.arange(n).float()},
        parse_failures={"Some": torch.arange(n) % 2 == 0},
        rewards=torch.arange(n).float(),
        advantages=advantages,
        loss_mask=loss_mask,
        num_sequences=float((loss_mask.sum(dim=1) > 0).sum()),
        num_tokens=float(loss_mask.sum()),
        **kwargs,
    )


def lengths_mask(lengths: Sequence[int], width: int | None = None) -> Tensor:
    """Return a right-padded mask with ``lengths[i]`` tokens in row ``i``."""
    return torch.arange(width or max(lengths))[None, :] < torch.tensor(lengths)[:, None]


def gradient(loss: Any, logprobs: Tensor, experience: Experience) -> Tensor:
    """Return the gradient of a loss by the log-probs of each token."""
    leaf = logprobs.clone().requires_grad_()
    loss(leaf, experience).loss.backward()
    assert leaf.grad is not None
    return leaf.grad


def make_scores(group_size: int, weights: dict[str, float] | None = None, **by_reward: Tensor) -> Scores:
    """Return scores of rewards by name, each with a weight of 1 unless it is given."""
    return Scores(by_reward, {}, weights or dict.fromkeys(by_reward, 1.0), group_size)
