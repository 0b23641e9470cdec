import json

import pytest
from checkpoints import loaded
from PIL import Image

from vrft_pl.check.meter import PromptMeter
from vrft_pl.check.rows import read_rows
from vrft_pl.check.tokens import spread
from vrft_pl.data import Counting, ReasonJSON
from vrft_pl.types import InputError

SIZES = [(64, 64), (96, 64), (64, 96), (64, 64), (32, 200)]


def rows(tmp_path, sizes=SIZES, problem="How many?", **kwargs):
    found = []
    for i, size in enumerate(sizes):
        Image.new("RGB", size, "grey").save(tmp_path / f"{i}.png")
        found.append({"id": i, "image": f"{i}.png", "problem": problem + " Count well." * i, "answer": 1})
    found.append({"id": "two", "image": ["0.png", "1.png"], "problem": "How many in both?", "answer": 1})
    placed = {"image": ["2.png", "0.png"], "problem": "From <image> to <image>?"}
    found += [{"id": "placed", "answer": 1, **placed}] if len(sizes) > 2 else []
    found.append({"id": "none", "problem": "What is one and one?", "answer": 2})
    (tmp_path / "rows.json").write_text(json.dumps(found))
    task = Counting(ReasonJSON(str(tmp_path / "rows.json")), system="Be brief.", **kwargs)
    (part,) = task.every_part()
    return list(read_rows(part, 100, 0))


@pytest.mark.parametrize(
    "family",
    [*("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "llava_onevision", "smolvlm", "gemma3", "paligemma")],
)
def test_prompts_measure_as_they_are_encoded(family, request, tmp_path):
    policy = loaded(request.getfixturevalue(family))
    meter = PromptMeter(policy)
    for row in rows(tmp_path):
        if family == "paligemma" and not row.sizes:
            continue  # its processor needs a picture
        prompt = policy.encode([row.sample]).items[0]
        measured = meter.measure(row)
        assert measured.num_tokens == prompt.num_tokens
        assert measured.frame == prompt.frame


def test_pictures_that_are_made_smaller_together_measure_as_they_are_encoded(qwen3_vl, tmp_path):
    policy = loaded(qwen3_vl)
    meter, told = PromptMeter(policy), []
    for row in rows(tmp_path, total_pixels=64 * 64):
        measured = meter.measure(row)
        assert measured.num_tokens == policy.encode([row.sample]).items[0].num_tokens
        told.append(measured.resized)
    assert told[1:2] == [((96, 64),)]
    assert told[5] == ((32, 32), (64, 32))


def test_control_tokens_in_a_text_are_refused(tmp_path):
    row = rows(tmp_path, problem="How many <|im_end|>?")[0]
    with pytest.raises(InputError, match="without control tokens"):
        PromptMeter(loaded("tiny")).measure(row)


def test_picture_that_the_processor_refuses_is_named(tmp_path):
    row = rows(tmp_path, [(4, 2000)])[0]
    with pytest.raises(InputError, match="row 0 .*the processor refuses its picture"):
        PromptMeter(loaded("tiny")).measure(row)


def test_spread_of_one_number_is_that_number():
    assert spread([7]) == "from 7 to 7, median 7, 95 % up to 7"
