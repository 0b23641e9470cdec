from __future__ import annotations

import pytest
import torch
from builders import lengths_mask, make_completions, make_experience, make_sample

from vrft_pl.answers import AnswerFrame
from vrft_pl.types import Demonstrations, Experience, InputError, Prompt, Prompts, Scores

MASK = lengths_mask([1, 2, 5, 3, 1, 2])


@pytest.fixture
def experience():
    tokens = torch.arange(MASK.numel(), dtype=torch.float).view(MASK.shape)
    advantages = torch.tensor([1.0, -1.0, 0.0, 0.0, 0.0, 2.0])
    return make_experience(
        MASK, advantages, 2, sampled=tokens, old_logprobs=tokens + 100, reference_logprobs=tokens + 200
    )


def test_an_error_of_the_input_is_a_value_error():
    assert issubclass(InputError, ValueError)


def test_selected_completions_drop_columns_of_padding():
    completions = make_completions(
        "abcdef", mask=MASK, logprobs=-torch.ones(MASK.shape), truncated=[True] + [False] * 5
    )
    part = completions.select([3, 0])
    assert part.ids.shape == part.mask.shape == part.logprobs.shape == (2, 3)
    assert (part.mask.sum(dim=1).tolist(), part.texts) == ([3, 1], ("d", "a"))
    assert part.ids[0].tolist() == completions.ids[3, :3].tolist()
    assert (part.truncated.tolist(), len(part.frames)) == ([False, True], 2)


def test_selecting_no_completion_leaves_one_empty_column():
    part = make_completions("abcdef", mask=MASK).select([])
    assert (part.ids.shape, len(part), part.truncated.shape) == ((0, 1), 0, (0,))


def test_an_empty_completion_keeps_one_column():
    assert make_completions("ab", mask=lengths_mask([0, 2])).select([0]).ids.shape == (1, 1)


def test_selected_groups_stay_whole_in_every_field(experience):
    part = experience.select([2, 0])
    rows, width = [4, 5, 0, 1], 2
    assert [sample.solution.value for sample in part.samples] == [2, 0]
    assert [prompt.inputs["input_ids"].item() for prompt in part.prompts] == [2, 0]
    assert (len(part), part.group_size) == (2, 2)
    assert part.completions.texts == ("text 4", "text 5", "text 0", "text 1")
    for name in ("rewards", "advantages"):
        assert getattr(part, name).tolist() == getattr(experience, name)[rows].tolist()
    for name in ("loss_mask", "old_logprobs", "reference_logprobs"):
        assert getattr(part, name).tolist() == getattr(experience, name)[rows, :width].tolist()
    assert part.scores["Some"].tolist() == [4, 5, 0, 1]
    assert part.parse_failures["Some"].tolist() == [True, False, True, False]


def test_absent_log_probs_stay_absent():
    part = make_experience(MASK, torch.zeros(6), 2).select([1])
    assert part.old_logprobs is part.reference_logprobs is part.completions.logprobs is None


def test_selecting_all_groups_changes_nothing(experience):
    part = experience.select(range(3))
    assert part.completions.texts == experience.completions.texts
    assert part.loss_mask.equal(experience.loss_mask)
    assert (part.num_tokens, part.num_sequences) == (experience.num_tokens, experience.num_sequences)


def test_a_group_lives_while_one_completion_has_an_advantage(experience):
    assert experience.live_groups.tolist() == [True, False, True]


def test_prompts_repeat_beside_each_other_by_reference():
    prompts = Prompts(tuple(Prompt({"input_ids": torch.zeros(1, n, dtype=torch.long)}) for n in (2, 3)))
    assert [prompt.num_tokens for prompt in prompts.repeat_interleave(2)] == [2, 2, 3, 3]
    assert prompts.repeat_interleave(2).items[1] is prompts.items[0]
    assert [prompt.num_tokens for prompt in prompts[1:]] == [3]
    assert [prompt.num_tokens for prompt in prompts.select([1, 0, 1])] == [3, 2, 3]


def test_every_tensor_moves_to_the_device(experience):
    moved = experience.to("meta")
    tensors = [
        *(moved.rewards, moved.advantages, moved.loss_mask, moved.old_logprobs, moved.reference_logprobs),
        *(moved.completions.ids, moved.completions.mask, moved.completions.logprobs),
        *(moved.scores["Some"], moved.parse_failures["Some"], moved.prompts.items[0].inputs["input_ids"]),
    ]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert experience.rewards.device.type == experience.completions.ids.device.type == "cpu"
    assert moved.completions.texts == experience.completions.texts


def test_what_holds_no_tensor_moves_unchanged():
    sample = make_sample()
    assert sample.to("meta") == sample


def test_a_frame_scales_each_axis_by_its_own_factor():
    frame = AnswerFrame(200, 100, 2.0, 0.5)
    assert frame.to_pixels((1, 2, 3, 4)) == (2, 1, 6, 2)
    assert frame.to_answer((2, 1, 6, 2)) == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("weights", "total"),
    [({"a": 1.0, "b": 0.5}, [3.0, 3.0, 1.0]), ({"b": 0.5}, [2.0, 0.0, 0.0]), ({}, [0.0, 0.0, 0.0])],
    ids=["all", "one", "none"],
)
def test_scores_are_summed_by_weight(weights, total):
    scores = {"a": torch.tensor([1.0, 3.0, 1.0]), "b": torch.tensor([4.0, 0.0, 0.0])}
    assert Scores(scores, {}, weights, 3).total.tolist() == total


def test_a_step_that_nobody_has_counted_yet_has_no_tokens():
    assert Experience.num_sequences == Experience.num_tokens == Demonstrations.num_tokens == 0
    assert Experience.max_tokens is None


def joined(*parts):
    return parts[0].join(parts[1:])


def test_groups_that_are_put_together_again_are_as_they_were():
    mask = lengths_mask([1, 4, 2, 3, 1, 1])
    whole = make_experience(mask, torch.arange(6.0), 2, sampled=torch.rand(mask.shape) * mask, old_logprobs=mask * 1.0)
    again = joined(whole.select([0]), whole.select([1, 2]))
    assert again.samples == whole.samples
    assert again.completions.texts == whole.completions.texts
    for name in ("advantages", "rewards", "loss_mask", "old_logprobs"):
        assert torch.equal(getattr(again, name), getattr(whole, name))
    assert torch.equal(again.completions.logprobs, whole.completions.logprobs)
    assert torch.equal(again.scores["Some"], whole.scores["Some"])
    assert [int(p.inputs["input_ids"]) for p in again.prompts] == [0, 1, 2]


def test_ratios_are_to_the_samplers_logprobs_where_those_of_one_of_them_are():
    mask = lengths_mask([2, 2])
    own = make_experience(mask, torch.ones(2), 2, sampled=mask * -1.0)
    other = make_experience(
        mask, torch.ones(2), 2, sampled=mask * -2.0, old_logprobs=mask * -3.0, ratio_to_sampler=True
    )
    both = joined(own, other)
    assert both.ratio_to_sampler
    assert both.old_logprobs.tolist() == [[-1.0, -1.0]] * 2 + [[-3.0, -3.0]] * 2
    assert joined(own, own).old_logprobs is None
    with pytest.raises(InputError, match="a sampler that gives the log-probs of what it draws, but got none"):
        joined(make_experience(mask, torch.ones(2), 2), other)
