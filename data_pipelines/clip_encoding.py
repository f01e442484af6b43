"""A clip of frames into a record, and frames out of its chunks, without TensorFlow (see `clip_storage` for the layout)."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_pipelines import tf_records

CHUNK_FRAMES = 6
"""K unless a data set says otherwise: a window of 20 inflates 25 frames on average; larger chunks pack tighter."""
STORED = "frame_chunks"
"""The feature that holds the frames."""


class Field(NamedTuple):
    """How a feature is stored: as "chunks" (of frames), "bytes" (text), "int64" or "float32"; shape: of one value, None: any."""

    kind: str
    shape: tuple[int | None, ...]


def encode_clip(
    frames: np.ndarray,
    *,
    clip_id: str,
    source: str,
    group: str,
    first_frame: int = 0,
    chunk_frames: int = CHUNK_FRAMES,
    per_frame: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Any]:
    """One clip as an example for `clip_storage.clip_features`; further features are added by the caller.

    Args:
      frames: uint8 [T, H, W, C], T >= 1.
      per_frame: finite numbers [T, ...] by name, as declared in `clip_features`; stored as float32.
    Raises `ValueError` for another type or shape.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or not len(frames):
        raise ValueError(f"{clip_id}: frames must be uint8 [T >= 1, H, W, C], got {frames.dtype} {list(frames.shape)}.")
    values = {name: np.asarray(value, np.float32) for name, value in (per_frame or {}).items()}
    for name, value in values.items():
        if len(value) != len(frames) or not np.isfinite(value).all():
            raise ValueError(
                f"{clip_id}: {name} must be finite numbers of {len(frames)} frames, got {list(value.shape)}"
                f"{'' if np.isfinite(value).all() else ' with some that are not finite'}."
            )
    padding = -len(frames) % chunk_frames
    padded = np.concatenate([frames, np.repeat(frames[-1:], padding, axis=0)]) if padding else frames
    chunks = padded.reshape(-1, chunk_frames, *frames.shape[1:])
    return {
        STORED: [np.ascontiguousarray(np.moveaxis(chunk, 0, 2)) for chunk in chunks],
        "num_frames": len(frames),
        "clip_id": clip_id,
        "source": source,
        "group": group,
        "first_frame": first_frame,
        **values,
    }


class Stored(NamedTuple):
    """data: a serialized `tf.train.Example`. The others are what the index says of it."""

    data: bytes
    num_frames: int
    num_chunks: int
    longest_chunk: int


def serialize(example: Mapping[str, Any], fields: Mapping[str, Field]) -> Stored:
    """An example as `encode_clip` gives it, compressed. Raises `ValueError` where it is not of these fields."""
    if example.keys() != fields.keys():
        raise ValueError(f"An example has the features {sorted(example)}; declared are {sorted(fields)}.")
    stored = {name: _value(name, example[name], field) for name, field in fields.items()}
    chunks = stored[STORED]
    return Stored(tf_records.serialize(stored), int(stored["num_frames"]), len(chunks), max(map(len, chunks)))


def _value(name: str, value: Any, field: Field) -> list[bytes] | np.ndarray:
    if field.kind == "bytes":
        return [value if isinstance(value, bytes) else value.encode("utf-8")]
    arrays = [np.asarray(part) for part in (value if field.kind == "chunks" else [value])]
    for array in arrays:
        fits = len(array.shape) == len(field.shape) and all(
            want in (None, have) for want, have in zip(field.shape, array.shape, strict=True)
        )
        whole = array.dtype == np.uint8 if field.kind == "chunks" else array.dtype.kind in "biu" or field.kind == "float32"
        if not fits or not whole:
            raise ValueError(f"{name} must be {field.kind} {list(field.shape)}, got {array.dtype} {list(array.shape)}.")
    if field.kind == "chunks":
        return [zlib.compress(array.tobytes()) for array in arrays]
    return arrays[0].astype(field.kind)


def inflate_chunks(chunks: Sequence[bytes], shape: Sequence[int]) -> np.ndarray:
    """The frames of some chunks of a record, uint8 [n * K, H, W, C], padding included; `shape` is (H, W, C, K).

    Takes no more memory than that. Raises `ValueError` for a chunk that is damaged or of another size.
    """
    height, width, channels, chunk_frames = shape
    size = height * width * channels * chunk_frames
    frames = np.empty((len(chunks), chunk_frames, height, width, channels), np.uint8)
    for number, chunk in enumerate(chunks):
        try:
            raw = zlib.decompressobj().decompress(chunk, size + 1)
        except zlib.error as error:
            raise ValueError(f"A chunk of frames is damaged ({error}).") from error
        if len(raw) != size:
            more = "more than " if len(raw) > size else ""
            raise ValueError(f"A chunk of frames must hold {size} bytes, got {more}{min(len(raw), size)}.")
        frames[number] = np.moveaxis(np.frombuffer(raw, np.uint8).reshape(height, width, chunk_frames, channels), 2, 0)
    return frames.reshape(-1, height, width, channels)
