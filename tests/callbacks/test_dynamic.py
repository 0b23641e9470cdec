import pytest
import torch
from builders import lengths_mask, make_experience

from vrft_pl.callbacks import DynamicSampling
from vrft_pl.modules import SFTModule
from vrft_pl.types import InputError

G = 2


def groups(*alive):
    """Experience with an advantage in some groups; how many tokens a group has tells it from the others."""
    advantages = torch.tensor([1.0 if own else 0.0 for own in alive for _ in range(G)])
    return make_experience(lengths_mask([1 + i % 3 for i in range(len(advantages))]), advantages, G)


class Module:
    """Hands out what is prepared, a round after the other."""

    seed = 0

    def __init__(self, *prepared):
        self.prepared, self.calls, self.noted = list(prepared), [], {}

    def more(self, count, key):
        self.calls.append((count, key))
        return groups(*self.prepared.pop(0)) if count else None

    def note(self, numbers):
        self.noted |= {name: number for name, number in numbers.items() if not name.startswith("time/")}


def end(callback, module, *alive):
    return callback.on_rollout_end(None, module, groups(*alive))


def noted(dropped, missing, rounds):
    counts = {"dropped_groups": dropped, "missing_groups": missing, "extra_rounds": rounds}
    return {f"train/{name}": count for name, count in counts.items()}


def test_a_round_asks_for_as_many_rows_as_groups_are_missing_until_none_is():
    module, callback = Module((True, False, True), (True,)), DynamicSampling(rounds=5)
    experience = end(callback, module, False, True, False, False)
    assert module.calls == [(3, "round 1"), (1, "round 2")]
    assert len(experience) == 4
    assert experience.live_groups.all()
    assert module.noted == noted(4, 0, 2)
    assert callback.dropped == 4


def test_a_window_without_such_groups_is_left_as_it_is():
    module = Module()
    experience = end(DynamicSampling(), module, True, True)
    assert module.calls == []
    assert torch.equal(experience.completions.ids, groups(True, True).completions.ids)
    assert module.noted == noted(0, 0, 0)


def test_after_the_last_round_the_step_is_made_of_what_is_there():
    module = Module((False, True), (False,))
    experience = end(DynamicSampling(rounds=2), module, True, False, False)
    assert len(experience) == 2
    assert module.noted == noted(4, 1, 2)
    assert len(end(DynamicSampling(rounds=0), module, True, False, False)) == 1


def test_a_window_without_any_group_keeps_one_that_enters_no_loss():
    experience = end(DynamicSampling(rounds=1), Module((False, False)), False, False)
    assert len(experience) == 1
    assert not experience.loss_mask.any()


def test_what_was_dropped_is_counted_on():
    callback, other = DynamicSampling(rounds=0), DynamicSampling(rounds=0)
    end(callback, Module(), False, True)
    other.load_state_dict(callback.state_dict())
    end(other, Module(), False, False)
    assert other.dropped == 3


def test_a_module_without_rollouts_is_refused(qwen3_vl):
    from training import run

    module = run("sft", qwen3_vl)
    assert isinstance(module, SFTModule)
    with pytest.raises(InputError, match="Expected a module with rollouts for DynamicSampling, but got SFTModule."):
        DynamicSampling().setup(None, module, "fit")


def test_less_than_no_round_is_refused():
    with pytest.raises(ValueError, match="Expected `rounds` to be 0 or more, but got -1."):
        DynamicSampling(rounds=-1)
