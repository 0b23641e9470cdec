"""A micro-batch that memory does not hold, in parts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vrft_pl.types import Demonstrations, Experience

Batch = TypeVar("Batch", Experience, Demonstrations)
Computed = tuple[Tensor, dict[str, Tensor]]
"""A loss that is a sum over groups or samples, and means over the tokens of what was written."""
Context = Callable[[], AbstractContextManager[Any]]
"""Makes what a forward pass of training runs in, such as that of a precision."""


class Halving:
    """Computes a loss whole until memory does not hold it, and from then on in parts of whole groups.

    The activations of a part are dropped after its forward pass and made again in its backward pass, so that one part
    at a time is in memory, at the cost of a second forward pass; loss and gradient are the same but for the order of
    sums. Where it is the backward pass that memory does not hold, the rest of it is made again in parts: a parameter
    that has its gradient by then is left alone.
    A single group, or sample, that memory does not hold raises.
    """

    def __init__(self) -> None:
        self.parts = 1
        """Parts that a micro-batch is computed in."""
        self.times = 0
        """How often memory did not hold a pass."""

    def __call__(
        self,
        compute: Callable[[Batch], Computed],
        batch: Batch,
        alone: bool = True,
        parameters: Iterable[Tensor] = (),
        backward: Context | None = None,
    ) -> Computed:
        """Compute the loss of a micro-batch.

        Args:
            compute: Of a micro-batch or a part of it.
            batch: With the denominators of its optimizer step.
            alone: Whether this rank may make passes that others don't; where ranks hold weights together it may not.
            parameters: What is trained.
            backward: What a forward pass within the backward pass runs in; ``None`` where that can't be made again.

        Raises:
            torch.OutOfMemoryError: If memory does not hold a group, or passes can't be made alone.
        """
        while True:
            try:
                loss, stats = self._in_parts(compute, batch)
                break
            except torch.OutOfMemoryError:
                if not alone or self._smallest(batch):
                    raise
            self._halve()  # only here: what the error refers to is let go of by now
        if backward is None or not loss.requires_grad:
            return loss, stats
        rest = _Backward(self, compute, batch, loss, [p for p in parameters if p.requires_grad], backward)
        return _Seam.apply(torch.zeros((), requires_grad=True), loss.detach(), rest), stats

    def _smallest(self, batch: Batch) -> bool:
        return min(self.parts, len(batch)) == len(batch)

    def _in_parts(self, compute: Callable[[Batch], Computed], batch: Batch) -> Computed:
        if self.parts == 1 or len(batch) == 1:
            return compute(batch)
        rows = torch.arange(len(batch)).tensor_split(min(self.parts, len(batch)))
        parts = [batch.select(part.tolist()) for part in rows]
        computed = [checkpoint(compute, part, use_reentrant=False) for part in parts]
        tokens = torch.stack([written(part) for part in parts])
        shares = tokens / tokens.sum()
        names = computed[0][1]
        stats = {name: (torch.stack([stats[name] for _, stats in computed]) * shares).sum() for name in names}
        return torch.stack([loss for loss, _ in computed]).sum(), stats

    def _halve(self) -> None:
        self.parts *= 2
        self.times += 1
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if self.times == 1:
            warnings.warn(
                "Out of memory in an update: micro-batches are computed in parts from now on, which takes longer. A "
                "smaller `data.init_args.batch_size` with more `trainer.accumulate_grad_batches` avoids it.",
                stacklevel=2,
            )


class _Backward(Generic[Batch]):
    """The backward pass of a micro-batch. It alone holds the graph, so that memory is free when it lets go of it."""

    def __init__(
        self,
        halving: Halving,
        compute: Callable[[Batch], Computed],
        batch: Batch,
        loss: Tensor,
        parameters: list[Tensor],
        context: Context,
    ) -> None:
        self.halving, self.context = halving, context
        self.compute: Callable[[Batch], Computed] = compute
        self.batch: Batch = batch
        self.loss: Tensor | None = loss
        self.left = parameters
        """What has no gradient of this micro-batch yet."""

    def __call__(self, gradient: Tensor) -> None:
        """Add the gradients of what is trained to those that are there.

        Args:
            gradient: Of the loss.
        """
        inputs: list[Tensor] | None = None
        while not self._done(gradient, inputs):
            self.halving._halve()
            inputs = self.left
            with torch.enable_grad(), self.context():
                self.loss, _ = self.halving(self.compute, self.batch)

    def _done(self, gradient: Tensor, inputs: list[Tensor] | None) -> bool:
        """Go back through the graph as far as memory holds it."""
        assert self.loss is not None
        with self._noting():
            try:
                self.loss.backward(gradient, inputs=inputs)
                return True
            except torch.OutOfMemoryError:
                if self.left and self.halving._smallest(self.batch):
                    raise
            finally:
                self.loss = None
        return not self.left

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Note which parameters get their gradient, each of which gets it at once and whole."""
        done: set[int] = set()
        hooks = [p.register_post_accumulate_grad_hook(lambda p: done.add(id(p))) for p in self.left]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self.left = [p for p in self.left if id(p) not in done]


class _Seam(torch.autograd.Function):
    """Stands for a loss where others hold on to it: Lightning, DDP, callbacks."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, loss: Tensor, rest: _Backward[Any]) -> Tensor:
        """The number.

        Args:
            ctx: Of autograd.
            anchor: Has a gradient, so that there is a backward pass.
            loss: Without its graph.
            rest: Goes on where the backward pass comes here.
        """
        ctx.rest = rest
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        """Go through the graph of the loss."""
        rest, ctx.rest = ctx.rest, None
        rest(gradient)
        return None, None, None


def written(batch: Experience | Demonstrations) -> Tensor:
    """Number of tokens that the numbers of a batch are means over."""
    return (batch.targets if isinstance(batch, Demonstrations) else batch.completions).mask.sum()
