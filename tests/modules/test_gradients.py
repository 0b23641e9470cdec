"""What is trained but never gets a gradient is named, once."""

import warnings

import pytest
import torch
from architectures import BUILDERS
from checkpoints import loaded
from torch import nn
from training import Share, counting, fit, grpo, sgd

from vrft_pl.modules import SFTModule
from vrft_pl.modules.gradients import STEPS, GradientWatch
from vrft_pl.policy import LoRA


def step(watch, *given, names=("a", "b", "experts.0.w")):
    parameters = [(name, nn.Parameter(torch.ones(2))) for name in names]
    for (name, parameter), _ in zip(parameters, names, strict=True):
        if name in given:
            parameter.grad = torch.tensor([0.0, 1.0])
    return watch.look(parameters)


def test_what_has_no_gradient_in_three_steps_is_named_once():
    watch = GradientWatch()
    assert [step(watch, "a") for _ in range(STEPS - 1)] == [None] * (STEPS - 1)
    assert step(watch, "a").startswith("1 of 2 parameters that are trained got no gradient in 3 steps, such as b.")
    assert step(watch, "a") is None


def test_a_gradient_in_any_of_the_steps_is_enough_and_then_nothing_is_looked_at():
    watch = GradientWatch()
    assert step(watch, "a") is step(watch, "b") is None
    assert watch.silent == set()
    assert step(watch) is step(watch) is None


def test_steps_before_the_first_gradient_do_not_count():
    watch = GradientWatch()
    assert not any(step(watch) for _ in range(10))
    assert not any(step(watch, "a") for _ in range(STEPS - 1))
    assert step(watch, "a")


def test_a_gradient_of_zeros_is_none():
    watch, parameter = GradientWatch(), nn.Parameter(torch.ones(1))
    parameter.grad = torch.zeros(1)
    other = nn.Parameter(torch.ones(1))
    other.grad = torch.ones(1)
    assert [bool(watch.look([("a", parameter), ("b", other)])) for _ in range(3)] == [False, False, True]


def run(module, steps=4):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fit(module, counting(size=2 * steps))
    return [str(one.message) for one in told if "got no gradient" in str(one.message)]


@pytest.mark.parametrize("lora", [None, LoRA(rank=2)], ids=["full", "lora"])
@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_a_run_in_which_all_is_well_says_nothing(qwen3_vl, kind, lora):
    policy = loaded(qwen3_vl, max_pixels=1024, lora=lora)
    assert not run(SFTModule(policy, optimizer=sgd) if kind == "sft" else grpo(None, policy, rewards=[Share()]))


def test_a_tower_for_another_medium_is_named(tmp_path):
    policy = loaded(BUILDERS["qwen2_5_omni_thinker"](tmp_path / "omni"))
    (said,) = run(SFTModule(policy, optimizer=sgd))
    assert "audio_tower" in said
    assert "\n" not in said


def test_a_branch_that_is_cut_off_is_named(qwen3_vl):
    policy = loaded(qwen3_vl, max_pixels=1024)
    policy.hf_model.register_parameter("spare", nn.Parameter(torch.ones(3)))
    (said,) = run(SFTModule(policy, optimizer=sgd))
    assert "such as model.spare" in said


def test_a_gradient_that_is_no_number_is_none():
    watch = GradientWatch()
    for _ in range(STEPS):
        parameters = [(name, nn.Parameter(torch.ones(2))) for name in "ab"]
        for (_, parameter), value in zip(parameters, (1.0, float("nan")), strict=True):
            parameter.grad = torch.tensor([0.0, value])
        complaint = watch.look(parameters)
    assert complaint.startswith("1 of 2 parameters that are trained got no gradient in 3 steps, such as b.")
