"""Chat templates that open the policy's thoughts themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from checkpoints import CHAT_TEMPLATE, MIXED
from transformers import AutoProcessor

from vrft_pl.policy.codec import Codec
from vrft_pl.rewards import Format, NumberMatch, ReasoningSteps

COTS = {
    "answer": None,
    "think": "1. I count the dogs.\n2. I count the cats.",
    "caption": "<summary>s</summary><caption>c</caption><think>t</think>",
    "think_after": "I counted.",
    "no_think": None,
}


@pytest.fixture(scope="module", params=["<think>\n", "<think>"], ids=["line", "bare"])
def codec(request, qwen3_vl, tmp_path_factory):
    folder = tmp_path_factory.mktemp("thinking")
    processor = AutoProcessor.from_pretrained(qwen3_vl)
    template = CHAT_TEMPLATE.replace("assistant\n{%", f"assistant\n{request.param}{{%")
    processor.chat_template = processor.tokenizer.chat_template = template
    processor.save_pretrained(folder)
    for name in ("config.json", "generation_config.json"):
        (folder / name).write_bytes((type(folder)(qwen3_vl) / name).read_bytes())
    return Codec(str(folder))


def trained(codec, style):
    one = replace(MIXED[0], style=style, cot=COTS[style])
    prompts = codec.encode([one])
    return one, prompts, codec.encode_targets([one], prompts)


def test_a_template_that_opens_nothing_adds_nothing(qwen3_vl):
    assert Codec(qwen3_vl).opened == ""


@pytest.mark.parametrize("style", COTS)
def test_the_turn_holds_the_tag_once_and_has_the_form(codec, style):
    one, prompts, targets = trained(codec, style)
    asked = codec.tokenizer.decode(prompts.items[0].inputs["input_ids"][0])
    (text,) = codec.decode(targets.ids, targets.mask)
    assert (text,) == targets.texts
    assert asked.endswith(f"<|im_start|>assistant\n{codec.opened}")
    written = codec.tokenizer.decode(targets.ids[0][targets.mask[0]])
    assert (asked + written).endswith(f"assistant\n{text}<|im_end|>")
    assert text.startswith("<think>")
    assert not text.removeprefix("<think>").lstrip().startswith("<think>")
    assert Format().grade_one(text, one, None) == 1
    assert NumberMatch().grade_one(text, one, None) == 1
    assert "<think>\n\n</think>\n\n" in text or style == "think"


def test_thoughts_that_the_template_opens_count_as_written(codec):
    one = replace(MIXED[0], style="think", cot=COTS["think"])
    answer = one.solution.text(None)
    for rest, form, right in (
        (f"1. I count the dogs.\n2. I count the cats.</think><answer>{answer}</answer>", 1, 1),
        (f"I count <answer>{answer}</answer>", 0, 0),
        (f"<think>I count</think><answer>{answer}</answer>", 0, 1),
    ):
        ids = torch.tensor([codec.tokenizer(rest, add_special_tokens=False)["input_ids"]])
        (text,) = codec.decode(ids, torch.ones_like(ids, dtype=torch.bool))
        assert text == codec.opened + rest
        assert Format().grade_one(text, one, None) == form
        assert (NumberMatch().grade_one(text, one, None) == 1) == right
    assert ReasoningSteps().grade_one(f"{codec.opened}{COTS['think']}</think>", one, None) == pytest.approx(2 / 3)


def test_thoughts_are_switched_off_by_a_first_line_of_the_template(qwen3_vl):
    codec = Codec(qwen3_vl)
    unless = "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
    unless += "{% else %}<think>\n{% endif %}"
    template = CHAT_TEMPLATE.replace("assistant\n{%", f"assistant\n{unless}{{%")
    for line, end in (("", "<think>\n"), ("{% set enable_thinking = false %}", "<think>\n\n</think>\n\n")):
        codec.processor.chat_template = line + template
        asked = codec.tokenizer.decode(codec.encode([MIXED[0]]).items[0].inputs["input_ids"][0])
        assert asked.endswith(f"assistant\n{end}")
