"""Are annotated boxes in the format and in the space that the task reads them in?

Every reading (format and space) is tried on the numbers as the source holds them. A reading fits a box when the box has
an area and lies inside its picture. Two mistakes show:

- the declared reading fits few boxes and another fits nearly all: format or space is another one;
- the declared reading fits, and so does a *tighter* one for every box. Boxes of photographs reach the edges of their
  pictures sooner or later; that none of many leaves the smaller range is no accident.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vrft_pl.check.annotated import Boxes, Floats, part_boxes
from vrft_pl.check.findings import Finding
from vrft_pl.check.subject import Subject

FORMATS: dict[str, Callable[[Floats], Floats]] = {
    "[x1, y1, x2, y2]": lambda b: b,
    "[x, y, width, height]": lambda b: np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], axis=1),
    "[centre x, centre y, width, height]": lambda b: np.concatenate(
        [b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], axis=1
    ),
    "[y1, x1, y2, x2]": lambda b: b[:, [1, 0, 3, 2]],
    "[x1, y1, x2, y2] in a file of [x, y, width, height]": lambda b: np.concatenate(
        [b[:, :2], b[:, 2:] - b[:, :2]], axis=1
    ),
}
"""Turns boxes of a format into xyxy. Shape ``(n, 4)`` to ``(n, 4)``."""
DECLARED = "[x1, y1, x2, y2]"
UNITS: dict[str, float | None] = {"pixels": None, "permille": 1000.0, "unit": 1.0}
"""Where the right and the lower edge of a picture are; ``None`` at its size."""
_FEWEST = 3
_MANY = 20
"""Boxes from which it is no accident that all lie in a smaller range."""
_NEARLY_ALL = 0.95
_TIGHTER = 1.25


def check_boxes(subject: Subject) -> list[Finding]:
    """Try every reading on the boxes of each part."""
    findings = []
    for part in dict.fromkeys(row.part for row in subject.rows):
        boxes = part_boxes(part, [row for row in subject.rows if row.part is part])
        if boxes is not None:
            findings += [*misread(str(part), boxes), *too_loose(str(part), boxes)]
    return findings


def fits(boxes: Boxes, form: str, space: str) -> NDArray[np.bool_]:
    """Whether each box has an area and lies inside its picture when it is read like this. Shape ``(n,)``."""
    xyxy, edges = FORMATS[form](boxes.numbers), limits(boxes, space)
    slack = edges / boxes.sizes  # a pixel, as public data sets round
    area = np.all(xyxy[:, 2:] > xyxy[:, :2], axis=1)
    inside = np.all((xyxy[:, :2] >= -slack) & (xyxy[:, 2:] <= edges + slack), axis=1)
    return np.logical_and(area, inside)


def limits(boxes: Boxes, space: str) -> Floats:
    """Coordinates of the lower right corner of each picture. Shape ``(n, 2)``."""
    unit = UNITS[space]
    return boxes.sizes if unit is None else np.full_like(boxes.sizes, unit)


def misread(part: str, boxes: Boxes) -> list[Finding]:
    """Another reading fits, the declared one does not."""
    space = boxes.space
    declared = fits(boxes, DECLARED, space)
    if declared.mean() >= _NEARLY_ALL or len(declared) < _FEWEST:
        return []
    shares = {(form, unit): float(fits(boxes, form, unit).mean()) for form in FORMATS for unit in UNITS}
    shares = {reading: share for reading, share in shares.items() if share >= _NEARLY_ALL}
    if not shares:
        return []
    (form, unit), share = max(shares.items(), key=lambda item: _likely(item[0], item[1], boxes))
    what = (
        f"Boxes of {part} are read as {DECLARED} in {space}, which fits {declared.mean():.0%} of {len(declared)}; "
        f"{share:.0%} fit as {form} in {unit}."
    )
    remedy = f" Set `annotation_space: {unit}`." if form == DECLARED else " Convert the boxes."
    wrong = tuple(
        f"{row}: {box.tolist()}" for row, box, fit in zip(boxes.rows, boxes.numbers, declared, strict=True) if not fit
    )
    return [Finding("error", what + remedy, wrong)]


def _likely(reading: tuple[str, str], share: float, boxes: Boxes) -> tuple[float, ...]:
    """Orders readings: what fits more, then what differs less from the declared one, then what is tighter."""
    form, unit = reading
    differs = (form != DECLARED) + (unit != boxes.space)
    return round(share, 2), -differs, -float(limits(boxes, unit).mean())


def too_loose(part: str, boxes: Boxes) -> list[Finding]:
    """The declared reading fits, and a tighter one as well."""
    space = boxes.space
    if fits(boxes, DECLARED, space).mean() < _NEARLY_ALL:
        return []
    findings = []
    for unit in UNITS:
        # pictures in which the other space ends well before the declared one
        wider = (limits(boxes, space) >= _TIGHTER * limits(boxes, unit)).all(axis=1)
        some = Boxes(boxes.numbers[wider], boxes.sizes[wider], (), space)
        if unit == space or len(some.numbers) < (_FEWEST if unit == "unit" else _MANY):
            continue
        if fits(some, DECLARED, unit).all():
            reach = float((some.numbers[:, 2:] / limits(some, unit)).max())
            filled = unit == "unit" or reach >= _NEARLY_ALL
            what = (
                f"Boxes of {part} are read in {space}, but all {len(some.numbers)} in pictures where that would leave "
                f"more room lie in the range of {unit}, up to {reach:.0%} of it."
            )
            remedy = f" Set `annotation_space: {unit}` if that is what they are in."
            findings.append(Finding("error" if filled else "warning", what + remedy))
    as_xywh = fits(boxes, "[x, y, width, height]", space)
    if len(as_xywh) >= _MANY and as_xywh.all():
        what = f"All {len(as_xywh)} boxes of {part} would also lie in their pictures as [x, y, width, height]: look at"
        findings.append(Finding("warning", f"{what} the pictures of this check."))
    return findings
