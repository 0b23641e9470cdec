"""What `vrft_pl predict` writes of its answers: no drawing costs the table."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from vrft_pl.answers import Mark
from vrft_pl.commands import answers
from vrft_pl.commands.answers import suspicion, write_answers
from vrft_pl.commands.unasked import leave_out_refused, left_out, unasked_lines
from vrft_pl.data import OpenEnded, Pictures
from vrft_pl.runs import CompletionRecord, RunFolder
from vrft_pl.runs.records import mark_rows
from vrft_pl.types import InputError


def record(row, path, completion="yes", value="yes", problem="A dog?"):
    """What a policy wrote about a picture."""
    kept = CompletionRecord(0, 0, row, "pictures", str(path), problem, "", completion, "stop")
    return CompletionRecord(**{**vars(kept), "images": (str(path),), "value": value})


@pytest.fixture
def asked(tmp_path):
    """A folder of a run that asked about two pictures, and the pictures."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        Image.new("RGB", (30, 20)).save(path)
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.append(folder.PREDICTIONS, [record(row, path) for row, path in enumerate(paths)])
    return folder, Pictures([str(path) for path in paths], "A dog?")


def rows_of(folder):
    return list(csv.DictReader((folder.path / "predictions.csv").open(encoding="utf-8-sig", newline="")))


@pytest.mark.parametrize(("most", "drawn"), [(599, False), (600, True)])
def test_drawing_has_the_limit_of_the_task_and_costs_no_row(most, drawn, asked):
    folder, pictures = asked
    said = write_answers(folder, pictures, OpenEnded(most_pixels=most), True)
    assert [row["answer"] for row in rows_of(folder)] == ["yes", "yes"]
    assert [bool(row["drawing"]) for row in rows_of(folder)] == [drawn] * 2
    assert all(("can't be drawn: " in row["error"]) != drawn for row in rows_of(folder))
    assert ("2 not drawn" in said) != drawn


def test_the_table_is_text_to_a_spreadsheet_whatever_was_answered(asked):
    folder, pictures = asked
    said = ['=HYPERLINK("http://x", "ü 犬")', "- one,\n- two\r\n\0\ud800"]
    folder.replace(folder.PREDICTIONS, 0, [record(i, pictures.files[i], said[i], ["+x", "-3"][i]) for i in range(2)])
    write_answers(folder, pictures, OpenEnded(), False)
    assert (folder.path / "predictions.csv").read_bytes().startswith(b"\xef\xbb\xbfimage,problem,")
    first, second = rows_of(folder)
    assert (first["completion"], first["answer"]) == (f"'{said[0]}", "'+x")
    assert (second["completion"], second["answer"]) == ("'- one,\n- two\r\n\\ud800", "-3")


def test_a_cell_is_cut_where_it_ends_for_a_spreadsheet():
    assert answers.cell("=" + "x" * 40_000) == "'=" + "x" * 32_764 + "…"
    assert answers.cell("x" * 32_767) == "x" * 32_767


def test_places_outside_of_the_picture_are_told(asked):
    folder, pictures = asked
    sizes = [(30, 20)] * 2
    shapes = [[(30.0, 20.0, 30.0, 20.0), (1.0, 2.0, 3.0, 4.0)], [(25.0, 15.0, 30.0, 20.0)]]
    placed = [
        replace(record(i, pictures.files[i]), size=sizes[i], marks=mark_rows(map(Mark, shapes[i]))) for i in range(2)
    ]
    folder.replace(folder.PREDICTIONS, 0, placed)
    said = write_answers(folder, pictures, OpenEnded(), True)
    assert [row["error"] for row in rows_of(folder)] == ["Outside of the picture: 1 of 2 places.", ""]
    assert all(row["drawing"] for row in rows_of(folder))
    assert "1 of 2 answers lie outside of their pictures: the policy may write other coordinates" in said


def test_a_task_that_takes_larger_pictures_draws_them(asked, monkeypatch):
    folder, pictures = asked
    seen = []
    monkeypatch.setattr(answers, "draw", lambda image, *rest: seen.append(image.most_pixels))
    write_answers(folder, pictures, OpenEnded(most_pixels=10**9), True)
    assert seen == [10**9] * 2


def test_a_question_that_was_not_asked_has_a_row_that_says_why(tmp_path):
    paths = [tmp_path / f"{name}.png" for name in "abcd"]
    for path in paths:
        Image.new("RGB", (30, 20)).save(path)
    paths[1].write_bytes(b"no picture")
    folder, pictures = RunFolder(tmp_path / "run"), Pictures([str(path) for path in paths], "A dog?")
    folder.path.mkdir()
    folder.append(folder.PREDICTIONS, [record(row, paths[place]) for row, place in enumerate([0, 2])])
    task = OpenEnded(test={"pictures": pictures}, on_bad_row="skip")
    with pytest.warns(UserWarning, match="Skipped 1 of 4 rows"):
        said = write_answers(folder, pictures, task, False)
    assert [row["image"] for row in rows_of(folder)] == [str(path) for path in paths]
    assert [row["answer"] for row in rows_of(folder)] == ["yes", "", "yes", ""]
    assert "b.png can't be read as one" in rows_of(folder)[1]["error"]
    assert rows_of(folder)[3]["error"].startswith("Not asked: the run ended before its turn")
    assert said.startswith("2 questions asked, 0 answers can't be read, 1 left out for their pictures, 1 not asked")


class Strict:
    """Refuses what is wide, and counts what it is given."""

    def __init__(self):
        self.seen = []

    def encode(self, samples):
        self.seen += [Path(sample.id).stem for sample in samples]
        if samples[0].images[0].size()[0] > 100:
            raise InputError(f"{samples[0].id}: expected a narrow picture.")


def test_a_picture_that_the_processor_refuses_is_a_row_too(tmp_path):
    for name, width in {"a": 30, "b": 300, "c": 30, "e": 300, "f": 20}.items():
        Image.new("RGB", (width, 20)).save(tmp_path / f"{name}.png")
    (tmp_path / "d.png").write_bytes(b"no picture")
    task = OpenEnded(test={"pictures": Pictures(str(tmp_path), "A dog?")}, on_bad_row="skip")
    with pytest.warns(UserWarning, match="Skipped 1 of 6 rows"):
        task.setup("predict")
    codec = Strict()
    leave_out_refused(task, codec)
    assert codec.seen == ["a", "b", "e", "f"]
    assert task.datasets("test")["pictures"].rows == [0, 2, 5]
    refused = {place: reason.partition(": ")[2][:15] for place, reason in left_out(task).items()}
    assert refused == {1: "expected a narr", 3: "expected a pict", 4: "expected a narr"}


def test_samples_of_a_config_that_were_not_asked_are_counted(asked, tmp_path):
    folder, _ = asked
    task = OpenEnded()
    assert unasked_lines(folder, task, 2) == []
    task.skipped["test/id"] = ["row 3: expected a picture"]
    said = unasked_lines(folder, task, 5)
    assert said[0] == "2 of 5 samples asked, the others not (`trainer.limit_predict_batches`)."
    assert said[1] == f"Rows left out: 1. Why: {folder.path / 'skipped.json'}"
    assert json.loads((folder.path / "skipped.json").read_text()) == task.skipped


def test_the_table_is_there_before_the_drawings(asked, monkeypatch):
    folder, pictures = asked
    monkeypatch.setattr(answers, "draw", lambda *args: pytest.fail(str(len(rows_of(folder)))))
    with pytest.raises(pytest.fail.Exception, match="2"):
        write_answers(folder, pictures, OpenEnded(), True)
    assert len(rows_of(folder)) == 2


@pytest.mark.parametrize(
    ("count", "same", "told"),
    [(17, 16, ["16 of 17 answers are the same"]), (10, 8, []), (9, 9, [])],
    ids=["nearly-all", "not-over-four-fifths", "too-few"],
)
def test_the_same_answer_to_nearly_all_pictures_is_told(count, same, told):
    records = [record(i, f"{i}.png", f"<think>{i}</think>", "yes" if i < same else f"no {i}") for i in range(count)]
    assert [line.partition(":")[0] for line in suspicion(records)] == told


def test_sameness_is_counted_by_question_and_for_what_cannot_be_read_by_completion():
    two = [record(i, f"{i}.png", problem=p, value=p, completion=p) for i in range(10) for p in ("dog", "cat")]
    assert suspicion(two) == ["20 of 20 answers are the same: the policy may not look at the pictures."]
    boxes = [record(i, f"{i}.png", completion="[1, 2, 3, 4]", value=[i, 2.0, 3.0, 4.0]) for i in range(10)]
    assert suspicion(boxes) == ["10 of 10 answers are the same: the policy may not look at the pictures."]
    assert suspicion([record(i, "one.png") for i in range(20)]) == []
