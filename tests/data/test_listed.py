from __future__ import annotations

import json
import subprocess
import sys

import pytest
from PIL import Image

from vrft_pl.data import (
    Classification,
    Counting,
    CountingScenes,
    DetectionScenes,
    FewShot,
    Fraction,
    Listed,
    ReasonJSON,
    Record,
    Source,
    StructureScenes,
    fingerprint,
)
from vrft_pl.data.images import DecodedImage
from vrft_pl.prompts import target_text
from vrft_pl.types import InputError


class Rows(Source):
    """Rows in memory, as a file would give them."""

    def __init__(self, records, streamed=False, blocks=None):
        self.records, self._streamed, self._blocks = records, streamed, blocks

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        if self.records[index] is None:
            raise InputError(f"rows.json, row {index}: expected something else.")
        return self.records[index]

    @property
    def streamed(self):
        return self._streamed

    @property
    def blocks(self):
        return self._blocks


def picture(colour="red", size=(3, 2)):
    return DecodedImage(Image.new("RGB", size, colour))


def record(i, answer="3", problem="Which?", images=None, **kwargs):
    return Record(f"id {i}", (picture(),) if images is None else images, problem, answer, **kwargs)


ROWS = Rows([record(i, cot=f"cot {i}") for i in range(10)])


def listed(tmp_path, lines, source=ROWS, **kwargs):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return Listed(source, str(path), **kwargs)


def test_rows_come_in_the_order_of_the_file_as_often_as_it_names_them(tmp_path):
    rows = listed(tmp_path, [{"row": i, "id": f"id {i}"} for i in (7, 2, 7)])
    assert [r.id for r in rows] == rows.chosen() == ["id 7", "id 2", "id 7"]
    assert len(rows) == 3
    assert [r.cot for r in rows] == ["cot 7", "cot 2", "cot 7"]
    assert all(r.target is None for r in rows)


def test_thoughts_and_turns_of_the_file_take_the_place_of_the_rows_own(tmp_path):
    lines = [{"row": 1, "id": "id 1", "cot": "other"}, {"row": 1, "id": "id 1", "target": "<answer>4</answer>"}]
    first, second = listed(tmp_path, lines)
    assert (first.cot, first.target) == ("other", None)
    assert (second.cot, second.target) == ("cot 1", "<answer>4</answer>")


def test_a_turn_of_the_file_is_what_supervised_training_imitates_and_the_truth_stays(tmp_path):
    lines = [{"row": 0, "id": "id 0", "target": "I see <answer>4</answer>"}, {"row": 1, "id": "id 1"}]
    samples = Counting(train=listed(tmp_path, lines)).datasets("train")["train"]
    assert [target_text(samples[i], None) for i in range(2)] == [
        "I see <answer>4</answer>",
        "<think>cot 1</think><answer>3</answer>",
    ]
    assert samples[0].solution.value == 3


def test_a_turn_reaches_families_that_change_the_question(tmp_path):
    rows = listed(tmp_path, [{"row": 0, "id": "id 0", "target": "a lily"}], Rows([record(0, "lily")]))
    task = Classification(["lily", "rose"], list_classes=True, train=rows)
    assert task.datasets("train")["train"][0].target == "a lily"


def test_the_seed_of_the_run_changes_no_scene(tmp_path):
    ids = [f"CountingScenes(snow, seed 5) row {i}" for i in (3, 1)]
    rows = listed(tmp_path, [{"row": i, "id": ids[j]} for j, i in enumerate((3, 1))], CountingScenes("snow"), seed=5)
    drawn = Counting(train=rows, seed=9).datasets("train")["train"]
    assert [drawn[i].id for i in range(2)] == ids
    assert rows.with_seed(9)[0].answer == CountingScenes("snow", seed=5)[3].answer
    assert Fraction(rows, rows=1).with_seed(9)[0].id in ids


def test_ids_of_another_seed_are_refused(tmp_path):
    with pytest.raises(
        InputError,
        match=r"rows.jsonl, row 0: expected row 3 of the source to be 'CountingScenes\(base, seed 5\) row 3', but it "
        r"is 'CountingScenes\(base, seed 0\) row 3'. Write the file anew from this source and seed.",
    ):
        listed(tmp_path, [{"row": 3, "id": "CountingScenes(base, seed 5) row 3"}], CountingScenes())


def test_ids_that_differ_are_refused_also_where_bad_rows_are_skipped(tmp_path):
    with pytest.raises(InputError, match="expected row 2 of the source to be 'id 3', but it is 'id 2'"):
        Counting(train=listed(tmp_path, [{"row": 1, "id": "id 1"}, {"row": 2, "id": "id 3"}]), on_bad_row="skip")


def test_ids_of_a_stream_are_compared_when_rows_are_read(tmp_path):
    stream = Rows(ROWS.records, streamed=True, blocks=[range(5), range(5, 10)])
    rows = listed(tmp_path, [{"row": 1, "id": "id 1"}, {"row": 2, "id": "id 3"}], stream)
    assert rows[0].id == "id 1"
    with pytest.raises(InputError, match="expected row 2 of the source to be 'id 3'"):
        _ = rows[1]


def test_a_row_that_cannot_be_read_is_left_to_the_task(tmp_path):
    source = Rows([record(0), None])
    rows = listed(tmp_path, [{"row": 1, "id": "id 1"}, {"row": 0, "id": "id 0"}], source)
    task = Counting(train=rows, on_bad_row="skip", style="answer")
    with pytest.warns(UserWarning, match="Skipped 1 of 2 rows"):
        assert len(task.datasets("train")["train"]) == 1


@pytest.mark.parametrize(("order", "expected"), [((1, 6, 7), [range(1), range(1, 3)]), ((6, 1, 7), None)])
def test_rows_are_read_block_by_block_where_the_file_keeps_their_order(tmp_path, order, expected):
    source = Rows(ROWS.records, blocks=[range(5), range(5, 10)])
    assert listed(tmp_path, [{"row": i, "id": f"id {i}"} for i in order], source).blocks == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"row": 10, "id": "id 0"}, r"row 0: expected `row` to be a row of the source, from 0 to 9, but got 10"),
        ({"row": -1, "id": "id 0"}, "from 0 to 9, but got -1"),
        ({"row": True, "id": "id 1"}, "from 0 to 9, but got True"),
        ({"id": "id 1"}, "from 0 to 9, but got None"),
        ({"row": 1}, "expected `id` to be a string, but got None"),
        ({"row": 1, "id": "id 1", "cot": 3}, "expected `cot` to be a string, but got 3"),
        ({"row": 1, "id": "id 1", "target": "\ud800"}, "expected `target` to be a string"),
        ({"row": 1, "id": "id 1", "target": " "}, "expected `target` to be a turn to imitate, but it is blank"),
        ({"row": 1, "id": "id 1", "cto": "x"}, r"expected only `row`, `id`, `cot` and `target`, but got \['cto'\]"),
        ("[1]", "Expected row 0 of .* to be a JSON object"),
        ("{", "Expected JSON in line 1 of .*, but it can't be parsed"),
        ("", "Expected at least one row in .*, but it is empty"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path, line, message):
    with pytest.raises(InputError, match=message):
        listed(tmp_path, [line])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="Expected a JSON file of rows at .*none.jsonl"):
        Listed(ROWS, str(tmp_path / "none.jsonl"))


def test_few_shots_can_be_listed_of_a_drawn_source_and_drawn_of_a_listed_one(tmp_path):
    drawn = FewShot(CountingScenes(), 1).with_seed(5)
    lines = [{"row": i, "id": drawn[i].id} for i in reversed(range(len(drawn)))]
    rows = listed(tmp_path, lines, FewShot(CountingScenes(), 1), seed=5)
    assert [r.id for r in rows] == [r.id for r in drawn][::-1]
    assert len(FewShot(rows, 1)) == len(drawn)


def test_the_same_rows_have_one_fingerprint_whatever_they_are_read_from(tmp_path):
    Image.new("RGB", (3, 2), "red").save(tmp_path / "a.png")
    (tmp_path / "rows.json").write_text(json.dumps([{"problem": "Which?", "answer": "3", "image": "a.png"}] * 2))
    source = ReasonJSON(str(tmp_path / "rows.json"))
    twin = Rows([Record(source[i].id, (picture(),), "Which?", "3") for i in range(2)])
    assert fingerprint(source, [0, 1]) == fingerprint(twin, [0, 1])
    assert fingerprint(source, [0, 1]) != fingerprint(source, [1, 0])
    assert len(fingerprint(source, [])) == 64


@pytest.mark.parametrize(
    "other",
    [
        record(1),
        record(0, answer="4"),
        record(0, answer=3),
        record(0, problem="Where?"),
        record("0W", problem="hich?"),
        record(0, images=()),
        record(0, images=(picture(), picture())),
        record(0, images=(picture("blue"),)),
        record(0, images=(picture(size=(2, 3)),)),
    ],
)
def test_every_part_of_a_row_changes_its_fingerprint(other):
    assert fingerprint(Rows([other]), [0]) != fingerprint(Rows([record(0)]), [0])


@pytest.mark.slow
def test_a_fingerprint_is_the_same_in_another_process():
    scenes = "CountingScenes('night')", "DetectionScenes('night')", "StructureScenes()"
    code = "from vrft_pl.data import *\n" + "\n".join(f"print(fingerprint({source}, range(3)))" for source in scenes)
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    sources = CountingScenes("night"), DetectionScenes("night"), StructureScenes()
    assert theirs.stdout.split() == [fingerprint(source, range(3)) for source in sources]
