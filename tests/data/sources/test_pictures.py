from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from vrft_pl.answers import Box, Instances, Number, Text
from vrft_pl.data import Counting, Detection, Grounding, OpenEnded, Pictures, Spatial
from vrft_pl.types import InputError
from vrft_pl.unanswered import Unanswered


@pytest.fixture
def folder(tmp_path):
    for name in ("b.jpg", "a.PNG", "deep/c.webp", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


@pytest.mark.parametrize(
    ("images", "found"),
    [
        pytest.param(["."], ["a.PNG", "b.jpg", "deep/c.webp"], id="folder"),
        pytest.param(["*"], ["a.PNG", "b.jpg"], id="glob"),
        pytest.param(["**/*.webp"], ["deep/c.webp"], id="glob-at-any-depth"),
        pytest.param(["b.jpg", "*.PNG", "b.jpg"], ["b.jpg", "a.PNG"], id="list-each-once"),
        pytest.param(["notes.txt"], ["notes.txt"], id="named-is-taken-for-a-picture"),
    ],
)
def test_pictures_are_found_by_folder_glob_or_name(images, found, folder, monkeypatch):
    monkeypatch.chdir(folder)
    source = Pictures(images, "What is this?")
    assert [Path(record.id).as_posix() for record in source] == found
    assert all(record.answer == Unanswered() and record.problem == "What is this?" for record in source)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ("{}/*.gif", "Expected pictures that match .*gif, but there is none"),
        ("{}/nowhere", "Expected a picture, a folder or a glob at .*nowhere, but there is none"),
        ("{}/empty", "Expected pictures in the folder .*empty, but there is none"),
    ],
    ids=["glob", "name", "folder"],
)
def test_what_finds_no_picture_is_named(images, said, folder):
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match=said):
        Pictures([str(folder), images.format(folder)], "What is this?")


@pytest.mark.parametrize("images", ["", "/*"], ids=["folder", "glob"])
def test_pictures_that_are_not_decoded_are_questions_too_and_bad_rows(tmp_path, images):
    for name in ("a.HEIC", "b.svg", "c.txt", ".d.heic"):
        (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic")
    Image.new("RGB", (8, 6)).save(tmp_path / "e.png")
    source = Pictures(f"{tmp_path}{images}", "What?")
    assert [file.name for file in source.files] == ["a.HEIC", "b.svg", "e.png"]
    with pytest.raises(InputError, match=r"a.HEIC: expected a picture, but .*a.HEIC can't be read as one"):
        source[0].images[0].open()


def test_a_folder_that_can_not_be_read_is_named_though_there_are_others(tmp_path, monkeypatch):
    Image.new("RGB", (8, 6)).save(tmp_path / "e.png")
    (tmp_path / "shut").mkdir()
    scan = os.scandir

    def scandir(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match=r"^Expected to read the folder .*shut, but: Permission denied\.$"):
        Pictures(str(tmp_path), "What?")


def test_a_question_is_asked_for_each_category_or_for_all(folder):
    each = Pictures(str(folder / "b.jpg"), "Locate the {category}.", ["king", "ace"])
    assert [record.problem for record in each] == ["Locate the king.", "Locate the ace."]
    assert len({record.id for record in each}) == 2
    (together,) = Pictures(str(folder / "b.jpg"), "Find {categories}.", ["king", "ace"])
    assert together.problem == "Find 'king', 'ace'."
    assert Detection().unanswered(together).categories == ("king", "ace")
    (alone,) = Pictures(str(folder / "b.jpg"), categories=["king"])
    assert alone.problem == "Detect all objects belonging to the category 'king' in the image."


def test_a_question_without_categories_stands_as_it_is(folder):
    (record,) = Pictures(str(folder / "b.jpg"), "What does {name} or {0} mean?")
    assert record.problem == "What does {name} or {0} mean?"


@pytest.mark.parametrize("field", ["{category}", "{categories}"])
def test_a_field_that_nothing_fills_in_is_refused(field, folder):
    with pytest.raises(ValueError, match=f"Expected `categories` to put in the place of {field} in `problem`"):
        Pictures(str(folder), f"Locate the {field}.")


def test_a_file_by_another_path_and_a_category_that_is_named_twice_are_asked_about_once(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "link").symlink_to("deep")
    spellings = ["b.jpg", "./b.jpg", "deep/../b.jpg", str(folder / "b.jpg"), "deep/c.webp", "link/c.webp"]
    source = Pictures(spellings, "Locate the {category}.", ["king", "king", "queen"])
    assert [record.id for record in source] == [
        *("b.jpg, king", "b.jpg, queen"),
        *("deep/c.webp, king", "deep/c.webp, queen"),
    ]


def test_a_link_of_another_name_is_a_picture_of_its_own(folder):
    (folder / "again.jpg").symlink_to("b.jpg")
    assert len(Pictures([str(folder / "b.jpg"), str(folder / "again.jpg")], "What is this?")) == 2


@pytest.mark.parametrize("problem", ["{", "{0}", "{category!r}", "{category} {categories}", " "])
def test_a_question_that_cannot_be_filled_in_is_refused(problem, folder):
    with pytest.raises(ValueError, match="Expected `problem` to"):
        Pictures(str(folder), problem, ["king"])


def test_a_question_in_broken_text_is_refused(folder):
    with pytest.raises(InputError, match="expected `problem` to be a string"):
        Pictures(str(folder), "What is \ud800?")


@pytest.mark.parametrize(
    ("family", "kind", "form"),
    [
        (Grounding(), Box, "a box [x1, y1, x2, y2] in pixels"),
        (Grounding(negatives=True), Box, "a box [x1, y1, x2, y2] in pixels, or No Objects,"),
        (Counting(), Number, "a number"),
        (OpenEnded(), Text, "a short text"),
        (Detection(category_pattern="the (.+)s"), Instances, "a list of"),
    ],
    ids=["grounding", "with-negatives", "counting", "open-ended", "detection"],
)
def test_a_family_asks_for_its_kind_of_answer_as_it_does_in_training(family, kind, form, folder):
    (record,) = Pictures(str(folder / "b.jpg"), "Find the dogs.")
    solution = family.sample(record, "pictures").solution
    assert isinstance(solution.kind, kind)
    assert solution.form("pixels").startswith(form)
    assert solution.text(None) == ""
    assert solution.marks() == ()


def test_rows_without_answers_are_no_rows_to_train_on(folder):
    task = Counting(train=Pictures(str(folder), "How many?"))
    with pytest.raises(InputError, match="expected a row with an answer to train on"):
        task.datasets("train")


def test_a_family_that_needs_the_answer_says_so(folder):
    (record,) = Pictures(str(folder / "b.jpg"), "What changed?")
    with pytest.raises(InputError, match="Spatial does not say by `unanswered` what it asks for"):
        Spatial().sample(record, "pictures")


def test_a_category_that_the_question_does_not_name_is_asked_for(folder):
    (record,) = Pictures(str(folder / "b.jpg"), "Find them.")
    with pytest.raises(InputError, match="Or name it in `categories`"):
        Detection().unanswered(record)
