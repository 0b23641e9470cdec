"""A window of experience as plain values, for a checkpoint in the middle of it."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist
from torch import Tensor

from vrft_pl.types import Completions, Experience, InputError, Prompts, Sample

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


def gather_ranks(state: dict[str, Any]) -> dict[str, Any]:
    """Put the states of all ranks into one, for Lightning writes that of the first rank alone. Every rank calls it."""
    if not (dist.is_available() and dist.is_initialized()):
        return {"ranks": [state]}
    states: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(states, _to_cpu(state))
    return {"ranks": states}


def pick_rank(state: dict[str, Any]) -> dict[str, Any]:
    """Take this rank's own part of what `gather_ranks` put together.

    Raises:
        InputError: If the state is that of another number of ranks.
    """
    distributed = dist.is_available() and dist.is_initialized()
    rank, world_size = (dist.get_rank(), dist.get_world_size()) if distributed else (0, 1)
    if len(state["ranks"]) != world_size:
        raise InputError(
            f"Expected a checkpoint of a run on {world_size} devices, but it is of a run on {len(state['ranks'])}. "
            "Resume on as many devices."
        )
    own: dict[str, Any] = state["ranks"][rank]
    return own


def _to_cpu(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_cpu(part) for key, part in value.items()}
    return value.cpu() if isinstance(value, Tensor) else value
