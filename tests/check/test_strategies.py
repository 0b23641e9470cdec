"""What `fit` refuses of strategies, `vrft_pl check` reports, and never advises."""

import re
from types import SimpleNamespace

import pytest
from check.subjects import subject
from checkpoints import loaded
from lightning.pytorch.strategies import StrategyRegistry
from training import FixedSampler, counting, grpo

from vrft_pl.check import CheckOptions, TrainerSection, check_run
from vrft_pl.check.memory import remedy
from vrft_pl.modules import SFTModule
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError

NAMES = sorted(StrategyRegistry.available_strategies())
TERMS = ("weights", "gradients", "optimizer", "reference")
SLOW = ("tokens", "gold", "signal", "pictures", "parameters", "memory", "speed")


class Alone(FixedSampler):
    """Supports one process."""

    def supports(self, strategy):
        return strategy == "single_device"


class Gathering(FixedSampler):
    """Supports whatever there is."""

    def supports(self, strategy):
        return True


MODULES = {
    "grpo": lambda: grpo(None, loaded("tiny")),
    "grpo-alone": lambda: grpo(None, loaded("tiny"), sampler=Alone()),
    "grpo-gathering": lambda: grpo(None, loaded("tiny"), sampler=Gathering()),
    "sft": lambda: SFTModule(loaded("tiny")),
}


def fit_refuses(module, strategy):
    """Whether Lightning's first question to the module ends the run."""
    module.trainer = SimpleNamespace(strategy=strategy, datamodule=counting(2), limit_val_batches=1.0)
    try:
        module.setup("fit")
    except InputError:
        return True
    return False


def checked(module, strategy, tmp_path):
    section = TrainerSection.of({"accelerator": "gpu", "devices": 8, "strategy": strategy})
    report = check_run(module, counting(2), section, CheckOptions(skip=SLOW), RunFolder(tmp_path))
    return [finding.what for finding in report.steps["trainer"] if finding.level == "error"]


@pytest.mark.parametrize("kind", MODULES)
def test_check_reports_exactly_the_strategies_that_fit_refuses(kind, tmp_path):
    refused = [name for name in NAMES if fit_refuses(MODULES[kind](), name)]
    reported = [name for name in NAMES if checked(MODULES[kind](), name, tmp_path)]
    assert reported == refused
    older = {name for name in NAMES if "fsdp" in name} - {"fsdp2"}
    expected = {"grpo": older, "grpo-alone": {*NAMES} - {"single_device"}, "grpo-gathering": set(), "sft": set()}
    assert {*refused} == expected[kind]


@pytest.mark.parametrize("kind", MODULES)
def test_no_strategy_is_advised_that_fit_refuses(kind, tmp_path):
    made = subject(MODULES[kind](), tmp_path, accelerator="gpu", devices=8)
    advice = " ".join(remedy(made, {term: 1}) for term in TERMS)
    advised = re.findall("`strategy: (.*?)`", advice)
    assert [name for name in advised if fit_refuses(MODULES[kind](), name)] == []
    assert (
        set(advised)
        == {
            "grpo": {"deepspeed_stage_2", "deepspeed_stage_3"},
            "grpo-alone": set(),
            "grpo-gathering": {"deepspeed_stage_2", "deepspeed_stage_3"},
            "sft": {"deepspeed_stage_2", "deepspeed_stage_3"},
        }[kind]
    )


def test_nothing_for_gpus_is_advised_on_a_cpu(tmp_path):
    made = subject(MODULES["sft"](), tmp_path)
    assert "strategy" not in " ".join(remedy(made, {term: 1}) for term in TERMS)
