from __future__ import annotations

from math import exp

import pytest
import torch
from builders import gradient, lengths_mask, make_experience

from vrft_pl.algorithms import GRPOLoss, SAPOLoss


def sigmoid(x):
    return 1 / (1 + exp(-x))


def test_values_and_gradients_are_those_of_the_paper():
    """The gate and the weight of its gradient, ``4 p (1 - p) r A``, a token at a time."""
    g = torch.Generator().manual_seed(0)
    lengths, advantages = [4, 1, 3], [1.5, -0.7, -2.0]
    logprobs, old = torch.randn(2, 3, 4, generator=g)
    experience = make_experience(lengths_mask(lengths), torch.tensor(advantages), old_logprobs=old)
    value, slopes, gates = 0.0, torch.zeros(3, 4), 0.0
    for i, (length, advantage) in enumerate(zip(lengths, advantages, strict=True)):
        tau = 0.8 if advantage > 0 else 2.0
        for t in range(length):
            ratio = exp(logprobs[i, t] - old[i, t])
            p = sigmoid(tau * (ratio - 1))
            value -= p * 4 / tau * advantage / length / 3
            slopes[i, t] = -4 * p * (1 - p) * ratio * advantage / length / 3
            gates += 4 * p * (1 - p) / 8
    loss = SAPOLoss(temperature_positive=0.8, temperature_negative=2.0)
    output = loss(logprobs, experience)
    assert float(output.loss) == pytest.approx(value, rel=1e-5)
    torch.testing.assert_close(gradient(loss, logprobs, experience), slopes)
    assert float(output.stats["gate"]) == pytest.approx(gates, rel=1e-5)


@pytest.mark.parametrize("aggregation", ["sequence", "token", "constant"])
def test_on_policy_the_gradient_is_that_of_the_clipped_loss(aggregation):
    experience = make_experience(lengths_mask([2, 3]), torch.tensor([2.0, -1.0]))
    logprobs, kwargs = torch.randn(2, 3), {"aggregation": aggregation, "max_tokens": 4}
    assert SAPOLoss(**kwargs)(logprobs, experience).stats["gate"] == 1
    torch.testing.assert_close(
        gradient(SAPOLoss(**kwargs), logprobs, experience), gradient(GRPOLoss(**kwargs), logprobs, experience)
    )


@pytest.mark.parametrize(("name", "value"), [("temperature_positive", 0.0), ("temperature_negative", float("inf"))])
def test_temperatures_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=f"Expected `{name}` to be above 0, but got {value}"):
        SAPOLoss(**{name: value})
