import pytest
import torch
from checkpoints import MIXED, loaded

from vrft_pl.rollout import LocalSampler, SamplingParams, decoding
from vrft_pl.rollout.captured import CapturedPrompt
from vrft_pl.rollout.decoding import RepeatedPrompt, prefill


@pytest.mark.parametrize("room", [2, 64])
def test_static_steps_equal_those_of_the_models_own_cache(checkpoint, monkeypatch, room):
    monkeypatch.setattr(decoding, "FIRST_CAPACITY", room)
    policy = loaded(checkpoint)
    prompts, g = policy.encode(MIXED), torch.Generator().manual_seed(0)
    with policy.evaluating():
        static, plain = (kind(policy, prefill(policy, prompts), 3) for kind in (CapturedPrompt, RepeatedPrompt))
        rows = len(prompts) * 3
        for t in range(9):
            tokens = torch.randint(9, 200, (rows,), generator=g)
            torch.testing.assert_close(static.step(tokens), plain.step(tokens), rtol=1e-4, atol=1e-5)
            if t in (2, 5):
                kept = torch.randperm(rows, generator=g)[: rows // 2].sort().values
                rows = len(kept)
                static.keep(kept)
                plain.keep(kept)


def test_a_static_step_keeps_every_tensor_in_its_place(qwen3_vl):
    policy = loaded(qwen3_vl)
    with policy.evaluating():
        decoder = CapturedPrompt(policy, prefill(policy, policy.encode(MIXED)), 2)
        places = [t.data_ptr() for pair in decoder.own for t in pair] + [decoder.tokens.data_ptr()]
        places += [decoder.at.data_ptr(), decoder.position.data_ptr()]
        for _ in range(3):
            decoder.step(torch.full((8,), 40))
        now = [t.data_ptr() for pair in decoder.own for t in pair] + [decoder.tokens.data_ptr()]
        assert places == [*now, decoder.at.data_ptr(), decoder.position.data_ptr()]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_captured_completions_equal_those_without_a_graph(checkpoint):
    policy = loaded(checkpoint).cuda()
    prompts, params = policy.encode(MIXED), SamplingParams(max_tokens=80, temperature=0.0)
    texts = [
        LocalSampler(capture=capture).generate(policy, prompts, 4, params, range(len(prompts))).texts
        for capture in (True, False)
    ]
    assert texts[0] == texts[1]
