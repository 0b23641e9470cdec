from dataclasses import replace

import pytest
import torch
from check.subjects import subject
from checkpoints import loaded
from torch import nn
from torch.profiler import ProfilerActivity, profile
from training import counting, grpo

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.check import CheckOptions
from vrft_pl.check.activations import Footprint, is_checkpointed, measure_footprint
from vrft_pl.check.memory import check_memory, optimizer_bytes, passing_bytes, remedy, staying_bytes
from vrft_pl.check.signal import chosen_samples
from vrft_pl.check.tokens import measure_rows
from vrft_pl.data import Counting, CountingScenes
from vrft_pl.modules import SFTModule
from vrft_pl.policy.parts import LoRA
from vrft_pl.rewards import NumberMatch
from vrft_pl.rollout import SamplingParams


def nbytes(tensors):
    return sum(tensor.nbytes for tensor in tensors)


@pytest.mark.parametrize("lora", [None, LoRA(4)], ids=["all", "lora"])
@pytest.mark.parametrize("kind", ["AdamW", "SGD", "Adafactor", "RMSprop"])
def test_what_stays_is_counted_to_the_byte(kind, lora, qwen2_vl, tmp_path):
    optimizer = {"SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)}.get(kind, getattr(torch.optim, kind))
    policy = loaded(qwen2_vl, lora=lora)
    module = SFTModule(policy, optimizer=optimizer)
    terms = staying_bytes(subject(module, tmp_path))
    trained = [p for p in policy.parameters() if p.requires_grad]
    real = module.optimizer(trained)
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    real.step()
    states = [v for state in real.state.values() for v in state.values() if isinstance(v, torch.Tensor)]
    assert terms == {
        "weights": nbytes(policy.parameters()),
        "gradients": nbytes(p.grad for p in trained),
        "optimizer": nbytes(states),
    }


@pytest.mark.parametrize(
    ("strategy", "divisors"),
    [
        ("ddp", (1, 1, 1)),
        ("deepspeed_stage_1", (1, 1, 8)),
        ("deepspeed_stage_2", (1, 8, 8)),
        ("deepspeed_stage_3", (8, 8, 8)),
        ("fsdp", (8, 8, 8)),
    ],
)
def test_strategies_share_what_they_shard(strategy, divisors, qwen2_vl, tmp_path):
    module = SFTModule(loaded(qwen2_vl))
    alone = staying_bytes(subject(module, tmp_path))
    shared = staying_bytes(subject(module, tmp_path, strategy=strategy, devices=8))
    assert list(shared.values()) == [size // n for size, n in zip(alone.values(), divisors, strict=True)]


def test_half_precision_of_deepspeed_keeps_trained_weights_in_float32_too(qwen2_vl, tmp_path):
    module = SFTModule(loaded(qwen2_vl))
    terms = staying_bytes(subject(module, tmp_path, strategy="deepspeed_stage_2", precision="bf16-true", devices=2))
    count, tensors = (f(module.policy) for f in (lambda p: sum(v.numel() for v in p.parameters()), number_of_tensors))
    # 2 + 2 bytes, and 12 of master weights and moments (https://arxiv.org/abs/1910.02054, sec. 3.1)
    assert terms == {"weights": 2 * count, "gradients": 2 * count // 2, "optimizer": (12 * count + 4 * tensors) // 2}


def number_of_tensors(policy):
    return len(list(policy.parameters()))


def test_offloaded_states_take_no_memory_of_the_device(qwen2_vl, tmp_path):
    terms = staying_bytes(
        subject(SFTModule(loaded(qwen2_vl)), tmp_path, strategy="deepspeed_stage_2_offload", devices=2)
    )
    assert terms["optimizer"] == 0


@pytest.mark.parametrize(
    ("lora", "copies"), [(None, True), (LoRA(4), False)], ids=["a-copy", "the-policy-without-its-adapter"]
)
def test_a_copy_of_the_reference_counts(lora, copies, qwen2_vl, tmp_path):
    module = grpo(qwen2_vl, loaded(qwen2_vl, lora=lora), loss=GRPOLoss(kl_coefficient=0.1))
    terms = staying_bytes(subject(module, tmp_path))
    assert ("reference" in terms) == copies
    assert terms.get("reference", terms["weights"]) == terms["weights"]


def test_optimizer_that_needs_real_tensors_is_taken_for_two_moments(qwen2_vl):
    class Picky(torch.optim.SGD):
        def step(self, closure=None):
            raise RuntimeError("no kernel for meta")

    module = SFTModule(loaded(qwen2_vl), optimizer=lambda p: Picky(p, lr=1))
    assert optimizer_bytes(module, [nn.Parameter(torch.zeros(10, 3))], "32-true") == 8 * 30


def peak_bytes(work):
    """The most bytes that CPU tensors take while something is done, beyond those before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    now = peak = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak


@pytest.mark.parametrize(("batch_size", "max_tokens"), [(4, 128), (12, 16)])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "recomputed"])
def test_estimate_of_the_backward_pass_is_within_a_factor_of_two(batch_size, max_tokens, checkpointing, tmp_path):
    policy = loaded("tiny", gradient_checkpointing=checkpointing)
    assert is_checkpointed(policy) == checkpointing
    module = grpo(None, policy, [NumberMatch()], group_size=8, params=SamplingParams(max_tokens))
    made = subject(module, tmp_path, Counting(CountingScenes(size=32), batch_size=batch_size))
    samples = chosen_samples(made)
    estimate = passing_bytes(made, measure_footprint(made, samples[0]), measure_rows(made)[0])["backward"]
    few = (samples * batch_size)[:batch_size]
    prompts = policy.encode(few)
    ids = torch.full((batch_size * 8, max_tokens), 300)
    completions = made.module.generate(few, 8, SamplingParams(1), 0)
    completions = type(completions)(ids, ids > 0, None, ("",) * len(ids), ("length",) * len(ids), completions.frames)
    policy.logprobs(prompts, completions)  # settles whether prompts can be shared
    peak = peak_bytes(lambda: policy.logprobs(prompts, completions).logprobs.sum().backward())
    measured = peak - nbytes(p.grad for p in policy.parameters())
    assert measured / 2 < estimate < 2 * measured, (estimate / 2**20, measured / 2**20)


def test_what_the_sampler_refuses_is_not_advised(qwen2_vl, tmp_path):
    passing = {"backward": 1}
    grpo_run, sft_run = grpo(qwen2_vl), SFTModule(loaded(qwen2_vl))
    assert "deepspeed" not in remedy(subject(grpo_run, tmp_path), {"weights": 2}, passing)
    assert "`strategy: deepspeed_stage_3`" in remedy(subject(sft_run, tmp_path), {"weights": 2}, passing)
    assert "`strategy: deepspeed_stage_2`" in remedy(subject(grpo_run, tmp_path), {"gradients": 2}, passing)


def verdicts(module, tmp_path, device_memory):
    made = subject(module, tmp_path, counting(4, eval_batch_size=1))
    made.options = CheckOptions(prompts=2, device_memory=device_memory)
    return [(finding.level, finding.what) for finding in check_memory(made)]


def test_too_small_a_device_is_an_error_with_a_remedy(tmp_path):
    module = grpo(None, loaded("tiny"), [NumberMatch()], params=SamplingParams(64))
    (level, what), note = verdicts(module, tmp_path, 0.005)
    assert level == "error"
    assert "of the 0.0 GiB that a device has. Most is backward. Try `gradient_checkpointing: true`, or" in what
    (level, what), note = verdicts(grpo(None, loaded("tiny", gradient_checkpointing=True)), tmp_path, 0.005)
    assert "gradient_checkpointing" not in what
    assert note[0] == "note"


def test_large_device_is_no_finding(tmp_path):
    assert [level for level, _ in verdicts(grpo(None, loaded("tiny")), tmp_path, 80)] == ["note"]


def test_measuring_leaves_modes_and_checkpointing_as_they_are(tmp_path):
    policy = loaded("tiny", gradient_checkpointing=True)
    policy.train()
    made = subject(grpo(None, policy), tmp_path)
    measure_footprint(made, chosen_samples(made)[0])
    assert is_checkpointed(policy)
    assert all(module.training for module in policy.modules())
    assert all(p.grad is None for p in policy.parameters())


def test_footprint_by_hand():
    kept = Footprint(
        prompt_tokens=10, prompt=1000, token=20.0, cache=2.0, inputs=100, layers=4, hidden=8, checkpointed=False
    )
    # 2 prompts of 20 tokens, 3 completions of 5 tokens each
    assert kept.training(2, 3, 20, 5, shared=True, width=4) == 2 * (2000 + 3 * 5 * 20) + 2 * 200
    assert kept.training(2, 3, 20, 5, shared=False, width=4) == 2 * (3 * 2000 + 3 * 5 * 20) + 2 * 3 * 200
    recomputed = replace(kept, checkpointed=True)
    assert recomputed.training(2, 3, 20, 5, shared=True, width=4) == 4600 // 4 + 4 * 70 * 8 * 4 + 2 * 200
    assert kept.sampling(2, 3, 20, 5, shared=True) == 2 * 2 * (20 + 1.5 * 15) + 2 * 2 * (1000 / 4 + 100)
