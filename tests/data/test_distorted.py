from dataclasses import replace

import numpy as np
import pytest
from builders import grey_scene, make_sample
from PIL import Image

from vrft_pl.data.distorted import MaskedImage, NoisyImage, masked, noisy, signal_share


class Flat:
    """A picture of one value."""

    def __init__(self, value, size=(30, 20)):
        self.picture = Image.new("RGB", size, (value,) * 3)

    def open(self):
        return self.picture


def pixels(image):
    return np.asarray(image.open(), dtype=float)


def test_noise_takes_the_picture_away_as_forward_diffusion_does():
    for step in (100, 300, 500):
        values = pixels(NoisyImage(Flat(128, (200, 200)), step, 0)) / 255
        left = signal_share(step)
        assert np.median(values) == pytest.approx(np.sqrt(left) * 128 / 255, abs=0.02)
    assert pixels(NoisyImage(Flat(128), 500, 0)).shape == (20, 30, 3)


def test_little_noise_is_little():
    values = pixels(NoisyImage(Flat(128, (200, 200)), 1, 0))
    assert values.std() == pytest.approx(255 * np.sqrt(1 - signal_share(1)), rel=0.05)


@pytest.mark.parametrize("share", [0.25, 0.6, 1.0])
def test_a_share_of_all_patches_is_black(share):
    values = pixels(MaskedImage(Flat(200, (42, 29)), share, 7, 0))
    cells = [values[y : y + 7, x : x + 7] for y in range(0, 29, 7) for x in range(0, 42, 7)]
    assert all(len(np.unique(cell)) == 1 for cell in cells)
    assert sum(cell.max() == 0 for cell in cells) == round(share * 30)


@pytest.mark.parametrize("distort", [lambda s, *key: noisy(s, 300, *key), lambda s, *key: masked(s, 0.5, 8, *key)])
def test_what_is_taken_away_depends_on_the_row_and_the_key_and_on_nothing_else(distort):
    images = (grey_scene(), grey_scene())
    sample = make_sample(place="train/train/3")
    sample = replace(sample, images=images)
    first, second = (pixels(image) for image in distort(sample, 1).images)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, pixels(distort(replace(sample, id="elsewhere"), 1).images[0]))
    assert not np.array_equal(first, pixels(distort(sample, 2).images[0]))
    assert not np.array_equal(first, pixels(distort(replace(sample, place="train/train/4"), 1).images[0]))
