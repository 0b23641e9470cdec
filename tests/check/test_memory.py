import pytest
import torch
from check.subjects import subject
from checkpoints import loaded
from training import FixedSampler, counting, grpo

from vrft_pl.algorithms import GRPOLoss
from vrft_pl.check import CheckOptions
from vrft_pl.check.memory import (
    card_sentence,
    check_memory,
    gathered_bytes,
    heaviest_work,
    remedy,
    staying_bytes,
)
from vrft_pl.data import CountingScenes
from vrft_pl.modules import SFTModule
from vrft_pl.policy.parts import LoRA


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


@pytest.mark.parametrize(
    ("strategy", "devices"), [("ddp", 1), ("deepspeed_stage_2", 1), ("deepspeed_stage_3", 8), ("fsdp2", 8), ("fsdp", 1)]
)
def test_a_copy_of_the_reference_is_spread_as_the_policy_is(strategy, devices, qwen2_vl, tmp_path):
    """But by FSDP1, which cuts no more than the module that is trained."""
    module = grpo(qwen2_vl, loss=GRPOLoss(kl_coefficient=0.1))
    shared = staying_bytes(subject(module, tmp_path, strategy=strategy, devices=8))
    assert shared["reference"] == nbytes(module.policy.parameters()) // devices


@pytest.mark.parametrize("strategy", ["deepspeed_stage_2", "fsdp2"])
def test_the_policy_is_whole_while_it_samples(strategy, qwen2_vl, tmp_path):
    """Reinforcement samples, and so does supervised training that evaluates."""
    held_out = counting(2, val={"id": CountingScenes(size=2)})
    given = {"strategy": strategy, "devices": 8}
    sft, whole = SFTModule(loaded(qwen2_vl)), nbytes(loaded(qwen2_vl).parameters())
    rest = whole - whole // 8 if strategy == "fsdp2" else 0
    assert gathered_bytes(subject(grpo(qwen2_vl), tmp_path, **given)) == rest
    assert gathered_bytes(subject(sft, tmp_path, held_out, **given)) == rest
    assert gathered_bytes(subject(sft, tmp_path, held_out, limit_val_batches=0, **given)) == 0
    assert gathered_bytes(subject(sft, tmp_path, **given)) == 0


def test_a_policy_that_fits_in_parts_alone_is_an_error_where_it_samples(qwen2_vl, tmp_path):
    given, module = {"strategy": "fsdp2", "devices": 8, "accelerator": "gpu"}, grpo(qwen2_vl)
    made = subject(module, tmp_path, **given)
    total, gathered = sum(staying_bytes(made).values()) / 2**30, gathered_bytes(made) / 2**30
    (level, what), _ = verdicts(module, tmp_path, total + 0.9 * gathered, **given)
    assert level == "error"
    assert f"and {gathered:.2f} more of the policy while it samples, do not fit" in what
    assert "Most is the policy whole while it samples. Try `dtype: bfloat16`, or a smaller model." in what
    ((level, what),) = verdicts(module, tmp_path, total + gathered + 1.5, **given)
    assert level == "note"
    assert f"While completions are written the policy is whole on it, {gathered:.2f} GiB more" in what
    assert f"They leave 1.50 of {total + gathered + 1.5:.2f} GiB" in what


def test_optimizer_that_takes_no_step_here_is_not_counted(qwen2_vl, tmp_path):
    class Picky(torch.optim.SGD):
        def step(self, closure=None):
            raise RuntimeError("no kernel for the CPU")

    made = subject(SFTModule(loaded(qwen2_vl), optimizer=lambda p: Picky(p, lr=1)), tmp_path)
    assert set(staying_bytes(made)) == {"weights", "gradients"}
    (note,) = check_memory(made)
    assert "the optimizer takes no step on a CPU, so that its states are not counted" in note.what


def test_optimizer_that_needs_real_numbers_is_counted(qwen2_vl, tmp_path):
    class Careful(torch.optim.SGD):
        def step(self, closure=None):
            if self.param_groups[0]["params"][0].is_meta:
                raise NotImplementedError("no kernel for meta")
            super().step(closure)

    policy = loaded(qwen2_vl)
    terms = staying_bytes(subject(SFTModule(policy, optimizer=lambda p: Careful(p, lr=1, momentum=0.9)), tmp_path))
    assert terms["optimizer"] == terms["gradients"] == nbytes(policy.parameters())


def test_what_the_sampler_refuses_is_not_advised(qwen2_vl, tmp_path):
    held = grpo(qwen2_vl, sampler=FixedSampler())  # whose weights have to be whole
    made = [subject(m, tmp_path, accelerator="gpu", devices=8) for m in (held, SFTModule(loaded(qwen2_vl)))]
    grpo_run, sft_run = made
    assert "deepspeed" not in remedy(grpo_run, {"weights": 2})
    assert "`strategy: deepspeed_stage_3`" in remedy(sft_run, {"weights": 2})
    assert "`strategy: deepspeed_stage_2`" in remedy(grpo_run, {"gradients": 2})


def test_adapters_are_advised_where_there_are_none_and_deepspeed_on_gpus_alone(qwen2_vl, tmp_path):
    whole, adapted = (SFTModule(loaded(qwen2_vl, lora=lora)) for lora in (None, LoRA(4)))
    assert remedy(subject(whole, tmp_path), {"optimizer": 2}) == "Most is optimizer. Try `lora`, or a smaller model."
    assert "`lora`" not in remedy(subject(adapted, tmp_path), {"optimizer": 2})


def verdicts(module, tmp_path, device_memory, **config):
    made = subject(module, tmp_path, **config)
    made.options = CheckOptions(prompts=2, device_memory=device_memory)
    return [(finding.level, finding.what) for finding in check_memory(made)]


def test_what_stays_beyond_the_device_is_an_error_with_a_remedy(qwen2_vl, tmp_path):
    module = SFTModule(loaded(qwen2_vl))
    total = sum(staying_bytes(subject(module, tmp_path)).values()) / 2**30
    (level, what), note = verdicts(module, tmp_path, 0.99 * total)
    assert level == "error"
    assert f"that stay do not fit into the {0.99 * total:.2f} GiB of a device. Most is optimizer. Try `lora`" in what
    assert note[0] == "note"


def test_what_stays_leaves_room_for_the_rest(qwen2_vl, tmp_path):
    module = SFTModule(loaded(qwen2_vl))
    total = sum(staying_bytes(subject(module, tmp_path)).values()) / 2**30
    ((level, what),) = verdicts(module, tmp_path, total + 1.5)
    assert level == "note"
    assert f"They leave 1.50 of {total + 1.5:.2f} GiB for sampling and activations." in what
    ((level, what),) = verdicts(module, tmp_path, total / 0.999)
    assert level == "note"


def test_memory_of_gpus_that_are_missing_is_asked_for(qwen2_vl, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("needs a machine without GPU")
    ((level, what),) = verdicts(SFTModule(loaded(qwen2_vl)), tmp_path, None, accelerator="gpu", devices=8)
    assert level == "note"
    assert "stay on a device (8 x GPU, auto, 32-true): weights" in what
    assert "set `check.device_memory`" in what


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_a_run_on_gpus_is_told_the_smallest_card(kind, qwen2_vl, tmp_path):
    policy = loaded(qwen2_vl)
    module = grpo(qwen2_vl, policy) if kind == "grpo" else SFTModule(policy)
    made = subject(module, tmp_path, accelerator="gpu", precision="bf16-mixed", accumulate_grad_batches=4)
    (note,) = check_memory(made)
    assert "By formula, not measured, a step takes activations" in note.what
    assert "a card of 16 GB is the smallest that holds both" in note.what
    work, longest = heaviest_work(made), max(made.meter.measure(row).num_tokens for row in made.good)
    assert (work.prompt, work.prompts) == (longest, 2)
    assert (work.group, work.rows, work.completion) == ((4, 32, 6) if kind == "grpo" else (1, 0, work.completion))


def test_a_model_beyond_every_card_is_said_to_be(qwen2_vl, tmp_path):
    made = subject(SFTModule(loaded(qwen2_vl)), tmp_path, accelerator="gpu")
    assert "no common card holds both" in card_sentence(made, 10**12)
