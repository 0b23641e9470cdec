import threading
from pathlib import Path

import pytest
import torch
from checkpoints import loaded
from forking import forked
from lightning import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.optim import Adam
from training import FixedSampler, Half, Share, counting, fit, grpo, half_blind, run, weights

from vrft_pl.algorithms import GroupAdvantage, GRPOLoss, KLPenalty
from vrft_pl.callbacks import RolloutCallback
from vrft_pl.data import CountingScenes
from vrft_pl.policy import LoRA
from vrft_pl.rewards import FunctionReward, Unread
from vrft_pl.rollout import SamplingParams
from vrft_pl.types import InputError


class Log(Callback):
    """Keeps the batches, and what was logged with each."""

    def __init__(self):
        self.batches, self.logged = [], []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.batches.append(batch)
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})


@pytest.mark.parametrize(
    ("lora", "reference"),
    [
        pytest.param(None, "copy", id="copy"),
        pytest.param(None, "auto", id="auto-copy"),
        pytest.param(LoRA(rank=2), "auto", id="auto-adapter"),
        pytest.param(LoRA(rank=2), "adapter_off", id="adapter-off"),
        pytest.param(LoRA(rank=2), "copy", id="copy-of-adapter"),
    ],
)
def test_the_first_pass_has_ratio_one_and_no_divergence_and_the_second_has_both(qwen3_vl, lora, reference):
    log, policy = Log(), loaded(qwen3_vl, max_pixels=1024, lora=lora)
    loss = GRPOLoss(kl_coefficient=0.1, clip_low=1e-7, clip_high=1e-7)
    module = grpo(None, policy, loss=loss, num_iterations=2, reference=reference)
    fit(module, counting(size=4), callbacks=[log])
    assert [batch.old_logprobs is None for batch in log.batches] == [True, False, True, False]
    divergences, clipped = ([entry[f"train/{name}"] for entry in log.logged] for name in ("kl", "clip_fraction"))
    assert [kl > 0 for kl in divergences] == [False, True, True, True]
    assert [share > 0 for share in clipped] == [False, True, False, True]


class Nothing(Share):
    """The same for every completion."""

    def grade_one(self, text, sample, frame):
        return 0.5


def test_where_all_rewards_are_alike_entropy_alone_is_raised(qwen3_vl):
    log, loss = Log(), GRPOLoss("token", entropy_coefficient=1.0)
    fit(grpo(qwen3_vl, rewards=[Nothing()], loss=loss), counting(size=8), callbacks=[log])
    entropies = [entry["train/entropy"] for entry in log.logged]
    assert [entry["train/loss"] for entry in log.logged] == pytest.approx([-entropy for entropy in entropies])
    assert entropies[-1] > entropies[0]


def test_the_tokens_that_were_least_sure_are_chosen_of_the_whole_window(qwen3_vl):
    log, loss = Log(), GRPOLoss("token", entropy_share=0.25)
    fit(grpo(qwen3_vl, loss=loss), counting(size=4), callbacks=[log], accumulate_grad_batches=2)
    chosen = [int(batch.token_weights.sum()) for batch in log.batches]
    tokens = sum(int(batch.loss_mask.sum()) for batch in log.batches)
    assert sum(chosen) == -(-tokens // 4)
    assert all(batch.num_tokens == tokens / 2 for batch in log.batches)


def test_a_penalty_needs_the_reference_and_the_loss_does_not_add_it(qwen3_vl):
    log, centred = Log(), GroupAdvantage(scale_by_std=False)
    module = grpo(qwen3_vl, rewards=[Nothing()], advantage=KLPenalty(1.0, centred))
    fit(module, counting(size=4), callbacks=[log])
    assert module.reference is not None
    assert all(batch.advantages.abs().max() < 1e-3 for batch in log.batches)  # nothing moves it away
    assert log.logged[0]["train/kl"] == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        for parameter in module.policy.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    fit(module, counting(size=2), callbacks=[log])
    assert log.batches[-1].advantages.abs().max() > 0.01
    assert log.batches[-1].rewards.tolist() == [0.5] * 8


def test_old_logprobs_are_those_of_the_policy_that_sampled(qwen3_vl):
    log = Log()
    fit(grpo(qwen3_vl, num_iterations=3), counting(size=2), callbacks=[log])
    for batch in log.batches[1:]:
        assert torch.equal(batch.old_logprobs, log.batches[1].old_logprobs)
        torch.testing.assert_close(batch.old_logprobs, batch.completions.logprobs, rtol=1e-4, atol=1e-4)


def test_the_reference_stays_as_it_was(qwen3_vl):
    module = grpo(qwen3_vl, loss=GRPOLoss(kl_coefficient=0.1))
    before = weights(module)
    fit(module)
    with module.reference.model() as frozen:
        assert all(torch.equal(p, before[name]) for name, p in frozen.named_parameters())
        assert not any(p.requires_grad for p in frozen.parameters())
    assert any(not torch.equal(p, before[name]) for name, p in module.policy.named_parameters())
    assert not any("reference" in name for name in module.state_dict())


def test_without_divergence_there_is_no_reference(qwen3_vl):
    assert grpo(qwen3_vl).reference is None


@pytest.mark.parametrize("sampler", [None, FixedSampler()], ids=["sampled", "fixed"])
@pytest.mark.parametrize("aggregation", ["sequence", "token", "constant"])
def test_accumulated_micro_batches_equal_one_large_batch(qwen3_vl, aggregation, sampler):
    runs = []
    for batch_size, accumulate in ((4, 1), (2, 2), (1, 4)):
        module = grpo(qwen3_vl, loss=GRPOLoss(aggregation), sampler=sampler)
        before = weights(module)
        trainer = fit(module, counting(batch_size=batch_size), accumulate_grad_batches=accumulate)
        assert trainer.global_step == 1
        runs.append({name: value - before[name] for name, value in weights(module).items()})
    assert max(float(step.norm()) for step in runs[0].values()) > 1e-3
    for got in runs[1:]:
        assert_step_close(got, runs[0])


def assert_step_close(got, expected):
    whole = torch.cat([step.flatten() for step in expected.values()]).norm()
    for name in expected:
        assert (got[name] - expected[name]).norm() <= 1e-4 * whole, name


def test_skipping_dead_groups_changes_no_step(qwen3_vl, monkeypatch):
    steps, sizes = [], []
    for skip in (True, False):
        module, log = grpo(qwen3_vl, sampler=FixedSampler(), rewards=[Share(below=40)]), Log()
        before = weights(module)
        if not skip:
            wrap = module.wrap_train_loader

            def wrap_all(loader, wrap=wrap):
                rollouts = wrap(loader)
                rollouts.skip_dead_groups = False
                return rollouts

            monkeypatch.setattr(module, "wrap_train_loader", wrap_all)
        fit(module, counting(size=8, batch_size=8), callbacks=[log])
        sizes.append(len(log.batches[0]))
        steps.append({name: value - before[name] for name, value in weights(module).items()})
    assert 0 < sizes[0] < sizes[1] == 8
    assert_step_close(*steps)


def adam(parameters):
    return Adam(parameters, lr=1e-2)


@pytest.mark.parametrize(
    ("lora", "stops"),
    [
        pytest.param(None, (0, 2, 4, 7), id="full"),
        pytest.param(LoRA(rank=2, dropout=0.2), (4,), id="lora-with-dropout"),
    ],
)
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(qwen3_vl, tmp_path, lora, stops):
    def run(ckpt_path=None, callbacks=(), **kwargs):
        torch.manual_seed(0)
        policy = loaded(qwen3_vl, max_pixels=1024, lora=lora)
        module = grpo(None, policy, num_iterations=2, loss=GRPOLoss(kl_coefficient=0.05), optimizer=adam, group_size=2)
        log, task = Log(), counting(size=6, val={"id": CountingScenes(size=2, image_size=32)})
        fit(module, task, ckpt_path, max_epochs=3, accumulate_grad_batches=2, callbacks=[log, *callbacks], **kwargs)
        return weights(module), [entry["train/loss"] for entry in log.logged]

    keep = ModelCheckpoint(tmp_path, "{step}", save_top_k=-1, every_n_train_steps=1)
    expected, losses = run(callbacks=[keep], enable_checkpointing=True)
    files = sorted(tmp_path.glob("*.ckpt"), key=lambda path: int(path.stem.split("=")[1]))
    assert len(files) == 9  # 3 epochs of 3 micro-batches, each used twice, in windows of 2 and of 1
    for stop in stops:
        got, tail = run(ckpt_path=str(files[stop]))
        assert tail == losses[-len(tail) :], stop
        assert all(torch.equal(got[name], expected[name]) for name in expected), stop


@pytest.mark.parametrize("limit", [1.0, 3])
def test_a_run_resumed_from_the_end_of_an_epoch_goes_on_as_it_was(qwen3_vl, tmp_path, limit):
    def run(ckpt_path=None, **kwargs):
        limits = {"max_epochs": 3, "limit_train_batches": limit, "accumulate_grad_batches": 2}
        module = grpo(qwen3_vl, num_iterations=2, optimizer=adam, group_size=2)
        fit(module, counting(size=6), ckpt_path, **limits, **kwargs)
        return weights(module)

    keep = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, every_n_epochs=1, save_on_train_epoch_end=True)
    expected = run(callbacks=[keep], enable_checkpointing=True)
    got = run(ckpt_path=str(tmp_path / "epoch=0.ckpt"))
    assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_a_limited_epoch_samples_no_completion_in_vain(qwen3_vl):
    sampled = []

    class Count(RolloutCallback):
        def on_rollout_end(self, trainer, module, experience):
            sampled.append(len(experience.completions.texts))

    limits = {"limit_train_batches": 3, "accumulate_grad_batches": 2}
    fit(grpo(qwen3_vl, group_size=2), counting(size=8), callbacks=[Count()], max_epochs=2, **limits)
    assert sampled == [8, 4, 8, 4]  # windows of two batches of two prompts, and of one


def test_the_policy_learns_what_is_rewarded(qwen3_vl):
    rewards = []

    class Curve(RolloutCallback):
        def on_rollout_end(self, trainer, module, experience):
            rewards.append(float(experience.rewards.mean()))

    module = grpo(qwen3_vl, rewards=[Share(below=64)], optimizer=adam, group_size=8)
    fit(module, counting(size=60), callbacks=[Curve()], max_steps=30, gradient_clip_val=1.0)
    assert sum(rewards[:3]) / 3 < 0.35
    assert sum(rewards[-3:]) / 3 > 0.65


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({"group_size": 1}, "at least 2 completions to have a baseline, but `group_size` is 1", id="group"),
        pytest.param({"params": SamplingParams(temperature=0.0)}, "`params.temperature` to be above 0", id="greedy"),
        pytest.param({"params": SamplingParams(top_k=5)}, "`loss.importance_cap` to be set with `top_k`", id="top-k"),
        pytest.param({"params": SamplingParams(top_p=0.9)}, "`loss.importance_cap` to be set with", id="top-p"),
        pytest.param({"rewards": []}, "at least one reward with a `weight` above 0", id="no-reward"),
        pytest.param({"rewards": [Share(weight=0.0)]}, "at least one reward with a `weight` above 0", id="no-weight"),
        pytest.param({"rewards": [Share(), Share()]}, r"must be unique, but got \['Share', 'Share'\]", id="names"),
        pytest.param({"metrics": [Share(), Share()]}, "must be unique", id="names-of-metrics"),
        pytest.param({"eval_samples": -1}, "`eval_samples` to be 0 or more, but got -1", id="eval-samples"),
        pytest.param(
            {"reference": "adapter_off", "loss": GRPOLoss(kl_coefficient=0.1)}, "a policy with `lora`", id="adapter-off"
        ),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(qwen3_vl, kwargs, message):
    with pytest.raises(ValueError, match=message):
        grpo(qwen3_vl, **kwargs)


@pytest.mark.parametrize("kwargs", [{"window": 3}, {"window": 1}, {"num_iterations": 0}], ids=str)
def test_the_window_must_fit_the_trainer(qwen3_vl, kwargs):
    with pytest.raises(ValueError, match="`window` to be a multiple|`num_iterations` to be at least 1"):
        fit(grpo(qwen3_vl, **kwargs), accumulate_grad_batches=2)


def test_truncated_sampling_trains_with_a_cap(qwen3_vl):
    log = Log()
    module = grpo(qwen3_vl, params=SamplingParams(6, top_k=5), loss=GRPOLoss(importance_cap=2.0))
    fit(module, callbacks=[log])
    assert log.logged[0]["train/sampler_gap"] > 0.1


def test_the_sampler_has_the_numbers_of_the_policy(qwen3_vl):
    log = Log()
    fit(grpo(qwen3_vl, params=SamplingParams(6, temperature=0.8)), callbacks=[log])
    assert 0 <= log.logged[0]["train/sampler_gap"] < 1e-5


def test_what_is_logged(qwen3_vl):
    log = Log()
    module = grpo(
        qwen3_vl, rewards=[Share(), Share(name="Other", weight=0.5)], loss=GRPOLoss(kl_coefficient=0.1), group_size=3
    )
    fit(module, counting(size=2), callbacks=[log])
    batch, logged = log.batches[0], log.logged[0]
    names = "loss reward reward/Share reward/Other reward_std dead_groups parse_failures/Share parse_failures/Other kl "
    names += "entropy clip_fraction completion_tokens truncated sampler_gap"
    assert {f"train/{name}" for name in names.split()} <= set(logged)
    assert {f"time/{name}" for name in ("rollout", "reward", "reference")} <= set(logged)
    scores = batch.scores
    torch.testing.assert_close(batch.rewards, scores["Share"] + 0.5 * scores["Other"])
    assert logged["train/reward"] == pytest.approx(batch.rewards.mean().item())
    assert logged["train/reward_std"] == pytest.approx(batch.rewards.view(2, 3).std(1).mean().item())
    assert logged["train/completion_tokens"] == pytest.approx(batch.completions.mask.sum().item() / 6)
    assert logged["train/truncated"] == pytest.approx(batch.completions.truncated.float().mean().item())
    assert logged["train/loss"] == pytest.approx(0, abs=1e-5)


def test_a_reward_that_is_not_a_number_is_an_error_of_the_input(qwen3_vl):
    class Broken(Share):
        def grade_one(self, text, sample, frame):
            return float("nan")

    with pytest.raises(InputError, match="Expected reward `Broken` to return a finite number, but got nan for sample"):
        fit(grpo(qwen3_vl, rewards=[Broken()], on_reward_error="raise"))


def test_sampling_follows_the_seed_of_the_module(qwen3_vl):
    texts = []
    for seed in (0, 0, 1):
        log = Log()
        fit(grpo(qwen3_vl, seed=seed), counting(size=2), callbacks=[log])
        texts.append(log.batches[0].completions.texts)
    assert texts[0] == texts[1] != texts[2]


def run_on_two_ranks(*args):
    script = Path(__file__).parent.with_name("ddp_step.py")
    done = forked(script, *args, ranks=2)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("strategy", ["step", "zero2"])
def test_two_processes_train_as_one_does(qwen3_vl, tmp_path, strategy):
    """Two ranks that accumulate two micro-batches each, compared with one process and one batch."""
    run_on_two_ranks(strategy, qwen3_vl, tmp_path)
    first, second = (torch.load(tmp_path / f"{strategy}{rank}.pt") for rank in range(2))
    module = grpo(qwen3_vl, sampler=FixedSampler(), loss=GRPOLoss("token"))
    before = weights(module)
    fit(module, counting(batch_size=4))
    expected = {name: value - before[name] for name, value in weights(module).items()}
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert_step_close({name: value - before[name] for name, value in first.items()}, expected)


@pytest.mark.parametrize("kind", ["grpo", "sft", pytest.param("batch", marks=pytest.mark.nightly)])
def test_a_run_of_two_processes_is_that_of_one(qwen3_vl, tmp_path, kind):
    """Seven rows and two epochs; what is trained on is sampled, by each process for its own prompts."""
    run_on_two_ranks(f"run-{kind}", qwen3_vl, tmp_path)
    first, second = (torch.load(tmp_path / f"run-{kind}{rank}.pt") for rank in range(2))
    module = run(kind, qwen3_vl)
    before = weights(module)
    fit(module, counting(size=7), max_epochs=2)
    expected = {name: value - before[name] for name, value in weights(module).items()}
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert_step_close({name: value - before[name] for name, value in first.items()}, expected)


@pytest.mark.parametrize("kind", ["grpo", "sft", "packed"])
def test_a_process_with_text_alone_trains_the_tower_with_the_other(qwen3_vl, tmp_path, kind):
    """Its gradients of the tower are those of nothing: two processes still train as one does."""
    run_on_two_ranks(f"text-{kind}", qwen3_vl, tmp_path)
    first, second = (torch.load(tmp_path / f"text-{kind}{rank}.pt") for rank in range(2))
    module = half_blind(kind, qwen3_vl)
    module.configure_model()
    before = weights(module)
    fit(module, half())
    expected = {name: value - before[name] for name, value in weights(module).items()}
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert_step_close({name: value - before[name] for name, value in first.items()}, expected)


def test_weights_that_are_sharded_are_trained_and_exported_whole(qwen3_vl, tmp_path):
    """ZeRO-3 on two processes, one of which has text alone: as one process does, to the file."""
    run_on_two_ranks("text-sft-zero3", qwen3_vl, tmp_path)
    module = half_blind("sft", qwen3_vl)
    module.configure_model()
    before = weights(module)
    fit(module, half())
    expected = {name: value - before[name] for name, value in weights(module).items()}
    exported = loaded(str(tmp_path / "run/0/export")).state_dict()
    assert_step_close({name: exported[name] - before[name] for name in before}, expected)


def half():
    return Half(CountingScenes(size=2, image_size=32), batch_size=2, style="answer")


def test_two_processes_resume_in_the_middle_of_a_window(qwen3_vl, tmp_path):
    """Each rank has completions of its own in the checkpoint."""
    run_on_two_ranks("whole", qwen3_vl, tmp_path)
    run_on_two_ranks("resumed", qwen3_vl, tmp_path)
    for rank in range(2):
        whole, resumed = (torch.load(tmp_path / f"{name}{rank}.pt") for name in ("whole", "resumed"))
        assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed"])
def test_a_run_in_half_precision_keeps_advantages_and_logprobs_in_single(qwen3_vl, precision):
    log = Log()
    policy = loaded(qwen3_vl, dtype="bfloat16" if precision == "bf16-true" else "float32", max_pixels=1024)
    module = grpo(None, policy, loss=GRPOLoss(kl_coefficient=0.05), num_iterations=2)
    fit(module, counting(val={"id": CountingScenes(size=2, image_size=32)}), precision=precision, callbacks=[log])
    for batch in log.batches:
        assert (
            batch.advantages.dtype
            == batch.reference_logprobs.dtype
            == batch.completions.logprobs.dtype
            == torch.float32
        )
    assert log.logged[0]["train/kl"] == 0
    assert log.logged[0]["train/sampler_gap"] < 0.05
    assert all(b.dtype == torch.float32 for b in policy.buffers() if b.is_floating_point())
    assert all(p.dtype == policy.hf_model.dtype for p in policy.parameters())


def test_adapters_stay_in_single_precision_over_weights_in_half(qwen3_vl):
    policy = loaded(qwen3_vl, dtype="bfloat16", max_pixels=1024, lora=LoRA(rank=2))
    module = grpo(None, policy, loss=GRPOLoss(kl_coefficient=0.05))
    fit(module, counting(), precision="bf16-mixed")
    kinds = {(parameter.requires_grad, parameter.dtype) for parameter in policy.parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}


def test_a_reference_copy_follows_the_precision_of_the_policy(qwen3_vl):
    log = Log()
    module = grpo(None, loaded(qwen3_vl, dtype="float32", max_pixels=1024), loss=GRPOLoss(kl_coefficient=0.05))
    fit(module, counting(), precision="bf16-true", callbacks=[log])
    assert log.logged[0]["train/kl"] == 0


@pytest.mark.parametrize("kl", [0.0, 0.1])
def test_rewards_leave_the_main_thread_only_where_there_is_a_pass_to_run_beside(qwen3_vl, kl):
    threads = []

    class Where(Share):
        def grade_one(self, text, sample, frame):
            threads.append(threading.current_thread() is threading.main_thread())
            return super().grade_one(text, sample, frame)

    module = grpo(qwen3_vl, rewards=[Where()], loss=GRPOLoss(kl_coefficient=kl), reward_seconds=None)
    fit(module, counting(size=2))
    assert set(threads) == {kl == 0}


@pytest.mark.parametrize("kl", [0.0, 0.1])
def test_a_reward_that_fails_ends_the_run_on_request(qwen3_vl, kl):
    class Broken(Share):
        def grade_one(self, text, sample, frame):
            raise KeyError("broken")

    module = grpo(qwen3_vl, rewards=[Broken()], loss=GRPOLoss(kl_coefficient=kl), on_reward_error="raise")
    with pytest.raises(InputError, match="Expected reward `Broken` to score every completion, but got KeyError") as end:
        fit(module, counting(size=2))
    assert isinstance(end.value.__cause__, KeyError)


def test_the_name_of_a_papers_rewards_builds_them(qwen3_vl):
    module = grpo(qwen3_vl, rewards="reason_rft/counting")
    assert [(reward.name, reward.weight) for reward in module.rewards] == [("NumberMatch", 1.0), ("Format", 1.0)]
    assert [metric.name for metric in module.metrics] == ["NumberMatch", "Format"]
    log = Log()
    fit(module, counting(size=2), callbacks=[log])
    assert set(log.batches[0].scores) == {"NumberMatch", "Format"}


def test_the_rewards_of_a_configuration_are_those_that_train(qwen3_vl):
    rewards = [Share(weight=2.0), Share(name="Other", weight=0.0)]
    assert list(grpo(qwen3_vl, rewards=rewards).rewards) == rewards


def test_a_weight_waits_for_its_optimizer_step(qwen3_vl):
    """Two micro-batches a step: step 0 is that of the first two, step 1 that of the next two."""
    log = Log()
    module = grpo(qwen3_vl, rewards=[Share(), Share(name="Later", weight=0.5, start=1)])
    fit(module, counting(size=8), accumulate_grad_batches=2, callbacks=[log])
    for i, (batch, logged) in enumerate(zip(log.batches, log.logged, strict=True)):
        weight = 0.0 if i < 2 else 0.5
        torch.testing.assert_close(batch.rewards, batch.scores["Share"] + weight * batch.scores["Later"])
        assert logged["train/reward"] == pytest.approx((1 + weight) * logged["train/reward/Share"], rel=1e-5)
        assert logged["train/reward/Later"] > 0


class Fails(Share):
    """Reads no completion of the first rollout, every other one of the second, and all after that."""

    def grade(self, completions, samples):
        self.rollouts = getattr(self, "rollouts", 0) + 1
        every = {1: 1, 2: 2}.get(self.rollouts, 1000)
        reason = {1: Unread.NO_ANSWER, 2: Unread.EMPTY}.get(self.rollouts)
        verdicts = [reason if i % every == every - 1 else 0.1 * i for i in range(len(samples))]
        return self.verdict(verdicts, completions, samples)


def test_the_reasons_of_parse_failures_are_logged_while_they_occur(qwen3_vl):
    log = Log()
    fit(grpo(qwen3_vl, rewards=[Fails(), Share()]), counting(size=6), callbacks=[log])
    key = "train/parse_failures/Fails"
    logged = [{k: v for k, v in step.items() if k.startswith(f"{key}/")} for step in log.logged]
    assert [step[key] for step in log.logged] == [1.0, 0.5, 0.0]
    assert logged[0] == {f"{key}/no_answer": 1.0}
    assert logged[1] == {f"{key}/no_answer": 0.0, f"{key}/empty": 0.5}
    assert logged[2] == {f"{key}/no_answer": 0.0, f"{key}/empty": 0.0}
    assert not any(name.startswith("train/parse_failures/Share/") for step in log.logged for name in step)


def test_a_reward_of_zero_is_logged_whatever_its_name(qwen3_vl):
    log = Log()
    zero = FunctionReward(lambda texts, samples: [0.0] * len(texts), name="of/mine/alone")
    fit(grpo(qwen3_vl, rewards=[Share(), zero]), counting(size=2), callbacks=[log])
    assert log.logged[0]["train/reward/of/mine/alone"] == log.logged[0]["train/parse_failures/of/mine/alone"] == 0
