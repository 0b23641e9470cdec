from dataclasses import replace

import pytest
from builders import make_sample
from PIL import Image

from vrft_pl.answers import Box
from vrft_pl.data.blind import exchanged, greyed
from vrft_pl.data.images import DecodedImage


def sample(*colours, size=(20, 10)):
    pictures = tuple(DecodedImage(Image.new("RGB", size, colour)) for colour in colours)
    return replace(make_sample(Box((0, 0, 1, 1))), id=" ".join(colours), images=pictures)


def shown(found):
    return [(image.open().size, image.open().getpixel((0, 0))) for image in found.images]


RED, BLUE, LIME = (255, 0, 0), (0, 0, 255), (0, 255, 0)


def test_a_grey_picture_is_as_large_as_the_one_it_stands_for():
    found = greyed(sample("red", "blue"))
    assert shown(found) == [((20, 10), (128, 128, 128))] * 2
    assert found.solution == Box((0, 0, 1, 1))
    assert {image.open().convert("L").getextrema() for image in found.images} == {(128, 128)}


def test_each_sample_gets_the_picture_of_another_in_the_size_of_its_own():
    found = exchanged([sample("red"), sample("blue", size=(8, 8)), sample("lime")])
    assert [one.id for one in found] == ["red", "blue", "lime"]
    assert [shown(one) for one in found] == [[((20, 10), BLUE)], [((8, 8), LIME)], [((20, 10), RED)]]


def test_another_question_about_the_same_picture_is_no_other_picture():
    found = exchanged([sample("red"), sample("blue"), sample("red"), sample("lime")])
    assert all(shown(one)[0][1] != {"red": RED, "blue": BLUE, "lime": LIME}[one.id] for one in found)
    assert len(found) == 4


@pytest.mark.parametrize("pictures", [[], [("red",)], [("red",), ("red",)], [("red",), ("blue", "red")]])
def test_without_another_picture_nothing_is_exchanged(pictures):
    assert exchanged([sample(*colours) for colours in pictures]) == []
