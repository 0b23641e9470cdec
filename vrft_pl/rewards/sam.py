"""Segment Anything as the segmenter."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForMaskGeneration, AutoProcessor

from vrft_pl.answers import XYXY
from vrft_pl.rewards.masks import Pixels, Point
from vrft_pl.types import ImageSource, InputError, Sample


class SamSegmenter:
    """Asks a frozen SAM, or one of its kin (SAM 2, SAM-HQ, EdgeTAM), for the one mask of a box or of points.

    It is loaded when it is first asked, and looks at a picture once for all completions of its group. It knows nothing
    of sharding: each rank has its own, in full.

    Args:
        checkpoint: A folder, or an id of a hub, such as ``facebook/sam2.1-hiera-small``.
        device: Where it runs; beside a policy on a GPU it takes some of its memory.

    Example:
        >>> SamSegmenter("facebook/sam2.1-hiera-small", device="cuda").device
        'cuda'
    """

    def __init__(self, checkpoint: str, device: str = "cpu") -> None:
        self.checkpoint, self.device = checkpoint, device
        self._lock = threading.Lock()
        self._model: Any = None
        self._processor: Any = None
        self._seen: tuple[ImageSource, Any] | None = None

    def __deepcopy__(self, memo: Any) -> SamSegmenter:
        """Itself: metrics that are copied share the weights."""
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Without weights, which another process loads anew."""
        return {"checkpoint": self.checkpoint, "device": self.device}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __call__(self, sample: Sample, xyxy: XYXY | None, points: Sequence[Point] = ()) -> Pixels:
        """Segment; see `Segmenter`.

        Raises:
            InputError: If the sample has no picture, or the checkpoint is none.
        """
        if not sample.images:
            raise InputError(f"{sample.id}: expected a picture to segment, but there is none.")
        with self._lock, torch.no_grad():  # a reward that hung and was given up may still be at it
            self._load()
            prompts: dict[str, Any] = {}
            if xyxy is not None:
                prompts["input_boxes"] = [[list(xyxy)]]
            if points:
                prompts["input_points"] = [[[list(point) for point in points]]]
                prompts["input_labels"] = [[[1] * len(points)]]
            inputs = self._processor(images=sample.images[0].open(), return_tensors="pt", **prompts)
            sizes = [inputs.pop(name) for name in ("original_sizes", "reshaped_input_sizes") if name in inputs]
            inputs = {name: value.to(self.device) for name, value in inputs.items()}
            inputs = {k: v.to(self._model.dtype) if v.is_floating_point() else v for k, v in inputs.items()}
            seen = self._look(sample.images[0], inputs.pop("pixel_values"))
            outputs = self._model(image_embeddings=seen, multimask_output=False, **inputs)
            [masks] = self._processor.post_process_masks(outputs.pred_masks.cpu(), *sizes)
        return np.asarray(masks.reshape(-1, *masks.shape[-2:])[0], dtype=bool)

    def _load(self) -> None:
        if self._model is not None:
            return
        try:
            self._processor = AutoProcessor.from_pretrained(self.checkpoint)
            self._model = AutoModelForMaskGeneration.from_pretrained(self.checkpoint).to(self.device).eval()
        except (OSError, ValueError) as error:
            raise InputError(f"Expected a checkpoint of SAM at {self.checkpoint!r}, but got: {error}") from error

    def _look(self, image: ImageSource, pixels: torch.Tensor) -> Any:
        """What it sees in a picture, which it looked at last perhaps."""
        if self._seen is None or self._seen[0] is not image:
            self._seen = image, self._model.get_image_embeddings(pixels)
        return self._seen[1]
