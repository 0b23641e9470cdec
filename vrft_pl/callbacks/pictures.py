"""Pictures with boxes drawn on them, for people to look at."""

from __future__ import annotations

from PIL import Image, ImageDraw

from vrft_pl.rewards.parsing import Unread, parse_box, read_answer
from vrft_pl.solutions import XYXY, Box
from vrft_pl.types import AnswerFrame, Sample

TRUTH, ANSWER = "lime", "red"


def draw_answer(sample: Sample, text: str, frame: AnswerFrame | None, scale: int = 1) -> Image.Image | None:
    """Open a sample's first picture and draw the true box in green and the answered one in red.

    Args:
        sample: The sample.
        text: What the policy wrote.
        frame: How to read coordinates in the text.
        scale: Enlarge the picture this many times before drawing.

    Returns:
        The picture, or ``None`` for a text-only sample.
    """
    if not sample.images:
        return None
    image = sample.images[0].open()
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    if not isinstance(sample.solution, Box):
        return image
    draw = ImageDraw.Draw(image)
    width = max(1, round(max(image.size) / 200))
    draw.rectangle(_inside(sample.solution.xyxy, scale, image), outline=TRUTH, width=width)
    answer = read_answer(text, sample.style)
    box = answer if isinstance(answer, Unread) else parse_box(answer)
    if not isinstance(box, Unread) and frame is not None:
        draw.rectangle(_inside(frame.to_pixels(box), scale, image), outline=ANSWER, width=width)
    return image


def _inside(box: XYXY, scale: int, image: Image.Image) -> XYXY:
    """Enlarge a box and cut it at the edges, so that one far outside is drawn at the edge and costs no time."""
    width, height = image.size
    x1, x2 = (min(max(v, 0), width - 1) for v in (box[0] * scale, box[2] * scale - 1))
    y1, y2 = (min(max(v, 0), height - 1) for v in (box[1] * scale, box[3] * scale - 1))
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
