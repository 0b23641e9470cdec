from types import SimpleNamespace

import pytest
import torch
from training import FixedSampler, counting, fit, grpo

from vrft_pl.callbacks import NoisyRollout, RolloutCallback
from vrft_pl.rollout.hooks import ask_views
from vrft_pl.types import InputError


class Watch(RolloutCallback):
    """Keeps what is trained on."""

    def __init__(self):
        self.windows = []

    def on_rollout_end(self, trainer, module, experience):
        self.windows.append(experience)


def windows(checkpoint, *callbacks, **kwargs):
    watch, module = Watch(), grpo(checkpoint, sampler=FixedSampler(), **kwargs)
    fit(module, counting(size=4), callbacks=[*callbacks, watch], max_epochs=2)
    return watch.windows, module


def test_a_part_of_each_group_sees_noise_until_it_is_annealed(qwen3_vl):
    clean, _ = windows(qwen3_vl)
    seen, module = windows(qwen3_vl, NoisyRollout(share=0.25, middle=0.5, steepness=100.0))
    assert len(seen) == len(clean) == 4
    for window, (own, plain) in enumerate(zip(seen, clean, strict=True)):
        shown = [own.completions.texts[i * 4 : i * 4 + 3] for i in range(len(own))]
        assert shown == [plain.completions.texts[i * 4 : i * 4 + 3] for i in range(len(own))]
        # what this sampler writes depends on the picture, and on the place among those that it writes at once
        others = [own.completions.texts[i * 4 + 3] for i in range(len(own))]
        first = [plain.completions.texts[i * 4] for i in range(len(own))]
        assert [a == b for a, b in zip(others, first, strict=True)] == [False] * len(own) or window >= 2
        for prompt, expected in zip(own.prompts, plain.prompts, strict=True):  # what the update sees
            assert torch.equal(prompt.inputs["pixel_values"], expected.inputs["pixel_values"])
    assert module.rollout_stats.numbers["train/noise"] == pytest.approx(0.0, abs=1e-6)


def test_noise_falls_along_a_sigmoid():
    noisy = NoisyRollout(middle=0.25, steepness=8.0)
    assert noisy.factor(0.25) == 0.5
    assert noisy.factor(0.5) == pytest.approx(1 / (1 + 2.718281828**2))


def test_at_least_one_completion_sees_noise_and_one_does_not(qwen3_vl):
    trainer = SimpleNamespace(global_step=0, estimated_stepping_batches=10)
    module = grpo(qwen3_vl)
    for share, size in ((0.01, 1), (0.5, 4), (0.99, 7)):
        views = NoisyRollout(share=share).on_rollout_views(trainer, module, [], 8)
        assert [view.size for view in views] == [8 - size, size]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({"share": 1.0}, "`share` to be between 0 and 1, but got 1.0", id="share"),
        pytest.param({"strength": 1000}, "`strength` to be from 1 to 999 steps, but got 1000", id="strength"),
        pytest.param({"steepness": 0.0}, "`steepness` to be above 0, but got 0.0", id="steepness"),
        pytest.param(
            {"middle": float("nan")}, "`middle` to be a share of the run, from 0 to 1, but got nan", id="middle"
        ),
    ],
)
def test_arguments_out_of_their_range_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        NoisyRollout(**kwargs)


def test_a_run_without_an_end_is_refused(qwen3_vl):
    trainer = SimpleNamespace(global_step=0, estimated_stepping_batches=float("inf"))
    with pytest.raises(InputError, match="Expected a run with an end for NoisyRollout"):
        NoisyRollout().on_rollout_views(trainer, grpo(qwen3_vl), [], 8)


def test_two_that_decide_what_is_shown_are_refused(qwen3_vl):
    class Other(NoisyRollout):
        pass

    trainer = SimpleNamespace(global_step=0, estimated_stepping_batches=10, callbacks=[NoisyRollout(), Other()])
    with pytest.raises(InputError, match="Expected one callback that decides what is shown, but got NoisyRollout, Oth"):
        ask_views(trainer, grpo(qwen3_vl), [], 8)


def test_a_window_that_is_sampled_before_its_turn_is_refused(qwen3_vl):
    module = grpo(qwen3_vl)
    module.rollout_ahead = 1
    with pytest.raises(InputError, match="Expected `rollout_ahead: 0` with NoisyRollout, but got 1."):
        NoisyRollout().setup(None, module, "fit")
