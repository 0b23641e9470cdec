"""What is frozen is in evaluation mode while the rest trains."""

import pytest
import torch
from architectures import BUILDERS
from checkpoints import MIXED, loaded
from torch import nn
from training import counting, fit, grpo, sgd

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.modules import SFTModule
from vrft_pl.policy import LoRA
from vrft_pl.policy.comparisons import probe

pytestmark = pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training")
VISION = ("vision", "projector")
LANGUAGE = LoRA(rank=2)


def with_layer(policy, layer):
    """Put a layer behind the first norm of the vision tower, frozen as that norm is."""
    block = policy.hf_model.get_encoder(modality="image").blocks[0]
    trained = block.norm1.weight.requires_grad
    block.norm1 = nn.Sequential(block.norm1, layer.requires_grad_(trained))
    policy.train()
    return layer


def logprobs(policy):
    prompts = policy.encode(MIXED)
    with torch.no_grad():
        return policy.plain_logprobs(prompts, probe(policy, prompts)).logprobs


def supervised(policy):
    return SFTModule(policy, optimizer=sgd)


def reinforced(policy):
    return grpo(None, policy, loss=GRPOLoss(kl_coefficient=0.1))


FROZEN = [pytest.param({"freeze": VISION}, id="freeze"), pytest.param({"lora": LANGUAGE}, id="lora")]


@pytest.mark.parametrize("make", [supervised, reinforced])
@pytest.mark.parametrize("options", FROZEN)
def test_a_run_leaves_the_statistics_of_a_frozen_tower_alone(checkpoint, options, make):
    policy = loaded(checkpoint, max_pixels=1024, **options)
    norm = with_layer(policy, nn.BatchNorm1d(32))
    fit(make(policy), counting(size=4), val_check_interval=1, limit_val_batches=1)
    assert norm.num_batches_tracked == 0
    assert torch.equal(norm.running_mean, torch.zeros(32))
    assert torch.equal(norm.running_var, torch.ones(32))


def test_a_run_moves_the_statistics_of_a_tower_that_trains(checkpoint):
    policy = loaded(checkpoint, max_pixels=1024)
    norm = with_layer(policy, nn.BatchNorm1d(32))
    fit(supervised(policy), counting(size=4))
    assert norm.num_batches_tracked == 2


@pytest.mark.parametrize("options", [*FROZEN, pytest.param({}, id="trained")])
def test_dropout_is_for_what_trains(checkpoint, options):
    policy = loaded(checkpoint, **options)
    with_layer(policy, nn.Dropout(0.5))
    with policy.evaluating():
        expected = logprobs(policy)
    assert torch.equal(logprobs(policy), expected) == bool(options)


def test_dropout_of_adapters_stays(checkpoint):
    policy = loaded(checkpoint, lora=LoRA(rank=2, dropout=0.5))
    for name, parameter in policy.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.2)
    assert not torch.equal(logprobs(policy), logprobs(policy))


def test_evaluation_restores_which_parts_train(checkpoint):
    policy = loaded(checkpoint, freeze=VISION)
    modes = [module.training for module in policy.modules()]
    with policy.evaluating():
        assert not any(module.training for module in policy.modules())
    assert [module.training for module in policy.modules()] == modes
    assert len(set(modes)) == 2
    policy.eval()
    policy.train()
    assert [module.training for module in policy.modules()] == modes


def test_frozen_layers_that_gradients_flow_through_recompute_their_activations(checkpoint):
    policy = loaded(checkpoint, freeze=("language",), gradient_checkpointing=True)
    calls = []
    policy.hf_model.get_decoder().layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    prompts = policy.encode(MIXED)
    policy.plain_logprobs(prompts, probe(policy, prompts)).logprobs.sum().backward()
    assert len(calls) == 2


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.BatchNorm1d(32)], ids=["dropout", "batch-norm"])
def test_reinforcement_trains_the_policy_that_samples(checkpoint, layer):
    """Red where a trained tower drops activations or takes statistics of its batch: ratios are then noise."""
    policy = loaded(checkpoint, max_pixels=1024)
    with_layer(policy, layer)
    trainer = fit(reinforced(policy), counting(size=2))
    assert trainer.callback_metrics["train/sampler_gap"] < 1e-5
    assert not layer.training


@pytest.mark.parametrize("name", ["emu3", "qianfan_ocr"])
def test_a_checkpoint_with_dropout_in_its_config_is_trained_as_it_samples(name, tmp_path):
    policy = loaded(BUILDERS[name](tmp_path / name))
    trainer = fit(grpo(None, policy), counting(size=2))
    assert trainer.callback_metrics["train/sampler_gap"] < 1e-5


def test_dropout_of_adapters_is_said_to_be_left_out(qwen3_vl):
    with pytest.warns(UserWarning, match="`lora.dropout` has no effect on reinforcement"):
        grpo(None, loaded(qwen3_vl, lora=LoRA(rank=2, dropout=0.1)))


def test_recomputed_activations_are_still_recomputed_in_reinforcement(qwen3_vl):
    policy = loaded(qwen3_vl, max_pixels=1024, gradient_checkpointing=True)
    reinforced(policy)
    recomputing = [m for m in policy.modules() if getattr(m, "gradient_checkpointing", False)]
    assert recomputing
    assert all(module.training for module in recomputing)
