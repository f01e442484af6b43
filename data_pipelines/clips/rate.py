"""Frames at their own times -> frames at a constant rate."""

from collections.abc import Iterator
from typing import Any

from data_pipelines.clips.errors import ClipError
from data_pipelines.clips.shaping import Timed

MAX_STILL = 60.0
"""Seconds that one frame may stand still; more is a fault of the time stamps."""
_CLOCK = 1e-3  # many containers round times to milliseconds


def at_rate(frames: Iterator[Timed], fps: float | None, name: str) -> Iterator[Any]:
    """At time k / fps the frame that stands then, until the last frame has stood for its own duration; None: every frame.

    A frame without a time follows the one before. Where the last frame's duration is unknown, it is that of the others.
    Raises `ClipError` where time stamps jump: back by more than a second, or ahead by more than `MAX_STILL`.
    """
    if fps is None:
        yield from (timed.frame for timed in frames)
        return
    tolerance = min(_CLOCK, 0.25 / fps)
    tick, number, start, begin, last = 0, 0, None, 0.0, None
    for timed in frames:
        if last is not None:
            time = begin + (last.seconds or 1 / fps) if timed.time is None else timed.time - start
            _check_times(name, number, begin, time)
            begin = max(begin, time)
            while tick / fps < begin - tolerance:
                yield last.frame
                tick += 1
        elif timed.time is not None:
            start = timed.time
        start = 0.0 if start is None else start
        last, number = timed, number + 1
    if last is None:
        return
    end = begin + (last.seconds or (begin / (number - 1) if begin else 1 / fps))
    _check_times(name, number, begin, end)
    while tick == 0 or tick / fps < end - tolerance:
        yield last.frame
        tick += 1


def _check_times(name: str, number: int, begin: float, time: float) -> None:
    if time < begin - 1.0 or time > begin + MAX_STILL:
        raise ClipError(
            f"{name}: the time stamps jump from {begin:.6g} to {time:.6g} seconds at frame {number}; expected steps of at most "
            f"{MAX_STILL:g} seconds. Encode it again, or build without --fps, which keeps every frame."
        )
