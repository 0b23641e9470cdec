from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vrft_pl.algorithms import token_kl

LOGPROB = st.floats(-20, 0, width=32)


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        pytest.param("k1", -math.log(2), id="k1"),
        pytest.param("k2", math.log(2) ** 2 / 2, id="k2"),
        pytest.param("k3", 1 - math.log(2), id="k3"),
    ],
)
def test_a_token_twice_as_likely_under_the_reference(estimator, expected):
    logprobs, reference = torch.tensor([0.25]).log(), torch.tensor([0.5]).log()
    torch.testing.assert_close(token_kl(logprobs, reference, estimator), torch.tensor([expected]))


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_equal_policies_are_exactly_zero_apart(estimator):
    logprobs = torch.randn(4, 5)
    assert (token_kl(logprobs, logprobs.clone(), estimator) == 0).all()


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_expectation_is_the_exact_divergence(estimator):
    policy, reference = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]], dtype=torch.double)
    exact = torch.nn.functional.kl_div(reference.log(), policy, reduction="sum")
    expectation = (policy * token_kl(policy.log(), reference.log(), estimator)).sum()
    torch.testing.assert_close(expectation, exact)


def test_k2_is_biased():
    policy, reference = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.double)
    exact = torch.nn.functional.kl_div(reference.log(), policy, reduction="sum")
    assert ((policy * token_kl(policy.log(), reference.log(), "k2")).sum() - exact).abs() > 0.01


@given(LOGPROB, LOGPROB, st.sampled_from(["k2", "k3"]))
def test_k2_and_k3_are_never_negative(logprob, reference, estimator):
    assert token_kl(torch.tensor(logprob), torch.tensor(reference), estimator) >= 0


def test_gradient_of_k3_vanishes_where_both_agree():
    logprobs = torch.tensor([-0.3, -2.0], requires_grad=True)
    token_kl(logprobs, logprobs.detach()).sum().backward()
    torch.testing.assert_close(logprobs.grad, torch.zeros(2))


def test_an_unknown_estimator_is_named():
    with pytest.raises(ValueError, match="Expected `kl_estimator` to be k1, k2 or k3, but got 'k4'"):
        token_kl(torch.zeros(1), torch.zeros(1), "k4")
