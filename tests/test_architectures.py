"""Architectures that do something their own way: right, or the slower way, but never silently wrong."""

import pytest
import torch
from architectures import BUILDERS, peculiar
from checkpoints import MIXED, loaded
from families import noise_rows, write
from training import Share, counting, fit, grpo, sgd, weights
from transformers import AutoModelForImageTextToText

from vrft_pl.modules import SFTModule
from vrft_pl.policy import LoRA

NAMES = [name.removeprefix("build_") for name in vars(peculiar) if name.startswith("build_")]
PICTURED = [one for one in MIXED if one.images]
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*can't share a prompt"),
    pytest.mark.filterwarnings("ignore:.*can't reuse the features"),
    pytest.mark.filterwarnings("ignore:.*can't pack several samples"),
    pytest.mark.filterwarnings("ignore:.*mixes the prompts of a batch"),
    pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training"),
]


@pytest.fixture(scope="module", params=NAMES)
def built(request, tmp_path_factory):
    """Name and folder of a checkpoint."""
    return request.param, BUILDERS[request.param](tmp_path_factory.mktemp("architectures") / request.param)


def load(built, **kwargs):
    return loaded(built[1], **kwargs)


def alone(model, policy, prompt, row):
    """Log-probs of a completion as transformers alone computes them."""
    inputs, tail = dict(prompt.inputs), torch.tensor([row])
    for key, value in inputs.items():
        if value.shape == (1, prompt.num_tokens):
            more = {"input_ids": tail, "attention_mask": torch.ones_like(tail)}.get(key, torch.zeros_like(tail))
            inputs[key] = torch.cat([value, more.to(value.dtype)], dim=1)
    with torch.no_grad():
        logits = model(**inputs).logits[0, -len(row) - 1 : -1]
    return policy.scale(logits, 1.0).log_softmax(dim=-1).gather(1, tail.T).squeeze(1)


def test_logprobs_of_a_batch_are_those_of_the_untouched_model(built):
    policy = load(built)
    prompts, rows = policy.encode(PICTURED), noise_rows([5, 3, 8])
    model = AutoModelForImageTextToText.from_pretrained(built[1], dtype=policy.hf_model.dtype).eval()
    completions = write(policy, rows)
    with policy.evaluating():
        got = policy.logprobs(prompts, completions).logprobs[completions.mask]
    expected = torch.cat([alone(model, policy, *pair) for pair in zip(prompts, rows, strict=True)])
    assert (got - expected).abs().mean() < 1e-4


def test_another_picture_gives_other_logprobs(built):
    policy = load(built)
    prompts, rows = policy.encode(PICTURED[:1]), write(policy, noise_rows([5]))
    with policy.evaluating():
        expected = policy.logprobs(prompts, rows).logprobs
        prompts.items[0].inputs["pixel_values"].neg_()
        assert (policy.logprobs(prompts, rows).logprobs - expected).abs().max() > 1e-3


@pytest.mark.parametrize("lora", [None, LoRA(rank=2)], ids=["full", "lora"])
def test_reinforcement_goes_a_step(built, lora):
    module = grpo(None, load(built, lora=lora), rewards=[Share()])
    trainer = fit(module, counting(size=2))
    assert trainer.global_step == 1
    assert trainer.callback_metrics["train/loss"].isfinite()
    assert trainer.callback_metrics["train/sampler_gap"] < 1e-5


def test_packed_supervision_moves_what_sees(built):
    module = SFTModule(load(built), pack_tokens=512, optimizer=sgd)
    before = weights(module)
    fit(module, counting(size=2))
    moved = [name for name, value in module.policy.named_parameters() if not torch.equal(value, before[name])]
    assert any(".vision" in name or ".visual" in name for name in moved)
