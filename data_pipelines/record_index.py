"""Where each record of a split lies, and each chunk of frames in it: shard, byte offset, size, frames.

With the index a reader goes straight to any record and any chunk, so that what a window does not need is not inflated; a full
permutation per epoch needs no shuffle buffer, and a run that was killed continues at its exact position without reading what
came before. It is derived data: written beside the shards when a data set is built, and made again by one pass over the shards
where it is absent or does not match them.
"""

import contextlib
import dataclasses
import os
import pathlib
import tempfile
import zipfile

import numpy as np
import tensorflow as tf

_HEADER_BYTES, _FOOTER_BYTES = 12, 4
"""TFRecord framing: length of the data and checksum of the length before the data, checksum of the data behind it."""
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


def _scan_shard(path: str, shard: int, columns: dict[str, list[int]]) -> None:
    position = 0
    records = iter(tf.data.TFRecordDataset(path))
    while True:
        try:
            data = next(records).numpy()
        except StopIteration:
            break
        except tf.errors.OpError as error:
            raise ValueError(
                f"{path} is damaged at byte {position} ({error.message}). Build the data set again, or copy it again from where "
                "it came."
            ) from error
        try:
            feature = tf.train.Example.FromString(data).features.feature
            frames, chunks = feature["num_frames"].int64_list.value[0], feature["frame_chunks"].bytes_list.value
        except Exception as error:  # protobuf's error classes differ between its implementations
            raise ValueError(
                f"{path}: the record at byte {position} is not a clip ({type(error).__name__}). Build the data set again."
            ) from error
        place = 0
        first_chunk = len(columns["chunk_offset"])
        for chunk in chunks:
            place = data.index(chunk, place)  # the serialised values lie in the record as they are, in order
            columns["chunk_offset"].append(place)
            columns["chunk_size"].append(len(chunk))
            place += len(chunk)
        for name, value in zip(_BY_RECORD, (shard, position, len(data), frames, first_chunk), strict=True):
            columns[name].append(value)
        position += _HEADER_BYTES + len(data) + _FOOTER_BYTES


def build(paths: list[str]) -> RecordIndex:
    """Reads all shards once. Raises `ValueError` for a damaged shard, naming the file and what to do."""
    columns: dict[str, list[int]] = {name: [] for name in _COLUMNS}
    for number, path in enumerate(paths):
        _scan_shard(path, number, columns)
    return RecordIndex(tuple(paths), *(np.asarray(columns[name], np.int64) for name in _COLUMNS))


def _file(directory: str, split: str) -> pathlib.Path:
    return pathlib.Path(directory) / f"record_index-{split}.npz"


def save(index: RecordIndex, directory: str, split: str) -> None:
    """Writes the index beside the shards, under a temporary name first."""
    target = _file(directory, split)
    sizes = np.asarray([os.path.getsize(path) for path in index.paths], np.int64)
    handle, temporary = tempfile.mkstemp(dir=directory, suffix=".npz")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, version=_VERSION, bytes=sizes, **{name: getattr(index, name) for name in _COLUMNS})
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise


def load(directory: str, split: str, paths: list[str]) -> RecordIndex:
    """The index of a split: the stored one where it matches the shards' sizes, else made again (and stored, if possible).

    Raises `ValueError` for a missing or damaged shard.
    """
    for path in paths:
        if not os.path.isfile(path):
            raise ValueError(f"{path} is missing: the data set is incomplete. Build it again, or copy all of its shards.")
    sizes = [os.path.getsize(path) for path in paths]
    try:
        with np.load(_file(directory, split), allow_pickle=False) as stored:
            columns = {name: stored[name].astype(np.int64) for name in _COLUMNS}
            known = stored["version"].tolist() == _VERSION and stored["bytes"].tolist() == sizes
            if known and len({len(columns[name]) for name in _BY_RECORD}) == 1:
                return RecordIndex(tuple(paths), *columns.values())
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        pass  # absent or unreadable: derived data, made again below
    index = build(paths)
    with contextlib.suppress(OSError):  # a read-only folder: the index then lives in memory only
        save(index, directory, split)
    return index
