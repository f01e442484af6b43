"""Height and width of a frame: an integer for a square, or the pair (height, width).

Standard library only; used by both packages. A square is always the integer, so that what was
written of squares before there were pairs stays as it is.
"""

import re
from typing import Any

from data_pipelines.checks import integer

Size = int | tuple[int, int]
"""Pixels."""

_TEXT = re.compile(r"(\d{1,9})(?:x(\d{1,9}))?")


def checked(name: str, value: Any, low: int = 1, high: int | None = None) -> Size:
    """`value` as a `Size`, each side in [low, high]; a pair of equals becomes an integer. Raises `ValueError`."""
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError(f"{name} must be an integer, of a square, or a pair (height, width), got {value!r}.")
        height, width = (
            integer(f"{side} of {name}", one, low, high) for side, one in zip(("height", "width"), value, strict=True)
        )
        return height if height == width else (height, width)
    return integer(name, value, low, high)


def pair(size: Size) -> tuple[int, int]:
    """(height, width)."""
    return (size, size) if isinstance(size, int) else size


def text(size: Size) -> str:
    """The size as it is written: "64" of a square, "64x80" of 64 rows and 80 columns."""
    return "x".join(map(str, size)) if isinstance(size, tuple) else str(size)


def parse(written: str) -> Size:
    """What `text` wrote. Raises `ValueError`."""
    match = _TEXT.fullmatch(written.strip())
    if match is None:
        raise ValueError(f"a size is written 64, of a square, or 64x80, height x width; got {written!r}.")
    return checked("a size", [int(side) for side in match.groups() if side] if match[2] else int(match[1]))
