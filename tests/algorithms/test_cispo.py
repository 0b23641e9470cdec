from __future__ import annotations

from math import exp

import pytest
import torch
from builders import gradient, lengths_mask, make_experience

from vrft_pl.algorithms import CISPOLoss


def test_values_and_gradients_are_those_of_the_paper():
    """Eq. 4: the sum over all tokens of sg(min(r, cap)) A log p, over the number of all tokens."""
    g = torch.Generator().manual_seed(0)
    lengths, advantages = [4, 1, 3], [1.5, -0.7, -2.0]
    logprobs, old = torch.randn(2, 3, 4, generator=g)
    experience = make_experience(lengths_mask(lengths), torch.tensor(advantages), old_logprobs=old)
    value, slopes = 0.0, torch.zeros(3, 4)
    for i, (length, advantage) in enumerate(zip(lengths, advantages, strict=True)):
        for t in range(length):
            weight = min(exp(logprobs[i, t] - old[i, t]), 1.5)
            value -= weight * advantage * float(logprobs[i, t]) / 8
            slopes[i, t] = -weight * advantage / 8
    loss = CISPOLoss(cap=1.5)
    assert float(loss(logprobs, experience).loss) == pytest.approx(value, rel=1e-5)
    torch.testing.assert_close(gradient(loss, logprobs, experience), slopes)


@pytest.mark.parametrize(
    ("ratio", "advantage", "slope", "clipped"),
    [
        pytest.param(9.0, 1.0, -2.0, 1.0, id="good-token-raised-keeps-a-capped-gradient"),
        pytest.param(9.0, -1.0, 2.0, 1.0, id="bad-token-raised-likewise"),
        pytest.param(0.1, -1.0, 0.1, 0.0, id="there-is-no-lower-bound"),
        pytest.param(9.0, 0.0, 0.0, 0.0, id="no-advantage"),
    ],
)
def test_no_token_loses_its_gradient(ratio, advantage, slope, clipped):
    experience = make_experience(lengths_mask([1]), torch.tensor([advantage]), old_logprobs=torch.zeros(1, 1))
    logprobs = torch.tensor([[ratio]]).log()
    torch.testing.assert_close(gradient(CISPOLoss(cap=2.0), logprobs, experience), torch.tensor([[slope]]))
    assert CISPOLoss(cap=2.0)(logprobs, experience).stats["clip_fraction"] == clipped


def test_a_cap_below_the_ratio_on_policy_is_refused():
    with pytest.raises(ValueError, match="Expected `cap` to be 1 or more, but got 0.9"):
        CISPOLoss(cap=0.9)
