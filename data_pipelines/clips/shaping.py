"""What frames are wanted, and how a picture is brought to their size."""

import dataclasses
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from data_pipelines.clips.errors import ClipError

Fit = Literal["crop", "squash"]
Box = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The frames wanted of a clip, and its limits.

    height, width: pixels. channels: 1 (luma, full range) or 3 (RGB). fit: "crop" keeps the aspect ratio and cuts the center
    out, "squash" scales both sides on their own. fps: frames per second, by repeating or dropping frames by their times; None
    keeps all frames. max_frames, max_pixels: beyond these limits the clip is bad. box: left, top, right, bottom of the part of
    each picture that is taken, in its own pixels as it is shown, before `fit`; None: all.
    """

    height: int
    width: int
    channels: int
    fit: Fit = "crop"
    fps: float | None = None
    max_frames: int = 100_000
    max_pixels: int = 1 << 24
    box: Box | None = None


class OutsideBox(ClipError):
    """A box that does not fit; what raises it does not know the file's name."""


class Timed(NamedTuple):
    """A frame before it is shaped, with its begin and duration in seconds (None where the file does not tell)."""

    frame: object
    time: float | None
    seconds: float | None


def check_size(name: str, width: int, height: int, max_pixels: int) -> None:
    """Raises `ClipError` for an empty or too large frame."""
    if width < 1 or height < 1 or width * height > max_pixels:
        raise ClipError(
            f"{name}: frames of {width}x{height} pixels; expected 1 to {max_pixels} pixels in all (option --max-pixels)."
        )


def crop_box(width: int, height: int, to_width: int, to_height: int, aspect: float = 1.0) -> tuple[int, int, int, int]:
    """Largest centered box (left, top, right, bottom) with the target's aspect ratio; `aspect`: a pixel's width / height."""
    scale = min(width * aspect / to_width, height / to_height)
    box_width, box_height = max(1, round(to_width * scale / aspect)), max(1, round(to_height * scale))
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return left, top, left + box_width, top + box_height


def checked_box(box: Box, width: int, height: int) -> Box:
    """Raises `OutsideBox` for a box that is not within a picture of this size."""
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise OutsideBox(
            f"the box {' '.join(map(str, box))} (left, top, right, bottom) is not within its frames of {width}x{height} pixels "
            "(option --box)."
        )
    return box


def shape_picture(picture: Image.Image, wanted: Wanted, aspect: float = 1.0) -> np.ndarray:
    """A picture of mode L or RGB, with pixels of `aspect` -> uint8 [height, width, channels]."""
    picture = picture.convert("L" if wanted.channels == 1 else "RGB")
    if wanted.box is not None:
        picture = picture.crop(checked_box(wanted.box, *picture.size))
    box = crop_box(*picture.size, wanted.width, wanted.height, aspect) if wanted.fit == "crop" else None
    array = np.asarray(picture.resize((wanted.width, wanted.height), Image.Resampling.BILINEAR, box=box))
    return array[..., None] if wanted.channels == 1 else array


def to_bytes(values: np.ndarray) -> np.ndarray:
    """uint16 of the full range -> uint8: value / 257, rounded."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def over_black(rgba: np.ndarray) -> np.ndarray:
    """uint8 or uint16 [H, W, 4] with straight alpha -> the same type [H, W, 3]: composited over black."""
    top = np.iinfo(rgba.dtype).max
    color, alpha = rgba[..., :3].astype(np.uint64), rgba[..., 3:].astype(np.uint64)
    return ((color * alpha + top // 2) // top).astype(rgba.dtype)
