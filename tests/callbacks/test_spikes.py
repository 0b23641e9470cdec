import pytest
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from training import counting, fit, grpo

from vrft_pl.callbacks import NonFiniteGuard, SpikeFlag


class Kick(Callback):
    """Makes the gradients of some optimizer steps so many times what they are."""

    def __init__(self, steps, times):
        self.steps, self.times = steps, times

    def on_after_backward(self, trainer, module):
        if trainer.global_step in self.steps:
            for parameter in module.policy.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(self.times)


class Logs(Callback):
    """Logs one number after the other."""

    def __init__(self, values):
        self.values = values

    def on_train_batch_end(self, trainer, module, *args):
        module.log("train/kl", self.values[trainer.global_step - 1], batch_size=1)


def flagged(checkpoint, values, **kwargs):
    flag = SpikeFlag(**{"names": ["train/kl"], "window": 3, "warmup": 2, **kwargs})
    module = grpo(checkpoint)
    trainer = fit(module, counting(size=2 * len(values)), callbacks=[Logs(values), flag])
    return flag, trainer


def test_a_number_far_above_its_running_median_is_flagged_and_told_once(qwen3_vl):
    with pytest.warns(UserWarning, match=r"train/kl is 50 at step 3, 50 times its running median\.") as told:
        flag, trainer = flagged(qwen3_vl, [1.0, 1.0, 50.0, 2.0, 60.0])
    assert flag.faults() == {"spikes/kl": 2}
    assert trainer.callback_metrics["train/spikes/kl"] == 2
    assert sum("running median" in str(warning.message) for warning in told) == 1


def test_a_run_that_goes_on_counts_as_one_that_was_not_ended(qwen3_vl, tmp_path):
    """The median is of steps before the end too."""
    values = [1.0, 1.0, 50.0, 2.0, 60.0]
    whole, _ = flagged(qwen3_vl, values)
    keep = ModelCheckpoint(tmp_path, filename="kept", every_n_train_steps=3, save_top_k=-1)
    for steps, checkpoint in ((3, None), (5, tmp_path / "kept.ckpt")):
        flag = SpikeFlag(["train/kl"], window=3, warmup=2)
        settings = {"callbacks": [Logs(values), flag, keep], "enable_checkpointing": True, "max_steps": steps}
        fit(grpo(qwen3_vl), counting(size=10), checkpoint, **settings)
    assert (flag.faults(), flag.values) == (whole.faults(), whole.values)
    assert flag.faults() == {"spikes/kl": 2}


def test_a_new_level_is_no_spike_for_ever_and_the_first_steps_are_none(qwen3_vl, recwarn):
    flag, trainer = flagged(qwen3_vl, [1.0, 500.0, 500.0, 500.0, 500.0, 9.0])
    assert flag.faults() == {}
    assert "train/spikes/kl" not in trainer.callback_metrics
    assert not [w for w in recwarn if "running median" in str(w.message)]


def test_a_gradient_spike_is_seen_in_the_norm_that_the_guard_logs(qwen3_vl):
    flag = SpikeFlag(warmup=2, factor=50)
    with pytest.warns(UserWarning, match="train/gradient_norm is .* at step 4"):
        fit(grpo(qwen3_vl), counting(size=8), callbacks=[Kick({3}, 1e4), NonFiniteGuard(), flag])
    assert flag.faults() == {"spikes/gradient_norm": 1}
    again = SpikeFlag(warmup=2, factor=50)
    again.load_state_dict(flag.state_dict())
    assert (again.faults(), again.values) == (flag.faults(), flag.values)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"factor": 1}, "Expected `factor` to be above 1, but got 1"),
        ({"warmup": 0}, "Expected `warmup` to be from 1 to `window`, but got 0 and 50"),
        ({"warmup": 51}, "Expected `warmup` to be from 1 to `window`, but got 51 and 50"),
    ],
)
def test_options_are_in_their_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SpikeFlag(**kwargs)
