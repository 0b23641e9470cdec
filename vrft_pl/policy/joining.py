"""How a processor joins what it makes of several prompts, seen from two that it was given alone and together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Inputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Joint:
    """How tensors of one key lie beside each other in a batch."""

    axis: int = 0
    """Along which they are joined."""
    per_token: bool = False
    """Whether the second axis counts tokens of the prompt, which are padded on the left."""
    counts: tuple[str, int] | None = None
    """Whose entries the numbers count, as a key and how many of its first axes: those of a later prompt go on where the
    ones before it ended. Negative numbers count nothing."""

    def join(self, key: str, prompts: Sequence[Inputs], width: int) -> Tensor:
        """Join the tensors of a key.

        Args:
            key: The key.
            prompts: What the processor made of each prompt; those without the key are passed over.
            width: ``S`` of the batch.
        """
        parts, start = [], 0
        for inputs in prompts:
            if key in inputs:
                value = inputs[key]
                value = torch.where(value < 0, value, value + start) if self.counts else value
                missing = width - value.shape[1] if self.per_token else 0
                parts.append(F.pad(value, (0, 0) * (value.ndim - 2) + (missing, 0)) if missing else value)
            start += self._count(inputs)
        return cat_padded(parts, self.axis)

    def _count(self, inputs: Inputs) -> int:
        """How many entries a prompt has of what the numbers count."""
        if self.counts is None or self.counts[0] not in inputs:
            return 0
        key, axes = self.counts
        return inputs[key].shape[:axes].numel()


ROWS = Joint()
"""As almost all tensors are: patches, grids, sizes, tiles, one after the other."""


def learn_joints(alone: Sequence[Inputs], together: Inputs) -> dict[str, Joint]:
    """Find out how tensors are joined that are not joined as `ROWS`, nor have one number a token.

    What no way of joining explains is left out.

    Args:
        alone: What a processor makes of two prompts, of different length and with pictures of different sizes.
        together: What it makes of both, padded on the left.
    """
    tokens = [inputs["input_ids"].shape for inputs in (*alone, together)]
    found = {}
    for key, whole in together.items():
        if not all(key in inputs for inputs in alone):
            continue
        parts = [inputs[key] for inputs in alone]
        if [part.shape for part in (*parts, whole)] == tokens:
            continue
        per_token = whole.ndim > 2 and [part.shape[:2] for part in (*parts, whole)] == tokens
        tries = [Joint(per_token=True)] if per_token else [Joint(axis) for axis in range(whole.ndim)]
        if not whole.is_floating_point() and not per_token:
            tries += [Joint(counts=(other, n)) for other, value in alone[0].items() for n in range(1, value.ndim + 1)]
        right = (one for one in tries if _is(one, key, alone, whole))
        if (joint := next(right, ROWS)) != ROWS:
            found[key] = joint
    return found


def _is(joint: Joint, key: str, alone: Sequence[Inputs], whole: Tensor) -> bool:
    joined = joint.join(key, alone, whole.shape[1] if whole.ndim > 1 else 0)
    return joined.shape == whole.shape and torch.equal(joined.to(whole.dtype), whole)


def cat_padded(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Join along an axis; the others are padded with zeros at the end to the largest size."""
    sizes = [max(t.shape[i] for t in tensors) for i in range(tensors[0].ndim)]
    padded = []
    for tensor in tensors:
        missing = [0 if i == axis else sizes[i] - have for i, have in enumerate(tensor.shape)]
        padded.append(F.pad(tensor, [n for gap in reversed(missing) for n in (0, gap)]) if any(missing) else tensor)
    return torch.cat(padded, dim=axis)
