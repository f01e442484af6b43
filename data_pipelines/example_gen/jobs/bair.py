"""Reading a file of BAIR's trajectories, record by record."""

import dataclasses
import gzip
import zlib
from collections.abc import Iterator

import numpy as np

from data_pipelines import tf_records
from data_pipelines.clip_encoding import encode_clip
from data_pipelines.clips import ClipError, kinds

SIZE = 64
CHUNK_FRAMES = 3
"""A training window of 12 frames inflates 14; chunks of 3 pack as tightly as chunks of 6 here (measured)."""
PER_FRAME = {"actions": ("action", 4), "endeffector_positions": ("endeffector_pos", 3)}
"""Numbers of each frame: the name of the source's entries, and how many. Row t of the actions leads from frame t to t + 1."""
_FRAME_BYTES = SIZE * SIZE * 3


@dataclasses.dataclass(frozen=True)
class BairJob:
    """One TFRecord file of trajectories, compressed where its name ends in .gz."""

    path: str
    source: str
    camera: str
    max_frames: int


def _trajectory(serialized: bytes, camera: str, where: str, max_frames: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The frames of a record, and the numbers of each."""
    try:
        feature = tf_records.parse(serialized)
    except ValueError as error:
        raise ClipError(f"{where} is {error}. Fetch the file again.") from error
    frames = []
    while (name := f"{len(frames)}/{camera}/encoded") in feature:
        values = feature[name].bytes_list.value
        if len(values) != 1 or len(values[0]) != _FRAME_BYTES:
            sizes = [len(value) for value in values]
            raise ClipError(f"{where}: {name} has {sizes} bytes; expected one value of {_FRAME_BYTES} (64x64x3, raw).")
        frames.append(np.frombuffer(values[0], np.uint8).reshape(SIZE, SIZE, 3))
        if len(frames) > max_frames:
            raise ClipError(f"{where}: more than {max_frames} frames (option --max-frames).")
    if len(frames) < 2:
        raise ClipError(f"{where}: {len(frames)} frame(s) of {camera!r}; expected a trajectory of 30. Is this a BAIR file?")
    numbers = {name: _numbers(feature, len(frames), *entry, where) for name, entry in PER_FRAME.items()}
    return np.stack(frames), numbers


def _numbers(feature, num_frames: int, name: str, size: int, where: str) -> np.ndarray:
    rows = [list(feature[f"{t}/{name}"].float_list.value) for t in range(num_frames)]
    wrong = next((t for t, row in enumerate(rows) if len(row) != size), None)
    if wrong is not None:
        raise ClipError(f"{where}: {wrong}/{name} has {len(rows[wrong])} numbers; expected {size}. Fetch the file again.")
    return np.array(rows, np.float32)


def read_bair_file(job: BairJob) -> Iterator[tuple[str, dict]]:
    """Streams the trajectories of one file. Raises `ClipError` where the file is damaged; what came before has been yielded."""
    name, number = kinds.shown(job.path), 0
    try:
        with open(job.path, "rb") as file:
            zipped = job.path.lower().endswith(".gz")
            stream, size = (gzip.GzipFile(fileobj=file), None) if zipped else (file, tf_records.size_of(file))
            for record in tf_records.read(stream, size):
                frames, numbers = _trajectory(record.data, job.camera, f"{name}, record {number}", job.max_frames)
                key = f"{job.source}/{number}"
                names = {"clip_id": key, "source": job.source, "group": job.source}
                yield key, encode_clip(frames, **names, chunk_frames=CHUNK_FRAMES, per_frame=numbers)
                number += 1
    except (tf_records.Damaged, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ClipError(
            f"{name}, record {number}: damaged (truncated or bits flipped: {error}). Fetch the file again; if it is left out, "
            f"its first {number} trajectories are kept."
        ) from error
    if not number:
        raise ClipError(f"{name}: holds no record; fetch the file again or remove it.")
