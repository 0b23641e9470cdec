"""Pictures in the text, against what transformers' own processors and models make of the same conversation."""

import pytest
import torch
from checkpoints import CHAT_TEMPLATE, IMAGE, SPECIAL, NoiseImage, loaded, sample
from families import noise_rows, write

from vrft_pl.policy.codec import Codec
from vrft_pl.rollout import LocalSampler, SamplingParams
from vrft_pl.types import InputError, Prompts

PICTURES = NoiseImage(48, 48), NoiseImage(64, 32, 1), NoiseImage(32, 80, 2)
PLACED = [
    sample("What is <image>?", PICTURES[:1], template="{problem}"),
    sample("<image> and <image>: the same?", PICTURES[:2], template="{problem}", system="Be brief."),
    sample("<image><image> become what <image>", PICTURES, template="{problem}"),
]
"""One, two and three pictures, within the text, before it and behind it."""
FAMILIES = ["qwen2_5_vl", "qwen3_vl", "smolvlm"]


@pytest.fixture(scope="module", params=FAMILIES)
def policy(request):
    return loaded(request.getfixturevalue(request.param), freeze=("vision", "projector"))


def parts(one):
    """The question of a sample as its author would write it for a processor."""
    texts, pictures = one.problem.split("<image>"), [*one.images, None]
    content = []
    for text, picture in zip(texts, pictures, strict=True):
        content += [{"type": "text", "text": text}] if text else []
        content += [{"type": "image", "image": picture.open()}] if picture else []
    said = [{"role": "user", "content": content}]
    return [{"role": "system", "content": [{"type": "text", "text": one.system}]}, *said] if one.system else said


def processed(policy, one):
    """What the processor itself makes of it."""
    wanted = {"return_dict": True, "return_tensors": "pt", "processor_kwargs": policy.codec.asked}
    return policy.codec.processor.apply_chat_template([parts(one)], add_generation_prompt=True, tokenize=True, **wanted)


@pytest.mark.parametrize("one", PLACED, ids=["one", "two", "three"])
def test_tokens_and_pixels_are_those_of_the_processor_itself(policy, one):
    (prompt,) = policy.encode([one])
    for key, value in processed(policy, one).items():
        assert torch.equal(prompt.inputs[key], value), key


@pytest.mark.parametrize("family", FAMILIES[:2])
def test_each_picture_takes_its_own_tokens_and_its_own_places(family, request):
    """Of 16 pixels a side; text behind a picture goes on behind its longer side, on all three axes."""
    policy = loaded(request.getfixturevalue(family))
    sides = (3, 3), (4, 2), (2, 5)
    for count, prompt in enumerate(policy.encode(PLACED), start=1):
        ids = prompt.inputs["input_ids"][0]
        taken = sum(w * h for w, h in sides[:count])
        assert int((ids == SPECIAL.index(IMAGE)).sum()) == taken
        last = positions(policy, prompt)[:, 0, -1]
        assert last.tolist() == [len(ids) - taken + sum(map(max, sides[:count])) - 1] * 3


def positions(policy, prompt):
    """Where the language model is told that tokens stand. Shape ``(3, 1, S)``."""
    seen = []
    hook = policy.hf_model.model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["position_ids"]), with_kwargs=True
    )
    policy.plain_logprobs(Prompts((prompt,)), write(policy, [[20]]))
    hook.remove()
    return seen[0][-3:, :, : prompt.num_tokens]


def test_an_engine_with_a_processor_of_its_own_is_sent_one_placeholder_a_picture_in_its_place(policy):
    for one in PLACED:
        text = policy.codec.processor.apply_chat_template(parts(one), add_generation_prompt=True)
        assert policy.codec.unexpanded(one) == policy.codec.tokenizer(text)["input_ids"]


def test_markers_that_are_not_as_many_as_pictures_are_refused(policy):
    with pytest.raises(InputError, match="<image>` once for each of 3 pictures, but got 2 in the question"):
        policy.encode([sample("<image> and <image>?", PICTURES)])


def own_logprobs(policy, one, row):
    """Log-probs of the model alone, of one question and what is written behind it."""
    inputs = dict(processed(policy, one))
    ids, told = inputs["input_ids"], torch.tensor([row])
    inputs["input_ids"] = torch.cat([ids, told], dim=1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if "mm_token_type_ids" in inputs:
        inputs["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(told)], dim=1)
    logits = policy.hf_model(**inputs).logits[:, ids.shape[1] - 1 : -1].float()
    logits[..., list(policy.banned_token_ids)] = float("-inf")
    return logits.log_softmax(-1).gather(-1, told[..., None])[0, :, 0]


@torch.no_grad()
def test_every_way_gives_the_logprobs_of_the_model_itself(policy):
    rows = noise_rows((5, 3, 8, 1, 7, 4))
    each = [one for one in PLACED for _ in range(2)]
    expected = torch.cat([own_logprobs(policy, one, row) for one, row in zip(each, rows, strict=True)])
    prompts, groups = policy.encode(PLACED), write(policy, rows)
    looked = policy.look(prompts)
    assert all(prompt.features is not None for prompt in looked)
    apart = policy.encode(each)
    ways = {
        "plain": policy.plain_logprobs(prompts, groups),
        "shared": policy.shared_logprobs(prompts, groups),
        "reused": policy.shared_logprobs(looked, groups),
        "packed": policy.packed_logprobs(apart, groups, 400),
    }
    for name, got in ways.items():
        torch.testing.assert_close(got.logprobs[groups.mask], expected, rtol=1e-5, atol=1e-5, msg=name)


@torch.no_grad()
def test_what_is_sampled_has_the_logprobs_of_the_model_itself(policy):
    prompts = policy.encode(PLACED)
    drawn = LocalSampler().generate(policy, policy.look(prompts), 2, SamplingParams(6), range(3))
    for i, (ids, mask, got) in enumerate(zip(drawn.ids, drawn.mask, drawn.logprobs, strict=True)):
        expected = own_logprobs(policy, PLACED[i // 2], ids[mask].tolist())
        torch.testing.assert_close(got[mask], expected, rtol=1e-5, atol=1e-5)


GEMMA_4 = (
    "{% if messages[0]['role'] == 'system' %}<|im_start|>system\n{{ messages[0]['content'] | trim }}<|im_end|>\n"
    "{% set messages = messages[1:] %}{% endif %}" + CHAT_TEMPLATE
)


def test_a_template_that_takes_a_system_prompt_for_text_gets_text(qwen3_vl):
    """As that of Gemma 4 does, which would write a list of parts as Python shows it."""
    codec = loaded(qwen3_vl).codec
    expected = codec.encode([PLACED[1]]).items[0].inputs["input_ids"]
    other = Codec(qwen3_vl)
    other.processor.chat_template = GEMMA_4
    assert torch.equal(other.encode([PLACED[1]]).items[0].inputs["input_ids"], expected)
    assert other.unexpanded(PLACED[1]) == codec.unexpanded(PLACED[1])


LLAVA_ONEVISION = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% for part in message['content'] if part['type'] == 'image' %}<|image_pad|>{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}<|im_end|>{% endfor %}"
)


def test_a_template_that_moves_pictures_before_the_text_is_told_of_once(qwen3_vl, recwarn):
    """As that of LLaVA-OneVision does."""
    kept, moved = Codec(qwen3_vl), Codec(qwen3_vl)
    moved.processor.chat_template = LLAVA_ONEVISION
    before = sample("<image><image>The same?", PICTURES[:2], template="{problem}")
    for codec, question in ((kept, PLACED[0]), (moved, before), (moved, PLACED[0]), (moved, PLACED[0])):
        codec.unexpanded(question)
    (told,) = [str(warning.message) for warning in recwarn if "chat template" in str(warning.message)]
    assert told == (
        "The chat template of this checkpoint writes pictures before the text, wherever `<image>` stands in a "
        "question. Say in words which picture is meant, or write a `chat_template.jinja` that keeps their places."
    )
