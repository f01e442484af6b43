"""One reader for training and prediction: videos, animations and folders of pictures -> uint8 frames of one size."""

import os
from collections.abc import Iterator

import numpy as np

from data_pipelines.clips import animations, kinds, pictures, videos
from data_pipelines.clips.errors import ClipError
from data_pipelines.clips.rate import at_rate
from data_pipelines.clips.shaping import OutsideBox, Wanted


def read_clip(path: str | os.PathLike, wanted: Wanted) -> Iterator[np.ndarray]:
    """The frames of a video file, an animation, a folder of numbered pictures, or one picture.

    Pictures in a folder and pages of a TIFF have no times: all of them are frames, whatever `wanted.fps`.

    Yields uint8 [height, width, channels].
    Raises `ClipError`, naming the file, for one that cannot be read, is cut short or damaged, or exceeds a limit;
      `ExtraNeeded` where PyAV is needed and not installed.
    """
    name = kinds.shown(path)
    try:
        for number, frame in enumerate(_frames(path, wanted, name)):
            if number == wanted.max_frames:
                raise ClipError(f"{name}: more than {wanted.max_frames} frames (option --max-frames); cut it into clips.")
            yield frame
    except OutsideBox as error:
        raise ClipError(f"{name}: {error}") from None


def _frames(path: str | os.PathLike, wanted: Wanted, name: str) -> Iterator[np.ndarray]:
    if os.path.isdir(path):
        return pictures.read_folder(path, wanted)
    if animations.is_animation(path):
        return at_rate(animations.read(path, wanted), wanted.fps, name)
    if kinds.suffix(path) in kinds.PICTURE_SUFFIXES:
        return iter([pictures.read_picture(path, wanted)])
    return (frame.shape(wanted) for frame in at_rate(videos.read(path, wanted), wanted.fps, name))
