"""Values and gradients of TRL's own code: its loss, given the log-probs that its model would have."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from builders import gradient, lengths_mask, make_experience

from vrft_pl.algorithms import CISPOLoss, GRPOLoss, GSPOLoss, SAPOLoss

pytestmark = pytest.mark.nightly
LENGTHS, WIDTH = [5, 2, 7, 1], 7
ADVANTAGES = torch.tensor([1.2, -0.7, 0.4, -1.5])


@pytest.fixture(scope="module")
def trainer():
    """TRL's trainer, as far as its loss asks for it."""
    kind = pytest.importorskip("trl", reason="needs the extra `bench`").GRPOTrainer

    def build(loss_type, level="token", low=0.2, high=0.2, beta=0.0, delta=None, corrected=False, quantile=1.0):
        own = MagicMock()
        own.loss_type, own.importance_sampling_level = loss_type, level
        own.epsilon_low, own.epsilon_high, own.beta, own.top_entropy_quantile = low, high, beta, quantile
        own.args = SimpleNamespace(
            use_bias_correction_kl=corrected, delta=delta, sapo_temperature_pos=1.0, sapo_temperature_neg=1.05,
            steps_per_generation=1,
        )  # fmt: skip
        own.use_vllm = own.aux_loss_enabled = own._entropy_bonus_enabled = False
        own.off_policy_mask_threshold, own.current_gradient_accumulation_steps = None, 1
        own.max_completion_length, own._metrics = 16, {"train": defaultdict(list), "eval": defaultdict(list)}
        own.accelerator.num_processes = 1
        own.accelerator.gather.side_effect = own.accelerator.gather_for_metrics.side_effect = lambda value: value
        own.accelerator.pad_across_processes.side_effect = lambda value, **kwargs: value
        own.accelerator.reduce.side_effect = lambda value, **kwargs: value
        own.get_high_entropy_mask = lambda *args: kind.get_high_entropy_mask(own, *args)
        return own, kind

    return build


def theirs(built, logprobs, mask, old, reference, entropy):
    own, kind = built
    own._get_per_token_logps_and_entropies.return_value = (logprobs, entropy, None)
    ids = torch.ones_like(mask, dtype=torch.long)
    inputs = {"prompt_ids": ids[:, :1], "prompt_mask": ids[:, :1], "completion_ids": ids}
    inputs |= {"completion_mask": mask.long(), "advantages": ADVANTAGES, "num_items_in_batch": mask.sum()}
    inputs |= {"old_per_token_logps": old, "ref_per_token_logps": reference}
    return kind._compute_loss(own, MagicMock(), inputs)


@pytest.mark.parametrize(
    ("ours", "peer"),
    [
        pytest.param(GRPOLoss(), {"loss_type": "grpo"}, id="grpo"),
        pytest.param(GRPOLoss("constant"), {"loss_type": "dr_grpo"}, id="dr-grpo"),
        pytest.param(GRPOLoss("token", clip_high=0.28), {"loss_type": "dapo", "high": 0.28}, id="dapo"),
        pytest.param(GRPOLoss(kl_coefficient=0.1), {"loss_type": "grpo", "beta": 0.1}, id="divergence"),
        pytest.param(
            GRPOLoss(kl_coefficient=0.1, kl_correction=True),
            {"loss_type": "grpo", "beta": 0.1, "corrected": True},
            id="corrected-divergence",
        ),
        pytest.param(
            GSPOLoss(clip_low=0.05, clip_high=0.1),
            {"loss_type": "grpo", "level": "sequence", "low": 0.05, "high": 0.1},
            id="gspo",
        ),
        pytest.param(CISPOLoss(cap=1.5), {"loss_type": "cispo", "high": 1.5}, id="cispo"),
        pytest.param(SAPOLoss(), {"loss_type": "sapo"}, id="sapo"),
        pytest.param(
            GRPOLoss("token", entropy_share=0.4), {"loss_type": "dapo", "quantile": 0.4}, id="high-entropy-tokens"
        ),
    ],
)
def test_a_loss_is_trls(trainer, ours, peer):
    g = torch.Generator().manual_seed(0)
    mask = lengths_mask(LENGTHS)
    logprobs, noise, reference = torch.randn(3, *mask.shape, generator=g)
    old, entropy = logprobs + 0.4 * noise, torch.rand(mask.shape, generator=g)
    leaf = logprobs.clone().requires_grad_()
    value = theirs(trainer(**peer), leaf, mask, old, reference, entropy)
    value.backward()
    experience = make_experience(
        mask,
        ADVANTAGES,
        old_logprobs=old,
        reference_logprobs=reference if "beta" in peer else None,
        token_weights=ours.token_weights(entropy, mask),
        max_tokens=16,
    )
    torch.testing.assert_close(ours(logprobs, experience).loss, value.detach())
    torch.testing.assert_close(gradient(ours, logprobs, experience), leaf.grad)


@pytest.mark.parametrize(("ratio", "advantage"), [(5.0, -1.0), (2.0, -1.0), (0.5, -1.0), (5.0, 1.0), (0.5, 1.0)])
def test_dual_clip_is_trls_two_sided_clipping(trainer, ratio, advantage):
    """TRL caps the ratio of good tokens too, where clipping has capped it already."""
    own, kind = trainer("grpo", delta=3.0)
    own._get_per_token_logps_and_entropies.return_value = (torch.tensor([[ratio]]).log(), torch.zeros(1, 1), None)
    ones = torch.ones(1, 1, dtype=torch.long)
    inputs = dict.fromkeys(("prompt_ids", "prompt_mask", "completion_ids", "completion_mask"), ones)
    inputs |= {"advantages": torch.tensor([advantage]), "num_items_in_batch": ones.sum()}
    value = kind._compute_loss(own, MagicMock(), {**inputs, "old_per_token_logps": torch.zeros(1, 1)})
    experience = make_experience(lengths_mask([1]), torch.tensor([advantage]), old_logprobs=torch.zeros(1, 1))
    torch.testing.assert_close(GRPOLoss(dual_clip=3.0)(torch.tensor([[ratio]]).log(), experience).loss, value)
