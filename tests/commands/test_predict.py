"""`vrft_pl predict` on pictures without answers: what it asks, reads, writes and draws."""

from __future__ import annotations

import csv
import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from forking import forked
from PIL import Image

from vrft_pl.__main__ import main
from vrft_pl.callbacks.export import asked_as
from vrft_pl.commands.predict import PredictCLI, checkpoint_of, completed, refuse_no_pictures
from vrft_pl.data import Classification, Detection, GroundingScenes, Mixture, OpenEnded, Pictures
from vrft_pl.policy.checkpoint import TINY, note_data, read_data
from vrft_pl.rewards.overlap import pair_iou
from vrft_pl.rewards.parsing import read_answer
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError

QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]
BOXES = {"class_path": "vrft_pl.data.Grounding", "init_args": {"style": "think"}}


@pytest.fixture(scope="module")
def grounding_policy(tmp_path_factory):
    """The embedded policy, with a note that it was trained to ground."""
    folder = tmp_path_factory.mktemp("policy") / "export"
    shutil.copytree(TINY, folder)
    note_data(folder, BOXES)
    return folder


def scenes(folder):
    """Pictures of twice the size of scenes that the embedded policy knows, all of one question; their true boxes."""
    rows = [row for row in GroundingScenes(size=60) if row.problem == "Locate the green square."][:4]
    for i, row in enumerate(rows):
        image = row.images[0].open()
        image.resize((2 * image.width, 2 * image.height)).save(folder / f"{i}.png")
    return {str(folder / f"{i}.png"): [2 * edge for edge in row.answer.xyxy] for i, row in enumerate(rows)}


def test_boxes_come_out_in_pixels_of_the_pictures_beside_those_that_are_broken(
    grounding_policy, tmp_path, capsys, no_argv
):
    truth = scenes(tmp_path)
    (tmp_path / "broken.png").write_bytes((tmp_path / "0.png").read_bytes()[:200])
    asked = ["--images", str(tmp_path / "*.png"), "--problem", "Locate the green square."]
    policy = ["--model.policy.checkpoint", str(grounding_policy), "--model.eval_params.max_tokens", "48"]
    with pytest.warns(UserWarning, match="Skipped 1 of 5 rows"):
        main(["predict", *asked, *policy, *QUIET, "--run.folder", str(tmp_path / "run")])
    said = capsys.readouterr().out
    assert "4 questions asked, 0 answers can't be read, 1 left out for their pictures." in said

    records = list(RunFolder(tmp_path / "run").predictions())
    assert [record.images for record in records] == [(path,) for path in truth]
    written = [json.loads(read_answer(record.completion, "think")) for record in records]
    assert [record.value for record in records] == [[2.0 * edge for edge in box] for box in written]
    assert max(pair_iou(record.value, truth[record.id]) for record in records) > 0.7
    assert all(record.answer == "" and record.truth == () and record.boxes == [record.value] for record in records)

    rows = list(csv.DictReader((tmp_path / "run/predictions.csv").open(encoding="utf-8-sig", newline="")))
    assert [json.loads(row["answer"]) for row in rows[:4]] == [record.value for record in records]
    assert [row["image"] for row in rows] == [*truth, str(tmp_path / "broken.png")]
    assert "is damaged" in rows[4]["error"]
    drawn = Image.open(tmp_path / "run" / rows[0]["drawing"])
    x1, y1, *_ = records[0].value
    red, green, blue = drawn.getpixel((int(x1) + 10, int(y1)))
    assert red > 180
    assert max(green, blue) < 120
    assert drawn.height > Image.open(records[0].id).height  # the question and the answer stand below


def test_a_table_says_why_no_picture_could_be_asked_about(tmp_path, capsys, no_argv):
    (tmp_path / "cut.jpg").write_bytes(b"no picture")
    asked = ["--images", str(tmp_path / "cut.jpg"), "--problem", "hi"]
    with pytest.warns(UserWarning, match="Skipped 1 of 1 rows"), pytest.raises(SystemExit) as stop:
        main(["predict", *asked, *QUIET, "--run.folder", str(tmp_path / "run")])
    said = capsys.readouterr()
    assert stop.value.code == 1
    assert "0 questions asked, 0 answers can't be read, 1 left out for their pictures." in said.out
    assert "Expected a picture that can be read, but there is none" in said.err
    (row,) = csv.DictReader((tmp_path / "run/predictions.csv").open(encoding="utf-8-sig", newline=""))
    assert row["image"] == str(tmp_path / "cut.jpg")
    assert "can't be read as one" in row["error"]


@pytest.mark.slow
def test_two_processes_ask_each_question_once_and_write_what_one_writes(grounding_policy, tmp_path, no_argv):
    photos = tmp_path / "photos"
    photos.mkdir()
    scenes(photos)
    shutil.copy(photos / "3.png", photos / "5.png")
    (photos / "1b.png").write_bytes(b"no picture")  # between others: 5 that can be read, which 2 does not divide
    asked = ["--images", photos, "--problem", "Locate the green square.", "--model.policy.checkpoint"]
    options = [*asked, grounding_policy, *QUIET, "--model.eval_params.max_tokens", "48", "--data.eval_batch_size", "2"]
    alone, two = tmp_path / "alone", tmp_path / "two"
    with pytest.warns(UserWarning, match="Skipped 1 of 6 rows"):
        main(["predict", *map(str, options), "--run.folder", str(alone)])
    ranks = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    done = forked("-m", "vrft_pl", "predict", *options, *ranks, "--run.folder", two, ranks=2)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("5 questions asked, 0 answers can't be read, 1 left out for their pictures.") == 1
    files = [path.relative_to(alone) for path in alone.rglob("*.*") if path.suffix in (".csv", ".jsonl", ".jpg")]
    assert len(files) == 2 + 5
    assert all((two / name).read_bytes() == (alone / name).read_bytes() for name in files)
    rows = list(csv.DictReader((alone / "predictions.csv").open(encoding="utf-8-sig", newline="")))
    assert [Path(row["image"]).name for row in rows] == ["0.png", "1.png", "1b.png", "2.png", "3.png", "5.png"]


@pytest.mark.nightly
def test_free_text_is_the_default_and_nothing_is_added_to_the_question(tmp_path, no_argv):
    scenes(tmp_path)
    asked = ["--images", str(tmp_path / "0.png"), str(tmp_path / "1.png"), "--problem", "What is {this}?"]
    words = ["--model.eval_params.max_tokens", "4", "--drawings", "false"]
    main(["predict", *asked, *words, *QUIET, "--run.folder", str(tmp_path / "run")])
    config = RunFolder(tmp_path / "run").config()
    assert config["data"]["class_path"] == "vrft_pl.data.open_ended.OpenEnded"
    assert config["data"]["init_args"]["template"] == "{problem}"
    assert [record.problem for record in RunFolder(tmp_path / "run").predictions()] == ["What is {this}?"] * 2
    assert not (tmp_path / "run/drawings").exists()


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--images", "nowhere/*.jpg", "--problem", "?"], 1, "Expected pictures that match nowhere/*.jpg"),
        (["--images", "."], 2, "Expected a question in `--problem`"),
        (["--images", ".", "--problem", "?", "--data", "vrft_pl.data.Mixture", "--data.tasks", "{}"], 2, "one family"),
        (["--images", ".", "--problem", "?", "--model.policy.checkpoint", "./none"], 2, "there is no such folder"),
        (["--images", "a\udcff.jpg", "--problem", "?"], 2, r"Expected arguments in UTF-8, but got 'a\udcff.jpg'."),
        (["--problem", "?", "--model.policy.checkpoint", "x"], 2, "Name them by `--images`, or a `--config`"),
    ],
    ids=["no-picture", "no-question", "several-families", "no-checkpoint", "bytes", "no-pictures-named"],
)
def test_what_is_missing_is_one_line(args, code, said, tmp_path, monkeypatch, capsys, no_argv):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["predict", *args])
    error = capsys.readouterr().err
    assert stop.value.code == code
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("args", [["--config=x"], ["--images", "x"], ["--model", "Mine", "--data=Mine"], ["--help"]])
def test_pictures_need_not_be_named_beside_what_takes_their_place(args):
    refuse_no_pictures([*args, *(["--model.policy.checkpoint=x"] if len(args) > 1 else [])])


@pytest.mark.parametrize(
    ("family", "problem", "code"),
    [(OpenEnded(), "hi", 2), (OpenEnded(), "a {category}", None), (Detection(), "hi", None)],
    ids=["lost", "in-the-question", "asked-by-the-family"],
)
def test_categories_that_nothing_asks_for_are_refused(family, problem, code, tmp_path, capsys):
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    cli = SimpleNamespace(pictures=Pictures(str(tmp_path), problem, ["dog"]), datamodule=family)
    with pytest.raises(SystemExit) if code else nullcontext():
        PredictCLI.refuse_unused_categories(cli)
    assert ("Expected {category} or {categories} in `--problem`" in capsys.readouterr().err) == bool(code)


def test_the_family_of_the_checkpoint_is_that_of_its_note(grounding_policy):
    args = ["--images", "x", "--model.policy.checkpoint", str(grounding_policy)]
    assert json.loads(completed(args)[3]) == BOXES
    assert completed(["--config", "x.yaml", *args]) == ["--config", "x.yaml", *args]
    assert completed(args[2:]) == args[2:]


@pytest.mark.parametrize(
    "args",
    [
        ["--model.policy.checkpoint", "a", "--model.policy.checkpoint=b"],
        ["--model.init_args.policy.init_args.checkpoint", "b"],
        ["--problem", "--model.policy.checkpoint", "b", "--images", "x"],
    ],
    ids=["last", "long", "among-others"],
)
def test_the_checkpoint_is_found_among_the_arguments(args):
    assert checkpoint_of(args) == "b"
    assert checkpoint_of(["--images", "x"]) == "tiny"


def test_an_export_says_how_it_was_asked_with_names_in_place_of_their_file(tmp_path):
    (tmp_path / "names.txt").write_text("king\nace\n")
    task = Classification(str(tmp_path / "names.txt"), list_classes=True, style="answer")
    asked = asked_as(task)
    assert asked["class_path"] == "vrft_pl.data.Classification"
    form = {"style": "answer", "system": None, "template": None, "total_pixels": None}
    assert asked["init_args"] == {"classes": ["king", "ace"], "aliases": {}, "list_classes": True, **form}
    assert asked_as(Mixture({"flowers": task})) is None
    note_data(tmp_path, asked)
    assert read_data(str(tmp_path)) == asked


@pytest.mark.parametrize(
    "note",
    [
        "[]",
        "{",
        '{"data": {"class_path": 3}}',
        '{"data": {"class_path": "mine.Family"}}',
        '{"data": {"class_path": "vrft_pl.data.Counting", "init_args": {"style": {"class_path": "mine.Style"}}}}',
        '{"data": {"class_path": "vrft_pl.data.Counting", "init_args": {"x": [{"class_path": "os.system"}]}}}',
    ],
    ids=["list", "cut", "number", "other-family", "other-style", "other-in-a-list"],
)
def test_a_note_that_is_damaged_or_names_a_class_of_others_is_refused(note, tmp_path):
    (tmp_path / "vrft_pl.json").write_text(note)
    with pytest.raises(InputError, match=r"vrft_pl.json"):
        read_data(str(tmp_path))
    args = ["--images", "x", "--model.policy.checkpoint", str(tmp_path)]
    with pytest.raises(InputError, match=r"vrft_pl.json"):
        completed(args)
    assert json.loads(completed([*args, "--data", "mine.Family"])[3])["class_path"].endswith("OpenEnded")
