"""How a clip of frames lies in a record, and the way back.

A record holds the clip's frames in chunks of K frames. Each chunk is one zlib stream of uint8 [H, W, K, C]: the values of a
pixel over time follow each other, so that a still background becomes runs (smaller than PNG frames, measured by
`tools/benchmark.py build`). A window of a clip inflates only the chunks that it touches. The last chunk is filled up by
repeating the last frame; `num_frames` says how many are real.

These are plain TFDS features: `tfds.load` opens such a data set without this package and yields `frame_chunks` as uint8
[num_chunks, H, W, K, C]; `decode_clip` (or a transpose, a reshape and a slice) gives the frames.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

CHUNK_FRAMES = 6
"""K unless a data set says otherwise: a window of 20 inflates 25 frames on average; larger chunks pack tighter."""


def clip_features(
    height: int, width: int, channels: int, extra: dict[str, Any] | None = None, chunk_frames: int = CHUNK_FRAMES
) -> tfds.features.FeaturesDict:
    """Features of one clip.

    Args:
      height, width, channels: shape of a frame, in pixels.
      extra: further features of the data set by name, e.g. `{"action": tfds.features.Text()}`.
      chunk_frames: K, frames in a chunk (as in `encode_clip`).

    `group` names what must not be in two splits at once (a person, a source video); `source` is the file that the clip
    was cut from, `first_frame` its position there (0-based); `clip_id` is unique in the data set.
    """
    features = {
        "frame_chunks": tfds.features.Sequence(
            tfds.features.Tensor(shape=(height, width, chunk_frames, channels), dtype=np.uint8, encoding="zlib")
        ),
        "num_frames": tfds.features.Scalar(np.int64),
        "clip_id": tfds.features.Text(),
        "source": tfds.features.Text(),
        "group": tfds.features.Text(),
        "first_frame": tfds.features.Scalar(np.int64),
    }
    return tfds.features.FeaturesDict(features | (extra or {}))


def encode_clip(
    frames: np.ndarray, *, clip_id: str, source: str, group: str, first_frame: int = 0, chunk_frames: int = CHUNK_FRAMES
) -> dict[str, Any]:
    """One clip as an example for `clip_features`; further features are added by the caller.

    Args:
      frames: uint8 [T, H, W, C], T >= 1.
    Raises `ValueError` for another type or shape.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or not len(frames):
        raise ValueError(f"{clip_id}: frames must be uint8 [T >= 1, H, W, C], got {frames.dtype} {list(frames.shape)}.")
    padding = -len(frames) % chunk_frames
    padded = np.concatenate([frames, np.repeat(frames[-1:], padding, axis=0)]) if padding else frames
    chunks = padded.reshape(-1, chunk_frames, *frames.shape[1:])
    return {
        "frame_chunks": [np.ascontiguousarray(np.moveaxis(chunk, 0, 2)) for chunk in chunks],
        "num_frames": len(frames),
        "clip_id": clip_id,
        "source": source,
        "group": group,
        "first_frame": first_frame,
    }


def decode_clip(example: dict[str, Any]) -> np.ndarray:
    """The frames of an example as `tfds.load` yields it: uint8 [T, H, W, C]. Accepts tensors and NumPy arrays."""
    chunks = np.asarray(example["frame_chunks"])
    frames = np.moveaxis(chunks, 3, 1)
    return frames.reshape(-1, *frames.shape[2:])[: int(example["num_frames"])]


def frame_shape(features: tfds.features.FeaturesDict) -> tuple[int, int, int, int]:
    """(H, W, C, K): shape of a frame, and frames in a chunk.

    Raises `ValueError` where the features are not those of clips in chunks.
    """
    feature = next((features[key] for key in features if key == "frame_chunks"), None)
    shape = getattr(feature, "shape", None)
    if shape is None or len(shape) != 5:
        raise ValueError(
            f"Not a data set of clips: expected a feature frame_chunks of shape [None, H, W, K, C], found {sorted(features)}."
        )
    _, height, width, chunk_frames, channels = shape
    return height, width, channels, chunk_frames


def inflate_window(chunks: tf.Tensor, offset: tf.Tensor, length: int, shape: Sequence[int]) -> tf.Tensor:
    """Frames [offset, offset + length) of some successive chunks of a clip.

    Args:
      chunks: string [n], zlib streams: those that the window touches, no more.
      offset: int64 scalar, the window's first frame counted from the first of these chunks.
      length: frames to take, a Python integer.
      shape: (H, W, C, K), see `frame_shape`.
    Returns uint8 [length, H, W, C].
    """
    height, width, channels, chunk_frames = shape
    raw = tf.io.decode_raw(tf.io.decode_compressed(chunks, "ZLIB"), tf.uint8)
    by_pixel = tf.reshape(raw, [-1, height * width, chunk_frames, channels])
    frames = tf.reshape(tf.transpose(by_pixel, [0, 2, 1, 3]), [-1, height, width, channels])
    return tf.ensure_shape(frames[offset : offset + length], [length, height, width, channels])
