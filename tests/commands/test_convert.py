import json
import re

import pytest
import yaml
from PIL import Image

from vrft_pl.__main__ import main
from vrft_pl.commands.convert import convert
from vrft_pl.data import Grounding, ReasonJSON
from vrft_pl.types import InputError


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 48)).save("dog.png")
    row = {"prompt": "Locate the dog.", "images": ["dog.png"], "solution": "<answer>[1, 2, 30, 40]</answer>"}
    bad = [{**row, "images": ["cat.png"]}, {**row, "solution": ""}, {**row, "images": ["../dog.png"]}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in (row, *bad)))
    (tmp_path / "good.json").write_text(json.dumps([row]))
    return tmp_path


def test_what_it_prints_reads_what_it_wrote(rows, capsys):
    main(["convert", "good.json", "--output", "made/rows.jsonl"])
    said = capsys.readouterr().out
    assert "Wrote 1 rows to made/rows.jsonl. Answers: box (1)." in said
    assert "A family for most of them: vrft_pl.data.Grounding." in said
    source = yaml.safe_load(re.search(r"^\{.*\}$", said, re.MULTILINE)[0])
    assert source["class_path"] == "vrft_pl.data.ReasonJSON"
    task = Grounding(style="answer", train=ReasonJSON(**source["init_args"]))
    task.setup("fit")
    (sample,) = task.datasets("train")["train"]
    assert (sample.problem, sample.solution.xyxy) == ("Locate the dog.", (1, 2, 30, 40))
    assert sample.images[0].open().size == (64, 48)


def test_rows_with_videos_are_read_as_such_with_those_of_pictures_beside_them(rows, capsys):
    (rows / "films").mkdir()
    films = [f"films/{i}.mp4" for i in range(6)]
    for name in films:
        (rows / name).touch()
    asked = [{"prompt": "<video>How often?", "videos": [name], "solution": "2"} for name in films]
    still = {"prompt": "How many?", "images": ["dog.png"], "solution": "1"}
    (rows / "films.json").write_text(json.dumps([*asked, still]))
    main(["convert", "films.json", "--output", "made.jsonl", "--held_out", "val.jsonl"])
    made = [json.loads(line) for line in (rows / "made.jsonl").read_text().splitlines()]
    assert [row.get("video", row.get("image")) for row in made] == [*films[:4], films[5], "dog.png"]
    assert json.loads((rows / "val.jsonl").read_text())["video"] == films[4]
    assert "{class_path: vrft_pl.data.VideoJSON, " in capsys.readouterr().out
    (rows / films[0]).unlink()
    with pytest.raises(SystemExit):
        main(["convert", "films.json", "--output", "other.jsonl"])
    assert "row 0: expected a video at films/0.mp4, but there is none." in capsys.readouterr().err


def test_a_bad_row_ends_it_or_is_left_out(rows, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["convert", "rows.jsonl", "--output", "made.jsonl"])
    assert stop.value.code == 1
    assert capsys.readouterr().err == "vrft_pl: rows.jsonl, row 1: expected a picture at cat.png, but there is none.\n"
    assert not (rows / "made.jsonl").exists()
    main(["convert", "rows.jsonl", "--output", "made.jsonl", "--on_bad_row", "skip"])
    assert "Left out 3 of 4 rows. First: rows.jsonl, row 1" in capsys.readouterr().err
    assert len((rows / "made.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "."], ids=["too-long", "no-name", "folder"])
def test_what_no_picture_can_be_called_is_a_bad_row(rows, name):
    (rows / "odd.json").write_text(json.dumps([{"prompt": "?", "images": [name], "solution": "1"}]))
    with pytest.raises(InputError, match=r"odd.json, row 0: expected a picture at "):
        convert(rows / "odd.json", rows, None, "error")


def test_a_cut_last_line_is_left_out_like_a_bad_row(rows, capsys):
    line = (rows / "rows.jsonl").read_text().splitlines()[0]
    (rows / "cut.jsonl").write_text(f"{line}\n{line}\n{line[:30]}")
    with pytest.raises(SystemExit):
        main(["convert", "cut.jsonl", "--output", "made.jsonl"])
    assert "Expected JSON in line 3 of cut.jsonl" in capsys.readouterr().err
    main(["convert", "cut.jsonl", "--output", "made.jsonl", "--on_bad_row", "skip"])
    assert "Left out 1 of 3 rows. First: Expected JSON in line 3 of cut.jsonl" in capsys.readouterr().err
    assert len((rows / "made.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["rows.jsonl"], 2, "output"),
        (["rows.jsonl", "--output", "good.json"], 1, "Expected `output` to be a new file, but there is good.json."),
        (["none.jsonl", "--output", "made.jsonl"], 1, "Expected a JSON file of rows at none.jsonl"),
        (["rows.jsonl", "--output", "made.jsonl", "--answer", "label", "--on_bad_row", "skip"], 1, "all 4 are bad"),
    ],
)
def test_mistakes_are_one_line(rows, capsys, args, code, said):
    with pytest.raises(SystemExit) as stop:
        main(["convert", *args])
    assert stop.value.code == code
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert said in line


def test_a_coco_file_becomes_questions_and_every_sixth_picture_is_held_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    images = [{"id": i, "file_name": f"{i:02}.png"} for i in range(12)]
    for image in images:
        Image.new("RGB", (64, 48)).save(image["file_name"])
    boxes = [
        {"id": 2 * i + j, "image_id": i, "category_id": j, "bbox": [10.1, 2, 20.2, 40]}
        for i in range(12)
        for j in range(2)
    ]
    categories = [{"id": 0, "name": "dog"}, {"id": 1, "name": "cat"}]
    coco = {"images": images, "annotations": boxes, "categories": categories}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    main(["convert", "coco.json", "--output", "train.jsonl", "--held_out", "val.jsonl"])
    train, val = ([json.loads(line) for line in (tmp_path / f"{name}.jsonl").open()] for name in ("train", "val"))
    assert (len(train), {row["image"] for row in val}) == (20, {"05.png", "11.png"})
    assert val[0] == {"image": "05.png", "problem": "Locate the dog.", "answer": [10.1, 2, 30.3, 42]}
    assert (
        "Wrote 20 rows to train.jsonl, and 4 of every sixth picture to val.jsonl. Answers: box (20)."
        in capsys.readouterr().out
    )
    with pytest.raises(SystemExit):
        main(["convert", "coco.json", "--output", "more.jsonl", "--held_out", "val.jsonl"])
    assert "Expected `held_out` to be a new file" in capsys.readouterr().err


def test_too_few_pictures_to_hold_some_out_are_told(rows, capsys):
    with pytest.raises(SystemExit):
        main(["convert", "good.json", "--output", "train.jsonl", "--held_out", "val.jsonl"])
    assert "Expected at least 6 pictures to hold some out, but got 1." in capsys.readouterr().err
    assert not (rows / "train.jsonl").exists()
