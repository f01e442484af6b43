"""Video files and folders of pictures → uint8 frames of one size (PyAV and Pillow; extra [video])."""

import itertools
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from data_pipelines.example_gen.base import ClipError

VIDEO_SUFFIXES = frozenset({".avi", ".mp4", ".mkv", ".mov", ".webm", ".gif"})
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})
Fit = Literal["crop", "squash"]


def require_av():
    """The PyAV module. Raises `ValueError` naming the extra where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise ValueError("Decoding video files needs PyAV: pip install 'svg_tf[video]'.") from error
    return av


def _check_size(path: str, width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1 or width * height > max_pixels:
        raise ClipError(
            f"{path}: frames of {width}x{height} pixels; expected 1 to {max_pixels} pixels in all (option --max-pixels)."
        )


def crop_box(width: int, height: int, to_width: int, to_height: int) -> tuple[int, int, int, int]:
    """Largest centred box (left, top, right, bottom) with the target's aspect ratio."""
    scale = min(width / to_width, height / to_height)
    box_width, box_height = max(1, round(to_width * scale)), max(1, round(to_height * scale))
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return left, top, left + box_width, top + box_height


def _shape_picture(picture: Image.Image, size: tuple[int, int], channels: int, fit: Fit) -> np.ndarray:
    height, width = size
    picture = picture.convert("L" if channels == 1 else "RGB")
    box = crop_box(*picture.size, width, height) if fit == "crop" else None
    array = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR, box=box))
    return array[..., None] if channels == 1 else array


def read_video(
    path: str, size: tuple[int, int], channels: int, *, fit: Fit, fps: float | None, max_frames: int, max_pixels: int
) -> Iterator[np.ndarray]:
    """Decodes a video file.

    Args:
      size: (height, width) of the frames wanted.
      channels: 1 (luma, full range) or 3 (RGB).
      fit: "crop" keeps the aspect ratio and cuts the centre out, "squash" scales both sides on their own.
      fps: frames per second wanted, by repeating or dropping frames by their time stamps; None keeps all frames.
      max_frames, max_pixels: limits; beyond them the clip is bad.
    Yields uint8 [height, width, channels].
    Raises `ClipError`, naming the file, for one that is no video or empty, is damaged, changes its size or exceeds a limit.
    """
    av = require_av()
    if not os.path.getsize(path):
        raise ClipError(f"{path}: the file is empty; copy it again or remove it.")
    count, first = 0, None
    try:
        with av.open(path, metadata_errors="replace") as container:
            if not container.streams.video:
                raise ClipError(f"{path}: holds no video stream; remove it.")
            stream = container.streams.video[0]
            if stream.width or stream.height:
                _check_size(path, stream.width, stream.height, max_pixels)
            stream.thread_type = "AUTO"
            for frame in _resampled(container.decode(stream), fps):
                count += 1
                if count > max_frames:
                    raise ClipError(f"{path}: more than {max_frames} frames (option --max-frames); cut it into clips.")
                first = first or (frame.width, frame.height)  # the stream's own size follows the frames
                if (frame.width, frame.height) != first:
                    raise ClipError(
                        f"{path}: frame {count - 1} has {frame.width}x{frame.height} pixels, the first one {first[0]}x"
                        f"{first[1]}; expected one size. Encode it again, or remove it."
                    )
                _check_size(path, *first, max_pixels)
                yield _shape_frame(frame, size, channels, fit)
    except av.error.FFmpegError as error:
        raise ClipError(
            f"{path}: not a video that can be decoded ({error.strerror or error}, after {count} frames); expected one of "
            f"{', '.join(sorted(VIDEO_SUFFIXES))}. Copy it again, encode it again or remove it."
        ) from error
    if not count:
        raise ClipError(f"{path}: no frame could be decoded; copy it again or remove it.")


def _shape_frame(frame, size: tuple[int, int], channels: int, fit: Fit) -> np.ndarray:
    height, width = size
    to_height, to_width = size
    if fit == "crop":
        scale = max(width / frame.width, height / frame.height)
        to_width, to_height = max(width, round(frame.width * scale)), max(height, round(frame.height * scale))
    pixels = "gray" if channels == 1 else "rgb24"
    # swscale's bilinear filter is anti-aliased where it shrinks, as Pillow's is; grey comes from the luma plane, range expanded.
    array = frame.to_ndarray(format=pixels, width=to_width, height=to_height, interpolation="BILINEAR")
    top, left = (to_height - height) // 2, (to_width - width) // 2
    array = array[top : top + height, left : left + width]
    return array[..., None] if channels == 1 else array


def _resampled(frames: Iterator, fps: float | None) -> Iterator:
    """Frames at a constant rate: at time k/fps the last frame that has begun."""
    if fps is None:
        yield from frames
        return
    ticks = itertools.count()
    tick, start, previous = next(ticks), None, None
    for number, frame in enumerate(frames):
        time = frame.time if frame.time is not None else number / fps
        start = time if start is None else start
        while previous is not None and tick / fps < time - start - 1e-6:
            yield previous
            tick = next(ticks)
        previous = frame
    if previous is not None:
        yield previous


def natural_key(name: str) -> list:
    """Sorts frame2 before frame10."""
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"([0-9]+)", name) if part]


def picture_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The pictures directly in a folder, in natural order of their names."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES and file.is_file()]
    return sorted(files, key=lambda file: natural_key(file.name))


def read_pictures(
    folder: str, size: tuple[int, int], channels: int, *, fit: Fit, max_frames: int, max_pixels: int
) -> Iterator[np.ndarray]:
    """A folder of numbered pictures as a clip; arguments, result and errors as in `read_video`."""
    files = picture_files(pathlib.Path(folder))
    if len(files) > max_frames:
        raise ClipError(f"{folder}: {len(files)} frames, more than {max_frames} (option --max-frames); cut it into clips.")
    first = None
    for file in files:
        try:
            with Image.open(file) as picture:
                _check_size(str(file), *picture.size, max_pixels)
                first = first or picture.size
                if picture.size != first:
                    raise ClipError(
                        f"{file}: {picture.size[0]}x{picture.size[1]} pixels, the first frame of the folder has "
                        f"{first[0]}x{first[1]}; expected one size in a clip."
                    )
                yield _shape_picture(picture, size, channels, fit)
        except (UnidentifiedImageError, OSError, SyntaxError) as error:
            raise ClipError(f"{file}: not a picture that can be decoded ({error}); copy it again or remove it.") from error
