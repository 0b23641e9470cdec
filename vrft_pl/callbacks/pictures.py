"""Pictures with boxes drawn on them, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from PIL import Image, ImageDraw

from vrft_pl.answers import XY, XYXY, AnswerFrame, Mark, Polygon
from vrft_pl.rewards import answered_marks
from vrft_pl.runs import CompletionRecord, RunFolder
from vrft_pl.types import Sample

TRUTH, CROWD, ANSWER = "lime", "palegreen", "red"
MOST_BESIDE = 8
"""Pictures of a question that are shown; of more, such as frames, the first."""
MOST_LABEL, MOST_LINES = 60, 6
"""Characters of a label, and lines of a caption."""


def draw_answer(sample: Sample, text: str, frame: AnswerFrame | None, scale: int = 1) -> Image.Image | None:
    """Open a sample's pictures and draw the truth in green and the answer in red on the first, as their kind says.

    Crowds are of a lighter green, the outlines of masks green, and confidences stand beside their boxes. Where there
    is nothing to draw, the picture is left as it is.

    Args:
        sample: The sample.
        text: What the policy wrote.
        frame: How to read coordinates in the text.
        scale: Enlarge the picture this many times before drawing.

    Returns:
        The pictures beside each other, or ``None`` for a text-only sample.
    """
    if not sample.images:
        return None
    images = [enlarged(source.open(), scale) for source in sample.images[:MOST_BESIDE]]
    canvas = _Canvas(images[0], scale)
    for mark in sample.solution.marks():
        canvas.mark(mark, CROWD if mark.faint else TRUTH)
    for mark in answered_marks(sample.solution, text, sample, frame) or ():
        canvas.mark(mark, ANSWER)
    return beside(images)


def draw_record(record: CompletionRecord, folder: RunFolder) -> Image.Image | None:
    """Open the pictures that are kept with a record and draw its marks on the first, as `draw_answer` does.

    Returns:
        The pictures beside each other, or ``None`` where one is not kept.
    """
    images = []
    for name in record.pictures[:MOST_BESIDE]:
        path = folder.picture(name)
        if path is None:
            return None
        with Image.open(path) as stored:
            images.append(stored.convert("RGB"))
    if not images:
        return None
    draw_marks(images[0], record)
    return beside(images)


def enlarged(image: Image.Image, scale: int) -> Image.Image:
    """A copy of a picture, enlarged by whole pixels."""
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def beside(images: Sequence[Image.Image]) -> Image.Image:
    """Put pictures side by side on white, with a gap between them; a single one stays as it is."""
    if len(images) == 1:
        return images[0]
    gap = max(2, images[0].width // 50)
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    sheet, left = Image.new("RGB", (width, max(image.height for image in images)), "white"), 0
    for image in images:
        sheet.paste(image, (left, 0))
        left += image.width + gap
    return sheet


def draw_marks(image: Image.Image, record: CompletionRecord) -> None:
    """Draw the marks of a record on its first picture, or on a smaller or larger one of it."""
    canvas = _Canvas(image, 1.0 if record.size is None else image.width / record.size[0])
    for marks, colour in ((record.truth, TRUTH), (record.marks or (), ANSWER)):
        for row in marks:
            mark = Mark(tuple(row["shape"]), row["label"], row["faint"])
            canvas.mark(mark, CROWD if mark.faint else colour)


def captioned(image: Image.Image, lines: Sequence[str]) -> Image.Image:
    """Put texts below a picture, each wrapped at its width and cut after some lines."""
    size = max(12, max(image.size) // 40)
    texts = [
        part for line in lines for part in wrap(printable(line), max(10, 8 * image.width // (5 * size)))[:MOST_LINES]
    ]
    whole = Image.new("RGB", (image.width, image.height + (len(texts) * 3 // 2 + 1) * size), "white")
    whole.paste(image)
    for i, text in enumerate(texts):
        ImageDraw.Draw(whole).text((size // 2, image.height + (i * 3 + 1) * size // 2), text, "black", font_size=size)
    return whole


def printable(text: str) -> str:
    r"""A text without what can't be seen, or can't be drawn.

    Example:
        >>> printable("a\x00b\ud800\nc")
        'a b  c'
    """
    return "".join(c if c.isprintable() else " " for c in text)


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
            self._label(corner, printable(label[:MOST_LABEL]), colour)

    def _label(self, corner: XY, text: str, colour: str) -> None:
        """Write a label on its colour, which is legible on any photograph, and as far left as the picture needs."""
        size = max(10, max(self.size) // 50)
        corner = max(0, min(corner[0], self.size[0] - self.draw.textlength(text, font_size=size))), corner[1]
        self.draw.rectangle(self.draw.textbbox(corner, text, font_size=size), fill=colour)
        self.draw.text(corner, text, fill="white" if colour == ANSWER else "black", font_size=size)

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
