from __future__ import annotations

import json

import numpy as np
import pytest
from builders import grey_scene
from PIL import Image

from vrft_pl.data import Counting, ReasonJSON
from vrft_pl.data.smaller import SmallerImage, within
from vrft_pl.runs.records import paths
from vrft_pl.types import InputError


def task(folder, *rows, **kwargs):
    (folder / "rows.json").write_text(json.dumps(rows))
    return Counting(train=ReasonJSON(str(folder / "rows.json")), **kwargs)


def row(*names):
    return {"image": list(names), "problem": "How many?", "answer": 1}


@pytest.fixture
def folder(tmp_path):
    for name, size in (("a.png", (60, 40)), ("b.png", (20, 80)), ("long.png", (4000, 1))):
        pixels = np.zeros((size[1], size[0], 3), np.uint8)
        pixels[:, : size[0] // 2] = 255
        Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def test_several_pictures_are_made_smaller_by_one_factor(folder):
    """2400 and 1600 pixels become 600 and 400, half a side each."""
    sample = task(folder, row("a.png", "b.png"), total_pixels=1000).datasets("train")["train"][0]
    opened = [image.open() for image in sample.images]
    assert paths(sample) == (str(folder / "a.png"), str(folder / "b.png"))
    assert [image.size for image in opened] == [image.size() for image in sample.images] == [(30, 20), (10, 40)]
    assert [image.getpixel(place)[0] for image in opened for place in ((1, 5), (8, 5))] == [255, 255, 255, 0]


def test_few_pixels_and_single_pictures_stay_as_they_are(folder):
    samples = task(folder, row("a.png", "b.png"), row("a.png"), total_pixels=4000).datasets("train")["train"]
    assert not any(isinstance(image, SmallerImage) for i in range(2) for image in samples[i].images)
    alone = task(folder, row("a.png"), total_pixels=100).datasets("train")["train"][0]
    assert alone.images[0].size() == (60, 40)


def test_no_side_is_lost(folder):
    sample = task(folder, row("a.png", "long.png"), total_pixels=64).datasets("train")["train"][0]
    assert sample.images[1].open().size == sample.images[1].size() == (400, 1)


def test_pictures_that_are_drawn_have_sizes_too():
    assert [image.size() for image in within([grey_scene(64)] * 4, 64 * 64)] == [(32, 32)] * 4


def test_a_damaged_picture_is_found_before_training(folder):
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:60])
    with pytest.raises(InputError, match="row 0: expected a whole picture, but .*b.png is damaged"):
        task(folder, row("a.png", "b.png"), total_pixels=1000).datasets("train")


def test_a_limit_below_one_pixel_is_refused():
    with pytest.raises(ValueError, match="Expected `total_pixels` to be at least 1 pixel, but got 0"):
        Counting(total_pixels=0)
