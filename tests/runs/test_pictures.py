import io

import pytest
from PIL import Image

from vrft_pl.runs.pictures import check_pictures, encoded


class Held:
    """A picture that is handed out as it is, again and again."""

    def __init__(self, width=40, height=20, colour="teal"):
        self.image = Image.new("RGB", (width, height), colour)

    def open(self):
        return self.image


def sizes(pictures):
    return [Image.open(io.BytesIO(picture.content)).size for picture in pictures]


def test_equal_pictures_share_a_file_and_each_keeps_its_place():
    pictures = encoded([Held(), Held(20, 40), Held(), Held(colour="red")], 64)
    names = [picture.name for picture in pictures]
    assert [names.index(name) for name in names] == [0, 1, 0, 3]
    assert pictures[0] == pictures[2]
    assert all(name.endswith(".webp") and len(name) == 37 for name in names)
    assert encoded([Held()], 64) == pictures[:1]
    assert {Image.open(io.BytesIO(picture.content)).format for picture in pictures} == {"WEBP"}


@pytest.mark.parametrize(("side", "size"), [(64, (40, 20)), (40, (40, 20)), (10, (10, 5)), (1, (1, 1))], ids=str)
def test_a_large_picture_is_made_smaller_and_the_original_left_alone(side, size):
    held = Held()
    assert sizes(encoded([held], side)) == [size]
    assert held.image.size == (40, 20)


def test_a_picture_that_is_there_is_not_encoded_again():
    first, second = encoded([Held(), Held(colour="red")], 64)
    assert encoded([Held(), Held(colour="red")], 64, {second.name}) == [first, (second.name, None)]


def test_a_sample_without_pictures_has_none():
    assert encoded([], 64) == []


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((-1, 64), "`pictures` to be 0 or more, but got -1"),
        ((8, 0), "`max_side` to be 1 to 16383 pixels, but got 0"),
        ((8, 16384), "`max_side` to be 1 to 16383 pixels, but got 16384"),
    ],
    ids=["negative", "no-side", "beyond-webp"],
)
def test_bounds_that_no_pictures_can_keep_are_refused(bounds, message):
    check_pictures(0, 16383)
    with pytest.raises(ValueError, match=message):
        check_pictures(*bounds)
