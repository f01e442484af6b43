"""GIF, animated WebP and PNG, TIFF stacks -> frames (Pillow).

Frames are composited as the file says (its disposal methods); what is transparent then is black.
"""

import os
from collections.abc import Iterator

from data_pipelines.clips import containers, kinds, pictures
from data_pipelines.clips.errors import ClipError
from data_pipelines.clips.shaping import Timed, Wanted, check_size, shape_picture

_SHORTEST, _UNTOLD = 0.02, 0.1  # browsers and FFmpeg show a frame without a delay for 0.1 s


def is_animation(path: str | os.PathLike) -> bool | None:
    """Whether a file is read here: by its suffix, and a .webp or .tif by its number of frames; None where that is unreadable."""
    suffix = kinds.suffix(path)
    if suffix in kinds.ANIMATION_SUFFIXES:
        return True
    if suffix not in kinds.PERHAPS_ANIMATED:
        return False
    try:
        with pictures.opened(path, 1 << 62) as picture:
            return pictures.count_frames(picture) > 1
    except ClipError:
        return None


def read(path: str | os.PathLike, wanted: Wanted) -> Iterator[Timed]:
    """Shaped frames (uint8 [height, width, channels]) with their times. Raises `ClipError`."""
    name, time = kinds.shown(path), 0.0
    containers.check_whole(path)
    with pictures.opened(path, wanted.max_pixels) as picture:
        count = pictures.count_frames(picture)
        if count > wanted.max_frames:
            raise ClipError(f"{name}: more than {wanted.max_frames} frames (option --max-frames); cut it into clips.")
        timed, size = picture.format != "TIFF", None
        for number in range(count):
            with pictures.quiet():
                picture.seek(number)
            check_size(name, *picture.size, wanted.max_pixels)  # pages of a TIFF have sizes of their own
            whole = pictures.upright(picture, os.fspath(path))
            size = size or whole.size
            if whole.size != size:
                raise ClipError(
                    f"{name}: frame {number} has {whole.size[0]}x{whole.size[1]} pixels, the first one {size[0]}x{size[1]}; "
                    "expected one size in a clip."
                )
            told = (picture.info.get("duration") or 0) / 1000
            seconds = told if told >= _SHORTEST else _UNTOLD
            yield Timed(shape_picture(whole, wanted), time if timed else None, seconds if timed else None)
            time += seconds
