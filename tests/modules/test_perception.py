"""PAPO's term against its formula, with passes of its own over pictures that are masked here."""

from dataclasses import replace

import pytest
import torch
from checkpoints import loaded
from training import Share, counting, fit, grpo, weights

from vrft_pl.data.distorted import masked
from vrft_pl.modules import PerceptionTerm
from vrft_pl.rollout import RolloutCallback


class Keep(RolloutCallback):
    def __init__(self):
        self.batches = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.batches.append(batch)


@pytest.fixture(scope="module")
def batch(qwen3_vl):
    """A micro-batch of two groups."""
    keep = Keep()
    fit(grpo(qwen3_vl), counting(size=2), callbacks=[keep])
    return keep.batches[0]


def by_hand(policy, batch, coefficient, entropy, masked_entropy):
    """The term over plain rows, entropies from all logits."""
    size = batch.group_size
    texts = [batch.completions.texts[i * size : (i + 1) * size] for i in range(len(batch))]
    hidden = [masked(s, 0.6, 14, "mask", *own) for s, own in zip(batch.samples, texts, strict=True)]
    seen, unseen = (
        policy.plain_logprobs(policy.encode(samples), batch.completions) for samples in (batch.samples, hidden)
    )
    difference = unseen.logprobs - seen.logprobs
    values = entropy * seen.entropy + masked_entropy * unseen.entropy
    values = values - coefficient * (difference.exp() - difference - 1)
    mask = batch.completions.mask
    return ((values * mask).sum(dim=1) / mask.sum(dim=1)).mean()


def gradient(policy, loss):
    policy.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    "coefficients", [pytest.param((0.0, 0.3, 0.0), marks=pytest.mark.nightly), (0.0, 0.0, 0.3), (0.5, 0.2, 0.1)]
)
def test_value_and_gradient_are_those_of_the_formula(qwen3_vl, batch, coefficients):
    policy = loaded(qwen3_vl, max_pixels=1024)
    term = PerceptionTerm(*coefficients)
    own = policy.logprobs(batch.prompts, batch.completions)
    found, stats = term(policy, batch, own, 1.0)
    got = gradient(policy, found)
    expected = by_hand(policy, batch, *coefficients)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert stats["perception"] > 0
    wanted = gradient(policy, expected)
    assert max(g.abs().max() for g in wanted.values()) > 1e-4
    for name, grad in wanted.items():
        torch.testing.assert_close(got[name], grad, rtol=1e-3, atol=1e-5)


def test_the_same_micro_batch_is_masked_in_the_same_way_and_another_in_another(qwen3_vl, batch):
    policy, term = loaded(qwen3_vl, max_pixels=1024), PerceptionTerm()
    with torch.no_grad():
        whole = term.blind(policy, batch, 1.0).logprobs
        assert torch.equal(whole, term.blind(policy, batch, 1.0).logprobs)
        alone = term.blind(policy, batch.select([1]), 1.0).logprobs
        torch.testing.assert_close(alone, whole[4:, : alone.shape[1]], rtol=1e-4, atol=1e-5)
        other = replace(batch, completions=replace(batch.completions, texts=("",) * 8))
        assert not torch.equal(whole, term.blind(policy, other, 1.0).logprobs)


class Dead(Share):
    def grade_one(self, text, sample, frame):
        return 1.0


def test_groups_without_advantage_are_trained_too(qwen3_vl):
    module = grpo(qwen3_vl, rewards=[Dead()], terms=[PerceptionTerm(1.0)])
    before = weights(module)
    keep = Keep()
    fit(module, counting(size=2), callbacks=[keep])
    assert [len(batch) for batch in keep.batches] == [2]
    assert any(not torch.equal(value, before[name]) for name, value in weights(module).items())
    assert module.trainer.logged_metrics["train/perception"] > 0


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"coefficient": -1.0}, "`coefficient` to be 0 or more, but got -1.0"),
        ({"masked_entropy": float("inf")}, "`masked_entropy` to be 0 or more, but got inf"),
        ({"share": 0.0}, "`share` to be above 0 and at most 1, but got 0.0"),
        ({"patch": 0}, "`patch` to be from 1 to 65536 pixels, but got 0"),
        ({"patch": 2**70}, "`patch` to be from 1 to 65536 pixels"),
        ({"max_tokens": 0}, "`max_tokens` to be at least 1 token, but got 0"),
        ({"aggregation": "mean"}, "`aggregation` to be one of .*, but got 'mean'"),
    ],
)
def test_arguments_out_of_their_range_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PerceptionTerm(**kwargs)
