"""Chunks of an evaluation: sequences that are scored together, and the file that holds the scores of each."""

import hashlib
import io
import pathlib
import zipfile
from typing import NamedTuple

import numpy as np

from data_pipelines import files

CHUNK = 8  # sequences computed together; the last chunk is filled up with copies


class Chunk(NamedTuple):
    number: int
    frames: np.ndarray  # float32 [CHUNK, T, H, W, C], the last ones copies where `count` < CHUNK
    count: int
    moving: np.ndarray  # bool [count]
    states: dict[str, np.ndarray] = {}  # true states [CHUNK, ...] of those that the data gives

    def frames_checksum(self) -> np.ndarray:
        """SHA-256, uint8 [32]."""
        return np.frombuffer(hashlib.sha256(self.frames[: self.count].tobytes()).digest(), np.uint8)


def path_of(work: pathlib.Path, number: int) -> pathlib.Path:
    return work / f"chunk-{number:06d}.npz"


def how_many(work: pathlib.Path) -> int:
    """Chunks whose scores are there."""
    return sum(1 for _ in work.glob("chunk-*.npz"))


def save(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    files.write(path, stream.getvalue())


def is_done(work: pathlib.Path, chunk: Chunk) -> bool:
    """Whether the scores of `chunk` are there; a damaged file is removed, so that they are made anew.

    Raises `ValueError` where they are of other frames.
    """
    path = path_of(work, chunk.number)
    arrays = _load(path)
    if arrays is None:
        path.unlink(missing_ok=True)
        return False
    if not np.array_equal(arrays.get("frames_sha256"), chunk.frames_checksum()):
        raise ValueError(
            f"{path} was computed from other frames than the data now gives: the data has changed. Remove {path.parent}."
        )
    return True


def gather(work: pathlib.Path, count: int) -> dict[str, np.ndarray]:
    """The scores of all chunks of `count` sequences, in order."""
    paths = [path_of(work, i) for i in range(-(-count // CHUNK))]
    chunks = [_load(path) for path in paths]
    for path, chunk in zip(paths, chunks, strict=True):
        if chunk is None:
            raise ValueError(f"{path} is damaged. Remove it, and start the evaluation again: it goes on where it stopped.")
    scores = {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0] if name != "frames_sha256"}
    scores["data_sha256"] = hashlib.sha256(b"".join(c["frames_sha256"].tobytes() for c in chunks)).hexdigest()
    return scores


def _load(path: pathlib.Path) -> dict[str, np.ndarray] | None:
    """None where the file is absent or damaged."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
