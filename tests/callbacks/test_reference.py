from types import SimpleNamespace

import pytest
from lightning.pytorch.strategies import FSDPStrategy, SingleDeviceStrategy
from training import counting, fit, grpo

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.callbacks import ReferenceUpdate, RolloutCallback
from vrft_pl.types import InputError


class Watch(RolloutCallback):
    """Keeps the weights of policy and reference at each rollout."""

    def __init__(self):
        self.seen = []

    def on_rollout_end(self, trainer, module, experience):
        name, weight = next((n, p.detach().clone()) for n, p in module.policy.named_parameters() if p.requires_grad)
        self.seen.append((weight, module.reference.weights[name].clone()))


@pytest.mark.parametrize(("every", "share"), [(1, 0.25), (2, 1.0)])
def test_the_reference_moves_after_every_few_steps(qwen3_vl, every, share):
    watch = Watch()
    module = grpo(qwen3_vl, loss=GRPOLoss(kl_coefficient=0.1))
    fit(module, counting(size=8), callbacks=[ReferenceUpdate(every, share), watch])
    reference = watch.seen[0][0]
    for step, (policy, own) in enumerate(watch.seen):
        if step and step % every == 0:
            reference = reference.lerp(policy, share)
        assert own.equal(reference)
    assert not watch.seen[0][1].equal(watch.seen[-1][1])


def test_what_cannot_be_moved_is_refused(qwen3_vl):
    trainer = SimpleNamespace(strategy=FSDPStrategy())
    module = grpo(qwen3_vl, loss=GRPOLoss(kl_coefficient=0.1))
    with pytest.raises(InputError, match="Expected a strategy that shards no weights with ReferenceUpdate, but got"):
        ReferenceUpdate().setup(trainer, module, "fit")
    trainer = SimpleNamespace(strategy=SingleDeviceStrategy("cpu"))
    ReferenceUpdate().setup(trainer, module, "fit")
    with pytest.raises(InputError, match="Expected a loss with a reference for ReferenceUpdate"):
        ReferenceUpdate().setup(trainer, SimpleNamespace(reference=None), "fit")


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"every_n_steps": 0}, "`every_n_steps` to be at least 1, but got 0"),
        ({"share": 0.0}, "`share` to be above 0 and at most 1, but got 0.0"),
    ],
)
def test_arguments_out_of_their_range_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ReferenceUpdate(**kwargs)
