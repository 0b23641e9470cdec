"""The next window is sampled while one is trained on."""

import threading

import pytest
import torch
from torch.utils.data import DataLoader
from training import counting, fit, grpo, weights
from vllm_server import StubServer

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.answers import Number
from vrft_pl.axes import kept
from vrft_pl.policy import VLM
from vrft_pl.rollout import RolloutLoader, SamplingParams, VLLMSampler, Writer
from vrft_pl.rollout.collector import Begun
from vrft_pl.rollout.hooks import RolloutCallback
from vrft_pl.rollout.state import restore_completions
from vrft_pl.types import Completions, Experience, Prompt, Prompts, Sample


def encode(samples):
    return Prompts(tuple(Prompt({"input_ids": torch.tensor([[int(sample.id)]])}) for sample in samples))


class Collector:
    """Completions say at which position of the epoch they were sampled."""

    def __init__(self):
        self.told, self.position = [], lambda: 0

    def sampled(self, batches):
        samples = [sample for batch in batches for sample in batch]
        texts = tuple(f"{sample.id}@{self.position()}" for sample in samples for _ in range(2))
        ids = torch.arange(len(texts))[:, None]
        return Completions(ids, ids >= 0, ids / 100, texts, ("stop",) * len(texts), (None,) * len(texts))

    def begin(self, batches):
        self.told.append(("begin", [sample.id for batch in batches for sample in batch]))
        made = self.sampled(batches)
        return Begun(encode([sample for batch in batches for sample in batch]), lambda: made)

    def resume(self, batches, state):
        self.told.append(("resume", [sample.id for batch in batches for sample in batch]))
        prompts = encode([sample for batch in batches for sample in batch])
        return Begun(prompts, lambda: restore_completions(state, prompts))

    def __call__(self, batches, reused, begun=None):
        samples = [sample for batch in batches for sample in batch]
        self.told.append(("collect", [sample.id for sample in samples], begun is not None))
        made = self.sampled(batches) if begun is None else begun.written()[1]
        values = torch.arange(len(made)).float()
        return Experience(
            samples=tuple(samples),
            prompts=encode(samples),
            completions=made,
            scores={"R": values},
            parse_failures={"R": values > 99},
            rewards=values,
            advantages=values + 1,
            loss_mask=made.mask,
            old_logprobs=made.logprobs if begun is not None or reused else None,
            ratio_to_sampler=begun is not None,
        )


def loader(size=8, ahead=True, **kwargs):
    samples = [Sample(str(i), (), "?", Number(i)) for i in range(size)]
    collect = Collector()
    rollouts = RolloutLoader(
        DataLoader(samples, 2, collate_fn=list), collect, encode, ahead=collect if ahead else None, **kwargs
    )
    collect.position = lambda: rollouts.position
    return rollouts


def texts(rollouts):
    return [held.value.completions.texts[::2] for held in rollouts]


def test_a_window_is_begun_before_the_one_before_it_is_trained_on():
    rollouts = loader()
    assert texts(rollouts) == [("0@0", "1@0"), ("2@0", "3@0"), ("4@1", "5@1"), ("6@2", "7@2")]
    assert rollouts.collect.told == [
        ("collect", ["0", "1"], False),
        ("begin", ["2", "3"]),
        ("collect", ["2", "3"], True),
        ("begin", ["4", "5"]),
        ("collect", ["4", "5"], True),
        ("begin", ["6", "7"]),
        ("collect", ["6", "7"], True),
    ]


def test_without_it_a_window_is_sampled_when_it_is_needed():
    assert texts(loader(ahead=False)) == [("0@0", "1@0"), ("2@1", "3@1"), ("4@2", "5@2"), ("6@3", "7@3")]


def test_each_epoch_begins_with_the_policy_as_it_is():
    rollouts = loader(size=4)
    assert texts(rollouts) == texts(rollouts) == [("0@0", "1@0"), ("2@0", "3@0")]


def test_an_older_policys_logprobs_count_from_the_first_step_on():
    first, second, *_ = [held.value for held in loader(window=2, step_batches=2)]
    assert first.old_logprobs is second.old_logprobs is None
    batches = [held.value for held in loader(window=2, step_batches=2)][2:]
    assert all(torch.equal(batch.old_logprobs, batch.completions.logprobs) for batch in batches)


def values(batch):
    old = None if batch.old_logprobs is None else batch.old_logprobs.tolist()
    return batch.completions.texts, batch.completions.ids.tolist(), old, batch.rewards.tolist()


@pytest.mark.parametrize("kwargs", [{}, {"window": 2}, {"window": 2, "num_iterations": 2}, {"size": 7}], ids=str)
def test_a_loaded_state_goes_on_at_every_position(tmp_path, kwargs):
    """What was begun is neither lost nor sampled again."""
    whole, rollouts = [], loader(**kwargs)
    for held in (held for _ in range(2) for held in rollouts):
        torch.save(rollouts.state_dict(), tmp_path / f"{len(whole)}")
        whole.append(values(held.value))
    for stop in range(len(whole)):
        resumed = loader(**kwargs)
        resumed.load_state_dict(torch.load(tmp_path / f"{stop}", weights_only=True))
        until = (stop + 1) // len(resumed) * len(resumed) + len(resumed)
        left = [values(held.value) for held in resumed]
        assert left == whole[stop + 1 : until] or stop + 1 == len(whole), stop
        resumed_at = [told[1] for told in resumed.collect.told if told[0] == "resume"]
        assert len(resumed_at) <= 1


def test_a_run_that_goes_on_without_it_samples_anew():
    rollouts = loader()
    epoch = iter(rollouts)
    next(epoch)
    resumed = loader(ahead=False)
    resumed.load_state_dict(rollouts.state_dict())
    assert texts(resumed) == [("2@1", "3@1"), ("4@2", "5@2"), ("6@3", "7@3")]


class Engine:
    """Writes when it is let, and notes what happens."""

    def __init__(self):
        self.may_write, self.told = threading.Event(), []

    def update(self, policy, step):
        self.told.append(f"weights {step}")

    def generate(self, policy, prompts, group_size, params, seeds):
        assert self.may_write.wait(5)
        self.told.append(f"wrote {seeds[0]}")
        return Completions.written(["text"], [None])


@pytest.fixture
def writer(monkeypatch):
    monkeypatch.setattr("vrft_pl.rollout.writing.cost_of_writing", lambda *args: 1)
    writer = Writer(None, Engine())
    writer.spent = 0
    return writer


def test_weights_do_not_change_under_what_is_being_written(writer):
    wait = writer.write_ahead(Prompts(()), 1, SamplingParams(), (7,), 0)
    threading.Timer(0.1, writer.sampler.may_write.set).start()
    writer.write(Prompts(()), 1, SamplingParams(), (8,), 1)
    assert writer.sampler.told == ["weights 0", "wrote 7", "weights 1", "wrote 8"]
    assert writer.spent == 1
    wait(), wait()
    assert writer.spent == 2  # counted once


def test_a_mistake_of_the_engine_is_raised_where_completions_are_needed(writer):
    def generate(*args):
        raise ValueError("lost")

    writer.sampler.generate = generate
    wait = writer.write_ahead(Prompts(()), 1, SamplingParams(), (7,), 0)
    with pytest.raises(ValueError, match="lost"):
        wait()


class Heard(RolloutCallback):
    """Keeps the windows, and a checkpoint of the second step."""

    def __init__(self, folder):
        self.folder, self.rollouts = folder, []

    def on_rollout_end(self, trainer, module, experience):
        self.rollouts.append(experience)

    def on_train_batch_end(self, trainer, *args):
        if self.folder is not None and trainer.global_step == 2:
            trainer.save_checkpoint(self.folder / "a.ckpt")


def train(server, steps, folder=None, ckpt_path=None, loss=None):
    sampler = VLLMSampler([server.address], probes=0, patience=5.0)
    module = grpo(
        "tiny", VLM(), sampler=sampler, loss=loss or GRPOLoss(), params=SamplingParams(6, 3.0), rollout_ahead=1
    )
    heard = Heard(folder)
    fit(module, counting(size=12, batch_size=2), ckpt_path, max_steps=steps, callbacks=[heard])
    return module, heard.rollouts


@pytest.fixture(scope="module")
def server():
    with StubServer() as server:
        yield server


def test_windows_are_sampled_by_the_weights_of_one_step_before(server):
    """Each but the first, whose weights are those that train on it; ratios are to the sampler's log-probs."""
    _, heard = train(server, 3)
    start = VLM().load()
    with torch.no_grad():
        gaps = [
            ((start.logprobs(one.prompts, one.completions, 3.0).logprobs - one.completions.logprobs).abs()).max()
            for one in heard
        ]
    assert max(gaps[:2]) < 1e-4 < gaps[2]
    assert [one.ratio_to_sampler for one in heard] == [False, True, True]
    assert torch.equal(heard[2].old_logprobs, heard[2].completions.logprobs)


def test_a_loss_that_weighs_tokens_takes_ratios_to_the_policy_itself(server):
    _, heard = train(server, 2, loss=GRPOLoss(importance_cap=2.0))
    assert [one.old_logprobs for one in heard] == [None, None]


def test_a_run_that_is_resumed_is_the_run_that_never_stopped(server, tmp_path):
    whole, heard = train(server, 4, tmp_path)
    resumed, again = train(server, 4, ckpt_path=tmp_path / "a.ckpt")
    assert [one.completions.texts for one in again] == [one.completions.texts for one in heard[2:]]
    for name, weight in weights(whole).items():
        torch.testing.assert_close(weights(resumed)[name], weight, atol=1e-6, rtol=1e-5)


def test_it_needs_a_sampler_with_weights_of_its_own():
    with pytest.raises(ValueError, match="a sampler that has weights of its own, but LocalSampler samples with those"):
        grpo("tiny", VLM(), rollout_ahead=1)
    with pytest.raises(ValueError, match="`rollout_ahead` to be 0 or 1 window, but got 2"):
        grpo("tiny", VLM(), sampler=VLLMSampler(), rollout_ahead=2)


def test_what_is_kept_of_completions_gives_them_back():
    made = Collector().sampled([[Sample("3", (), "?", Number(3))]])
    again = restore_completions(kept(made), encode([Sample("3", (), "?", Number(3))]))
    assert again.texts == made.texts
    assert torch.equal(again.logprobs, made.logprobs)
