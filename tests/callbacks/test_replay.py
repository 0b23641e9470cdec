from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from builders import lengths_mask, make_completions, make_experience, make_sample
from training import Share, counting, fit, grpo

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.callbacks import Replay, RolloutCallback
from vrft_pl.types import InputError

G = 4


def window(rates):
    """A group of each row, of whose completions a share is right; its texts name the row."""
    scores = torch.tensor([[float(i < rate * G) for i in range(G)] for rate in rates.values()]).flatten()
    mask = lengths_mask([1 + i % 2 for i in range(len(scores))])
    experience = make_experience(mask, torch.ones(len(scores)), G, sampled=mask * -1.0)
    texts = [f"{row}-{i}" for row in rates for i in range(G)]
    completions = make_completions(texts, mask=mask, logprobs=mask * -1.0)
    samples = tuple(make_sample(row=row) for row in rates)
    codes = {"Share": torch.zeros(len(scores))}
    scored = {"scores": {"Share": scores}, "parse_failures": codes}
    return replace(experience, samples=samples, completions=completions, **scored)


class Module:
    """Gives back what it is handed, as experience."""

    loss = GRPOLoss(importance_cap=2.0)
    rewards, seed = (Share(),), 0

    def __init__(self):
        self.noted, self.came = {}, []

    def more(self, count, key):
        raise AssertionError

    def note(self, numbers):
        self.noted = numbers

    def read(self, rows):
        return [make_sample(row=row) for row in rows]

    def again(self, samples, completions):
        self.came.append([state["texts"][0].split("-")[0] for state in completions])
        return replace(window({sample.row: 0.0 for sample in samples}), samples=tuple(samples))


def run(callback, *windows, module=None):
    """Tell a callback of a window at each optimizer step. Returns the rows that came again at each."""
    module = module or Module()
    callback.setup(None, module, "fit")
    rows = []
    for step, rates in enumerate(windows):
        experience = window(rates)
        answer = callback.on_rollout_end(SimpleNamespace(global_step=step), module, experience)
        rows.append([] if answer is None else [sample.row for sample in answer.samples[len(experience) :]])
    return rows, module


def test_groups_with_few_right_completions_come_again_once():
    rows, module = run(Replay(share=1.0), {0: 0.25, 1: 0.5, 2: 0.0, 3: 0.25}, {4: 1.0, 5: 1.0, 6: 1.0}, {4: 1.0})
    assert rows == [[], [0, 3], []]
    assert module.came == [["0", "3"]]
    assert module.noted == {"train/replayed_groups": 0.0, "train/stored_groups": 0.0, "train/replay_age": 0.0}


def test_the_rarest_come_first_then_the_newest_and_only_so_many():
    rows, module = run(Replay(rare=0.5, share=0.5), {0: 0.5, 1: 0.25}, {2: 0.5, 3: 1.0}, {4: 1.0, 5: 1.0})
    assert rows == [[], [1], [2]]
    assert module.noted == {"train/replayed_groups": 1.0, "train/stored_groups": 2.0, "train/replay_age": 1.0}


def test_what_was_used_least_comes_first():
    rows, _ = run(Replay(rare=0.5, share=0.5, times=2), {0: 0.25, 1: 0.5}, *[{7: 1.0, 8: 1.0}] * 5)
    assert rows == [[], [0], [1], [0], [1], []]


def test_what_is_too_old_does_not_come_again():
    never = [{9: 1.0}] * 3
    assert run(Replay(share=1.0, age=3), {0: 0.25}, *never)[0] == [[], [0], [], []]
    rows, _ = run(Replay(share=0.3, age=3), {0: 0.25}, *never, {5: 1.0, 6: 1.0, 7: 1.0, 8: 1.0})
    assert rows[-1] == []


def test_only_the_newest_are_stored():
    callback = Replay(capacity=2, share=0.01)
    run(callback, {0: 0.25}, {1: 0.25}, {2: 0.25})
    assert [group.row for group in callback.stored] == [1, 2]


def test_ranks_together_choose_what_one_process_would(monkeypatch):
    told = []

    def gather(own):
        told.append(own)
        other = {0: ([(0, 0.125, 1, 40)], 3), 1: 2, 2: [(0, 9)], 3: ([1], 1)}[(len(told) - 1) % 4]
        return [other, own]

    callback = Replay(share=0.25)
    run(callback, {0: 0.25, 1: 0.25})
    monkeypatch.setattr("vrft_pl.callbacks.replay.gather", gather)
    callback.success.names = ["Share"]
    module, step = Module(), SimpleNamespace(global_step=1)
    answer = callback.on_rollout_end(step, module, window({2: 1.0}))
    assert answer is None  # a quarter of four groups is one, and the rarest is the other rank's
    assert module.came == [["2", "2"]]  # passes of others are waited for
    assert module.noted["train/replayed_groups"] == 1.0


def test_a_loss_that_does_not_weigh_what_others_wrote_is_refused():
    module = Module()
    module.loss = GRPOLoss()
    with pytest.raises(InputError, match="Expected `importance_cap` of the loss to be set with Replay"):
        Replay().setup(None, module, "fit")


def test_a_sampler_that_does_not_know_how_likely_its_tokens_were_is_refused():
    bare = window({0: 0.25})
    bare = replace(bare, completions=replace(bare.completions, logprobs=None))
    callback = Replay()
    callback.setup(None, Module(), "fit")
    with pytest.raises(InputError, match="a sampler that gives the log-probs of what it draws with Replay"):
        callback.on_rollout_end(SimpleNamespace(global_step=0), Module(), bare)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"rare": 0.0}, "`rare` to be above 0 and at most 1, but got 0.0"),
        ({"share": 1.5}, "`share` to be above 0 and at most 1, but got 1.5"),
        ({"age": 0}, "`age` to be at least 1, but got 0"),
    ],
)
def test_arguments_out_of_their_range_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Replay(**kwargs)


class Windows(RolloutCallback):
    def __init__(self):
        self.seen, self.weights = [], []

    def on_rollout_end(self, trainer, module, experience):
        with module.policy.evaluating():
            own = module.policy.logprobs(experience.prompts, experience.completions).logprobs
        self.seen.append(experience)
        self.weights.append((own - experience.completions.logprobs).exp())


def test_replayed_groups_carry_the_logprobs_of_the_policy_that_wrote_them(qwen3_vl):
    watch = Windows()
    module = grpo(qwen3_vl, loss=GRPOLoss(importance_cap=2.0))
    fit(module, counting(size=4), callbacks=[Replay(rare=1.0, share=1.0, right=0.1), watch])
    first, second = watch.seen
    assert len(first) == 2
    assert second.samples[2:]
    assert {s.row for s in second.samples[2:]} <= {s.row for s in first.samples}
    assert second.completions.texts[8:] == tuple(
        text
        for sample in second.samples[2:]
        for i, own in enumerate(first.samples)
        if own.row == sample.row
        for text in first.completions.texts[i * 4 : i * 4 + 4]
    )
    mask = second.completions.mask
    assert torch.allclose(watch.weights[1][:8][mask[:8]], torch.ones(()), atol=1e-3)
    assert not torch.allclose(watch.weights[1][8:][mask[8:]], torch.ones(()), atol=1e-3)
