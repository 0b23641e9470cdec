from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import make_completions, make_record
from jsonargparse import ArgumentParser

from vrft_pl.answers import Label
from vrft_pl.data import Classification, VisionTask
from vrft_pl.prompts import answer_text, question
from vrft_pl.rewards import LabelMatch
from vrft_pl.types import InputError

LILIES = ["fire lily", "tiger lily", "Hard-leaved pocket orchid"]
ALIASES = {"fire lily": ["flame lily", "Gloriosa"], "Tiger_Lily": ["Lilium lancifolium"]}
NAMES = Path(__file__).parents[2].parent / "shared" / "data" / "class_names"


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param("tiger lily", Label("tiger lily"), id="name"),
        pytest.param("<answer> tiger lily </answer>", Label("tiger lily"), id="tags"),
        pytest.param("<think>Spots.</think><answer>tiger lily</answer>", Label("tiger lily"), id="thoughts"),
        pytest.param("Tiger_Lily", Label("tiger lily"), id="case-and-underscore"),
        pytest.param("hard leaved  pocket\u2010orchid", Label("Hard-leaved pocket orchid"), id="blanks-and-hyphens"),
        pytest.param("\uff54\uff49\uff47\uff45\uff52 lily", Label("tiger lily"), id="full-width"),
        pytest.param(Label("TIGER LILY"), Label("tiger lily"), id="label"),
        pytest.param(Label("tiger lily", ("tigrinum",)), Label("tiger lily", ("tigrinum",)), id="label-with-alias"),
    ],
)
def test_a_row_names_a_class_in_the_form_of_the_list(answer, expected):
    assert Classification(LILIES).solution(make_record(answer)) == expected


@pytest.mark.parametrize("answer", ["fire lily", "FLAME-LILY", "gloriosa", Label("flame lily")], ids=str)
@pytest.mark.parametrize("classes", [LILIES, None], ids=["listed", "any"])
def test_an_alias_stands_for_its_class(classes, answer):
    task = Classification(classes, ALIASES)
    assert task.solution(make_record(answer)) == Label("fire lily", ("flame lily", "Gloriosa"))


def test_aliases_of_a_row_are_added():
    task = Classification(LILIES, ALIASES)
    label = task.solution(make_record(Label("fire lily", ("glory lily", "Gloriosa"))))
    assert label.aliases == ("flame lily", "Gloriosa", "glory lily")


def test_a_name_is_taught_and_an_alias_is_right_too():
    sample = Classification(LILIES, ALIASES, style="answer").sample(make_record("gloriosa"), "train")
    assert answer_text(sample, None) == "fire lily"
    scores = LabelMatch().score(make_completions(["Fire Lily", "Gloriosa.", "lily", "tiger lily"]), [sample] * 4)
    assert scores.tolist() == [1, 1, 0, 0]


def test_any_name_is_a_class_where_none_are_listed():
    assert Classification().solution(make_record(" Boeing_747 ")) == Label("Boeing_747")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param("tigerlily", r"'tigerlily'\. The nearest is 'tiger lily'\.", id="misspelt"),
        pytest.param("flamelily", r"'flamelily'\. The nearest is 'fire lily'\.", id="misspelt-alias"),
        pytest.param("747-400", r"'747-400'\.", id="far-from-all"),
        pytest.param("lily", r"'lily'\. The nearest is 'fire lily'\.", id="part"),
        pytest.param("fire lily, rose", r"'fire lily, rose'\. The nearest is 'fire lily'\.", id="list"),
        pytest.param(Label("rose"), r"'rose'\.", id="label"),
        pytest.param("rose" * 100_000, r"'(rose){20}'\.", id="long"),
    ],
)
def test_an_unknown_class_is_named_with_its_row_and_the_nearest_name(answer, message):
    with pytest.raises(InputError, match=f"^rows.json, row 7: expected one of the 3 `classes`, but got {message}$"):
        Classification(LILIES, ALIASES).solution(make_record(answer))


@pytest.mark.parametrize("classes", [LILIES, None], ids=["listed", "any"])
@pytest.mark.parametrize(
    "answer",
    ["", "  ", "<answer> </answer>", "<answer>fire lily", "-", None, 3, True, ["fire lily"], {"label": "fire lily"}],
    ids=str,
)
def test_an_answer_without_a_name_is_refused_with_its_row(classes, answer):
    with pytest.raises(InputError, match="rows.json, row 7: expected the answer to be a class name, but got"):
        Classification(classes).solution(make_record(answer))


def test_names_and_aliases_may_come_from_files(tmp_path):
    classes = written(tmp_path, "classes.txt", "\ufefffire lily\r\ntiger lily\n\n  Hard-leaved pocket orchid")
    aliases = written(tmp_path, "aliases.json", json.dumps(ALIASES))
    task = Classification(classes, aliases)
    assert task.classes == LILIES
    assert task.labels == Classification(LILIES, ALIASES).labels


def test_classes_are_listed_in_the_question_if_asked_for():
    record = make_record("fire lily")
    assert Classification(LILIES).sample(record, "train").problem == "Question?"
    listed = Classification(LILIES, list_classes=True, style="answer").sample(record, "train")
    assert listed.problem == "Question? The class is one of: fire lily, tiger lily, Hard-leaved pocket orchid."
    assert question(listed, "pixels") == f"{listed.problem} Answer with a class name only."
    commas = Classification(["Ford, 2012", "Audi"], list_classes=True).sample(make_record("Audi"), "train")
    assert commas.problem == "Question? The class is one of: Ford, 2012; Audi."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"classes": []}, "Expected `classes` to hold at least one name, but got none", id="empty"),
        pytest.param({"classes": ["a", " "]}, "Expected names of classes, but got ' '", id="blank"),
        pytest.param({"classes": ["a", "a"]}, "'a' stands for 'a' and 'a'", id="twice"),
        pytest.param(
            {"classes": ["Fire-lily", "b", "fire lily"]},
            "Expected a name to stand for one class, but 'fire lily' stands for 'Fire-lily' and 'fire lily'",
            id="same-when-compared",
        ),
        pytest.param(
            {"classes": ["a", "b"], "aliases": {"c": ["d"]}},
            "Expected `aliases` of names in `classes`, but got those of 'c'",
            id="alias-of-an-unknown-class",
        ),
        pytest.param(
            {"classes": ["a", "b"], "aliases": {"a": ["B"]}}, "'B' stands for 'b' and 'a'", id="alias-is-another-class"
        ),
        pytest.param(
            {"classes": ["a", "b"], "aliases": {"a": ["x"], "b": ["X"]}},
            "'X' stands for 'a' and 'b'",
            id="shared-alias",
        ),
        pytest.param({"aliases": {"a": ["b"], "b": []}}, "'b' stands for 'b' and 'a'", id="alias-is-a-name"),
        pytest.param(
            {"classes": ["a"], "aliases": {"a": [""]}}, "Expected names of classes, but got ''", id="no-alias"
        ),
        pytest.param(
            {"list_classes": True}, "Expected `classes` to be given where `list_classes` is set", id="no-list"
        ),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        Classification(**arguments)


def test_an_alias_that_says_nothing_new_is_left_out():
    assert Classification(["Fire lily"], {"fire_lily": ["fire-lily", "flame", "Flame"]}).labels == {
        "fire lily": Label("Fire lily", ("flame",)),
        "flame": Label("Fire lily", ("flame",)),
    }


@pytest.mark.parametrize(
    ("argument", "content", "message"),
    [
        pytest.param("classes", " \n", "Expected at least one class name in .*file, but it is empty", id="no-name"),
        pytest.param(
            "classes", b"\xe9t\xe9", "Expected a text file of class names at .*file, but it can't", id="latin"
        ),
        pytest.param("aliases", "{", "Expected a JSON file of aliases at .*file, but it can't be read", id="cut"),
        pytest.param("aliases", "[" * 100_000, "Expected a JSON file of aliases at .*, but it can't", id="deep"),
        pytest.param("aliases", "[]", "file to hold lists of aliases by class, but got a JSON list", id="list"),
        pytest.param("aliases", '{"a": "b"}', "file: expected a list of aliases for 'a', but got 'b'", id="text"),
        pytest.param("aliases", '{"a": [1]}', r"file: expected a list of aliases for 'a', but got \[1\]", id="number"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path, argument, content, message):
    path = written(tmp_path, "file", content)
    with pytest.raises(InputError, match=message):
        Classification(**{argument: path})
    with pytest.raises(InputError, match="none, but it can't be read"):
        Classification(**{argument: str(tmp_path / "none")})


@pytest.mark.parametrize(
    ("classes", "aliases"),
    [
        pytest.param(["a", "b"], {"a": ["c"]}, id="lists"),
        pytest.param("classes.txt", "aliases.json", id="files"),
        pytest.param(None, None, id="none"),
    ],
)
def test_arguments_can_be_given_in_yaml(tmp_path, monkeypatch, classes, aliases):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "classes.txt", "a\nb\n")
    written(tmp_path, "aliases.json", '{"a": ["c"]}')
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--data", type=VisionTask)
    init_args = {"classes": classes, "aliases": aliases, "batch_size": 3}
    parsed = parser.parse_object({"data": {"class_path": "vrft_pl.data.Classification", "init_args": init_args}})
    task = parser.instantiate(parsed).data
    assert task.classes == (None if classes is None else ["a", "b"])
    assert task.aliases == ({} if aliases is None else {"a": ["c"]})
    assert task.batch_size == 3


@pytest.mark.skipif(not NAMES.is_dir(), reason=f"no class names in {NAMES}")
@pytest.mark.parametrize("dataset", ["fgvc_aircraft", "oxford_flowers", "pets", "stanford_cars"])
def test_the_benchmarks_have_no_two_classes_alike(dataset):
    names = (NAMES / f"{dataset}.txt").read_text().splitlines()
    task = Classification(str(NAMES / f"{dataset}.txt"))
    assert len(task.labels) == len(names)
    for name in names:
        assert task.solution(make_record(name.upper().replace(" ", "_"))) == Label(name)
