"""Named sets of categories: base and novel, rare and frequent, and those of the few-shot tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vrft_pl.names import normalize_name, spellings
from vrft_pl.types import InputError

COCO_NOVEL = (
    *("mouse", "fork", "hot dog", "cat", "airplane", "suitcase", "parking meter", "sandwich", "train", "hair drier"),
    *("toilet", "toaster", "snowboard", "frisbee", "bear"),
)
"""The 15 categories of COCO that Visual-RFT never trains on (https://arxiv.org/abs/2503.01785, sec. 4.4)."""

COCO_BASE = (
    *("person", "bicycle", "car", "motorcycle", "bus", "truck", "boat", "traffic light", "fire hydrant", "stop sign"),
    *("bench", "bird", "dog", "horse", "sheep", "cow", "elephant", "zebra", "giraffe", "backpack", "umbrella"),
    *("handbag", "tie", "skis", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "knife", "spoon", "bowl", "banana", "apple", "orange"),
    *("broccoli", "carrot", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "tv"),
    *("laptop", "remote", "keyboard", "cell phone", "microwave", "oven", "sink", "refrigerator", "book", "clock"),
    *("vase", "scissors", "teddy bear", "toothbrush"),
)
"""The 65 others."""

COCO_FEWSHOT8 = ("bus", "train", "fire hydrant", "stop sign", "cat", "dog", "bed", "toilet")
"""Visual-RFT's few-shot detection on COCO."""

LVIS_FEWSHOT6 = ("horse_buggy", "die", "kitchen_table", "omelet", "papaya", "stepladder")
"""Visual-RFT's few-shot detection on rare categories of LVIS, in LVIS's spelling."""

LVIS_NOVEL13 = (
    *("casserole", "die", "egg_roll", "futon", "garbage", "handsaw", "hippopotamus", "kitchen_table", "mallet"),
    *("omelet", "shot_glass", "stepladder", "sugar_bowl"),
)
"""Visual-RFT's open-vocabulary detection on rare categories of LVIS, in LVIS's spelling."""

NAMED = {
    "coco_base": COCO_BASE,
    "coco_novel": COCO_NOVEL,
    "coco_fewshot8": COCO_FEWSHOT8,
    "lvis_fewshot6": LVIS_FEWSHOT6,
    "lvis_novel13": LVIS_NOVEL13,
}
"""Sets of categories by the name a config gives them."""

BY_FREQUENCY = {"lvis_rare": "r", "lvis_common": "c", "lvis_frequent": "f"}
"""Sets that the file itself tells, by its letter of frequency: in up to 10, up to 100 and more training images."""


def resolve_categories(
    chosen: Sequence[str] | str | None, known: Sequence[str], origin: str, frequency: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Names of the categories to ask for, spelled as their file does.

    Names are compared in the form of `vrft_pl.names.normalize_name`.

    Args:
        chosen: Names, the name of a set (a key of `NAMED` or `BY_FREQUENCY`), or ``None`` for all.
        known: Names in the file.
        origin: The file, named in errors.
        frequency: Letter of frequency by name, where the file has it.

    Returns:
        Each name once, in the order of ``chosen``, or of the file where it says the order.

    Raises:
        ValueError: If ``chosen`` is empty or a name that is no set.
        InputError: If the file lacks one of the categories, can't tell two of them apart, or has none of them.
    """
    if isinstance(chosen, str) and chosen not in NAMED | BY_FREQUENCY:
        sets = sorted(NAMED | BY_FREQUENCY)
        raise ValueError(f"Expected `categories` to be a list of names or one of {sets}, but got {chosen!r}.")
    if chosen is not None and not chosen:
        raise ValueError("Expected `categories` to name at least one category, but got an empty list.")
    if chosen is None:
        wanted: Sequence[str] = known
    elif isinstance(chosen, str):
        wanted = NAMED[chosen] if chosen in NAMED else _of_frequency(chosen, known, origin, frequency or {})
    else:
        wanted = chosen
    spelled = spellings(known)
    if unknown := [name for name in wanted if normalize_name(name) not in spelled]:
        raise InputError(f"Expected `categories` of {origin} to be among {_listed(known)}, but got {unknown}.")
    asked = dict.fromkeys(map(normalize_name, wanted))
    if alike := next((spelled[name] for name in asked if len(spelled[name]) > 1), None):
        raise InputError(
            f"Expected categories of {origin} to differ in more than case, blanks, hyphens, underscores, articles and "
            f"punctuation at the ends, but got {alike}."
        )
    return tuple(spelled[name][0] for name in asked)


def _of_frequency(chosen: str, known: Sequence[str], origin: str, frequency: Mapping[str, str]) -> tuple[str, ...]:
    names = tuple(name for name in dict.fromkeys(known) if frequency.get(name) == BY_FREQUENCY[chosen])
    if not names:
        letter = BY_FREQUENCY[chosen]
        raise InputError(f"Expected {origin} to hold categories of `frequency` {letter} for {chosen!r}, but none has.")
    return names


def _listed(names: Sequence[str], most: int = 100) -> str:
    """List names, without flooding a terminal with all 1203 of LVIS."""
    ordered = sorted(set(names))
    return str(ordered) if len(ordered) <= most else f"{ordered[:most]} and {len(ordered) - most} others"
