"""How a clip of frames lies in a record, and the way back.

A record holds the clip's frames in chunks of K frames. Each chunk is one zlib stream of uint8 [H, W, K, C]: the values of a
pixel over time follow each other, so that a still background becomes runs (smaller than PNG frames, measured by
`tools/benchmark.py build`). A window of a clip inflates only the chunks that it touches. The last chunk is filled up by
repeating the last frame; `num_frames` says how many are real.

Beside the frames a record may hold values of each frame (`per_frame`: a robot's actions, true states), which a reader cuts as
it cuts the frames.

These are plain TFDS features: `tfds.load` opens such a data set without this package and yields `frame_chunks` as uint8
[num_chunks, H, W, K, C]; `tfds.load(...).map(data_pipelines.decode)` (or a transpose, a reshape and a slice) gives the frames.
They are no feature class of our own, which only programs with this package could open.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines.clip_encoding import CHUNK_FRAMES, STORED, Field

MAX_CHUNK_BYTES = 1 << 28
FRAME_STATES, CLIP_STATES = ("positions", "velocities", "collisions"), ("digit_ids",)
"""True states of Moving MNIST, of each frame and of a clip."""


def clip_features(
    height: int,
    width: int,
    channels: int,
    extra: dict[str, Any] | None = None,
    chunk_frames: int = CHUNK_FRAMES,
    per_frame: Mapping[str, Sequence[int]] | None = None,
) -> tfds.features.FeaturesDict:
    """Features of one clip.

    Args:
      height, width, channels: shape of a frame, in pixels.
      extra: further features of the data set by name, e.g. `{"action": tfds.features.Text()}`.
      chunk_frames: K, frames in a chunk (as in `clip_encoding.encode_clip`).
      per_frame: float32 values of each frame by name and shape, e.g. `{"actions": (4,)}` for [T, 4]; to be given to
        `encode_clip`. Readers hand them out on demand: `data_pipelines.load(..., tensors=("frames", "actions"))`.

    `group` names what must not be in two splits at once (a person, a source video); `source` is the file that the clip
    was cut from, `first_frame` its position there (0-based); `clip_id` is unique in the data set.
    """
    features = {
        STORED: tfds.features.Sequence(
            tfds.features.Tensor(shape=(height, width, chunk_frames, channels), dtype=np.uint8, encoding="zlib")
        ),
        "num_frames": tfds.features.Scalar(np.int64),
        "clip_id": tfds.features.Text(),
        "source": tfds.features.Text(),
        "group": tfds.features.Text(),
        "first_frame": tfds.features.Scalar(np.int64),
    }
    values = {name: tfds.features.Tensor(shape=(None, *shape), dtype=np.float32) for name, shape in (per_frame or {}).items()}
    return tfds.features.FeaturesDict(features | values | (extra or {}))


def decode(example: dict[str, Any]) -> dict[str, Any]:
    """An example as `tfds.load` yields it, with "frames" uint8 [T, H, W, C] in the place of `frame_chunks`.

    For tf.data, `tfds.load("kth/64", split="train", data_dir=...).map(data_pipelines.decode)`, and for single examples.
    Raises `ValueError` for an example of another data set.
    """
    if STORED not in example:
        raise ValueError(f"Not an example of clips: expected a feature {STORED}, found {sorted(example)}.")
    chunks = tf.convert_to_tensor(example[STORED])
    by_frame = tf.transpose(chunks, [0, 3, 1, 2, 4])
    frames = tf.reshape(by_frame, tf.concat([[-1], tf.shape(by_frame)[2:]], axis=0))
    frames = tf.ensure_shape(frames[: example["num_frames"]], [None, *by_frame.shape[2:]])
    return {"frames": frames} | {name: value for name, value in example.items() if name not in (STORED, "num_frames")}


def decode_clip(example: dict[str, Any]) -> np.ndarray:
    """The frames of an example as `tfds.load` yields it: uint8 [T, H, W, C]. Accepts tensors and NumPy arrays."""
    chunks = np.asarray(example["frame_chunks"])
    frames = np.moveaxis(chunks, 3, 1)
    return frames.reshape(-1, *frames.shape[2:])[: int(example["num_frames"])]


def frame_shape(features: tfds.features.FeaturesDict) -> tuple[int, int, int, int]:
    """(H, W, C, K): shape of a frame, and frames in a chunk.

    Raises `ValueError` where the features are not those of clips in chunks.
    """
    feature = next((features[key] for key in features if key == STORED), None)
    shape = getattr(feature, "shape", None)
    if shape is None or len(shape) != 5 or feature.np_dtype != np.uint8:
        raise ValueError(
            f"Not a data set of clips: expected a feature {STORED}, uint8 [None, H, W, K, C], found {sorted(features)}."
        )
    _, height, width, chunk_frames, channels = shape
    sizes = (height, width, channels, chunk_frames)
    if None in sizes or min(sizes) < 1 or math.prod(sizes) > MAX_CHUNK_BYTES:
        raise ValueError(
            f"Chunks of frames must have a fixed size of 1 to {MAX_CHUNK_BYTES} bytes, got [H, W, K, C] = "
            f"{[height, width, chunk_frames, channels]}."
        )
    return height, width, channels, chunk_frames


def per_frame_names(features: tfds.features.FeaturesDict) -> list[str]:
    """Names of the features with a value of each frame: states of Moving MNIST, and what `clip_features` calls per_frame."""
    variable = [
        name
        for name, feature in features.items()
        if isinstance(feature, tfds.features.Tensor) and feature.shape[:1] == (None,) and feature.shape.count(None) == 1
    ]
    return [name for name in features if name in (*FRAME_STATES, *variable)]


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


def fields(features: tfds.features.FeaturesDict) -> dict[str, Field]:
    """How each feature is stored, for `clip_encoding.serialize`. Raises `ValueError` for what is stored otherwise."""
    result = {}
    for name, feature in features.items():
        if name == STORED:
            height, width, channels, chunk_frames = frame_shape(features)
            result[name] = Field("chunks", (height, width, chunk_frames, channels))
            continue
        if isinstance(feature, tfds.features.Text):
            result[name] = Field("bytes", ())
            continue
        plain = isinstance(feature, tfds.features.Tensor) and feature.shape.count(None) <= 1
        plain = plain and feature.get_serialized_info().np_dtype == feature.np_dtype  # not as a compressed string
        if not plain or not (feature.np_dtype == np.float32 or np.dtype(feature.np_dtype).kind in "biu"):
            raise ValueError(f"{name}: {feature} cannot be stored; take text, whole numbers or float32, one size unknown.")
        result[name] = Field("float32" if feature.np_dtype == np.float32 else "int64", tuple(feature.shape))
    return result
