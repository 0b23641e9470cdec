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
    return [Image.open(io.BytesIO(data)).size for data in pictures.values()]


def test_pictures_of_the_same_pixels_have_one_name_and_others_have_others():
    pictures = encoded([Held(), Held(), Held(20, 40), Held(colour="red")], 64)
    assert len(pictures) == 3
    assert all(name.endswith(".webp") and len(name) == 37 for name in pictures)
    assert encoded([Held()], 64).keys() < pictures.keys()
    assert {Image.open(io.BytesIO(data)).format for data in pictures.values()} == {"WEBP"}


@pytest.mark.parametrize(("side", "size"), [(64, (40, 20)), (40, (40, 20)), (10, (10, 5)), (1, (1, 1))], ids=str)
def test_a_large_picture_is_made_smaller_and_the_original_left_alone(side, size):
    held = Held()
    assert sizes(encoded([held], side)) == [size]
    assert held.image.size == (40, 20)


def test_a_picture_that_is_there_is_not_encoded_again():
    first, second = encoded([Held(), Held(colour="red")], 64)
    again = encoded([Held(), Held(colour="red")], 64, {second})
    assert (again[first] is None, again[second]) == (False, None)


def test_a_sample_without_pictures_has_none():
    assert encoded([], 64) == {}


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
