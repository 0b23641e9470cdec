"""A micro-batch that memory does not hold, in parts."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vrft_pl.types import Experience

Computed = tuple[Tensor, dict[str, Tensor]]
"""A loss that is a sum over groups, and means over the tokens of the completions."""


class Halving:
    """Computes a loss whole until memory does not hold it, and from then on in parts of whole groups.

    The activations of a part are dropped after its forward pass and made again in its backward pass, so that one part
    at a time is in memory, at the cost of a second forward pass; loss and gradient are the same but for the order of
    sums.
    It is about the forward pass: a backward pass that memory does not hold still raises, as does a single group.
    """

    def __init__(self) -> None:
        self.parts = 1
        """Parts that a micro-batch is computed in."""

    def __call__(self, compute: Callable[[Experience], Computed], batch: Experience, alone: bool = True) -> Computed:
        """Compute the loss of a micro-batch.

        Args:
            compute: Of a micro-batch or a part of it.
            batch: With the denominators of its optimizer step.
            alone: Whether this rank may make passes that others don't; where ranks hold weights together it may not.

        Raises:
            torch.OutOfMemoryError: If memory does not hold a group, or passes can't be made alone.
        """
        while True:
            try:
                return self._in_parts(compute, batch)
            except torch.OutOfMemoryError:
                if not alone or min(self.parts, len(batch)) == len(batch):
                    raise
            self._halve()  # only here: what the error refers to is let go of by now

    def _in_parts(self, compute: Callable[[Experience], Computed], batch: Experience) -> Computed:
        if self.parts == 1 or len(batch) == 1:
            return compute(batch)
        groups = torch.arange(len(batch)).tensor_split(min(self.parts, len(batch)))
        parts = [batch.select(part.tolist()) for part in groups]
        computed = [checkpoint(compute, part, use_reentrant=False) for part in parts]
        tokens = torch.stack([part.completions.mask.sum() for part in parts])
        shares = tokens / tokens.sum()
        names = computed[0][1]
        stats = {name: (torch.stack([stats[name] for _, stats in computed]) * shares).sum() for name in names}
        return torch.stack([loss for loss, _ in computed]).sum(), stats

    def _halve(self) -> None:
        self.parts *= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.parts == 2:
            warnings.warn(
                "Out of memory in an update: micro-batches are computed in parts from now on, which takes longer. A "
                "smaller `data.init_args.batch_size` with more `trainer.accumulate_grad_batches` avoids it.",
                stacklevel=2,
            )
