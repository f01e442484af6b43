"""Clips in and futures out for the client: video files, GIFs, folders of pictures, .npz -> uint8 frames -> GIF, MP4, .npz."""

import io
import itertools
import pathlib
import zipfile
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageSequence, UnidentifiedImageError

from data_pipelines.example_gen import video_decoding
from svg_tf import visualization

MAX_FRAMES = 256  # context frames of a clip; what a model takes is baked into it
MAX_PIXELS = 1 << 24  # of a frame of the source
MAX_ARRAY_BYTES = 1 << 30
OUTPUTS = (".gif", ".mp4", ".npz")


def read(path, size: tuple[int, int, int], n_past: int = 0, fit: video_decoding.Fit = "crop") -> np.ndarray:
    """The context in a file or folder.

    Args:
      path: a video (.mp4, .avi, .mkv, .mov, .webm), a .gif, a folder of numbered pictures, or an .npz with an array
        "frames", uint8 or float in [0, 1], [T, H, W, C] of the model's size.
      size: (height, width, channels) of the model's frames; other sources are scaled to it, and made grey for one channel.
      n_past: frames wanted, the first ones; 0: all.
      fit: "crop" keeps the aspect ratio and cuts the centre out, "squash" scales both sides on their own.

    Returns: uint8 [T, H, W, C].
    Raises: `ValueError`, naming the file, for one that is absent, damaged, too short, too long or of another kind.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist.")
    suffix = path.suffix.lower()
    if path.is_file() and suffix == ".npz":
        frames = iter(_read_npz(path, size))
    else:
        if size[2] not in (1, 3):
            raise ValueError(f"The model's frames have {size[2]} channels: {path} must be an .npz with an array 'frames'.")
        limits = {"fit": fit, "max_frames": 1 << 30, "max_pixels": MAX_PIXELS}
        if path.is_dir():
            frames = video_decoding.read_pictures(str(path), size[:2], size[2], **limits)
        elif suffix == ".gif":
            frames = _read_gif(path, size, fit)
        elif suffix in video_decoding.VIDEO_SUFFIXES:
            frames = video_decoding.read_video(str(path), size[:2], size[2], fps=None, **limits)
        else:
            kinds = ", ".join(sorted(video_decoding.VIDEO_SUFFIXES | {".npz"}))
            raise ValueError(f"{path} must be a folder of pictures or a file of the kinds {kinds}.")
    taken = list(itertools.islice(frames, n_past or MAX_FRAMES + 1))
    if not taken:
        raise ValueError(f"{path} holds no frames.")
    if len(taken) < n_past:
        raise ValueError(f"{path} has {len(taken)} frames; {n_past} were asked for (--n-past).")
    if len(taken) > MAX_FRAMES:
        raise ValueError(f"{path} has more than {MAX_FRAMES} frames; say how many of the first ones to use (--n-past).")
    return np.stack(taken)


def _read_npz(path: pathlib.Path, size) -> np.ndarray:
    expected = f"an .npz with 'frames' uint8, or float in [0, 1], [T >= 1, {size[0]}, {size[1]}, {size[2]}]"
    try:
        with zipfile.ZipFile(path) as archive:
            stored = archive.getinfo("frames.npy").file_size
        if stored > MAX_ARRAY_BYTES:
            raise ValueError(f"{stored} bytes, at most {MAX_ARRAY_BYTES} are read")
        with np.load(path, allow_pickle=False) as file:
            frames = file["frames"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} must be {expected}; it cannot be read ({error}).") from error
    if frames.ndim != 4 or frames.shape[1:] != tuple(size) or not len(frames) or frames.dtype.kind not in "uf":
        raise ValueError(f"{path} must be {expected}, got {frames.dtype} of shape {frames.shape}.")
    if frames.dtype.kind == "f":
        if not (frames.min() >= 0 and frames.max() <= 1):  # also catches NaN
            raise ValueError(f"{path} must be {expected}, got values in [{frames.min():g}, {frames.max():g}].")
        frames = np.round(frames.astype(np.float32) * 255.0).astype(np.uint8)
    elif frames.dtype != np.uint8:
        raise ValueError(f"{path} must be {expected}, got {frames.dtype}.")
    return frames


def _read_gif(path: pathlib.Path, size, fit) -> Iterator[np.ndarray]:
    """By Pillow, which the core installation has; other videos need PyAV."""
    height, width, channels = size
    try:
        with Image.open(path, formats=["GIF"]) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError(f"{path}: frames of {picture.width}x{picture.height}; at most {MAX_PIXELS} pixels are read.")
            box = video_decoding.crop_box(*picture.size, width, height) if fit == "crop" else None
            for frame in ImageSequence.Iterator(picture):
                frame = frame.convert("RGB").convert("L" if channels == 1 else "RGB")
                array = np.asarray(frame.resize((width, height), Image.Resampling.BILINEAR, box=box))
                yield array[..., None] if channels == 1 else array
    except (UnidentifiedImageError, OSError, SyntaxError, EOFError) as error:
        raise ValueError(f"{path}: not a GIF that can be decoded ({error}).") from error


def write(path, context: np.ndarray, futures: np.ndarray, shown: int = 5, fps: int = 6) -> pathlib.Path:
    """Writes a clip's futures atomically.

    path: .gif or .mp4 (the first `shown` samples below each other, each after the context) or .npz (arrays context and
    futures, all samples). context: uint8 [T, H, W, C]; futures: uint8 [S, F, H, W, C].
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        stream = io.BytesIO()
        np.savez_compressed(stream, context=context, futures=futures)
        return visualization.write_atomically(path, stream.getvalue())
    rows = [(f"sample {s}", np.concatenate([context, future])) for s, future in enumerate(futures[:shown])]
    frames = visualization.grid([rows], n_past=len(context))
    if suffix == ".gif":
        return visualization.save_gif(path, frames, fps)
    if suffix != ".mp4":
        raise ValueError(f"Futures are written as {', '.join(OUTPUTS)}, got {path}.")
    return visualization.write_atomically(path, encode_mp4(frames, fps))


def encode_mp4(frames: np.ndarray, fps: int) -> bytes:
    """frames: uint8 [T, H, W, 3] of even height and width -> H.264 in MP4. Raises `ValueError` where PyAV is missing."""
    av = video_decoding.require_av()
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=fps)
        video.height, video.width, video.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(video.encode())
    return stream.getvalue()
