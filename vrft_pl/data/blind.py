"""Questions with their pictures taken away: of one grey, or those of another question."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from vrft_pl.data.boxes import image_size
from vrft_pl.types import ImageSource, Sample

GREY = (128, 128, 128)


@dataclass(frozen=True)
class GreyImage:
    """A picture of one grey, as large as another."""

    like: ImageSource

    def open(self) -> Image.Image:
        """Make it."""
        return Image.new("RGB", image_size(self.like), GREY)


@dataclass(frozen=True)
class ResizedImage:
    """A picture that is made as large as another, so that coordinates mean the same."""

    image: ImageSource
    like: ImageSource

    def open(self) -> Image.Image:
        """Open and resize it."""
        return self.image.open().resize(image_size(self.like))


def greyed(sample: Sample) -> Sample:
    """The sample with grey pictures of the same sizes."""
    return replace(sample, images=tuple(map(GreyImage, sample.images)))


def exchanged(samples: Sequence[Sample]) -> list[Sample]:
    """Samples with the pictures of another, each resized to the size of its own.

    The other is the next one half of the samples further on with as many pictures and a different first one. Samples
    without such another are left out.
    """
    looks = [digest(sample.images[0]) if sample.images else b"" for sample in samples]
    half, count = len(samples) // 2, len(samples)
    found = []
    for i, sample in enumerate(samples):
        others = ((i + half + step) % count for step in range(count))
        fitting = (j for j in others if looks[j] != looks[i] and len(samples[j].images) == len(sample.images))
        if (j := next(fitting, None)) is not None:
            found.append(replace(sample, images=tuple(map(ResizedImage, samples[j].images, sample.images))))
    return found


def digest(image: ImageSource) -> bytes:
    """Tells a picture from others, whatever file it is in."""
    opened = image.open()
    return hashlib.sha256(str(opened.size).encode() + opened.tobytes()).digest()
