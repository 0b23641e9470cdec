"""Weights laid out for a few rows at a time, as decoding on a CPU needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

MOST_BYTES = 2**30
"""Most weights that are packed; the packed copy lives as long as decoding does."""


@contextmanager
def packed_linears(model: nn.Module, num_rows: int) -> Iterator[None]:
    """Pack the linear layers of a small model on a CPU in float32; leave any other model as it is.

    A product with a few dozen rows takes about two thirds of the time on weights in oneDNN's own order. A layer is
    packed when it is first called.

    Args:
        model: The model; its weights must not change inside.
        num_rows: Rows of the products that are packed for.
    """
    linears = [m for m in model.modules() if type(m) is nn.Linear and "forward" not in vars(m) and _fits(m.weight)]
    possible = torch.backends.mkldnn.is_available() and not torch.is_autocast_enabled("cpu")
    with ExitStack() as restore:
        for linear in linears if possible and sum(m.weight.nbytes for m in linears) <= MOST_BYTES else ():
            linear.forward = _Packed(linear, num_rows)  # type: ignore[method-assign, assignment]
            restore.callback(delattr, linear, "forward")
        yield


def _fits(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32


class _Packed:
    """The forward of a packed layer."""

    def __init__(self, linear: nn.Linear, num_rows: int) -> None:
        self.linear, self.num_rows = linear, num_rows
        self.weight: Tensor | None = None

    def __call__(self, value: Tensor) -> Tensor:
        """Shape ``(..., in)`` to ``(..., out)``."""
        if self.weight is None:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.linear.weight.detach(), self.num_rows)
        return torch.ops.mkldnn._linear_pointwise(value, self.weight, self.linear.bias, "none", [], "")
