"""How a clip of frames lies in a record, and the way back.

A record holds the clip's frames in chunks of `CHUNK_FRAMES` frames. Each chunk is one zlib stream of uint8
[H, W, C, CHUNK_FRAMES]: time is the innermost axis, so that a pixel's values follow each other and a still background
becomes runs (smaller than PNG frames, measured by `tools/benchmark.py build`). A window of a clip inflates only the
chunks that it touches. The last chunk is filled up by repeating the last frame; `num_frames` says how many are real.

These are plain TFDS features: `tfds.load` opens such a data set without this package and yields `frame_chunks` as uint8
[num_chunks, H, W, C, CHUNK_FRAMES]; `decode_clip` (or a transpose, a reshape and a slice) gives the frames.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

CHUNK_FRAMES = 6
"""Frames in a chunk. A window of 20 inflates 25 frames on average, one of 12 inflates 17; larger chunks pack tighter."""


def clip_features(height: int, width: int, channels: int, extra: dict[str, Any] | None = None) -> tfds.features.FeaturesDict:
    """Features of one clip.

    Args:
      height, width, channels: shape of a frame, in pixels.
      extra: further features of the data set by name, e.g. `{"action": tfds.features.Text()}`.

    `group` names what must not be in two splits at once (a person, a source video); `source` is the file that the clip
    was cut from, `first_frame` its position there (0-based); `clip_id` is unique in the data set.
    """
    features = {
        "frame_chunks": tfds.features.Sequence(
            tfds.features.Tensor(shape=(height, width, channels, CHUNK_FRAMES), dtype=np.uint8, encoding="zlib")
        ),
        "num_frames": tfds.features.Scalar(np.int64),
        "clip_id": tfds.features.Text(),
        "source": tfds.features.Text(),
        "group": tfds.features.Text(),
        "first_frame": tfds.features.Scalar(np.int64),
    }
    return tfds.features.FeaturesDict(features | (extra or {}))


def encode_clip(frames: np.ndarray, *, clip_id: str, source: str, group: str, first_frame: int = 0) -> dict[str, Any]:
    """One clip as an example for `clip_features`; further features are added by the caller.

    Args:
      frames: uint8 [T, H, W, C], T >= 1.
    Raises `ValueError` for another type or shape.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or not len(frames):
        raise ValueError(f"{clip_id}: frames must be uint8 [T >= 1, H, W, C], got {frames.dtype} {list(frames.shape)}.")
    padding = -len(frames) % CHUNK_FRAMES
    padded = np.concatenate([frames, np.repeat(frames[-1:], padding, axis=0)]) if padding else frames
    chunks = padded.reshape(-1, CHUNK_FRAMES, *frames.shape[1:])
    return {
        "frame_chunks": [np.ascontiguousarray(np.moveaxis(chunk, 0, -1)) for chunk in chunks],
        "num_frames": len(frames),
        "clip_id": clip_id,
        "source": source,
        "group": group,
        "first_frame": first_frame,
    }


def decode_clip(example: dict[str, Any]) -> np.ndarray:
    """The frames of an example as `tfds.load` yields it: uint8 [T, H, W, C]. Accepts tensors and NumPy arrays."""
    chunks = np.asarray(example["frame_chunks"])
    frames = np.moveaxis(chunks, -1, 1)
    return frames.reshape(-1, *frames.shape[2:])[: int(example["num_frames"])]


def frame_shape(features: tfds.features.FeaturesDict) -> tuple[int, int, int]:
    """(H, W, C) of the frames. Raises `ValueError` where the features are not those of clips in chunks."""
    feature = features["frame_chunks"] if "frame_chunks" in features else None
    shape = getattr(feature, "shape", None)
    if shape is None or len(shape) != 5 or shape[-1] != CHUNK_FRAMES:
        raise ValueError(
            f"Not a data set of clips: expected a feature frame_chunks of shape [None, H, W, C, {CHUNK_FRAMES}], "
            f"found {list(features)}."
        )
    return tuple(shape[1:4])


def inflate_window(chunks: tf.Tensor, start: tf.Tensor, length: int, shape: Iterable[int]) -> tf.Tensor:
    """Frames [start, start + length) of a clip, inflating only the chunks that they touch.

    Args:
      chunks: string [num_chunks], the zlib streams of a record.
      start: int64 scalar, first frame.
      length: frames to take, a Python integer.
      shape: (H, W, C).
    Returns uint8 [length, H, W, C].
    """
    height, width, channels = shape
    first = start // CHUNK_FRAMES
    last = (start + length - 1) // CHUNK_FRAMES
    raw = tf.io.decode_raw(tf.io.decode_compressed(chunks[first : last + 1], "ZLIB"), tf.uint8)
    by_pixel = tf.reshape(raw, [-1, height * width * channels, CHUNK_FRAMES])
    frames = tf.reshape(tf.transpose(by_pixel, [0, 2, 1]), [-1, height, width, channels])
    offset = start - first * CHUNK_FRAMES
    return tf.ensure_shape(frames[offset : offset + length], [length, height, width, channels])
