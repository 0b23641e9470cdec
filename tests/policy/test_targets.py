import shutil
from dataclasses import replace

import pytest
from checkpoints import CHAT_TEMPLATE, END_OF_TURN, MIXED, NoiseImage, loaded, sample
from transformers import AutoProcessor, PaliGemmaProcessor

from vrft_pl.answers import Box, Label
from vrft_pl.policy.coordinates import DESCRIPTIONS
from vrft_pl.prompts import chat, target_text
from vrft_pl.types import InputError

FAMILIES = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "llava_onevision", "smolvlm", "idefics3", "internvl"]
FAMILIES += ["gemma3", "paligemma"]
CAPTION = "<summary>Look.</summary><caption>Two dogs.</caption><think>One, two.</think>"
ASKED = (
    MIXED[0],
    replace(MIXED[1], solution=Label("a small dog")),
    replace(MIXED[3], solution=Box((0.0, 0.0, 48.0, 32.0))),
)
"""One picture, two, and a system prompt; a number, a name and a box."""
THOUGHTS = {"answer": None, "think": "One, two.\nThree.", "caption": CAPTION}
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
"""PaliGemma's processor hands a tensor to an older way of numpy."""


@pytest.fixture(scope="module", params=FAMILIES)
def policy(request):
    return loaded(request.getfixturevalue(request.param), shared_prefix=False)


def in_style(style, samples=ASKED):
    """The same samples, for ANS-SFT or for CoT-SFT."""
    return [replace(one, style=style, cot=THOUGHTS[style]) for one in samples]


def whole_conversation(policy, one, text):
    """Tokens of the chat with the answer in it, by the processor itself."""
    messages = chat(one, DESCRIPTIONS[policy.codec.coordinates])
    slots = (part for message in messages for part in message["content"] if part["type"] == "image")
    for slot, image in zip(slots, one.images, strict=True):
        slot["image"] = image.open()
    messages.append({"role": "assistant", "content": [{"type": "text", "text": text}]})
    inputs = policy.codec.processor.apply_chat_template(
        [messages], tokenize=True, return_dict=True, return_tensors="pt"
    )
    return inputs["input_ids"][0].tolist()


def trained_tokens(policy, samples):
    """Prompts, and the tokens in the loss of each sample."""
    prompts = policy.encode(samples)
    targets = policy.encode_targets(samples, prompts)
    return prompts, [ids[keep].tolist() for ids, keep in zip(targets.ids, targets.mask, strict=True)]


@pytest.mark.parametrize("style", THOUGHTS)
def test_the_tokens_in_the_loss_are_the_target_and_the_end_of_the_turn(policy, style):
    samples = in_style(style)
    prompts, trained = trained_tokens(policy, samples)
    end = "<end_of_utterance>" if "<end_of_utterance>" in policy.codec.processor.chat_template else END_OF_TURN
    for one, prompt, tokens in zip(samples, prompts, trained, strict=True):
        text = target_text(one, prompt.frame)
        assert ("<think>" in text) == (style != "answer")
        assert policy.codec.tokenizer.decode(tokens, skip_special_tokens=False) == text + end
        assert tokens[-1] in policy.end_token_ids


@pytest.mark.parametrize("style", THOUGHTS)
def test_prompt_and_target_are_the_template_on_the_whole_conversation(policy, style):
    samples = in_style(style)
    prompts, trained = trained_tokens(policy, samples)
    for one, prompt, tokens in zip(samples, prompts, trained, strict=True):
        whole = whole_conversation(policy, one, target_text(one, prompt.frame))
        asked = prompt.inputs["input_ids"][0].tolist()
        if isinstance(
            policy.codec.processor, PaliGemmaProcessor
        ):  # which writes a new line of its own behind every prompt
            assert policy.codec.tokenizer.decode(asked.pop()) == "\n"
        mine = asked + tokens
        assert whole[: len(mine)] == mine
        assert policy.codec.tokenizer.decode(whole[len(mine) :]).strip() == ""


@pytest.mark.parametrize("style", THOUGHTS)
def test_no_picture_and_no_padding_is_in_the_loss(policy, style):
    samples = in_style(style)
    targets = policy.encode_targets(samples, policy.encode(samples))
    assert not set(targets.ids[targets.mask].tolist()) & {*policy.banned_token_ids, policy.codec.tokenizer.pad_token_id}
    assert not targets.mask.all()
    assert set(targets.ids[~targets.mask].tolist()) == {policy.pad_token_id}


def test_answers_and_thoughts_of_one_sample_differ_in_the_thoughts_alone():
    bare, thinking, captioned = (target_text(in_style(style)[0], None) for style in THOUGHTS)
    assert bare == "3"
    assert thinking == "<think>One, two.\nThree.</think><answer>3</answer>"
    assert captioned == f"{CAPTION}<answer>3</answer>"


def test_thoughts_that_are_missing_are_an_error_of_the_row(qwen3_vl):
    policy, samples = loaded(qwen3_vl), [sample("Row 7", style="think")]
    with pytest.raises(InputError, match=r"Row 7: expected a chain of thought \(`cot`\) for the `think` style"):
        policy.encode_targets(samples, policy.encode(samples))


def test_a_target_that_writes_control_tokens_is_refused(qwen3_vl):
    policy, samples = loaded(qwen3_vl), [replace(MIXED[0], style="think", cot="So <|image_pad|> it is.")]
    with pytest.raises(InputError, match="expected text without control tokens, but it holds '<|image_pad|>'"):
        policy.encode_targets(samples, policy.encode(samples))


ROLE = "{{ '<|im_start|>' + message['role'] + '\n' }}"
PARTS = "{% for part in message['content'] %}{% if part['type'] == 'image' %}<|vision_start|><|image_pad|>"
PARTS += "<|vision_end|>{% else %}{{ TEXT }}{% endif %}{% endfor %}"
TURNS = "{% for message in messages %}" + ROLE + PARTS.replace("TEXT", "part['text']") + "END{% endfor %}"
BEGIN = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
TEMPLATES = {
    "a-system-prompt-by-default": "<|im_start|>system\nBe kind.<|im_end|>\n" + CHAT_TEMPLATE,
    "nothing-behind-the-end": TURNS.replace("END", END_OF_TURN) + BEGIN,
    "trimmed-text": "{% for message in messages %}"
    + ROLE
    + PARTS.replace("TEXT", "part['text'] | trim")
    + f"{END_OF_TURN}\n{{% endfor %}}{BEGIN}",
}
"""Habits of published templates that those of the tiny checkpoints do not have."""


@pytest.fixture(params=TEMPLATES)
def templated(request, qwen3_vl, tmp_path):
    folder = shutil.copytree(qwen3_vl, tmp_path / "templated")
    processor = AutoProcessor.from_pretrained(folder)
    processor.chat_template = TEMPLATES[request.param]
    processor.save_pretrained(folder)
    return loaded(str(folder))


@pytest.mark.parametrize("style", THOUGHTS)
def test_other_habits_of_templates_are_kept_too(templated, style):
    samples = in_style(style, (*ASKED, sample("How many?", [NoiseImage(48, 48)], style="answer")))
    prompts, trained = trained_tokens(templated, samples)
    for one, prompt, tokens in zip(samples, prompts, trained, strict=True):
        text = target_text(one, prompt.frame)
        decoded = templated.codec.tokenizer.decode(tokens, skip_special_tokens=False)
        assert decoded.startswith(text)
        assert decoded.removeprefix(text).strip() == END_OF_TURN
        whole = whole_conversation(templated, one, text)
        assert whole[: prompt.num_tokens + len(tokens)] == prompt.inputs["input_ids"][0].tolist() + tokens
