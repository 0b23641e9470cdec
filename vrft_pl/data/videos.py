"""Frames of videos as pictures, decoded when they are needed; PyAV reads the files."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from vrft_pl.data.images import DAMAGE, MOST_PIXELS, StoredImage, regular
from vrft_pl.types import InputError


def check_installed(what: str) -> None:
    """Raise `InputError` where PyAV, which ``what`` needs, is not installed."""
    if find_spec("av") is None:
        raise InputError(
            f"Expected PyAV for `{what}`, but it is not installed. Install it with `pip install 'vrft_pl[video]'`."
        )


@dataclass(frozen=True)
class Reel:
    """What is known of a video before its frames are decoded. Times are in ticks."""

    shown: tuple[int, ...]
    """When each frame is shown, in order."""
    keys: tuple[int, ...]
    """When those are shown from which decoding can begin, in order."""
    tick: Fraction
    """In seconds."""
    size: tuple[int, int]
    """Width and height of the first frame in pixels, upright."""

    def spread(self, frames: int, fps: float | None) -> tuple[int, ...]:
        """Choose frames from the first to the last, as far apart as they can be; the middle one where it is one.

        Args:
            frames: At most so many.
            fps: And at most so many a second.

        Example:
            >>> reel = Reel(tuple(range(0, 100, 10)), (0,), Fraction(1, 10), (4, 4))
            >>> reel.spread(4, None), reel.spread(99, 0.5), reel.spread(1, None)
            ((0, 30, 60, 90), (0, 20, 40, 70, 90), (50,))
        """
        first, last = self.shown[0], self.shown[-1]
        count = min(frames, len(self.shown))
        if fps is not None:
            count = min(count, 1 + int((last - first) * self.tick * Fraction(fps)))
        if count == 1:
            return (self.shown[len(self.shown) // 2],)
        targets = [first + Fraction(i * (last - first), count - 1) for i in range(count)]
        return tuple(dict.fromkeys(map(self._nearest, targets)))

    def _nearest(self, time: Fraction) -> int:
        after = bisect_left(self.shown, time)
        return min(self.shown[max(after - 1, 0) : after + 1], key=lambda shown: abs(shown - time))

    def seconds(self, shown: int) -> float:
        """Since the first frame."""
        return float((shown - self.shown[0]) * self.tick)


@dataclass(frozen=True)
class VideoFrame(StoredImage):
    """A frame of a video.

    Args:
        path: The file.
        owner: The row it belongs to, named in errors.
        shown: When it is shown, in ticks of the file.
        beside: When all frames of the row are shown, which are decoded in one go.
    """

    path: Path
    owner: str
    shown: int
    beside: tuple[int, ...] = field(repr=False)
    most_pixels: int = field(default=MOST_PIXELS, kw_only=True, repr=False)

    def size(self) -> tuple[int, int]:
        """Width and height in pixels, those of the first frame."""
        return read_reel(self.path, self.owner).size

    def open(self) -> Image.Image:
        """Decode it, with all frames beside it; they are kept until the thread asks for those of another row.

        Raises:
            InputError: If the video is damaged, or its pictures have too many pixels.
        """
        width, height = self.size()
        if width * height > self.most_pixels:
            raise InputError(
                f"{self.owner}: expected a video of at most {self.most_pixels:,} pixels, but {self.path} has "
                f"{width:,} x {height:,}. Make it smaller, or raise `most_pixels`."
            )
        wanted = self.path, self.beside
        if wanted != _LAST.wanted:
            _LAST.frames = decoded_frames(self.path, self.beside, self.owner)
            _LAST.wanted = wanted
        return _LAST.frames[self.beside.index(self.shown)]


class _Last(threading.local):
    """The frames that a thread has decoded last."""

    wanted: tuple[Path, tuple[int, ...]] | None = None
    frames: Sequence[Image.Image] = ()


_LAST = _Last()


def video_frames(path: Path, owner: str, frames: int, fps: float | None) -> tuple[list[VideoFrame], list[float]]:
    """Choose frames of a video.

    Args:
        path: The file.
        owner: The row it belongs to, named in errors.
        frames: At most so many.
        fps: And at most so many a second.

    Returns:
        The frames, and when each is shown in seconds since the first of the file.

    Raises:
        InputError: If there is no such video, it is damaged or without a frame.
    """
    reel = read_reel(path, owner)
    chosen = reel.spread(frames, fps)
    return [VideoFrame(path, owner, shown, chosen) for shown in chosen], [reel.seconds(shown) for shown in chosen]


@lru_cache(maxsize=64)
def read_reel(path: Path, owner: str) -> Reel:
    """Read when the frames of a video are shown, and decode the first.

    Raises:
        InputError: If there is no such video, it is damaged or without a frame.
    """
    with opened(path, owner) as (container, stream):
        if stream.width * stream.height > MOST_PIXELS:  # before one of them is decoded
            raise ValueError(f"its pictures have {stream.width:,} x {stream.height:,} pixels, above {MOST_PIXELS:,}")
        times = [(packet.dts if packet.pts is None else packet.pts, packet) for packet in container.demux(stream)]
        times = [(time, packet) for time, packet in times if time is not None and not packet.is_discard]
        if not times:
            raise ValueError("it has no frame")
        shown, keys = sorted(time for time, _ in times), sorted(time for time, packet in times if packet.is_keyframe)
        container.seek(shown[0], stream=stream)
        first = next(container.decode(stream), None)
        if first is None:
            raise ValueError("it has no frame")
        return Reel(tuple(shown), tuple(keys or shown[:1]), stream.time_base, upright(first).size)


def decoded_frames(path: Path, wanted: Sequence[int], owner: str) -> list[Image.Image]:
    """Decode frames of a video, from one to the next or from the last place where decoding can begin.

    Args:
        path: The file.
        wanted: When they are shown, in order.
        owner: The row it belongs to, named in errors.

    Raises:
        InputError: If the video is damaged.
    """
    keys = read_reel(path, owner).keys
    pictures = []
    with opened(path, owner) as (container, stream):
        frame = None
        for shown in wanted:
            key = keys[max(bisect_right(keys, shown) - 1, 0)]
            if frame is None or frame.pts < key:
                container.seek(key, stream=stream)
                frame, frames = None, container.decode(stream)
            while frame is None or frame.pts is None or frame.pts < shown:
                frame = next(frames, None)
                if frame is None:
                    raise ValueError(f"it ends before {float(shown * stream.time_base):.1f} s")
            pictures.append(upright(frame))
    return pictures


def upright(frame: Any) -> Image.Image:
    """A frame as players show it, which turn what a phone has filmed."""
    image = frame.to_image()
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image


@contextmanager
def opened(path: Path, owner: str) -> Iterator[tuple[Any, Any]]:
    """Open a video and its first stream of pictures; what goes wrong with it raises `InputError`."""
    import av

    try:
        # lists of files, which are videos too, name no others on the network
        with av.open(str(regular(path.absolute())), options={"protocol_whitelist": "file"}) as container:
            if not container.streams.video:
                raise ValueError("it has no pictures")
            yield container, container.streams.video[0]
    except FileNotFoundError as error:
        raise InputError(f"{owner}: expected a video at {path}, but there is no such file.") from error
    except (av.FFmpegError, *DAMAGE) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{owner}: expected a whole video, but {path} can't be read: {reason}.") from error
