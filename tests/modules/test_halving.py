from __future__ import annotations

import pytest
import torch
from training import counting, fit, grpo, weights

from vrft_pl.algorithms import GRPOLoss


class Full:
    """Memory that holds the forward pass of so many groups."""

    def __init__(self, module, groups):
        self.asked = []
        plain = module.surrogate

        def surrogate(experience):
            self.asked.append(len(experience))
            if len(experience) > groups:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return plain(experience)

        module.surrogate = surrogate


def trained(checkpoint, groups=None, **kwargs):
    module = grpo(checkpoint, loss=GRPOLoss("token", kl_coefficient=0.1), **kwargs)
    full = Full(module, groups) if groups is not None else None
    trainer = fit(module, counting(size=8, batch_size=4), max_epochs=1)
    return module, trainer, full


@pytest.mark.parametrize("groups", [2, 1])
def test_what_memory_does_not_hold_is_trained_on_in_parts_with_the_same_gradient(groups, qwen3_vl):
    start = weights(grpo(qwen3_vl))
    whole, trainer, _ = trained(qwen3_vl)
    with pytest.warns(UserWarning, match="Out of memory in an update: micro-batches are computed in parts") as told:
        split, other, full = trained(qwen3_vl, groups)
    for name, value in weights(split).items():
        torch.testing.assert_close(value, weights(whole)[name], rtol=1e-5, atol=1e-6)
    assert any(not torch.equal(value, start[name]) for name, value in weights(split).items())
    for name in ("loss", "kl", "entropy", "clip_fraction", "sampler_gap"):
        logged = [t.callback_metrics[f"train/{name}"] for t in (trainer, other)]
        torch.testing.assert_close(*logged, rtol=1e-4, atol=1e-6)
    assert split.in_parts.parts == 4 // groups
    assert full.asked.count(4) == 1
    assert sum("Out of memory" in str(warning.message) for warning in told) == 1


def test_a_group_that_memory_does_not_hold_ends_the_run(qwen3_vl):
    with (
        pytest.raises(torch.OutOfMemoryError),
        pytest.warns(UserWarning, match="Out of memory in an update"),
    ):
        trained(qwen3_vl, groups=0)


def test_passes_that_others_wait_for_are_not_made_alone(qwen3_vl):
    module = grpo(qwen3_vl)
    batch = [0, 1]
    with pytest.raises(torch.OutOfMemoryError):
        module.in_parts(lambda part: (_ for _ in ()).throw(torch.OutOfMemoryError("full")), batch, alone=False)
    assert module.in_parts.parts == 1
