from __future__ import annotations

import time

import pytest
from builders import make_record, make_sample

from vrft_pl.answers import Call, Number, Transformation
from vrft_pl.data import ReasonJSON, Spatial, SpatialScenes
from vrft_pl.data.spatial import written_calls
from vrft_pl.prompts import answer_text
from vrft_pl.rewards import TransformationExact, TransformationMatch
from vrft_pl.types import InputError

CALLS = (Call("change_size", "0", "large"), Call("change_color", "3", "red"))
TEXT = "change_size(0, large), change_color(3, red)"


def solve(answer, images=2, **kwargs):
    return Spatial(**kwargs).solution(make_record(answer, images))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(TEXT, id="text"),
        pytest.param(f"<answer>{TEXT}</answer>", id="tags"),
        pytest.param(f"<think>change_shape(1, cube)?</think><answer> {TEXT} </answer>", id="thoughts"),
        pytest.param("change_size(0,large);change_color( 3 , red )", id="blanks-and-semicolon"),
        pytest.param("change_size(0, large)\nchange_color(3, red)\n", id="lines"),
        pytest.param("change_size('0', 'large'), change_color(\"3\", \"red\"),", id="quoted-arguments"),
        pytest.param("['change_size(0, large)', 'change_color(3, red)']", id="list-as-text"),
        pytest.param("[change_size(0, large), change_color(3, red)]", id="brackets"),
        pytest.param(["change_size(0, large)", "change_color(3, red)"], id="list"),
        pytest.param([TEXT], id="list-of-one"),
        pytest.param(Transformation(CALLS), id="typed"),
    ],
)
def test_calls_are_read_from_a_row(answer):
    assert solve(answer) == Transformation(CALLS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("change_position(obj_1, (0, -1))", Call("change_position", "obj_1", "(0, -1)")),
        ("change_position(2, [1, 0])", Call("change_position", "2", "[1, 0]")),
        ("change_position(4, front_left)", Call("change_position", "4", "front_left")),
        ("change_color(4, light blue)", Call("change_color", "4", "light blue")),
    ],
    ids=["tuple", "list", "word", "two-words"],
)
def test_values_may_be_places_and_words(text, expected):
    assert solve(text).calls == (expected,)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("", id="empty"),
        pytest.param("<answer></answer>", id="empty-tags"),
        pytest.param("[]", id="empty-list"),
        pytest.param([], id="no-text"),
        pytest.param([TEXT, ""], id="one-text-is-empty"),
        pytest.param([TEXT, 3], id="number-in-a-list"),
        pytest.param(None, id="none"),
        pytest.param(3, id="number"),
        pytest.param(Number(3.0), id="other-type"),
        pytest.param({"function": "change_size"}, id="object"),
        pytest.param("nothing changed", id="words"),
        pytest.param(f"{TEXT} and more", id="text-behind"),
        pytest.param(f"The calls: {TEXT}", id="text-before"),
        pytest.param("change_size(0, large) or change_size(1, large)", id="text-between"),
        pytest.param("change_size(0, large", id="cut"),
        pytest.param("change_size(0)", id="one-argument"),
        pytest.param("change_size(0, large, red)", id="three-arguments"),
        pytest.param("change_size(, large)", id="no-object"),
        pytest.param("change_size(0, )", id="no-value"),
        pytest.param("change_size('0, large)", id="open-quote"),
        pytest.param("change_size(0, ((1, 2), 3))", id="nested"),
        pytest.param("change_size(0, [1, 2))", id="brackets-of-two-kinds"),
        pytest.param("change_size(0, \\_large)", id="latex"),
        pytest.param(f"{TEXT},, {TEXT}", id="two-commas"),
        pytest.param("\u0441hange_size(0, large)", id="other-alphabet"),
    ],
)
def test_what_is_no_list_of_calls_is_named_with_its_row(answer):
    with pytest.raises(InputError, match=r"rows.json, row 7: expected calls such as `change_size\(object, value\)`"):
        solve(answer)


def test_unknown_functions_are_named_with_those_that_there_are():
    with pytest.raises(InputError, match="row 7: expected calls of change_size, .* but got 'change_weight'"):
        solve("change_size(0, large), change_weight(1, 3)")
    with pytest.raises(InputError, match="row 7: expected calls of turn, but got 'change_size'"):
        solve(TEXT, functions=["turn"])
    with pytest.raises(InputError, match="expected calls of .* but got 'Change_Size'"):
        solve("Change_Size(0, large)")
    assert solve("turn(0, left)", functions=["turn"]).calls == (Call("turn", "0", "left"),)


def test_more_calls_than_allowed_are_wrong():
    assert len(solve(", ".join([TEXT] * 2)).calls) == 4
    with pytest.raises(InputError, match="row 7: expected at most 4 calls, but got 6"):
        solve(", ".join([TEXT] * 3))
    with pytest.raises(InputError, match="row 7: expected at most 1 calls, but got 2"):
        solve(Transformation(CALLS), max_calls=1)


@pytest.mark.parametrize("images", [0, 1, 3])
def test_a_row_needs_two_pictures(images):
    with pytest.raises(InputError, match=f"row 7: expected two pictures, .* but got {images}"):
        solve(TEXT, images)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({"functions": []}, r"Expected `functions` to be names of functions, but got \[\]", id="none"),
        pytest.param({"functions": ["a b"]}, r"`functions` to be names of functions, but got \['a b'\]", id="blank"),
        pytest.param({"max_calls": 0}, "Expected `max_calls` to be at least 1, but got 0", id="no-call"),
    ],
)
def test_values_out_of_range_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Spatial(**kwargs)


@pytest.mark.parametrize(
    "text",
    [
        "change_size(0, large" * 20_000,
        "(" * 300_000,
        "change_size(0," + " " * 300_000,
        "change_size(0, " + "a " * 150_000,
        "change_size(0, large) " * 20_000,
        "'" * 300_000,
        "a" * 300_000,
    ],
    ids=lambda text: text[:20],
)
def test_hostile_answers_are_read_in_linear_time(text):
    start = time.process_time()
    written_calls(text)
    assert time.process_time() - start < 1


def test_a_meta_file_of_reason_rft_is_read(tmp_path):
    path = tmp_path / "spatial.jsonl"
    row = '{"id": "1", "image": ["a.png", "b.png"], "problem": "What changed?", "solution": "<answer>%s</answer>"}'
    path.write_text(row % TEXT)
    assert Spatial().solution(ReasonJSON(str(path))[0]) == Transformation(CALLS)


@pytest.mark.parametrize("answer", [TEXT, "change_position(obj_1, (0, -1))", "change_color(4, light blue)"])
def test_gold_answers_earn_everything(answer):
    sample = make_sample(solve(answer), "answer")
    for reward in (TransformationMatch(), TransformationMatch(penalty=True), TransformationExact()):
        assert reward.grade_one(answer_text(sample, None), sample, None) == 1


def test_every_scene_is_read():
    for record in SpatialScenes(size=50):
        solution = Spatial().solution(record)
        assert answer_text(make_sample(solution), None) == record.answer
