from __future__ import annotations

import json

import pytest
import torch
from builders import make_sample
from checkpoints import loaded
from training import fit, grpo, sgd

from vrft_pl.ablation import RightCompletions
from vrft_pl.ablation.rows import Probe, ProbedRow, by_difficulty, draw, probe, right_completions
from vrft_pl.answers import Label
from vrft_pl.data import Counting, CountingScenes, Listed
from vrft_pl.modules import PolicyModule, SFTModule
from vrft_pl.rewards import Format, LabelMatch, NumberMatch
from vrft_pl.rollout import Sampler, SamplingParams
from vrft_pl.types import Completions, InputError

SCENES = CountingScenes(size=40, image_size=32)


def row(i, right, texts=None, imitable=None, formatted=None):
    texts = tuple(texts or (f"text {j}" for j in range(len(right))))
    yes = (True,) * len(right)
    scores, rights = tuple(map(float, right)), tuple(map(bool, right))
    return ProbedRow(i, f"id {i}", texts, scores, rights, imitable or yes, formatted or yes)


class Scripted(Sampler):
    """Writes given texts, the same for every prompt."""

    def __init__(self, texts, reasons=None):
        self.texts, self.reasons, self.asked = texts, reasons or ("stop",) * len(texts), []

    def generate(self, policy, prompts, group_size, params, generator):
        self.asked.append((len(prompts), params))
        assert group_size == len(self.texts)
        n = len(prompts)
        ids = torch.ones(n * group_size, 2, dtype=torch.long)
        frames = tuple(prompt.frame for prompt in prompts.repeat_interleave(group_size))
        return Completions(ids, ids.bool(), None, tuple(self.texts) * n, tuple(self.reasons) * n, frames)


def module(checkpoint, sampler=None, metrics=None, **kwargs):
    metrics = [Format(), NumberMatch()] if metrics is None else metrics
    return PolicyModule(loaded(checkpoint, max_pixels=1024), metrics=metrics, sampler=sampler, **kwargs)


def samples(size=5, **kwargs):
    task = Counting(CountingScenes(size=size, image_size=32), **{"style": "answer", **kwargs})
    return task.datasets("train")["train"]


@pytest.mark.parametrize("sizes", [{"rows": (4, 9, 20)}, {"fraction": (0.1, 0.3, 1.0)}, {"shots": (1, 2, 3)}])
def test_smaller_draws_are_part_of_larger_ones_and_follow_their_seed_alone(sizes):
    ((kind, values),) = sizes.items()
    drawn = [draw(SCENES, **{kind: value}, seed=3) for value in values]
    assert all(set(few) < set(more) for few, more in zip(drawn, drawn[1:], strict=False))
    assert all(few == sorted(few) for few in drawn)
    assert drawn[0] == draw(SCENES, **{kind: values[0]}, seed=3)
    assert drawn[0] != draw(SCENES, **{kind: values[0]}, seed=4)


def test_a_share_and_a_number_of_rows_are_drawn_in_one_order():
    assert draw(SCENES, rows=10) == draw(SCENES, fraction=0.25)


@pytest.mark.parametrize("sizes", [{}, {"rows": 3, "shots": 1}])
def test_one_size_has_to_be_given(sizes):
    with pytest.raises(ValueError, match="Expected one of `rows`, `shots` and `fraction`, but got"):
        draw(SCENES, **sizes)


def test_a_probe_holds_what_was_written_and_how_often_it_was_right(qwen3_vl):
    rows = samples(5)
    truth = f"{rows[0].solution.value:g}"
    sampler = Scripted([truth, "77", truth, "none"])
    probed = probe(module(qwen3_vl, sampler), rows, completions=4, batch_size=2)
    assert [r.id for r in probed.rows] == [rows[i].id for i in range(5)]
    assert [r.row for r in probed.rows] == list(range(5))
    assert probed.rows[0].completions == (truth, "77", truth, "none")
    assert probed.rows[0].right == (True, False, True, False)
    assert probed.rows[0].success == 0.5
    assert [size for size, _ in sampler.asked] == [2, 2, 1]
    expected = [rows[i].solution.value == rows[0].solution.value for i in range(5)]
    assert [r.success > 0 for r in probed.rows] == expected


def test_a_probe_costs_what_was_written_in_the_units_of_training(qwen3_vl):
    cost = probe(module(qwen3_vl, Scripted(["1", "2"])), samples(3), completions=2).cost
    assert (cost["samples"], cost["completions"], cost["generated_tokens"]) == (3, 6, 12)
    assert (cost["optimizer_steps"], cost["trained_tokens"]) == (0, 0)
    assert cost["flops"] > 0
    assert cost["seconds"] > 0


def test_a_probe_is_the_same_for_its_seed_and_never_greedy(qwen3_vl):
    policy = module(qwen3_vl, eval_params=SamplingParams(6, temperature=0.0))
    first, again, other = (probe(policy, samples(2), 3, seed).rows for seed in (0, 0, 1))
    assert first == again != other
    assert len(set(first[0].completions)) > 1


def test_a_module_that_samples_to_train_is_probed_as_it_samples(qwen3_vl):
    sampler = Scripted(["1", "2"])
    params = SamplingParams(5, temperature=0.7)
    probe(grpo(qwen3_vl, params=params, metrics=[NumberMatch()], sampler=sampler), samples(1), 2)
    assert sampler.asked[0][1] == params


def test_completions_that_cannot_be_imitated_are_told_apart(qwen3_vl):
    texts, reasons = ["1", "1", " ", "1<|vision_start|>"], ["stop", "length", "stop", "stop"]
    (probed,) = probe(module(qwen3_vl, Scripted(texts, reasons)), samples(1), 4).rows
    assert probed.imitable == (True, False, False, False)


def test_the_first_metric_that_reads_answers_and_judges_a_row_decides(qwen3_vl):
    scene = samples(1)[0]
    lily = make_sample(Label("lily"), "answer")
    judged = module(qwen3_vl, Scripted(["lily", "3"]), [Format(), NumberMatch(), LabelMatch()])
    number, label = probe(judged, [scene, lily], 2).rows
    assert label.right == (True, False)
    assert number.right[0] is False


def test_a_row_that_no_metric_judges_is_named(qwen3_vl):
    with pytest.raises(
        InputError, match="row 7: expected a metric that reads answers .* the module's are: NumberMatch"
    ):
        probe(module(qwen3_vl, Scripted(["lily"])), [make_sample(Label("lily"), "answer")], 1)


def test_arguments_of_a_probe_that_are_wrong_are_named(qwen3_vl):
    with pytest.raises(ValueError, match="Expected `completions` to be at least 1 a row, but got 0"):
        probe(module(qwen3_vl), samples(1), 0)
    with pytest.raises(ValueError, match="Expected a position for each of 2 samples, but got 1"):
        probe(module(qwen3_vl), samples(2), 1, rows=[3])


def test_rejection_keeps_the_first_right_completion_that_can_be_imitated():
    probed = Probe((row(4, (0, 1, 1)), row(5, (0, 0, 0)), row(6, (1, 1, 0), imitable=(False, True, True))), {})
    assert right_completions(probed) == [
        {"row": 4, "id": "id 4", "target": "text 1"},
        {"row": 6, "id": "id 6", "target": "text 1"},
    ]


def test_rejection_leaves_out_a_right_answer_in_another_form_unless_it_is_told_otherwise():
    probed = Probe((row(4, (1, 1), formatted=(False, True)), row(5, (1, 0), formatted=(False, True))), {})
    assert [(line["row"], line["target"]) for line in RightCompletions().choose(probed)] == [(4, "text 1")]
    any_form = RightCompletions(formatted=False).choose(probed)
    assert [(line["row"], line["target"]) for line in any_form] == [(4, "text 0"), (5, "text 0")]


def test_the_form_is_that_of_the_style_of_the_row(qwen3_vl):
    whole, torn, bare = "<think>1</think><answer>1</answer>", "1</think><answer>1</answer>", "1"
    sampler = Scripted([whole, torn, bare])
    for style, formatted in (("think", (True, False, False)), ("answer", (False, False, True))):
        (probed,) = probe(module(qwen3_vl, sampler, [NumberMatch()]), samples(1, style=style), 3).rows
        assert probed.formatted == formatted


def test_more_right_completions_of_a_row_are_kept_each_once():
    lines = right_completions(Probe((row(4, (1, 1, 1, 1), "abab"),), {}), per_row=3)
    assert [line["target"] for line in lines] == ["a", "b"]


@pytest.mark.parametrize(
    ("shares", "kept"), [({}, [1, 2]), ({"low": 0}, [0, 1, 2]), ({"low": 0.5, "high": 1}, [2, 3]), ({"high": 0.2}, [1])]
)
def test_rows_of_middle_difficulty_are_kept_with_their_own_targets(shares, kept):
    rights = [(0,) * 8, (1,) + (0,) * 7, (1,) * 7 + (0,), (1,) * 8]
    probed = Probe(tuple(row(i, right) for i, right in enumerate(rights)), {})
    assert by_difficulty(probed, **shares) == [{"row": i, "id": f"id {i}"} for i in kept]


def test_shares_out_of_order_are_refused():
    with pytest.raises(ValueError, match="Expected `low` and `high` to be shares in order, but got 0.9 and 0.1"):
        by_difficulty(Probe((), {}), 0.9, 0.1)


def test_what_is_chosen_is_trained_on(qwen3_vl, tmp_path):
    rows = samples(4)
    truth = f"{rows[0].solution.value:g}"
    probed = probe(module(qwen3_vl, Scripted(["bad", truth + "."])), rows, 2)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in right_completions(probed)))
    chosen = Listed(CountingScenes(size=4, image_size=32), str(tmp_path / "rows.jsonl"))
    task = Counting(chosen, style="answer", batch_size=1)
    seen = []

    class Kept(SFTModule):
        def training_step(self, batch, batch_idx):
            seen.extend(batch.targets.texts)
            return super().training_step(batch, batch_idx)

    fit(Kept(loaded(qwen3_vl, max_pixels=1024), optimizer=sgd), task)
    assert seen == [truth + "."] * len(chosen)
    assert len(chosen) >= 1
