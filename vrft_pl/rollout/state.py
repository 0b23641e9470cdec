"""A window of experience as plain values, for a checkpoint in the middle of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vrft_pl.axes import kept, restored
from vrft_pl.types import Completions, Experience, Prompts, Sample


def experience_state(experience: Experience, window: Sequence[Sample]) -> dict[str, Any]:
    """Keep what can't be made again from the samples, and where they are in the window.

    Args:
        experience: Groups of the window's samples, in any order.
        window: The samples that the window was collected from.
    """
    positions = {id(sample): i for i, sample in enumerate(window)}
    return {**kept(experience), "positions": [positions[id(sample)] for sample in experience.samples]}


def restore_experience(state: dict[str, Any], window: Sequence[Sample], prompts: Prompts) -> Experience:
    """Put a window together again.

    Args:
        state: Made by `experience_state`.
        window: The samples of the window, read again.
        prompts: The same samples, encoded again.
    """
    positions = state["positions"]
    prompts, device = prompts.select(positions), prompts.items[0].inputs["input_ids"].device
    values = restored(Experience, state)
    values["completions"] = restore_completions(state["completions"], prompts)
    return Experience(samples=tuple(window[i] for i in positions), prompts=prompts, **values).to(device)


def together(states: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put completions that `vrft_pl.axes.kept` made plain values of behind each other."""
    parts = [
        Completions(**restored(Completions, state), frames=(None,) * len(state["texts"])).to("cpu") for state in states
    ]
    return kept(parts[0].join(parts[1:]))


def restore_completions(state: dict[str, Any], prompts: Prompts) -> Completions:
    """Put completions together again.

    Args:
        state: What `vrft_pl.axes.kept` made of them.
        prompts: What they were written to, encoded again.
    """
    frames = tuple(prompt.frame for prompt in prompts.repeat_interleave(len(state["texts"]) // len(prompts)))
    return Completions(**restored(Completions, state), frames=frames)
