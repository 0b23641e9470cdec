import warnings
from dataclasses import replace

import pytest
import torch
from checkpoints import MIXED, loaded, sample
from torch.utils.data import DataLoader
from training import counting, fit, sgd, weights

from vrft_pl.answers import Number
from vrft_pl.modules import SFTModule
from vrft_pl.modules.sft import DemonstrationLoader
from vrft_pl.policy import VLM, LoRA

SAMPLES = [*MIXED, sample("Long?", number=123456.0), replace(MIXED[0], id="thinks", style="think", cot="One, two, 3.")]
"""Pictures, several of them and none; answers of two tokens, of seven and of many."""


def demonstrations(module, samples=SAMPLES):
    return next(iter(DemonstrationLoader(DataLoader(samples, len(samples), collate_fn=list), module.demonstrate))).value


def loss_and_gradients(module, batch):
    logged = {}
    module.log, module.undivided = (
        lambda name, value, **_: logged.update({name: float(torch.as_tensor(value).detach())}),
        lambda loss: loss,
    )
    module.policy.zero_grad()
    loss = module.training_step(batch, 0)
    loss.backward()
    return logged, {name: p.grad.clone() for name, p in module.policy.named_parameters() if p.grad is not None}


@pytest.fixture
def calls(monkeypatch):
    """Which forward passes are made, and of how many rows; but for the comparison with the untouched model."""
    made, forward = [], VLM.forward

    def counted(self, *args, **inputs):
        if self.verdicts.batching.decided is not None:
            made.append(len(inputs["input_ids"]))
        return forward(self, *args, **inputs)

    monkeypatch.setattr(VLM, "forward", counted)
    return made


@pytest.mark.parametrize("pack_tokens", [1, 300, 4096])
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl"])
def test_the_packed_loss_and_its_gradients_are_those_of_the_unpacked_batch(family, pack_tokens, request):
    policy = loaded(request.getfixturevalue(family))
    plain, packed = SFTModule(policy), SFTModule(policy, pack_tokens=pack_tokens)
    batch = demonstrations(plain)
    expected, gradients = loss_and_gradients(plain, batch)
    got, others = loss_and_gradients(packed, batch)
    assert got == pytest.approx(expected, rel=1e-6)
    assert got["train/completion_tokens"] == expected["train/completion_tokens"] > 2
    assert others.keys() == gradients.keys()
    whole = torch.cat([g.flatten() for g in gradients.values()]).norm()
    assert whole > 0.1
    assert max((others[name] - g).norm() / whole for name, g in gradients.items()) <= 1e-5


@pytest.mark.parametrize("options", [{}, {"lora": LoRA(rank=2)}], ids=["full", "lora"])
def test_a_packed_run_ends_at_the_weights_of_the_unpacked_one(qwen3_vl, options):
    ends = []
    for pack_tokens, accumulate in ((None, 1), (400, 1), (400, 2)):
        torch.manual_seed(0)
        module = SFTModule(loaded(qwen3_vl, max_pixels=1024, **options), pack_tokens=pack_tokens, optimizer=sgd)
        task = counting(size=8, batch_size=4 // accumulate)
        task.solution = lambda record: Number(10.0 ** int(record.id[-1]))  # targets of unequal lengths
        fit(module, task, accumulate_grad_batches=accumulate)
        ends.append(weights(module))
    for other in ends[1:]:
        for name, value in ends[0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-6)


def test_a_micro_batch_is_one_row_where_it_fits_and_more_where_it_does_not(qwen3_vl, calls):
    policy = loaded(qwen3_vl)
    assert policy.may("packing")
    rows = {}
    for pack_tokens in (None, 1, 300, 4096):
        module = SFTModule(policy, pack_tokens=pack_tokens)
        batch = demonstrations(module)
        calls.clear()
        module.logprobs(batch)
        (rows[pack_tokens],) = calls
    assert rows[None] == rows[1] == len(SAMPLES)
    assert 1 == rows[4096] < rows[300] < len(SAMPLES)


def test_packing_is_compared_once_a_run(qwen3_vl, calls):
    module = SFTModule(loaded(qwen3_vl, max_pixels=1024), pack_tokens=4096, optimizer=sgd)
    fit(module, counting(size=6))
    assert calls == [4, 1, 1, 1, 1]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("family", ["gemma3", "paligemma"])
def test_a_model_that_can_not_pack_is_trained_unpacked_with_one_warning(family, request):
    ends, said = [], []
    for options in ({}, {"pack_tokens": 4096}):
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            module = SFTModule(loaded(request.getfixturevalue(family), shared_prefix=False), optimizer=sgd, **options)
            fit(module, counting(size=6))
        ends.append(weights(module))
        said.append([str(w.message) for w in record if "can't pack several samples into a row" in str(w.message)])
    assert [len(messages) for messages in said] == [0, 1]
    assert all(torch.equal(ends[1][name], value) for name, value in ends[0].items())


def test_half_precision_of_lightning_packs_too(qwen3_vl, calls):
    module = SFTModule(loaded(qwen3_vl, max_pixels=1024), pack_tokens=4096, optimizer=sgd)
    before = weights(module)
    fit(module, counting(size=4, batch_size=4), precision="bf16-mixed")
    assert calls == [4, 1, 1]
    assert any(not torch.equal(value, before[name]) for name, value in weights(module).items())


@pytest.mark.parametrize("pack_tokens", [0, -1])
def test_rows_of_no_token_are_refused(qwen3_vl, pack_tokens):
    message = f"Expected `pack_tokens` to be at least 1 token, but got {pack_tokens}"
    with pytest.raises(ValueError, match=message):
        SFTModule(loaded(qwen3_vl), pack_tokens=pack_tokens)
