"""A decoder is believed where it gives the log-probs of the plain forward."""

import warnings

import pytest
import torch
import transformers
from architectures import BUILDERS
from checkpoints import MIXED, loaded
from packaging.version import Version
from training import fit, grpo

from vrft_pl.modules import SFTModule
from vrft_pl.rollout import LocalSampler, SamplingParams
from vrft_pl.rollout.captured import CapturedPrompt
from vrft_pl.rollout.decoding import RepeatedPrompt, SharedPrompt
from vrft_pl.rollout.trials import trusts
from vrft_pl.types import InputError

DRAWN = SamplingParams(6)


def write(policy):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        written = LocalSampler().generate(policy, policy.encode(MIXED), 2, DRAWN, range(len(MIXED)))
    return written, [str(one.message) for one in told if "can't be decoded" in str(one.message)]


def off_by_one(kind, monkeypatch, steps=1):
    """Make a decoder forget that time passes."""
    step = kind.step

    def late(self, tokens):
        self.position = self.position - steps
        return step(self, tokens)

    monkeypatch.setattr(kind, "step", late)


@pytest.mark.parametrize("kind", [SharedPrompt, CapturedPrompt, RepeatedPrompt])
def test_every_decoder_is_trusted_with_the_models_it_is_made_for(checkpoint, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trusts(loaded(checkpoint), kind, plainer=False)


def test_a_shared_decoder_that_differs_is_left_for_the_plain_one_with_one_warning(qwen3_vl, monkeypatch):
    off_by_one(SharedPrompt, monkeypatch)
    policy = loaded(qwen3_vl)
    written, told = write(policy)
    assert len(told) == 1
    assert "can't be decoded on a cache that holds each prompt once: log-probs differ" in told[0]
    assert not write(policy)[1]
    scored = policy.logprobs(policy.encode(MIXED), written).logprobs
    torch.testing.assert_close(written.logprobs, scored.detach(), rtol=1e-5, atol=1e-5)


def test_rows_that_leave_at_the_wrong_place_are_noticed(qwen3_vl, monkeypatch):
    keep = SharedPrompt.keep
    monkeypatch.setattr(SharedPrompt, "keep", lambda self, rows: keep(self, rows.flip(0)))
    assert len(write(loaded(qwen3_vl))[1]) == 1


def test_a_model_that_has_no_decoder_left_ends_with_one_line(qwen3_vl, monkeypatch):
    off_by_one(SharedPrompt, monkeypatch)
    off_by_one(RepeatedPrompt, monkeypatch)
    with (
        pytest.warns(UserWarning, match="can't be decoded"),
        pytest.raises(InputError, match="to continue a prompt token by token as it reads it at once, but log-probs"),
    ):
        LocalSampler().settle(loaded(qwen3_vl))


def test_what_a_resumed_run_had_decided_holds(qwen3_vl, monkeypatch):
    off_by_one(SharedPrompt, monkeypatch)
    policy, again = loaded(qwen3_vl), loaded(qwen3_vl)
    write(policy)
    state = policy.verdicts.state_dict()
    assert state["SharedPrompt"] is False
    assert state["RepeatedPrompt"] is True
    again.verdicts.load_state_dict(state)
    assert again.verdicts.state_dict() == state
    assert not write(again)[1]
    assert again.verdicts.state_dict() == state


@pytest.mark.parametrize("make", [grpo, lambda _, policy: SFTModule(policy)], ids=["grpo", "sft"])
def test_only_what_samples_looks_at_its_sampler_before_it_trains(qwen3_vl, make, monkeypatch):
    policy = loaded(qwen3_vl, max_pixels=1024)
    settled = []
    monkeypatch.setattr(LocalSampler, "settle", lambda self, policy: settled.append(policy))
    module = make(None, policy)
    fit(module, limit_train_batches=1)
    assert settled == ([policy] if module.trains_on_samples else [])


@pytest.mark.parametrize(
    ("name", "shared"), [("kimi_k25", False), ("mistral4", False), ("mllama", False), ("internvl", True)]
)
@pytest.mark.filterwarnings("ignore:.*(can't be decoded|mixes the prompts)")
def test_sampled_logprobs_are_those_of_the_untouched_model(name, shared, tmp_path):
    """Red where compressed keys are read as keys, or cross-attention forgets which pictures a token sees."""
    if name == "mllama" and Version(transformers.__version__) < Version("5.23"):
        pytest.skip("its cross-attention can't be decoded with an older transformers")
    policy = loaded(BUILDERS[name](tmp_path / name))
    prompts = policy.encode([one for one in MIXED if len(one.images) == 1])
    written = LocalSampler().generate(policy, prompts, 2, DRAWN, range(len(prompts)))
    assert policy.verdicts.state_dict()["SharedPrompt"] is shared
    with policy.evaluating():
        for i in range(len(written)):
            expected = policy.untouched_logprobs(prompts[i // 2 : i // 2 + 1], written.select([i])).logprobs
            got = written.select([i]).logprobs
            torch.testing.assert_close(got[:, : expected.shape[1]], expected, rtol=1e-4, atol=1e-4)
