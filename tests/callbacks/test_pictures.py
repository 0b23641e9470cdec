import pytest
from checkpoints import NoiseImage, sample

from vrft_pl.callbacks.pictures import draw_answer
from vrft_pl.solutions import Box
from vrft_pl.types import AnswerFrame, Sample

LIME, RED = (0, 255, 0), (255, 0, 0)
FRAME = AnswerFrame(100, 50, 0.1, 0.05)


def located(text, frame=FRAME):
    one = Sample("b", (NoiseImage(100, 50),), "Where?", Box((10, 5, 20, 15)), style="answer")
    return draw_answer(one, text, frame)


def test_the_true_box_is_green_and_the_answered_one_red():
    image = located("[500, 500, 900, 900]")
    assert image.getpixel((10, 10)) == image.getpixel((19, 10)) == LIME
    assert image.getpixel((50, 30)) == image.getpixel((89, 30)) == RED
    assert image.getpixel((15, 10)) not in (LIME, RED)


@pytest.mark.parametrize(("text", "frame"), [("no box", FRAME), ("[1, 1, 2, 2]", None)], ids=["no-box", "no-frame"])
def test_without_a_box_only_the_truth_is_drawn(text, frame):
    colours = {colour for _, colour in located(text, frame).getcolors(10_000)}
    assert LIME in colours
    assert RED not in colours


def test_a_box_far_outside_is_drawn_at_the_edge():
    assert located("[0, 0, 1e12, 1e12]").getpixel((99, 25)) == RED


def test_other_answers_show_the_plain_picture():
    image = NoiseImage(32, 32)
    assert draw_answer(sample("?", [image]), "3", None).tobytes() == image.open().tobytes()
    assert draw_answer(sample("?"), "3", None) is None
