"""Targets that can't be written are found before the first step."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from checkpoints import loaded
from PIL import Image
from training import fit, sgd

from vrft_pl.data import Classification, Counting, Detection, Grounding, Mixture, ParquetRows, ReasonJSON
from vrft_pl.data.images import EncodedImage
from vrft_pl.modules import SFTModule
from vrft_pl.policy import VLM
from vrft_pl.types import InputError

GOOD = {"image": "a.png", "problem": "What?", "answer": "3", "cot": "One, two."}


@pytest.fixture
def policy(qwen3_vl):
    return loaded(qwen3_vl, max_pixels=1024)


def write(folder, *changes):
    """A file of rows, each good but for its change."""
    Image.new("RGB", (64, 32)).save(folder / "a.png")
    (folder / "rows.json").write_text(json.dumps([{**GOOD, **change} for change in changes]))
    return ReasonJSON(str(folder / "rows.json"))


def train(policy, task, **kwargs):
    return fit(SFTModule(policy, optimizer=sgd), task, **kwargs)


MISSING = (Counting, {"cot": ""}, r"expected a chain of thought \(`cot`\) for the `think` style")


@pytest.mark.parametrize("on_bad_row", ["error", "skip"])
@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        pytest.param(*MISSING, id="no-thoughts"),
        pytest.param(Counting, {"cot": "A <|image_pad|>."}, "it holds '<|image_pad|>'", id="control-token"),
        pytest.param(Counting, {"problem": "A <|im_end|>?"}, "it holds '<|im_end|>'", id="in-the-question"),
        pytest.param(Counting, {"system": "A <|im_end|>."}, "it holds '<|im_end|>'", id="in-the-system-prompt"),
        pytest.param(Classification, {"answer": "<|im_end|>"}, "it holds '<|im_end|>'", id="in-the-answer"),
        pytest.param(
            Counting, {"cot": "<answer>1</answer><answer>3</answer>"}, "expected one <answer> block", id="two-answers"
        ),
    ],
)
def test_the_first_bad_target_ends_the_run_before_any_step(
    policy, tmp_path, monkeypatch, on_bad_row, family, change, message
):
    task = family(train=write(tmp_path, {}, {}, change, change), on_bad_row=on_bad_row)
    task.setup("fit")
    opened, encoded = [], []
    monkeypatch.setattr(EncodedImage, "open", lambda image: opened.append(image))
    monkeypatch.setattr(VLM, "encode", lambda policy, samples: encoded.append(samples))
    with pytest.raises(InputError, match=f"rows.json, row 2: .*{message}".replace("<|", r"<\|").replace("|>", r"\|>")):
        train(policy, task, limit_train_batches=1)
    assert not opened
    assert not encoded


def test_every_part_of_a_mixture_is_checked(policy, tmp_path):
    for name, change in (("a", {}), ("b", {"cot": None})):
        (tmp_path / name).mkdir()
        write(tmp_path / name, {}, change)
    sources = [ReasonJSON(str(tmp_path / name / "rows.json")) for name in "ab"]
    task = Mixture({name: Counting(source) for name, source in zip("ab", sources, strict=True)})
    with pytest.raises(InputError, match="b/rows.json, row 1: expected a chain of thought"):
        train(policy, task, max_steps=0)


@pytest.mark.parametrize(
    ("family", "answer"),
    [
        pytest.param(Grounding, [4, 8, 20, 30], id="box"),
        pytest.param(Detection, "[{'Position': [4, 8, 20, 30], 'Confidence': 1}]", id="boxes"),
    ],
)
@pytest.mark.parametrize("space", ["permille", "resized_pixels", "pixels", "unit"])
def test_boxes_are_written_without_decoding_a_picture(policy, tmp_path, monkeypatch, family, answer, space):
    policy.codec.coordinates = space
    task = family(train=write(tmp_path, {"answer": answer, "problem": "Where is the category 'dog'?"}))
    task.setup("fit")
    with monkeypatch.context() as patch:
        patch.delattr(EncodedImage, "open")
        train(policy, task, max_steps=0)
    assert train(policy, task, max_steps=1).global_step == 1


def test_streams_are_not_read_beforehand(policy, tmp_path):
    write(tmp_path, {})
    rows = {key: [value] * 3 for key, value in {**GOOD, "cot": None}.items()}
    pq.write_table(pa.table({**rows, "cot": pa.array([None] * 3, pa.string())}), tmp_path / "a.parquet")
    task = Counting(ParquetRows(str(tmp_path / "a.parquet"), cot="cot"))
    train(policy, task, max_steps=0)
    with pytest.raises(InputError, match="a.parquet, row .: expected a chain of thought"):
        train(policy, task, max_steps=1)


def test_the_bare_answer_needs_no_thoughts(policy, tmp_path):
    task = Counting(write(tmp_path, {"cot": None}), style="answer")
    assert train(policy, task, max_steps=1).global_step == 1
