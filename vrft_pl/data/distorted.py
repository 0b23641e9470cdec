"""Pictures that are harder to see: under noise, or with patches taken out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from PIL import Image

from vrft_pl.types import ImageSource, Sample

DIFFUSION_STEPS = 1000


def signal_share(step: int) -> float:
    """Variance of the picture that is left after so many steps of forward diffusion.

    With ``beta`` rising from 1e-5 to 5e-3 by a sigmoid over 1000 steps, as in visual contrastive decoding
    (https://arxiv.org/abs/2311.16922) and NoisyRollout's code.

    Example:
        >>> [round(signal_share(step), 3) for step in (0, 500, 999)]
        [1.0, 0.745, 0.081]
    """
    betas = 1 / (1 + np.exp(-np.linspace(-6, 6, DIFFUSION_STEPS))) * (5e-3 - 1e-5) + 1e-5
    return float(np.cumprod(1 - betas)[step])


@dataclass(frozen=True)
class NoisyImage:
    """A picture under Gaussian noise, the same at each time."""

    image: ImageSource
    step: int
    """Steps of forward diffusion, below 1000."""
    seed: int

    def open(self) -> Image.Image:
        """Open it and add the noise."""
        values = np.asarray(self.image.open(), dtype=np.float64) / 255
        left = signal_share(self.step)
        noise = np.random.default_rng(self.seed).standard_normal(values.shape)
        noisy = np.sqrt(left) * values + np.sqrt(1 - left) * noise
        return Image.fromarray((noisy.clip(0, 1) * 255).round().astype(np.uint8))


@dataclass(frozen=True)
class MaskedImage:
    """A picture of which a share of all patches is black, the same ones at each time."""

    image: ImageSource
    share: float
    patch: int
    """Side of a patch in pixels."""
    seed: int

    def open(self) -> Image.Image:
        """Open it and take patches out."""
        pixels = np.array(self.image.open())
        rows, columns = (-(-side // self.patch) for side in pixels.shape[:2])
        order = np.random.default_rng(self.seed).permutation(rows * columns)
        hidden = np.isin(np.arange(rows * columns), order[: round(self.share * rows * columns)])
        cells = hidden.reshape(rows, columns).repeat(self.patch, axis=0).repeat(self.patch, axis=1)
        pixels[cells[: pixels.shape[0], : pixels.shape[1]]] = 0
        return Image.fromarray(pixels)


def noisy(sample: Sample, step: int, *key: int | str) -> Sample:
    """The sample with noise on its pictures.

    Args:
        sample: The sample.
        step: Steps of forward diffusion.
        key: What decides on the noise, beside the row and the place of the picture.
    """
    seeds = picture_seeds(sample, key)
    images = tuple(NoisyImage(image, step, seed) for image, seed in zip(sample.images, seeds, strict=True))
    return replace(sample, images=images)


def masked(sample: Sample, share: float, patch: int, *key: int | str) -> Sample:
    """The sample with a share of the patches of its pictures taken out; see `noisy`."""
    seeds = picture_seeds(sample, key)
    images = tuple(MaskedImage(image, share, patch, seed) for image, seed in zip(sample.images, seeds, strict=True))
    return replace(sample, images=images)


def picture_seeds(sample: Sample, key: Sequence[int | str]) -> list[int]:
    """A seed for each picture, of the row and what else decides; not of the file's name, as with completions."""
    place = sample.id if sample.place is None else sample.place
    texts = [repr((*key, place, i)).encode(errors="surrogatepass") for i in range(len(sample.images))]
    return [int.from_bytes(blake2b(text, digest_size=8).digest(), "big") for text in texts]
