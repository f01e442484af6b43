"""Where each record of a split lies: shard, byte offset, size, frames. 28 bytes a record, on disk and in memory.

With the index a reader goes straight to any record; a full permutation per epoch needs no shuffle buffer, and a run that was
killed continues at its exact position without reading what came before. It is derived data: written beside the shards when a data
set is built, from what its workers noted of each record, and made again by one pass over the shards where it is absent or does
not match them.
"""

import contextlib
import dataclasses
import math
import pathlib
from collections.abc import Sequence

import numpy as np

from data_pipelines import arrays, clip_records, files, tf_records

_VERSION = 3
_COLUMNS = {
    "shard": np.int32,
    "offset": np.int64,
    "size": np.int32,
    "num_frames": np.int32,
    "num_chunks": np.int32,
    "longest_chunk": np.int32,
}


@dataclasses.dataclass(frozen=True)
class RecordIndex:
    """Records of one split in stored order; all arrays [N]."""

    paths: tuple[str, ...]
    """Shard files, in order."""
    shard: np.ndarray
    """Position in `paths`, int32 as those below."""
    offset: np.ndarray
    """Byte offset of the record in its shard, int64."""
    size: np.ndarray
    """Bytes of the record's data."""
    num_frames: np.ndarray
    num_chunks: np.ndarray
    longest_chunk: np.ndarray
    """Bytes of the longest zlib stream of the record's chunks."""

    @classmethod
    def of(cls, paths: Sequence[str], *columns: Sequence[int] | np.ndarray) -> "RecordIndex":
        """From whole numbers in the order of the fields. Raises `ValueError` for one that is too large."""
        made = []
        for (name, dtype), column in zip(_COLUMNS.items(), columns, strict=True):
            wide = np.asarray(column, np.int64)
            if len(wide) and wide.max() > np.iinfo(dtype).max:
                raise ValueError(f"A record has {wide.max()} as its {name}; at most {np.iinfo(dtype).max} can be stored.")
            made.append(wide.astype(dtype))
        return cls(tuple(paths), *made)

    def __len__(self) -> int:
        return len(self.shard)

    def select(self, keep: np.ndarray) -> "RecordIndex":
        """The records where `keep`, bool [N], is true."""
        return RecordIndex(self.paths, *(getattr(self, name)[keep] for name in _COLUMNS))


def build(paths: list[str]) -> RecordIndex:
    """Reads all shards once. Raises `ValueError` for a damaged shard, naming the file and what to do."""
    rows: list[tuple[int, ...]] = []
    numbers = {path: number for number, path in enumerate(paths)}
    for record in clip_records.read(paths):
        longest = max(map(len, record.chunks))
        rows.append((numbers[record.path], record.position, len(record.data), record.num_frames, len(record.chunks), longest))
    return RecordIndex.of(paths, *np.array(rows, np.int64).reshape(-1, len(_COLUMNS)).T)


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
        stored = arrays.load_together(_file(directory, split), {"version": np.int64, "bytes": np.int64, **_COLUMNS})
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


def longest_chunk(shape: Sequence[int]) -> int:
    """Bytes that a zlib stream of (H, W, C, K) frames has at most: zlib does not make data longer by more."""
    size = math.prod(shape)
    return size + size // 100 + 64


def _misfits(index: RecordIndex, shape: Sequence[int]) -> str:
    """What the records have that chunks of this shape cannot have; empty: nothing."""
    if not len(index):
        return ""
    chunk_frames, longest = shape[-1], longest_chunk(shape)
    chunks = -(-index.num_frames.astype(np.int64) // chunk_frames)
    wrong = chunks != index.num_chunks
    if wrong.any():
        row = int(np.argmax(wrong))
        return f"a record claims {index.num_frames[row]} frames, but has {index.num_chunks[row]} chunks of {chunk_frames}"
    if index.longest_chunk.max() > longest:
        return f"a chunk has {index.longest_chunk.max()} bytes; at most {longest} were expected"
    return ""


def _fits(index: RecordIndex, sizes: np.ndarray) -> bool:
    """Whether every place of the index is inside the shards, and every chunk inside its record."""
    if any(getattr(index, name).shape != (len(index),) for name in _COLUMNS):
        return False
    if not len(index):
        return True
    if min(getattr(index, name).min() for name in _COLUMNS) < 0 or index.num_frames.min() < 1 or index.shard.max() >= len(sizes):
        return False
    inside = index.offset <= sizes[index.shard] - index.size - tf_records.HEADER_BYTES - tf_records.FOOTER_BYTES
    return bool(inside.all() and (index.longest_chunk < index.size).all())
