from __future__ import annotations

from dataclasses import replace
from math import exp

import pytest
import torch
from builders import gradient, lengths_mask, make_completions, make_experience

from vrft_pl.algorithms import CISPOLoss, GRPOLoss, GSPOLoss, SAPOLoss

AGGREGATIONS = ("sequence", "token", "constant")


@pytest.mark.parametrize(
    ("aggregation", "weights"),
    [
        pytest.param("sequence", [[1 / 4, 1 / 4, 0], [1 / 6, 1 / 6, 1 / 6]], id="sequence"),
        pytest.param("token", [[1 / 5, 1 / 5, 0], [1 / 5, 1 / 5, 1 / 5]], id="token"),
        pytest.param("constant", [[1 / 8, 1 / 8, 0], [1 / 8, 1 / 8, 1 / 8]], id="constant"),
    ],
)
def test_gradient_on_policy_is_reinforce(aggregation, weights):
    experience = make_experience(lengths_mask([2, 3]), torch.tensor([2.0, -1.0]))
    expected = -experience.advantages[:, None] * torch.tensor(weights)
    loss = GRPOLoss(aggregation, max_tokens=4)
    torch.testing.assert_close(gradient(loss, torch.randn(2, 3), experience), expected)


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        pytest.param("sequence", -(2 * exp(0.1) - 1) / 2, id="sequence"),
        pytest.param("token", -(4 * exp(0.1) - 3) / 5, id="token"),
        pytest.param("constant", -(4 * exp(0.1) - 3) / 8, id="constant"),
    ],
)
def test_aggregation_by_hand(aggregation, expected):
    old = torch.full((2, 3), -1.0)
    experience = make_experience(lengths_mask([2, 3]), torch.tensor([2.0, -1.0]), old_logprobs=old)
    logprobs = torch.tensor([[-0.9, -0.9, 5.0], [-1.0, -1.0, -1.0]])
    loss = GRPOLoss(aggregation, max_tokens=4)(logprobs, experience).loss
    torch.testing.assert_close(loss, torch.tensor(expected))


def test_divergence_is_added_with_its_coefficient():
    logprobs, reference = torch.tensor([[0.25, 0.5]]).log(), torch.tensor([[0.5, 0.5]]).log()
    experience = make_experience(lengths_mask([2]), torch.tensor([1.0]), reference_logprobs=reference)
    output = GRPOLoss(kl_coefficient=0.5, kl_estimator="k2")(logprobs, experience)
    kl = torch.tensor(2.0).log().square() / 2 / 2
    torch.testing.assert_close(output.stats["kl"], kl)
    torch.testing.assert_close(output.loss, -1 + 0.5 * kl)


def expected_gradient(estimator, correction, policy, sampler, reference):
    """Mean gradient of the divergence's estimate over what a sampler draws of a vocabulary, by the logits."""
    logits = policy.log().clone().requires_grad_()
    log_all, n = logits.log_softmax(dim=0), len(policy)
    mask = torch.ones(n, 1, dtype=torch.bool)
    experience = make_experience(
        mask, torch.zeros(n), old_logprobs=sampler.log()[:, None], reference_logprobs=reference.log()[:, None]
    )
    total = torch.zeros(())
    loss = GRPOLoss("token", kl_coefficient=1.0, kl_estimator=estimator, kl_correction=correction)
    for i in range(n):  # each token of the vocabulary is drawn once, and weighed by how often it is
        one = replace(experience.select([i]), num_tokens=1.0)
        total = total + sampler[i] * loss(log_all[i].view(1, 1), one).loss
    return torch.autograd.grad(total, logits)[0]


POLICY = torch.tensor([0.5, 0.3, 0.2], dtype=torch.double)
SAMPLER = torch.tensor([0.3, 0.3, 0.4], dtype=torch.double)
REFERENCE = torch.tensor([0.2, 0.2, 0.6], dtype=torch.double)


def divergence_gradient(direction):
    logits = POLICY.log().clone().requires_grad_()
    log_all = logits.log_softmax(dim=0)
    if direction == "forward":
        divergence = (REFERENCE * (REFERENCE.log() - log_all)).sum()
    else:
        divergence = (log_all.exp() * (log_all - REFERENCE.log())).sum()
    return torch.autograd.grad(divergence, logits)[0]


@pytest.mark.parametrize(
    ("estimator", "direction"),
    [pytest.param("k2", "of-policy", id="k2"), pytest.param("k3", "forward", id="k3-is-the-other-direction")],
)
def test_on_policy_a_divergence_without_correction_descends_as_its_page_says(estimator, direction):
    got = expected_gradient(estimator, False, POLICY, POLICY, REFERENCE)
    torch.testing.assert_close(got, divergence_gradient(direction))


@pytest.mark.parametrize("sampler", [POLICY, SAMPLER], ids=["on-policy", "off-policy"])
@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_a_corrected_divergence_descends_the_divergence_itself(estimator, sampler):
    got = expected_gradient(estimator, True, POLICY, sampler, REFERENCE)
    torch.testing.assert_close(got, divergence_gradient("of-policy"))


def test_off_policy_no_divergence_without_correction_descends_the_divergence():
    for estimator in ("k2", "k3"):
        got = expected_gradient(estimator, False, POLICY, SAMPLER, REFERENCE)
        assert not torch.allclose(got, divergence_gradient("of-policy"), atol=0.01)


def test_the_gradient_of_k1_alone_is_zero_on_average():
    """Which is why it is refused: the mean of the score."""
    logits = POLICY.log().clone().requires_grad_()
    log_all = logits.log_softmax(dim=0)
    mean = (POLICY * (log_all - REFERENCE.log())).sum()
    torch.testing.assert_close(torch.autograd.grad(mean, logits)[0], torch.zeros(3, dtype=torch.double))


def test_divergence_is_not_reported_without_a_reference():
    experience = make_experience(lengths_mask([2]), torch.tensor([1.0]))
    assert set(GRPOLoss()(torch.zeros(1, 2), experience).stats) == {"clip_fraction"}


def test_stats_keep_no_graph():
    logprobs = torch.zeros(1, 2, requires_grad=True)
    experience = make_experience(lengths_mask([2]), torch.tensor([1.0]), reference_logprobs=torch.ones(1, 2))
    output = GRPOLoss(kl_coefficient=0.1)(logprobs, experience)
    assert output.loss.requires_grad
    assert not any(value.requires_grad for value in output.stats.values())


@pytest.mark.parametrize(
    ("cap", "weights"),
    [
        pytest.param(2.0, [0.5, 2.0], id="capped"),
        pytest.param(9.0, [0.5, 4.0], id="below-the-cap"),
        pytest.param(None, [1.0, 1.0], id="off"),
    ],
)
def test_tokens_weigh_what_the_policy_gives_them_over_the_sampler(cap, weights):
    sampled = torch.tensor([[0.5, 0.1]]).log()
    experience = make_experience(lengths_mask([2]), torch.tensor([1.0]), sampled=sampled)
    logprobs = torch.tensor([[0.25, 0.4]]).log()
    expected = -torch.tensor([weights]) / 2
    torch.testing.assert_close(gradient(GRPOLoss(importance_cap=cap), logprobs, experience), expected)


def test_importance_weight_belongs_to_the_old_policy():
    """Off policy, the ratio carries the gradient and the weight stays that of the policy that sampled."""
    old, sampled = torch.tensor([[0.2]]).log(), torch.tensor([[0.4]]).log()
    experience = make_experience(lengths_mask([1]), torch.tensor([1.0]), sampled=sampled, old_logprobs=old)
    loss = GRPOLoss(importance_cap=5.0)(torch.tensor([[0.22]]).log(), experience).loss
    torch.testing.assert_close(loss, torch.tensor(-1.1 * 0.5))


@pytest.mark.parametrize(("loss", "kept"), [(GRPOLoss(), [2, 3]), (GRPOLoss(mask_truncated=True), [2, 0])])
def test_truncated_completions_are_masked_if_asked_for(loss, kept):
    completions = make_completions(["whole", "cut"], mask=lengths_mask([2, 3]), truncated=[False, True])
    assert loss.token_mask(completions).sum(dim=1).tolist() == kept


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_masked_completion_counts_neither_above_nor_below_the_line(aggregation):
    mask = lengths_mask([2, 3])
    kept = make_experience(mask[:1, :2], torch.tensor([2.0]))
    both = make_experience(mask, torch.tensor([2.0, -1.0]), loss_mask=mask & torch.tensor([[True], [False]]))
    logprobs, loss = torch.randn(2, 3), GRPOLoss(aggregation, max_tokens=4)
    torch.testing.assert_close(loss(logprobs, both).loss, loss(logprobs[:1, :2], kept).loss)
    assert (gradient(loss, logprobs, both)[1] == 0).all()


@pytest.mark.parametrize("kind", [GRPOLoss, CISPOLoss, SAPOLoss, GSPOLoss])
@pytest.mark.parametrize(
    ("aggregation", "whole"),
    [
        pytest.param("sequence", [[1 / 4, 1 / 4, 0], [0, 0, 0]], id="of-two-completions"),
        pytest.param("token", [[1 / 5, 1 / 5, 0], [0, 0, 0]], id="of-five-tokens"),
        pytest.param("constant", [[1 / 8, 1 / 8, 0], [0, 0, 0]], id="of-two-times-four-tokens"),
    ],
)
def test_a_truncated_completion_counts_below_the_line_if_asked_for(kind, aggregation, whole):
    loss = kind(aggregation, mask_truncated=True, count_truncated=True, max_tokens=4, kl_coefficient=0.1)
    truncated, mask = [False, True], lengths_mask([2, 3])
    assert torch.equal(loss.token_mask(make_completions(["whole", "cut"], mask=mask, truncated=truncated)), mask)
    logprobs = torch.randn(2, 3)
    reference = torch.stack([logprobs[0], torch.randn(3)])  # whose divergence from what was cut counts no more
    experience = make_experience(mask, torch.tensor([2.0, -1.0]), truncated=truncated, reference_logprobs=reference)
    torch.testing.assert_close(gradient(loss, logprobs, experience), -2 * torch.tensor(whole))


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_step_without_a_token_has_no_loss(aggregation):
    mask = lengths_mask([2, 3])
    experience = make_experience(mask, torch.tensor([2.0, -1.0]), loss_mask=torch.zeros_like(mask))
    logprobs, loss = torch.randn(2, 3), GRPOLoss(aggregation, max_tokens=4)
    assert loss(logprobs, experience).loss == 0
    assert (gradient(loss, logprobs, experience) == 0).all()


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("garbage", [1e4, -1e4, float("inf"), float("nan")])
def test_padding_reaches_neither_loss_nor_gradient(aggregation, garbage):
    mask = lengths_mask([2, 4])
    values = {name: torch.randn(2, 4) for name in ("old_logprobs", "reference_logprobs", "sampled")}
    logprobs = torch.randn(2, 4)
    clean = make_experience(mask, torch.tensor([1.0, -1.0]), **{k: v * mask for k, v in values.items()})
    # of opposite signs, so that no difference cancels
    dirty = make_experience(
        mask,
        torch.tensor([1.0, -1.0]),
        **{k: v.masked_fill(~mask, garbage * sign) for (k, v), sign in zip(values.items(), (1, -1, 1), strict=True)},
    )
    loss = GRPOLoss(aggregation, kl_coefficient=0.1, importance_cap=2.0, max_tokens=4)
    output = loss(logprobs.masked_fill(~mask, garbage), dirty)
    torch.testing.assert_close(output.loss, loss(logprobs, clean).loss)
    torch.testing.assert_close(
        gradient(loss, logprobs.masked_fill(~mask, garbage), dirty), gradient(loss, logprobs, clean)
    )
    assert all(value.isfinite() for value in output.stats.values())


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="plain"),
        pytest.param({"kl_coefficient": 0.3}, id="divergence"),
        pytest.param({"kl_coefficient": 0.3, "kl_estimator": "k1", "kl_correction": True}, id="corrected-divergence"),
        pytest.param({"sequence_ratio": True}, id="sequence-ratio"),
        pytest.param({"importance_cap": 1.5}, id="importance"),
        pytest.param({"dual_clip": 1.5}, id="dual-clip"),
        pytest.param({"kind": CISPOLoss}, id="cispo"),
        pytest.param({"kind": SAPOLoss}, id="sapo"),
        pytest.param({"kind": GSPOLoss, "level": "token"}, id="gspo-token"),
    ],
)
@pytest.mark.parametrize("parts", [[[0], [1], [2], [3]], [[0, 1], [2, 3]], [[3, 0, 1], [2]]], ids=str)
def test_accumulation_over_micro_batches_is_one_large_batch(aggregation, options, parts):
    """The mean over micro-batches of unequal tokens (Lightning's accumulation) has the gradient of one batch."""
    torch.manual_seed(0)
    mask = lengths_mask([1, 9, 2, 2, 7, 3, 5, 0])
    logprobs, old, reference, sampled = 0.2 * torch.randn(4, *mask.shape)
    whole = make_experience(
        mask, torch.randn(8), group_size=2, sampled=sampled, old_logprobs=old, reference_logprobs=reference
    )
    kind = options.get("kind", GRPOLoss)
    loss = kind(aggregation, max_tokens=9, **{name: value for name, value in options.items() if name != "kind"})
    accumulated = torch.zeros_like(logprobs)
    for groups in parts:
        rows = [2 * group + i for group in groups for i in range(2)]
        part = replace(
            whole.select(groups),
            num_sequences=whole.num_sequences / len(parts),
            num_tokens=whole.num_tokens / len(parts),
        )
        width = part.loss_mask.shape[1]
        accumulated[rows, :width] += gradient(loss, logprobs[rows, :width], part) / len(parts)
    torch.testing.assert_close(accumulated, gradient(loss, logprobs, whole))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({"aggregation": "mean"}, "`aggregation` to be one of .* but got 'mean'", id="aggregation"),
        pytest.param({"kl_coefficient": -0.1}, "Expected `kl_coefficient` to be 0 or more, but got -0.1", id="kl"),
        pytest.param({"kl_coefficient": float("inf")}, "`kl_coefficient` to be 0 or more, but got inf", id="kl-inf"),
        pytest.param({"kl_estimator": "k4"}, "Expected `kl_estimator` to be one of .* but got 'k4'", id="kl-estimator"),
        pytest.param(
            {"kl_coefficient": 0.1, "kl_estimator": "k1"}, "but got 'k1', whose gradient is 0 on average", id="k1"
        ),
        pytest.param({"count_truncated": True}, "Expected `count_truncated` with `mask_truncated`", id="counted"),
        pytest.param({"max_tokens": 0}, "Expected `max_tokens` to be at least 1 token, but got 0", id="max-tokens"),
        pytest.param({"importance_cap": 0.0}, "Expected `importance_cap` to be above 0, but got 0.0", id="cap"),
    ],
)
def test_values_out_of_range_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GRPOLoss(**kwargs)
