"""Why no answer can be read."""

from __future__ import annotations

from enum import Enum


class Unread(Enum):
    """Why no answer can be read in a completion: the closed list of reasons, in the order of the log."""

    NO_ANSWER = "no_answer"
    """No ``<answer>`` block, or several, or one that is open or inside the thoughts."""
    EMPTY = "empty"
    """An answer without content."""
    TOO_LONG = "too_long"
    """More characters, items or levels than any honest answer has."""
    MALFORMED = "malformed"
    """Not of the kind that was asked for."""
    AMBIGUOUS = "ambiguous"
    """Several answers where one was asked for."""
    NOT_FINITE = "not_finite"
    """Not a finite number."""
    NO_AREA = "no_area"
    """A box that is inverted or has no area."""
    TRUNCATED = "truncated"
    """Stops before the first complete item."""
    TIMEOUT = "timeout"
    """Not judged within the time limit."""
    NO_PICTURE = "no_picture"
    """Coordinates where there is no picture to place them in."""
    ERROR = "error"
    """The reward itself failed: it raised, or gave something else than a finite number, or hung."""
