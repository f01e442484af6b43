"""Clips in and futures out for the client: video files, GIFs, folders of pictures, arrays -> uint8 frames -> GIF, MP4, .npz."""

import csv
import io
import itertools
import pathlib

import numpy as np

from data_pipelines import clips, files
from data_pipelines.clips import animations, arrays, kinds
from svg_tf import markers, visualization

MAX_FRAMES = 256  # context frames of a clip; what a model takes is baked into it
MAX_PIXELS = 1 << 24  # of a frame of the source
OUTPUTS = (".gif", ".mp4", ".npz")


def read(path, size: tuple[int, int, int], n_past: int = 0, fit: clips.Fit = "crop") -> np.ndarray:
    """The context in a file or folder, read as for training (`data_pipelines.clips`).

    Args:
      path: a video, a GIF or another animation, a folder of numbered pictures, one picture (a context of one frame), or an
        .npy or .npz (its array "frames"), uint8 or float in [0, 1], [T, H, W, C] of the model's size.
      size: (height, width, channels) of the model's frames; other sources are scaled to it, and made gray for one channel.
      n_past: frames wanted, the first ones; 0: all.
      fit: "crop" keeps the aspect ratio and cuts the center out, "squash" scales both sides on their own.

    Returns: uint8 [T, H, W, C].
    Raises: `ValueError`, naming the file, for one that is absent, damaged, too short, too long or of another kind.
    """
    path = files.near(path, "A clip")
    if not path.exists():
        raise ValueError(f"{kinds.shown(path)} does not exist.")
    taken = list(itertools.islice(_frames(path, size, fit), n_past or MAX_FRAMES + 1))
    if not taken:
        raise ValueError(f"{kinds.shown(path)} holds no frames.")
    if len(taken) < n_past:
        raise ValueError(f"{kinds.shown(path)} has {len(taken)} frames; {n_past} were asked for (--n-past).")
    if len(taken) > MAX_FRAMES:
        raise ValueError(
            f"{kinds.shown(path)} has more than {MAX_FRAMES} frames; say how many of the first ones to use (--n-past)."
        )
    return np.stack(taken)


def _frames(path: pathlib.Path, size: tuple[int, int, int], fit: clips.Fit):
    """Frames of the model's size, as they come."""
    suffix = kinds.suffix(path)
    if path.is_file() and suffix in arrays.SUFFIXES:
        return arrays.read_array(path, size)
    if size[2] not in (1, 3):
        raise ValueError(f"The model's frames have {size[2]} channels: {path} must be an .npz with an array 'frames'.")
    taken = kinds.VIDEO_SUFFIXES | kinds.ANIMATION_SUFFIXES | kinds.PICTURE_SUFFIXES
    if path.is_dir():
        _check_folder(path)
    elif suffix not in taken:
        known = ", ".join(sorted(taken | arrays.SUFFIXES))
        raise ValueError(f"{kinds.shown(path)} must be a folder of pictures or a file of the kinds {known}.")
    return clips.read_clip(path, clips.Wanted(*size, fit=fit, max_frames=1 << 30, max_pixels=MAX_PIXELS))


def _check_folder(path: pathlib.Path) -> None:
    """Raises `ValueError` for a folder that holds no pictures, or a video beside a single one (its poster)."""
    pictures = [file for file in clips.picture_files(path) if not animations.is_animation(file)]
    if len(pictures) > 1:
        return  # a folder of frames; what stands beside them is not asked
    inside = sorted(file.name for file in path.iterdir() if kinds.is_taken(file.name))
    films = [name for name in inside if kinds.suffix(name) in kinds.VIDEO_SUFFIXES or animations.is_animation(path / name)]
    if films:
        raise ValueError(
            f"{kinds.shown(path)} holds {len(films)} video(s) (e.g. {kinds.shown(films[0])}): give the file itself; a folder is "
            "read as the numbered pictures of one clip."
        )
    if not pictures:
        found = f"; it holds {len(inside)} other(s), e.g. {kinds.shown(inside[0])}" if inside else ""
        raise ValueError(f"{kinds.shown(path)} holds no frames: expected numbered pictures{found}.")


def write(path, context: np.ndarray, futures: np.ndarray, shown: int = 5, fps: int = 6) -> pathlib.Path:
    """Writes a clip's futures atomically.

    path: .gif or .mp4 (the first `shown` samples below each other, each after the context) or .npz (arrays context and
    futures, all samples). context: uint8 [T, H, W, C]; futures: uint8 [S, F, H, W, C].
    """
    path = files.located(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        stream = io.BytesIO()
        np.savez_compressed(stream, context=context, futures=futures)
        return files.write(path, stream.getvalue())
    rows = [(f"sample {s}", np.concatenate([context, future])) for s, future in enumerate(futures[:shown])]
    frames = visualization.grid([rows], n_past=len(context))
    if suffix == ".gif":
        return visualization.save_gif(path, frames, fps)
    if suffix != ".mp4":
        raise ValueError(f"Futures are written as {', '.join(OUTPUTS)}, got {path}.")
    return files.write(path, encode_mp4(frames, fps))


def keypoints_path(path) -> pathlib.Path:
    """The table that belongs to a clip's futures: clip.gif -> clip.keypoints.csv."""
    return files.located(path).with_suffix(".keypoints.csv")


def write_keypoints(path, context: np.ndarray, futures: np.ndarray) -> pathlib.Path:
    """Writes keypoints as CSV, atomically: a row for each of a frame.

    context: float [T, K, 3], of the frames given, called "context"; futures: float [S, F, K, 3], called by their number.
    """
    rows = [("context", *row) for row in markers.numbered(context)]
    rows += [(s, *row) for s, track in enumerate(futures) for row in markers.numbered(track, len(context))]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("frames", *markers.COLUMNS))
    writer.writerows(rows)
    return files.write(path, stream.getvalue())


def encode_mp4(frames: np.ndarray, fps: int) -> bytes:
    """frames: uint8 [T, H, W, 3] of even height and width -> H.264 in MP4. Raises `ValueError` where PyAV is missing."""
    av = clips.require_av()
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=fps)
        video.height, video.width, video.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(video.encode())
    return stream.getvalue()
