"""Second half of a build: the records of all parts, ordered by the hashes of their keys, in shards, with the index beside them.

Order, number of shards and their borders are TFDS's; they depend on keys and sizes alone, so that equal sources give equal bytes,
whoever read them, in whatever pieces. What the parts' descriptions say is enough for the index: no data is read for it.
No TensorFlow here.
"""

import dataclasses
import os
import pathlib
import socket
from typing import NamedTuple

import numpy as np

from data_pipelines import record_index, tf_records
from data_pipelines.example_gen.parts import Part

_OPEN_FILES = 128
_FRAMING = tf_records.HEADER_BYTES + tf_records.FOOTER_BYTES


class Ordered(NamedTuple):
    """The records of a split in the order of the shards: int64 [N] each, and the files of the parts."""

    paths: list[str]
    part: np.ndarray
    offset: np.ndarray
    size: np.ndarray
    num_frames: np.ndarray
    num_chunks: np.ndarray
    longest_chunk: np.ndarray


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """One shard: which framed bytes come after each other. part, offset, size: int64 [N]; size without the framing."""

    path: str
    parts: list[str]
    part: np.ndarray
    offset: np.ndarray
    size: np.ndarray


def order(parts: list[Part], split: str) -> Ordered:
    """Raises `ValueError` where two records have one key."""
    table = np.concatenate([part.records for part in parts])
    number = np.repeat(np.arange(len(parts)), [len(part.records) for part in parts])
    by_hash = np.lexsort((table[:, 1], table[:, 0]))
    table, number = table[by_hash], number[by_hash]
    twice = np.flatnonzero((table[1:, :2] == table[:-1, :2]).all(axis=1))
    paths = [part.path for part in parts]
    if len(twice):
        row = int(twice[0])
        keys = [_clip_id(paths[number[n]], table[n, 2], table[n, 3]) for n in (row, row + 1)]
        named = f"{keys[0]!r} and {keys[1]!r}"
        raise ValueError(f"Two records of the split {split!r} have one key: {named}. Rename one of the clips.")
    return Ordered(paths, number, *table[:, 2:].T)


def _clip_id(path: str, offset: int, size: int) -> str:
    with open(path, "rb") as file:
        file.seek(offset + tf_records.HEADER_BYTES)
        return b"".join(tf_records.parse(file.read(size))["clip_id"].bytes_list.value).decode("utf-8", "replace")


def borders(records: int, shards: int) -> list[int]:
    """Where each shard begins, and the end of the last."""
    return [round(records * number / shards) for number in range(shards + 1)]


def tasks(ordered: Ordered, paths: list[str]) -> list[ShardTask]:
    """`paths`: of the shards, in order."""
    at = borders(len(ordered.part), len(paths))
    cuts = [slice(first, last) for first, last in zip(at, at[1:], strict=False)]
    return [
        ShardTask(path, ordered.paths, ordered.part[cut], ordered.offset[cut], ordered.size[cut])
        for path, cut in zip(paths, cuts, strict=True)
    ]


def write_shard(task: ShardTask) -> None:
    """Copies records with their checksums, which were made when they were. Done twice it leaves the same bytes."""
    files: dict[int, int] = {}
    folder, name = os.path.dirname(task.parts[0]), os.path.basename(task.path)
    temporary = os.path.join(folder, f"{name}.{socket.gethostname()}-{os.getpid()}")
    try:
        with open(temporary, "wb") as shard:
            for part, offset, size in zip(task.part.tolist(), task.offset.tolist(), task.size.tolist(), strict=True):
                if part not in files:
                    if len(files) >= _OPEN_FILES:
                        os.close(files.pop(next(iter(files))))
                    files[part] = os.open(task.parts[part], os.O_RDONLY)
                shard.write(os.pread(files[part], size + _FRAMING, offset))
        os.replace(temporary, task.path)
    finally:
        for file in files.values():
            os.close(file)
        pathlib.Path(temporary).unlink(missing_ok=True)


def index(ordered: Ordered, paths: list[str]) -> record_index.RecordIndex:
    """The index of the shards `paths`. Raises `OSError` where a shard has other than the expected bytes."""
    at = borders(len(ordered.part), len(paths))
    shard = np.repeat(np.arange(len(paths)), np.diff(at))
    ends = np.cumsum(ordered.size + _FRAMING)
    starts = ends - ordered.size - _FRAMING
    offset = starts - starts[at[:-1]][shard]
    for path, first, last in zip(paths, at, at[1:], strict=False):
        expected, found = int(ends[last - 1] - starts[first]), os.path.getsize(path)
        if found != expected:
            raise OSError(f"{path} has {found} bytes on disk, {expected} were written; build it again")
    return record_index.RecordIndex.of(
        paths, shard, offset, ordered.size, ordered.num_frames, ordered.num_chunks, ordered.longest_chunk
    )
