"""Pictures with boxes drawn on them, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from vrft_pl.answers import XYXY, AnswerFrame, Mark, Polygon
from vrft_pl.rewards import answered_marks
from vrft_pl.runs import CompletionRecord, RunFolder
from vrft_pl.types import Sample

TRUTH, CROWD, ANSWER = "lime", "palegreen", "red"


def draw_answer(sample: Sample, text: str, frame: AnswerFrame | None, scale: int = 1) -> Image.Image | None:
    """Open a sample's first picture and draw the truth in green and the answer in red, as their kind says.

    Crowds are of a lighter green, the outlines of masks green, and confidences stand beside their boxes. Where there
    is nothing to draw, the picture is left as it is.

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
    canvas = _Canvas(image, scale)
    for mark in sample.solution.marks():
        canvas.mark(mark, CROWD if mark.faint else TRUTH)
    for mark in answered_marks(sample.solution, text, sample, frame) or ():
        canvas.mark(mark, ANSWER)
    return image


def draw_record(record: CompletionRecord, folder: RunFolder) -> Image.Image | None:
    """Open the first picture that is kept with a record and draw its marks, as `draw_answer` does.

    Returns:
        The picture, or ``None`` where none is kept.
    """
    path = folder.picture(record.pictures[0]) if record.pictures else None
    if path is None:
        return None
    with Image.open(path) as stored:
        image = stored.convert("RGB")
    canvas = _Canvas(image, 1.0 if record.size is None else image.width / record.size[0])
    for marks, colour in ((record.truth, TRUTH), (record.marks or (), ANSWER)):
        for row in marks:
            mark = Mark(tuple(row["shape"]), row["label"], row["faint"])
            canvas.mark(mark, CROWD if mark.faint else colour)
    return image


class _Canvas:
    """Draws on a picture in pixels of the original one.

    Args:
        image: The enlarged picture, which is drawn on.
        scale: How many times it was enlarged.
    """

    def __init__(self, image: Image.Image, scale: float) -> None:
        self.size, self.scale, self.draw = image.size, scale, ImageDraw.Draw(image)
        self.width = max(1, round(max(image.size) / 200))

    def mark(self, mark: Mark, colour: str) -> None:
        """Draw a box or an outline."""
        if len(mark.shape) == 4:
            self.box(mark.shape, colour, mark.label)
        else:
            self.outline(mark.shape, colour)

    def box(self, xyxy: Sequence[float], colour: str, label: str = "") -> None:
        """Draw a box, and a label inside its upper left corner."""
        corners = self.inside(xyxy)
        self.draw.rectangle(corners, outline=colour, width=self.width)
        if label:
            corner = corners[0] + self.width + 1, corners[1] + self.width
            self.draw.text(corner, label, fill=colour, font_size=max(10, max(self.size) // 50))

    def outline(self, polygon: Polygon, colour: str) -> None:
        """Draw the outline of a polygon."""
        width, height = self.size
        xs = [min(max(x * self.scale, 0), width - 1) for x in polygon[::2]]
        ys = [min(max(y * self.scale, 0), height - 1) for y in polygon[1::2]]
        self.draw.line([*zip(xs, ys, strict=True), (xs[0], ys[0])], fill=colour, width=self.width)

    def inside(self, box: Sequence[float]) -> XYXY:
        """Enlarge a box and cut it at the edges, so that one far outside is drawn at the edge and costs no time."""
        width, height = self.size
        x1, x2 = (min(max(v, 0), width - 1) for v in (box[0] * self.scale, box[2] * self.scale - 1))
        y1, y2 = (min(max(v, 0), height - 1) for v in (box[1] * self.scale, box[3] * self.scale - 1))
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
