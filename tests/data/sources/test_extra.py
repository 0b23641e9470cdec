"""Other columns of a row, on their way to rewards and questions."""

from __future__ import annotations

import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vrft_pl.answers import Number
from vrft_pl.data import Counting, First, LabelCSV, ParquetRows, ReasonJSON, ShareGPT, VisualRFTDataset
from vrft_pl.prompts import chat, question
from vrft_pl.types import InputError, Sample

ROW = {"image": "a.png", "problem": "How many?", "answer": 3, "id": "x7", "hint": "Look up.", "level": [1, {"b": None}]}
EXTRA = {"id": "x7", "hint": "Look up.", "level": [1, {"b": None}]}


def json_rows(folder):
    (folder / "rows.json").write_text(json.dumps([ROW]))
    return ReasonJSON(str(folder / "rows.json"))


def json_lines(folder):
    (folder / "rows.jsonl").write_text(json.dumps({**ROW, "solution": "3"}) + "\n")
    return First(ReasonJSON(str(folder / "rows.jsonl")), 1)


def turns(folder):
    said = [{"role": "user", "content": "<image>How many?"}, {"role": "assistant", "content": "3"}]
    (folder / "turns.json").write_text(json.dumps([{"messages": said, "images": ["a.png"], "tags": ["t"], **EXTRA}]))
    return ShareGPT(str(folder / "turns.json"))


def parquet(folder):
    pq.write_table(pa.Table.from_pylist([{**ROW, "level": "[1]", "unread": b"\0" * 9}]), folder / "rows.parquet")
    return ParquetRows(str(folder / "rows.parquet"), id="id", extra=["hint", "level", "id"])


def saved(folder):
    row = {"image": "a.png", "problem": "How many?", "solution": "3", **EXTRA, "level": "[1]"}
    datasets.DatasetDict({"train": datasets.Dataset.from_list([row])}).save_to_disk(folder / "saved")
    Image.new("RGB", (8, 8)).save(folder / "saved/a.png")
    return VisualRFTDataset(str(folder / "saved"), extra=["hint", "level", "id"])


def table(folder):
    (folder / "rows.csv").write_text('path,hint,label,level,id\na.png,Look up.,3,"[1]",x7\n')
    return LabelCSV(str(folder / "rows.csv"), question="How many?", extra=["hint", "level", "id"])


@pytest.mark.parametrize("rows", [json_rows, json_lines, turns, parquet, saved, table])
def test_every_source_hands_on_the_columns_of_its_rows(rows, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    task = Counting(train=rows(tmp_path), template="{problem} {hint} {level} {instruction}", style="answer")
    (sample,) = task.datasets("train")["train"]
    level = sample.extra["level"]
    assert sample.extra == {**EXTRA, "level": level}
    assert level == ([1, {"b": None}] if rows in (json_rows, json_lines, turns) else "[1]")
    written = '[1, {"b": null}]' if isinstance(level, list) else "[1]"
    assert question(sample, "pixels") == f"How many? Look up. {written} Answer with a number only."


@pytest.mark.parametrize(
    ("rows", "options"),
    [(ParquetRows, {"files": "rows.parquet"}), (LabelCSV, {"path": "rows.csv"}), (VisualRFTDataset, {"path": "saved"})],
    ids=["parquet", "csv", "saved"],
)
def test_a_column_that_is_not_there_is_named(rows, options, tmp_path, monkeypatch):
    for write in (parquet, table, saved):
        write(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="difficulty"):
        rows(**options, extra=["difficulty"])


def asked(template, **extra):
    return question(Sample("row 7", (), "Q?", Number(3.0), style="answer", template=template, extra=extra), "pixels")


@pytest.mark.parametrize(
    "value",
    ["{problem} {0} {{x}} {", "%s", "\0", "x" * 1_000_000, "{hint.__class__}", "Answer with {form}"],
    ids=["braces", "percent", "nul", "huge", "attribute", "field"],
)
def test_whatever_a_column_holds_is_text(value):
    assert asked("{problem} [{hint}]", hint=value) == f"Q? [{value}]"


def test_numbers_and_lists_are_written_as_json():
    assert asked("{problem} {a} {b} {c}", a=3, b=[1, "\u00e9"], c=True) == 'Q? 3 [1, "\u00e9"] true'


def test_a_column_of_the_name_of_a_field_does_not_take_its_place():
    assert asked("{problem} {form}", problem="no", form="no") == "Q? a number"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"hunt": "x"}, r"row 7: expected a column `hint`, which `template` names, but the row has \['hunt'\]"),
        ({"hint": None}, "row 7: expected a column `hint`"),
        ({"hint": "\ud800"}, "row 7: expected `hint` to be a string"),
        ({"hint": ["\ud800"]}, "row 7: expected `hint` to be a string"),
    ],
    ids=["missing", "null", "half-a-character", "half-within"],
)
def test_a_row_without_a_column_of_the_template_is_bad(extra, said):
    with pytest.raises(InputError, match=said):
        asked("{problem} {hint}", **extra)


def test_a_marker_of_a_picture_in_a_column_is_no_picture():
    sample = Sample("row 7", (), "Q?", Number(3.0), template="{problem} {hint}", extra={"hint": "<image>"})
    with pytest.raises(InputError, match="row 7: expected `<image>` once for each of 0 pictures"):
        chat(sample, "pixels")


def test_a_task_finds_the_row_that_lacks_a_column_before_it_trains(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    rows = [ROW, {key: value for key, value in ROW.items() if key != "hint"}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    source = ReasonJSON(str(tmp_path / "rows.json"))
    with pytest.raises(InputError, match="row 1 .*: expected a column `hint`"):
        Counting(train=source, template="{problem} {hint}").datasets("train")
    assert len(Counting(train=source).datasets("train")["train"]) == 2


def test_samples_can_be_told_apart_by_their_hash():
    one, other = (Sample("1", (), "Q?", Number(3.0), extra={"a": [n]}) for n in (1, 2))
    assert hash(one) == hash(other)
    assert one != other
