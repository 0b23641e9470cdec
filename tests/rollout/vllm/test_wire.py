from types import SimpleNamespace

import pytest
import torch
from builders import grey_scene

from vrft_pl.answers import Number
from vrft_pl.rollout import SamplingParams
from vrft_pl.rollout.vllm.client import ServerLost
from vrft_pl.rollout.vllm.wire import Written, pictured, read_answer, request
from vrft_pl.types import InputError, Prompt, Sample

POLICY = SimpleNamespace(
    end_token_ids=(1, 2),
    banned_token_ids=(7,),
    codec=SimpleNamespace(text_config=SimpleNamespace(vocab_size=10), unexpanded=lambda sample: [3, 7, 4]),
)
SAMPLE = Sample("row 7", (grey_scene(8), grey_scene(8)), "?", Number(1.0))
PROMPT = Prompt({"input_ids": torch.tensor([[3, 7, 7, 7, 4]])}, sample=SAMPLE)
PARAMS = SamplingParams(max_tokens=3)


def choice(ids, logprobs=None, index=0, reason="stop", version="run-1"):
    logprobs = [-0.5] * len(ids) if logprobs is None else logprobs
    content = [{"token_id": token, "logprob": value} for token, value in zip(ids, logprobs, strict=True)]
    return {
        "index": index,
        "token_ids": ids,
        "logprobs": {"content": content},
        "finish_reason": reason,
        "weight_versions": [{"version": version, "start": 0, "end": len(ids)}],
    }


def read(*choices, prompt=(3, 7, 7, 7, 4), version="run-1"):
    answer = {"prompt_token_ids": list(prompt), "choices": list(choices)}
    return read_answer(answer, POLICY, PROMPT, len(choices), PARAMS, version)


def test_completions_come_in_the_order_of_their_numbers():
    read_out = read(choice([5, 6, 8], index=1, reason="length"), choice([5, 2], [-0.25, 1e-7], index=0))
    assert read_out == [Written((5, 2), (-0.25, 0.0), "stop"), Written((5, 6, 8), (-0.5,) * 3, "length")]


def test_an_end_token_at_the_limit_is_an_end():
    assert read(choice([5, 6, 2], reason="length"))[0].reason == "stop"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(choice([5, 10, 2]), "tokens that the policy may write from vLLM, but got 10 of 10", id="unknown"),
        pytest.param(choice([5, -1, 2]), "tokens that the policy may write", id="negative"),
        pytest.param(choice([5, "6", 2]), "tokens that the policy may write", id="text"),
        pytest.param(choice([5, True, 2]), "tokens that the policy may write", id="true"),
        pytest.param(choice([5, 7, 2]), "tokens that the policy may write from vLLM, but got 7", id="banned"),
        pytest.param(choice([5, 2], [-0.5, float("nan")]), "finite log-probs from vLLM, but got nan", id="nan"),
        pytest.param(choice([5, 2], [-0.5, -9999.0]), "finite log-probs from vLLM, but got -9999", id="clamped"),
        pytest.param(choice([5, 2], [-0.5, 0.5]), "finite log-probs from vLLM, but got 0.5", id="above-zero"),
        pytest.param(choice([5, 2], [-0.5, None]), "tokens and log-probs from vLLM, but TypeError", id="null"),
        pytest.param(choice([5, 2, 5]), "end at their first end token", id="wrote-on"),
        pytest.param(choice([5, 6]), "end at their first end token or at the limit", id="too-short"),
        pytest.param(choice([5, 6, 5, 2]), "1 to 3 tokens with a log-prob each from vLLM, but got 4", id="too-long"),
        pytest.param(choice([]), "1 to 3 tokens with a log-prob each from vLLM, but got 0", id="empty"),
        pytest.param(choice([5, 2]) | {"logprobs": None}, "and log-probs from vLLM, but TypeError", id="no-logprobs"),
        pytest.param(choice([5, 2]) | {"token_ids": [2]}, "got 1 tokens and 2 log-probs", id="fewer-tokens"),
        pytest.param(choice([5, 2]) | {"token_ids": [6, 2]}, "with a log-prob each", id="log-probs-of-others"),
        pytest.param("text", "log-probs from vLLM, but TypeError", id="no-object"),
    ],
)
def test_an_answer_that_can_not_be_true_is_one_clear_error(answer, message):
    with pytest.raises(InputError, match=message):
        read(answer)


def test_completions_are_as_many_as_were_asked_for():
    with pytest.raises(InputError, match="2 completions of a prompt from vLLM, but got 1"):
        read_answer({"prompt_token_ids": [3, 7, 7, 7, 4], "choices": [choice([2])]}, POLICY, PROMPT, 2, PARAMS, None)
    with pytest.raises(InputError, match="completions with tokens and log-probs from vLLM, but TypeError"):
        read_answer("text", POLICY, PROMPT, 2, PARAMS, None)


def test_the_prompt_is_that_of_the_policys_own_processor():
    with pytest.raises(InputError, match="row 7: expected a prompt of 5 tokens, but vLLM makes 4 of it. Its processor"):
        read(choice([2]), prompt=(3, 7, 7, 4))
    with pytest.raises(InputError, match="row 7: expected the tokens of the policy's own processor"):
        read(choice([2]), prompt=(3, 7, 7, 7, 5))


@pytest.mark.parametrize(
    "answer",
    [choice([2], version="default"), choice([2]) | {"weight_versions": None}, choice([2], reason="abort")],
    ids=["other-weights", "unnamed-weights", "broken-off"],
)
def test_what_other_weights_wrote_is_asked_again(answer):
    with pytest.raises(ServerLost):
        read(answer)


def test_weights_need_no_name_where_an_adapter_writes():
    assert read(choice([2], version="default"), version=None)


def test_a_request_says_how_tokens_are_drawn():
    body = request(POLICY, PROMPT, 4, SamplingParams(5, 0.7, 20, 0.9), 12, "adapter")
    asked = body["sampling_params"]
    assert body["token_ids"] == [3, 7, 4]
    assert (body["model"], body["return_token_ids"]) == ("adapter", True)
    assert (asked["n"], asked["max_tokens"], asked["temperature"]) == (4, 5, 0.7)
    assert (asked["top_k"], asked["top_p"], asked["seed"]) == (20, 0.9, 6)
    assert (asked["stop_token_ids"], asked["logit_bias"]) == ([1, 2], {"7": -100.0})
    assert "model" not in request(POLICY, PROMPT, 4, PARAMS, 0)
    assert len(pictured(body, PROMPT)["content_parts"]) == 2
    assert pictured(body, Prompt(PROMPT.inputs, sample=Sample("1", (), "?", Number(1.0)))) == body


def test_a_prompt_without_its_sample_can_not_be_asked():
    with pytest.raises(ValueError, match="prompts that were encoded from samples"):
        request(POLICY, Prompt(PROMPT.inputs), 1, PARAMS, 0)
