from dataclasses import dataclass, fields

import torch
from builders import lengths_mask, make_experience

from vrft_pl.axes import kept, per
from vrft_pl.rollout.state import experience_state, restore_experience
from vrft_pl.types import Completions, Experience


@dataclass(frozen=True)
class Weighed(Experience):
    """Experience with values of a user's own."""

    difficulty: tuple[float, ...] = per("prompt", default=())
    importance: torch.Tensor | None = per("token", default=None)


def weighed():
    experience = make_experience(lengths_mask([1, 2, 3, 4]), torch.arange(4.0), group_size=2, max_tokens=9)
    return Weighed(**vars(experience), difficulty=(0.1, 0.9), importance=torch.arange(16.0).view(4, 4))


def test_fields_of_ones_own_are_selected_by_their_axis():
    chosen = weighed().select([1])
    assert chosen.difficulty == (0.9,)
    assert torch.equal(chosen.importance, weighed().importance[2:])
    short = weighed().select([0])
    assert torch.equal(short.importance, weighed().importance[:2, :2])


def test_every_field_per_completion_has_an_axis():
    """One without would stay as long as the window when a micro-batch is cut from it."""
    whole = {"num_sequences", "num_tokens", "max_tokens", "ratio_to_sampler", "seconds"}
    assert {f.name for f in fields(Experience) if "axis" not in f.metadata} == whole
    assert all("axis" in f.metadata for f in fields(Completions))


def test_a_state_holds_every_field_that_the_samples_do_not_give_again():
    experience = make_experience(lengths_mask([1, 2]), torch.ones(2), max_tokens=9)
    state = kept(experience)
    assert {f.name for f in fields(Experience)} - set(state) == {
        *("samples", "prompts", "num_sequences", "num_tokens", "entropy", "seconds")
    }
    back = restore_experience(experience_state(experience, experience.samples), experience.samples, experience.prompts)
    assert back.max_tokens == 9
    assert back.completions.texts == experience.completions.texts
    assert torch.equal(back.advantages, experience.advantages)
