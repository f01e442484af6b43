"""Pictures -> uint8 frames: upright, of 8 bits, without transparency (Pillow).

Orientation is that of EXIF. Transparent parts are composited over black. Values of more than 8 bits are scaled by their full
range (16 bits: value / 257, rounded), never cut off. Pillow has no mode for color of 16 bits: PyAV decodes that.
"""

import contextlib
import os
import pathlib
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from data_pipelines.clips import containers, kinds
from data_pipelines.clips.errors import ClipError, ExtraNeeded
from data_pipelines.clips.shaping import Wanted, check_size, over_black, shape_picture, to_bytes

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_ORIENTATION, _BITS, _PHOTOMETRIC = 274, 258, 262  # tags of EXIF and TIFF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BROKEN = (UnidentifiedImageError, OSError, SyntaxError, EOFError, ValueError, IndexError, TypeError, KeyError, OverflowError)


@contextlib.contextmanager
def opened(path: str | os.PathLike, max_pixels: int):
    """An image file by Pillow; whatever goes wrong with it inside the block is a `ClipError` that names it.

    Its size is checked before it is decoded.
    """
    name = kinds.shown(path)
    try:
        with quiet():
            picture = Image.open(path, formats=FORMATS)
        with picture:
            check_size(name, *picture.size, max_pixels)
            yield picture
    except (ClipError, ExtraNeeded):
        raise
    except Image.DecompressionBombError as error:
        raise ClipError(f"{name}: the picture is too large ({error}); make it smaller or remove it.") from error
    except MemoryError as error:
        raise ClipError(f"{name}: the picture does not fit into memory; make it smaller or remove it.") from error
    except _BROKEN as error:
        raise ClipError(f"{name}: not a picture that can be decoded ({error}); copy it again or remove it.") from error


@contextlib.contextmanager
def quiet():
    """Without Pillow's warnings of large pictures, which are judged here, and of odd tags."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def count_frames(picture: Image.Image) -> int:
    """Frames of an opened file. A JPEG has one: the second one that phones add is another picture."""
    with quiet():
        return 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)


def upright(picture: Image.Image, name: str) -> Image.Image:
    """The current frame of an opened file, mode L or RGB, turned as EXIF says, transparency over black."""
    with quiet():
        return _upright(picture, name)


def _upright(picture: Image.Image, name: str) -> Image.Image:
    if _has_deep_color(picture):
        if count_frames(picture) > 1:
            raise ClipError(f"{name}: an animation of 16 bits a color; save it with 8.")
        turn = _TURNS.get(picture.getexif().get(_ORIENTATION))
        flat = Image.fromarray(_deep_color(name))
        return flat.transpose(turn) if turn is not None else flat
    if picture.mode in _DEEP_MODES:
        picture = Image.fromarray(_deep_gray(ImageOps.exif_transpose(picture), picture, name))
    else:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        return Image.fromarray(over_black(np.asarray(picture.convert("RGBA"))))
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def _has_deep_color(picture: Image.Image) -> bool:
    """Whether the file stores 16 bits of which Pillow would cut off 8 (formats PNG and TIFF)."""
    if picture.format not in ("PNG", "TIFF") or picture.mode in _DEEP_MODES:
        return False
    bits = getattr(picture, "tag_v2", {}).get(_BITS, ())
    raw = [tile[3] if isinstance(tile[3], str) else tile[3][0] for tile in picture.tile if tile[3]]
    return any(";16" in str(mode) for mode in raw) or max(bits, default=8) > 8


def _deep_color(path: str) -> np.ndarray:
    from data_pipelines.clips.videos import require_av  # a lazy import: reading 8 bits needs no PyAV

    av = require_av()
    demuxer = "png_pipe" if kinds.suffix(path) == ".png" else "tiff_pipe"
    try:
        with av.open(path, format=demuxer) as container:
            rgba = next(container.decode(video=0)).to_ndarray(format="rgba64le")
    except (av.error.FFmpegError, StopIteration, ValueError) as error:
        raise ClipError(f"{path}: a picture of 16 bits a color that cannot be decoded ({error}); save it with 8.") from error
    return to_bytes(over_black(rgba))


def _deep_gray(picture: Image.Image, file: Image.Image, name: str) -> np.ndarray:
    values = np.asarray(picture)
    low, high = float(values.min()), float(values.max())
    if picture.mode == "F":
        if not (low >= 0 and high <= 1):  # also catches NaN
            raise ClipError(
                f"{name}: floats in [{low:g}, {high:g}]; expected [0, 1]. Scale them, or save the picture with 16 bits."
            )
        return np.rint(values.astype(np.float64) * 255).astype(np.uint8)
    if low < 0 or high > 65535:
        raise ClipError(f"{name}: integers in [{low:g}, {high:g}]; expected [0, 65535]. Save the picture with 16 bits.")
    tags = getattr(file, "tag_v2", {})
    top = (1 << bits) - 1 if 8 < (bits := max(tags.get(_BITS, (16,)))) < 16 else 65535
    values = values.astype(np.int64)
    if isinstance(key := file.info.get("transparency"), int):
        values[values == key] = 0  # PNG's transparent gray
    if tags.get(_PHOTOMETRIC) == 0:  # zero is white; Pillow turns only 8 bits and less
        values = top - values
    return to_bytes(values) if top == 65535 else np.rint(values * (255 / top)).astype(np.uint8)


def read_picture(path: str | os.PathLike, wanted: Wanted) -> np.ndarray:
    """One picture -> uint8 [height, width, channels]. Raises `ClipError`."""
    return _shaped(path, wanted)[0]


def _shaped(path, wanted: Wanted) -> tuple[np.ndarray, tuple[int, int]]:
    containers.check_whole(path)
    with opened(path, wanted.max_pixels) as picture:
        if (count := count_frames(picture)) > 1:
            raise ClipError(
                f"{kinds.shown(path)}: holds {count} frames; expected one in a picture of a clip. Give an animated "
                "PNG the suffix .apng."
            )
        whole = upright(picture, os.fspath(path))
        return shape_picture(whole, wanted), whole.size


def picture_files(folder: str | os.PathLike) -> list[pathlib.Path]:
    """The pictures directly in a folder, in natural order of their names; without hidden files."""
    files = [
        file
        for file in pathlib.Path(folder).iterdir()
        if kinds.suffix(file.name) in kinds.PICTURE_SUFFIXES and kinds.is_taken(file.name) and file.is_file()
    ]
    return sorted(files, key=lambda file: kinds.natural_key(file.name))


def read_folder(folder: str | os.PathLike, wanted: Wanted) -> Iterator[np.ndarray]:
    """The pictures of a folder as a clip; all of them, since they have no times. Raises `ClipError`."""
    files = picture_files(folder)
    if len(files) > wanted.max_frames:
        raise ClipError(
            f"{kinds.shown(folder)}: {len(files)} frames, more than {wanted.max_frames} (option --max-frames); cut it into clips."
        )
    first = None
    for file in files:
        frame, size = _shaped(file, wanted)
        first = first or size
        if size != first:
            raise ClipError(
                f"{kinds.shown(file)}: {size[0]}x{size[1]} pixels, the first frame of the folder has {first[0]}x{first[1]}; "
                "expected one size in a clip."
            )
        yield frame
