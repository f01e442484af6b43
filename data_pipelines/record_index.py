"""Where each record of a split lies, and each chunk of frames in it: shard, byte offset, size, frames.

With the index a reader goes straight to any record and any chunk, so that what a window does not need is not inflated; a full
permutation per epoch needs no shuffle buffer, and a run that was killed continues at its exact position without reading what
came before. It is derived data: written beside the shards when a data set is built, and made again by one pass over the shards
where it is absent or does not match them.
"""

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Sequence

import numpy as np

from data_pipelines import arrays, clip_records, files

_VERSION = 2
_BY_RECORD = ("shard", "offset", "size", "num_frames", "first_chunk")
_COLUMNS = (*_BY_RECORD, "chunk_offset", "chunk_size")


@dataclasses.dataclass(frozen=True)
class RecordIndex:
    """Records of one split in stored order; all arrays int64 [N]."""

    paths: tuple[str, ...]
    """Shard files, in order."""
    shard: np.ndarray
    """Position in `paths`."""
    offset: np.ndarray
    """Byte offset of the record in its shard."""
    size: np.ndarray
    """Bytes of the record's data."""
    num_frames: np.ndarray
    first_chunk: np.ndarray
    """Position of the record's first chunk in the two arrays below; the others follow it."""
    chunk_offset: np.ndarray
    """Byte offset of each chunk's zlib stream in its record's data, int64 [number of chunks of all records]."""
    chunk_size: np.ndarray

    def __len__(self) -> int:
        return len(self.shard)

    def select(self, keep: np.ndarray) -> "RecordIndex":
        """The records where `keep`, bool [N], is true."""
        by_record = (getattr(self, name)[keep] for name in _BY_RECORD)
        return RecordIndex(self.paths, *by_record, self.chunk_offset, self.chunk_size)


def build(paths: list[str]) -> RecordIndex:
    """Reads all shards once. Raises `ValueError` for a damaged shard, naming the file and what to do."""
    columns: dict[str, list[int]] = {name: [] for name in _COLUMNS}
    numbers = {path: number for number, path in enumerate(paths)}
    for record in clip_records.read(paths):
        place, first_chunk = 0, len(columns["chunk_offset"])
        for chunk in record.chunks:
            place = record.data.find(chunk, place)  # the serialized values lie in the record as they are, in order
            if place < 0:
                raise ValueError(f"{record.where} has its chunks out of order. Build the data set again.")
            columns["chunk_offset"].append(place)
            columns["chunk_size"].append(len(chunk))
            place += len(chunk)
        row = (numbers[record.path], record.position, len(record.data), record.num_frames, first_chunk)
        for name, value in zip(_BY_RECORD, row, strict=True):
            columns[name].append(value)
    return RecordIndex(tuple(paths), *(np.asarray(columns[name], np.int64) for name in _COLUMNS))


def _file(directory: str, split: str) -> pathlib.Path:
    return files.located(directory) / f"record_index-{split}.npz"


def save(index: RecordIndex, directory: str, split: str) -> None:
    """Writes the index beside the shards."""
    sizes = np.asarray([files.located(path).stat().st_size for path in index.paths], np.int64)
    columns = {name: getattr(index, name) for name in _COLUMNS}
    arrays.save_together(_file(directory, split), {"version": np.int64(_VERSION), "bytes": sizes, **columns})


def load(directory: str, split: str, paths: list[str], shape: Sequence[int]) -> RecordIndex:
    """The index of a split: the stored one where it matches the shards' sizes, else made again (and stored, if possible).

    `shape` is (H, W, C, K) of the chunks. Raises `ValueError` for a damaged shard, and records that cannot have such chunks.
    """
    with contextlib.suppress(ValueError):  # absent or unreadable: derived data, made again below
        stored = arrays.load_together(_file(directory, split), ("version", "bytes", *_COLUMNS))
        sizes = [files.located(path).stat().st_size for path in paths]
        if stored["version"].tolist() == _VERSION and stored["bytes"].tolist() == sizes:
            index = RecordIndex(tuple(paths), *(stored[name] for name in _COLUMNS))
            if _fits(index, np.asarray(sizes, np.int64)) and not _misfits(index, shape):
                return index
    index = build(paths)
    if misfits := _misfits(index, shape):
        raise ValueError(f"{directory}, split {split!r}: {misfits}. Build the data set again.")
    with contextlib.suppress(OSError):  # a read-only folder: the index then lives in memory only
        save(index, directory, split)
    return index


def _misfits(index: RecordIndex, shape: Sequence[int]) -> str:
    """What the records have that chunks of this shape cannot have; empty: nothing."""
    if not len(index):
        return ""
    chunk_frames, size = shape[-1], math.prod(shape)
    chunks = np.diff(np.append(index.first_chunk, len(index.chunk_offset)))
    wrong = (index.num_frames > chunks * chunk_frames) | (index.num_frames <= (chunks - 1) * chunk_frames)
    if wrong.any():
        row = int(np.argmax(wrong))
        return f"a record claims {index.num_frames[row]} frames, but has {chunks[row]} chunks of {chunk_frames}"
    longest = size + size // 100 + 64  # zlib does not make data longer by more
    if index.chunk_size.max() > longest:
        return f"a chunk has {index.chunk_size.max()} bytes; at most {longest} were expected"
    return ""


def _fits(index: RecordIndex, sizes: np.ndarray) -> bool:
    """Whether every place of the index is inside the shards, and every chunk inside its record."""
    count, chunks = len(index.shard), len(index.chunk_offset)
    if any(getattr(index, name).shape != (count,) for name in _BY_RECORD) or index.chunk_size.shape != (chunks,):
        return False
    if not count:
        return not chunks
    if min(getattr(index, name).min() for name in _COLUMNS) < 0 or index.shard.max() >= len(sizes) or not chunks:
        return False
    lasts = np.append(index.first_chunk[1:], chunks)
    if (lasts <= index.first_chunk).any() or index.first_chunk[0] != 0:
        return False
    inside = index.offset <= sizes[index.shard] - index.size - clip_records.HEADER_BYTES - clip_records.FOOTER_BYTES
    of_record = np.repeat(index.size, lasts - index.first_chunk)
    return bool(inside.all() and (index.chunk_offset <= of_record - index.chunk_size).all())
