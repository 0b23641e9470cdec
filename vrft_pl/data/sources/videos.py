"""Rows about videos, of which some frames are shown."""

from __future__ import annotations

from typing import Any

from vrft_pl.data.images import below
from vrft_pl.data.sources.base import Record
from vrft_pl.data.sources.rows import JSONRows, check_text, checked_record
from vrft_pl.data.videos import check_installed, video_frames
from vrft_pl.prompts import MARKER
from vrft_pl.types import InputError

VIDEO = "<video>"
"""Stands in a question where the frames belong; where it does not, they come before the text."""


class VideoJSON(JSONRows):
    """Rows of `ReasonJSON` with ``video``, a path, in place of pictures; needs ``pip install 'vrft_pl[video]'``.

    The policy is shown frames as pictures, the first and the last among them and the others evenly between; they are
    limited as pictures are. The question may have ``<video>`` where they belong. Rows with pictures in place of a video
    are read as `ReasonJSON` reads them.

    Args:
        path: A ``.json`` or ``.jsonl`` file of rows.
        image_root: Folder that paths of videos are relative to and may not leave; see `JSONRows`.
        frames: Most frames of a video.
        fps: Most frames a second; ``None`` for ``frames`` of every video, however long it is.
        times: Write before each frame when it is shown, as ``1.5 s``.

    Raises:
        ValueError: If ``frames`` is below 1, or ``fps`` not above 0.
        InputError: If PyAV is not installed, or as `JSONRows` does.
    """

    def __init__(
        self,
        path: str,
        image_root: str | None = None,
        frames: int = 8,
        fps: float | None = None,
        times: bool = False,
    ) -> None:
        if frames < 1:
            raise ValueError(f"Expected `frames` to be at least 1, but got {frames}.")
        if fps is not None and not 0 < fps < float("inf"):
            raise ValueError(f"Expected `fps` to be above 0 frames a second, but got {fps}.")
        check_installed("VideoJSON")
        super().__init__(path, image_root)
        self.frames, self.fps, self.times = frames, fps, times

    def record(self, row: dict[str, Any], owner: str) -> Record:
        """Check a row, and choose frames of its video."""
        answer = "answer" if "answer" in row else "solution"
        if row.get("video") is None and (row.get("image") or row.get("images")):
            return checked_record(row, owner, self.pictures(row, owner), answer=answer)
        name, problem = row.get("video"), row.get("problem") or ""
        if not isinstance(name, str) or not name:
            raise InputError(f"{owner}: expected `video` to be a path, but got {name!r}.")
        check_text(problem, "problem", owner)
        if MARKER in problem or problem.count(VIDEO) > 1 or row.get("image") or row.get("images"):
            raise InputError(f"{owner}: expected a question about one video and no picture, but got {problem!r:.200}.")
        images, seconds = video_frames(below(self.image_root, name, owner), owner, self.frames, self.fps)
        shown = "".join(f"{time:.1f} s {MARKER} " if self.times else MARKER for time in seconds).strip()
        before, _, after = problem.rpartition(VIDEO)
        asked = {**row, "problem": f"{before}{shown} {after}" if before.strip() or after.strip() else ""}
        return checked_record(asked, owner, tuple(images), answer=answer)
