"""A window of experience as plain values, for a checkpoint in the middle of it."""

from __future__ import annotations

from typing import Any

from vrft_pl.types import Completions, Experience, Prompts, Sample

_TENSORS = ("rewards", "advantages", "loss_mask", "old_logprobs", "reference_logprobs")
_DICTS = ("scores", "parse_failures")


def experience_state(experience: Experience) -> dict[str, Any]:
    """Keep what can't be made again from the samples: tensors, texts and finish reasons."""
    completions = experience.completions
    return {
        "completions": {
            "ids": completions.ids,
            "mask": completions.mask,
            "logprobs": completions.logprobs,
            "texts": list(completions.texts),
            "finish_reasons": list(completions.finish_reasons),
        },
        **{name: getattr(experience, name) for name in _TENSORS},
        **{name: dict(getattr(experience, name)) for name in _DICTS},
    }


def restore_experience(state: dict[str, Any], samples: list[Sample], prompts: Prompts) -> Experience:
    """Put a window together again.

    Args:
        state: Made by `experience_state`.
        samples: The samples of the window, read again.
        prompts: The same samples, encoded again.
    """
    group_size = len(state["completions"]["texts"]) // len(samples)
    device = prompts.items[0].inputs["input_ids"].device
    completions = Completions(
        ids=state["completions"]["ids"],
        mask=state["completions"]["mask"],
        logprobs=state["completions"]["logprobs"],
        texts=tuple(state["completions"]["texts"]),
        finish_reasons=tuple(state["completions"]["finish_reasons"]),
        frames=tuple(prompt.frame for prompt in prompts.repeat_interleave(group_size)),
    )
    values = {name: state[name] for name in (*_TENSORS, *_DICTS)}
    return Experience(samples=tuple(samples), prompts=prompts, completions=completions, **values).to(device)
