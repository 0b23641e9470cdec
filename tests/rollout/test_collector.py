"""A rollout without a Trainer, and callbacks that decide what is trained on."""

import pytest
import torch
from checkpoints import loaded
from lightning.pytorch.callbacks import ModelCheckpoint
from training import FixedSampler, Share, counting, fit, grpo, weights

from vrft_pl.algorithms import Advantage, GroupAdvantage, GRPOLoss, Loss, LossOutput
from vrft_pl.policy import VLM
from vrft_pl.policy.reference import Reference
from vrft_pl.rollout import Collector, Hooks, LocalSampler, RolloutCallback, Sampler, SamplingParams, Writer
from vrft_pl.types import InputError, Scores


def samples(count):
    task = counting(size=count)
    task.setup("fit")
    return [task.datasets("train")["train"][i] for i in range(count)]


def collector(policy, sampler=None, rewards=None, advantage=None, reference=None, params=SamplingParams(6), **kwargs):  # noqa: B008  # frozen
    writer = Writer(policy, sampler or FixedSampler())
    rewards, advantage = rewards or [Share()], advantage or GroupAdvantage()
    return Collector(writer, rewards, advantage, reference, 4, params, torch.Generator(), **kwargs)


@pytest.fixture
def policy(qwen3_vl):
    return loaded(qwen3_vl, max_pixels=1024)


def test_a_window_is_sampled_scored_weighed_and_frozen(policy):
    batches = [samples(3)[:2], samples(3)[2:]]
    rewards = [Share(), Share(name="Other", weight=0.5)]
    collect = collector(policy, rewards=rewards, reference=Reference(policy))
    experience = collect(batches, reused=True)
    assert [sample.id for sample in experience.samples] == [sample.id for batch in batches for sample in batch]
    assert (len(experience), experience.group_size, experience.max_tokens) == (3, 4, 6)
    scores = experience.scores
    repeated = [sample for sample in experience.samples for _ in range(4)]
    assert torch.equal(scores["Share"], Share().score(experience.completions, repeated))
    torch.testing.assert_close(experience.rewards, scores["Share"] + 0.5 * scores["Other"])
    expected = GroupAdvantage()(Scores({"all": experience.rewards}, {}, {"all": 1.0}, 4))
    assert torch.equal(experience.advantages, expected)
    with policy.evaluating():
        plain = policy.logprobs(experience.prompts, experience.completions).logprobs
    torch.testing.assert_close(experience.old_logprobs, plain, rtol=1e-4, atol=1e-5)
    assert torch.equal(experience.old_logprobs, experience.reference_logprobs)
    assert set(experience.seconds) == {"rollout", "reward", "reference"}


def test_a_window_trained_on_once_without_reference_has_no_frozen_logprobs(policy):
    experience = collector(policy)([samples(2)], reused=False)
    assert experience.old_logprobs is None
    assert experience.reference_logprobs is None


def told_of(policy, sampler, **kwargs):
    """A window and the scores that its advantage is told."""
    told = []
    advantage = lambda scores: told.append(scores) or GroupAdvantage()(scores)  # noqa: E731
    options = {"reference": Reference(policy), "divergence": True, **kwargs}
    experience = collector(policy, sampler, advantage=advantage, **options)([samples(2)], reused=False)
    return experience, told[0]


@pytest.mark.parametrize(
    ("sampler", "params", "passes"),
    [
        pytest.param(FixedSampler(), SamplingParams(6), 1, id="sampler-without-logprobs"),
        pytest.param(LocalSampler(), SamplingParams(6), 0, id="sampler-that-knows"),
        pytest.param(LocalSampler(), SamplingParams(6, top_k=5), 1, id="sampler-of-another-distribution"),
    ],
)
def test_an_advantage_is_told_how_far_completions_are_from_the_reference(policy, sampler, params, passes):
    reference = Reference(policy)
    reference.load()
    with torch.no_grad():
        for parameter in policy.parameters():  # the reference is what the policy was
            parameter.add_(0.1 * torch.randn_like(parameter))
    read, policy.logprobs = [], lambda *args: read.append(args) or VLM.logprobs(policy, *args)
    experience, scores = told_of(policy, sampler, reference=reference, params=params)
    assert len(read) == passes
    with policy.evaluating():
        plain = policy.logprobs(experience.prompts, experience.completions).logprobs
    assert experience.old_logprobs is None
    expected = ((plain - experience.reference_logprobs) * experience.completions.mask).sum(dim=1)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(scores.divergence, expected, rtol=1e-4, atol=1e-4)


def test_an_advantage_that_does_not_ask_is_not_told(policy):
    assert told_of(policy, FixedSampler(), divergence=False)[1].divergence is None


def test_tokens_are_weighed_by_the_entropy_of_the_policy_that_sampled(policy):
    weigh = lambda entropy, mask: entropy * mask  # noqa: E731
    experience = collector(policy, token_weights=weigh)([samples(3)[:2], samples(3)[2:]], reused=False)
    with policy.evaluating():
        plain = policy.logprobs(experience.prompts, experience.completions).entropy
    torch.testing.assert_close(experience.token_weights, plain, rtol=1e-4, atol=1e-5)
    assert experience.old_logprobs is None
    selected = experience.select([1])
    assert torch.equal(selected.token_weights, experience.token_weights[4:8, : selected.completions.ids.shape[1]])


def test_the_last_batch_of_a_rank_that_keeps_others_company_counts_nowhere(policy):
    told, batches = [], [samples(3)[:2], samples(3)[2:]]
    advantage = lambda scores: told.append(scores) or GroupAdvantage()(scores)  # noqa: E731
    experience = collector(policy, advantage=advantage)(batches, reused=False, filler=True)
    assert told[0].counted.tolist() == [True] * 8 + [False] * 4
    assert experience.loss_mask.any(dim=1).tolist() == [True] * 8 + [False] * 4
    collector(policy, advantage=advantage)(batches, reused=False)
    assert told[1].counted is None


def test_a_reward_counts_from_the_step_that_it_starts_at(policy):
    late = Share(name="Late", start=3)
    totals = [collector(policy, rewards=[Share(), late], hooks=Hooks(step=lambda step=step: step)) for step in (2, 3)]
    before, after = (collect([samples(2)], reused=False) for collect in totals)
    assert torch.equal(before.rewards, before.scores["Share"])
    assert torch.equal(after.rewards, after.scores["Share"] + after.scores["Late"])


def test_hooks_surround_a_window_and_may_replace_it(policy):
    told = []
    hooks = Hooks(on_start=lambda: told.append("start"), on_end=lambda experience: experience.select([1]))
    experience = collector(policy, hooks=hooks)([samples(2)], reused=False)
    assert told == ["start"]
    assert [sample.id for sample in experience.samples] == [samples(2)[1].id]


class Engine(FixedSampler):
    """Notes when it is handed weights and when it writes."""

    def __init__(self):
        self.events = []

    def update(self, policy, step):
        self.events.append(("update", step))

    def generate(self, policy, prompts, group_size, params, seeds):
        self.events.append(("write", group_size))
        return super().generate(policy, prompts, group_size, params, seeds)


def test_an_engine_gets_new_weights_before_it_writes_in_training_and_evaluation(qwen3_vl):
    engine = Engine()
    module = grpo(qwen3_vl, sampler=engine)
    val = {"id": counting(size=2).train_source}
    fit(module, counting(size=4, val=val), limit_val_batches=1, num_sanity_val_steps=0)
    assert engine.events == [("update", 0), ("write", 4), ("update", 1), ("write", 4), ("update", 2), ("write", 1)]


class Last(RolloutCallback):
    """Trains on the last group of each window alone, some times over."""

    def __init__(self, times):
        self.times = times

    def on_rollout_end(self, trainer, module, experience):
        return experience.select([len(experience) - 1] * self.times)


class Watch(RolloutCallback):
    """Keeps what is trained on."""

    def __init__(self):
        self.windows, self.batches = [], []

    def on_rollout_end(self, trainer, module, experience):
        self.windows.append(experience)

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.batches.append(batch)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_callback_may_replace_the_window_and_the_next_is_told_what_it_returned(qwen3_vl, times):
    watch = Watch()
    callbacks = [Last(times), watch]
    trainer = fit(grpo(qwen3_vl), counting(size=4), accumulate_grad_batches=2, callbacks=callbacks)
    assert trainer.global_step == 1
    assert [len(window) for window in watch.windows] == [times]
    last = watch.windows[0].samples[0]
    trained = [sample for batch in watch.batches if batch.loss_mask.any() for sample in batch.samples]
    assert trained == [last] * times
    assert {batch.num_sequences for batch in watch.batches} == {4 * times / 2}


def test_a_micro_batch_without_a_group_moves_no_weight(qwen3_vl):
    """One group dealt to two micro-batches equals that group in one."""
    steps = []
    for callbacks, accumulate, size in (([Last(1)], 2, 4), ([Last(1)], 1, 2)):
        module = grpo(qwen3_vl, sampler=FixedSampler(), loss=GRPOLoss("token"))
        before = weights(module)
        task = counting(size=4)
        if size == 2:
            task = counting(size=4, batch_size=4)
        fit(module, task, accumulate_grad_batches=accumulate, callbacks=callbacks)
        steps.append({name: value - before[name] for name, value in weights(module).items()})
    whole = torch.cat([step.flatten() for step in steps[1].values()]).norm()
    assert whole > 1e-3
    for name in steps[1]:
        assert (steps[0][name] - steps[1][name]).norm() <= 1e-4 * whole, name


def test_a_replaced_window_is_resumed_in_the_middle(qwen3_vl, tmp_path):
    def run(ckpt_path=None, callbacks=(), **kwargs):
        module = grpo(qwen3_vl, num_iterations=2, group_size=2)
        limits = {"max_epochs": 1, "accumulate_grad_batches": 2}
        fit(module, counting(size=8), ckpt_path, callbacks=[Last(3), *callbacks], **limits, **kwargs)
        return weights(module)

    keep = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, every_n_train_steps=1)
    expected = run(callbacks=[keep], enable_checkpointing=True)
    got = run(ckpt_path=str(tmp_path / "step=1.ckpt"))
    assert all(torch.equal(got[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(lambda e: "all", "of Wrong to return an Experience with groups, but got str", id="text"),
        pytest.param(lambda e: e.select([]), "to return an Experience with groups, but got none", id="no-group"),
        pytest.param(
            lambda e: type(e)(**{**vars(e), "samples": tuple(samples(len(e)))}),
            "groups of the samples it was given, but got a group of another one",
            id="stranger",
        ),
    ],
)
def test_what_can_not_be_trained_on_is_refused(qwen3_vl, answer, message):
    class Wrong(RolloutCallback):
        def on_rollout_end(self, trainer, module, experience):
            return answer(experience)

    with pytest.raises(InputError, match=message):
        fit(grpo(qwen3_vl), callbacks=[Wrong()])


class Best(Advantage):
    """1 for the best of each group."""

    def __call__(self, scores):
        rewards = scores.by_reward["Share"].view(-1, scores.group_size)
        return (rewards == rewards.max(dim=1, keepdim=True).values).float().flatten()


class Imitate(Loss):
    """Likelihood of the completions with an advantage."""

    def __call__(self, logprobs, experience):
        kept = experience.loss_mask * experience.advantages[:, None]
        return LossOutput(-(logprobs * kept).sum() / experience.num_tokens, {"kept": kept.mean()})


def test_an_advantage_and_a_loss_of_ones_own(qwen3_vl):
    watch, module = Watch(), grpo(qwen3_vl, advantage=Best(), loss=Imitate())
    trainer = fit(module, counting(size=2), callbacks=[watch])
    assert set(watch.windows[0].advantages.tolist()) == {0.0, 1.0}
    assert "train/kept" in trainer.callback_metrics
    assert module.reference is None


class Compared(Imitate):
    """Needs the reference."""

    needs_reference = True


def test_a_loss_that_needs_the_reference_gets_it(qwen3_vl):
    watch = Watch()
    fit(grpo(qwen3_vl, loss=Compared()), counting(size=2), callbacks=[watch])
    assert watch.batches[0].reference_logprobs is not None


class Everywhere(Imitate):
    """Has a gradient in groups without advantage too."""

    skips_dead_groups = False


@pytest.mark.parametrize(("loss", "trained"), [(Imitate(), 1), (Everywhere(), 2)], ids=["skipped", "kept"])
def test_groups_without_advantage_are_left_out_only_where_the_loss_says_so(qwen3_vl, loss, trained):
    class None_(Advantage):
        def __call__(self, scores):
            return torch.zeros_like(scores.total)

    watch = Watch()
    fit(grpo(qwen3_vl, advantage=None_(), loss=loss), counting(size=2), callbacks=[watch])
    assert [len(batch) for batch in watch.batches] == [trained]


@pytest.mark.parametrize("masked", [False, True])
def test_completions_that_were_cut_enter_the_loss_only_where_they_may(qwen3_vl, masked):
    watch = Watch()
    module = grpo(qwen3_vl, loss=GRPOLoss(mask_truncated=masked), sampler=FixedSampler())
    before = weights(module)
    fit(module, counting(size=2), callbacks=[watch])
    window = watch.windows[0]
    assert window.completions.truncated.all()
    assert bool(window.loss_mask.any()) is not masked
    assert any(not torch.equal(value, before[name]) for name, value in weights(module).items()) is not masked


def test_a_sampler_must_say_how_it_writes():
    with pytest.raises(TypeError, match="generate"):
        Sampler()
