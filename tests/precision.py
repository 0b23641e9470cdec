"""Bounds from the arithmetic's own error, whatever processor the tests run on."""

import copy

import torch


def in_double(policy):
    """The same policy in float64."""
    return copy.deepcopy(policy).double()


def assert_apart_by_rounding(got, expected, exact):
    """Equal but for what rounding makes of each.

    The error of float32, on this processor and in this depth, is how far the expected result is from that of float64.
    Another order of the same sums has an error of the same size; a fault is hundreds of times larger.
    """
    error = (expected - exact).abs().max().clamp_min(torch.finfo(expected.dtype).eps * exact.abs().max())
    assert got.shape == exact.shape
    assert (got - exact).abs().max() <= 4 * error, f"{(got - exact).abs().max():.2g}, but rounding makes {error:.2g}"
