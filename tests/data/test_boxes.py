from __future__ import annotations

import sys
from io import BytesIO

import pytest
from builders import grey_scene
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vrft_pl.data.boxes import check_box, image_size, is_number, written_box
from vrft_pl.data.images import BytesImage, DecodedImage, FileImage
from vrft_pl.policy.coordinates import answer_frame
from vrft_pl.types import InputError

SIZES = [(1, 1), (1, 9999), (9999, 1), (333, 77), (640, 480), (28, 28), (1023, 1025), (65535, 3)]
UNITS = {"pixels": None, "permille": 1000.0, "unit": 1.0}


def blank(width, height):
    return DecodedImage(Image.new("1", (width, height)))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("space", UNITS)
def test_the_whole_picture_is_itself_in_every_space(size, space):
    width, height = size
    right, bottom = (width, height) if UNITS[space] is None else (UNITS[space],) * 2
    assert check_box([0, 0, right, bottom], "row", blank(*size), space) == (0, 0, width, height)


@pytest.mark.parametrize(
    ("space", "box", "expected"),
    [
        pytest.param("permille", [500, 250, 1000, 750], (166.5, 19.25, 333.0, 57.75), id="permille"),
        pytest.param("unit", [0.5, 0.25, 1, 0.75], (166.5, 19.25, 333.0, 57.75), id="unit"),
        pytest.param("pixels", [166.5, 19.25, 333, 57.75], (166.5, 19.25, 333.0, 57.75), id="pixels"),
        pytest.param("permille", (999, 1, 1000, 2), (332.667, 0.077, 333.0, 0.154), id="smallest-step"),
    ],
)
def test_coordinates_become_pixels_by_hand(space, box, expected):
    assert check_box(box, "row", blank(333, 77), space) == pytest.approx(expected, abs=1e-9)


@given(
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True).map(sorted),
    st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True).map(sorted),
)
def test_the_spaces_agree_with_the_coordinates_of_the_policy(width, height, xs, ys):
    """A box written by a policy in permille is read by a data set in permille as the same box."""
    if min(xs[1] - xs[0], ys[1] - ys[0]) < 1e-6:
        return
    image = blank(width, height)
    unit = check_box([xs[0], ys[0], xs[1], ys[1]], "row", image, "unit")
    permille = check_box([v * 1000 for v in (xs[0], ys[0], xs[1], ys[1])], "row", image, "permille")
    assert permille == pytest.approx(unit, rel=1e-9, abs=1e-9)
    frame = answer_frame("permille", (width, height), (width, height))
    assert frame.to_pixels([v * 1000 for v in (xs[0], ys[0], xs[1], ys[1])]) == pytest.approx(unit, rel=1e-9, abs=1e-9)
    assert 0 <= unit[0] < unit[2] <= width
    assert 0 <= unit[1] < unit[3] <= height


@pytest.mark.parametrize("space", UNITS)
@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param((-1, 2, 10, 20), (0, 2, 10, 20), id="left"),
        pytest.param((1, -1, 10, 20), (1, 0, 10, 20), id="top"),
        pytest.param((1, 2, 334, 20), (1, 2, 333, 20), id="right"),
        pytest.param((1, 2, 10, 78), (1, 2, 10, 77), id="bottom"),
        pytest.param((-1, -1, 334, 78), (0, 0, 333, 77), id="all"),
        pytest.param((-1, 0, 0.001, 77), (0, 0, 0.001, 77), id="sliver"),
    ],
)
def test_a_box_is_cut_at_the_edges_by_a_pixel_of_the_picture_in_every_space(box, expected, space):
    unit = UNITS[space]
    sides = (333, 77, 333, 77)
    shown = box if unit is None else [v / side * unit for v, side in zip(box, sides, strict=True)]
    edges = [v * (1 - 1e-12) for v in shown]  # rounding must not decide
    assert check_box(edges, "row", blank(333, 77), space) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("space", UNITS)
@pytest.mark.parametrize(
    "box", [(-1.01, 2, 10, 20), (1, -1.01, 10, 20), (1, 2, 334.01, 20), (1, 2, 10, 78.01)], ids=str
)
def test_a_box_further_out_is_refused_in_every_space(box, space):
    unit = UNITS[space]
    shown = box if unit is None else [v / side * unit for v, side in zip(box, (333, 77, 333, 77), strict=True)]
    with pytest.raises(InputError, match="row: expected a box inside the image of 333 x 77 pixels, but got"):
        check_box(shown, "row", blank(333, 77), space)


@pytest.mark.parametrize(
    "box", [(-1, 0, 0, 10), (-0.5, 0, -0.1, 10), (0, -1, 10, 0), (333, 0, 334, 10), (0, 77.5, 10, 78)], ids=str
)
def test_a_box_that_has_no_area_after_the_cut_is_refused(box):
    with pytest.raises(InputError, match="row: expected a box with an area inside the image, but got"):
        check_box(box, "row", blank(333, 77))


@pytest.mark.parametrize(
    ("box", "space"),
    [
        pytest.param([10, 20, 300, 70], "unit", id="pixels-read-as-unit"),
        pytest.param([10, 20, 900, 950], "pixels", id="permille-read-as-pixels"),
        pytest.param([10, 20, 1e308, 1e308], "permille", id="overflow"),
        pytest.param([-1e308, 20, 30, 40], "permille", id="negative-overflow"),
    ],
)
def test_coordinates_of_another_space_are_refused(box, space):
    with pytest.raises(InputError, match="row: expected a box inside the image of 333 x 77 pixels, but got"):
        check_box(box, "row", blank(333, 77), space)


def test_no_message_repeats_a_long_row():
    for box in ([1] * 100_000, "x" * 100_000, {"a": [0] * 100_000}):
        with pytest.raises(InputError, match="expected a box") as error:
            check_box(box, "row", blank(333, 77))
        assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[1, 2.5, 30, 40]", [1, 2.5, 30, 40], id="list"),
        pytest.param("(1, 2, 30, 40)", [1, 2, 30, 40], id="tuple"),
        pytest.param("(1,2),(30,40)", [1, 2, 30, 40], id="two-points"),
        pytest.param("[(1, 2), (30, 40)]", [1, 2, 30, 40], id="list-of-points"),
        pytest.param("[[1, 2], [30, 40]]", [1, 2, 30, 40], id="json-of-points"),
        pytest.param("[[1, 2, 30, 40]]", [1, 2, 30, 40], id="list-of-one-box"),
        pytest.param("1, 2, 30, 40", [1, 2, 30, 40], id="no-brackets"),
        pytest.param("<answer>(1,2),(30,40)</answer>", [1, 2, 30, 40], id="tags"),
        pytest.param("<answer>\n[1, 2, 30, 40]\n</answer>\n", [1, 2, 30, 40], id="tags-on-lines"),
        pytest.param("<think>[5, 6, 7, 8]</think><answer>[1, 2, 30, 40]</answer>", [1, 2, 30, 40], id="thoughts"),
        pytest.param("<|box_start|>(1,2),(30,40)<|box_end|>", [1, 2, 30, 40], id="qwen2-vl"),
        pytest.param("[-1, 1e2, 2E+2, 3.0]", [-1, 100, 200, 3], id="numbers"),
    ],
)
def test_a_box_is_read_from_text(text, expected):
    assert written_box(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dog",
        "[]",
        "[1, 2, 3]",
        "[1, 2, 3, 4, 5]",
        "[1, 2, 3, 4",
        "(1,2),(3,4),(5,6)",
        "(1,2)(3,4)",
        "(1,2,3),(4,5)",
        "1 2 3 4",
        "the box [1, 2, 3, 4]",
        "{'Position': [1, 2, 3, 4]}",
        "[1, 2, 3, 4][5, 6, 7, 8]",
        "<answer>[1, 2, 3, 4]",
        "[" * 100_000,
        "(" * 100_000 + ")" * 100_000,
        "9" * 5000,
        "[\u0661, 2, 3, 4]",
        "\x00[1,2,3,4]",
    ],
    ids=lambda text: text[:20] or "empty",
)
def test_text_that_is_no_box_is_none(text):
    assert written_box(text) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, True),
        (-0.5, True),
        (1.7e308, True),
        (sys.float_info.max, True),
        (-sys.float_info.max, True),
        (True, False),
        (None, False),
        ("3", False),
        (float("nan"), False),
        (float("inf"), False),
        (10**400, False),
        (3 + 0j, False),
    ],
    ids=lambda v: str(v)[:8],
)
def test_numbers_are_finite_and_no_truth_values(value, expected):
    assert is_number(value) is expected


def test_sizes_are_those_of_the_upright_picture_without_decoding(tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = BytesIO()
    Image.new("RGB", (10, 4)).save(buffer, "png", exif=exif)
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    images = [FileImage(tmp_path / "a.png", "row"), BytesImage(buffer.getvalue(), "row"), grey_scene(64), blank(5, 3)]
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded a picture"))
    assert [image_size(image) for image in images] == [(4, 10), (4, 10), (64, 64), (5, 3)]
