"""Records of clips read one by one in Python, with bounded memory: for statistics, index and preview.

Training reads windows of them with TensorFlow's operations (`reader`).
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_pipelines import clip_encoding, files, tf_records

_BLOCK_FRAMES, _BLOCK_BYTES = 64, 1 << 26


class Record(NamedTuple):
    """One clip as it is stored."""

    path: str
    """The shard."""
    position: int
    """Byte offset of the record in it."""
    data: bytes
    """The serialized `tf.train.Example`."""
    features: Any
    """Its features by name."""

    @property
    def where(self) -> str:
        return f"{self.path}: the record at byte {self.position}"

    @property
    def num_frames(self) -> int:
        return self.features["num_frames"].int64_list.value[0]

    @property
    def chunks(self) -> Sequence[bytes]:
        return self.features[clip_encoding.STORED].bytes_list.value

    def text(self, name: str) -> bytes:
        """A string of the record; empty where it has none of that name."""
        return b"".join(self.features[name].bytes_list.value) if name in self.features else b""

    def blocks(self, shape: Sequence[int]) -> Iterator[np.ndarray]:
        """The frames, uint8 [n, H, W, C] at a time, so that a long clip needs no more memory than a short one.

        `shape` is (H, W, C, K). Raises `ValueError` where frames are missing or damaged."""
        left = self.num_frames
        step = max(min(_BLOCK_FRAMES // shape[-1], _BLOCK_BYTES // math.prod(shape)), 1)
        try:
            for first in range(0, len(self.chunks), step):
                frames = clip_encoding.inflate_chunks(self.chunks[first : first + step], shape)[:left]
                left -= len(frames)
                if len(frames):
                    yield frames
        except ValueError as error:
            raise ValueError(f"{self.where}: {error} Build the data set again.") from error
        if left:
            raise ValueError(f"{self.where}: {left} of its frames are not there. Build the data set again.")


def _damaged(path: str, position: int, reason: str) -> ValueError:
    advice = "Build the data set again, or copy it again from where it came."
    return ValueError(f"{path} is damaged at byte {position} ({reason}). {advice}")


def _parsed(path: str, position: int, data: bytes) -> Record:
    try:
        record = Record(path, position, data, tf_records.parse(data))
        reason = "no frames"
    except ValueError as error:
        record, reason = None, str(error)
    if record is None or len(record.features["num_frames"].int64_list.value) != 1 or record.num_frames < 1 or not record.chunks:
        raise ValueError(f"{path}: the record at byte {position} is not a clip ({reason}). Build the data set again.")
    return record


def read(paths: Sequence[str]) -> Iterator[Record]:
    """All records of some shards in stored order, checksums verified.

    Raises `ValueError`, naming file and place, for one that is damaged or no clip."""
    for path in paths:
        place = files.located(path)
        with place.open("rb") as file:
            try:
                for position, data in tf_records.read(file, place.stat().st_size):
                    yield _parsed(path, position, data)
            except tf_records.Damaged as error:
                raise _damaged(path, error.position, error.reason) from error


def read_at(path: str, position: int, size: int) -> Record:
    """The record of `size` bytes at a known place. Raises `ValueError` where there is no clip."""
    with files.located(path).open("rb") as file:
        file.seek(position + tf_records.HEADER_BYTES)
        return _parsed(path, position, file.read(size))
