"""First half of a build: jobs become records in files of each task, with what is known of each record beside them.

A task is a pure function of its jobs: done twice, by two workers or again after one was killed, it leaves the same bytes. Its
files have their names when they are whole, the description last. They lie in a folder of the unfinished data set, which goes at
the end.
No TensorFlow here.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from data_pipelines import arrays, clip_encoding, tf_records
from data_pipelines.clips.errors import ClipError

_FOLDER = ".parts"
_DONE = "done"  # a folder of its own: it is looked at twice a second
_MOST_TASKS = 1000  # of a split; more would be as many files
_COLUMNS = ("high", "low", "offset", "size", "num_frames", "num_chunks", "longest_chunk")


@dataclasses.dataclass(frozen=True)
class PartTask:
    """Successive jobs of a split."""

    split: str
    number: int
    jobs: list[Any]
    read_job: Callable[[Any], Iterator[tuple[str, Mapping[str, Any]]]]
    fields: Mapping[str, clip_encoding.Field]
    folder: str

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:04d}"


class Part(NamedTuple):
    """records: int64 [N, 7], the columns of which are `_COLUMNS`: hash of the key, place in the file, facts. skipped: why."""

    path: str
    records: np.ndarray
    skipped: list[str]


def make_folder(directory: str) -> str:
    """Where parts lie, below the folder of a data set; absolute, for workers may have another current one."""
    folder = os.path.join(os.path.abspath(directory), _FOLDER)
    os.makedirs(os.path.join(folder, _DONE))
    return folder


def tasks(split: str, jobs: list[Any], read_job, fields: Mapping[str, clip_encoding.Field], folder: str) -> list[PartTask]:
    """All jobs of a split."""
    step = -(-len(jobs) // _MOST_TASKS)
    groups = [jobs[first : first + step] for first in range(0, len(jobs), step)]
    return [PartTask(split, number, group, read_job, fields, folder) for number, group in enumerate(groups)]


def write_part(task: PartTask, finished: Callable[[list[str]], None] | None = None) -> None:
    """Does a task; `finished` is called after each job with what was skipped until then (None: the job is counted in a file)."""
    rows: list[tuple[int, ...]] = []
    skipped: list[str] = []
    salt, place = hashlib.md5(task.split.encode("utf-8")), 0
    finished = finished or (lambda skipped: _count(task))
    with _whole(task, ".records") as file:
        for job in task.jobs:
            try:
                for key, example in task.read_job(job):
                    stored = clip_encoding.serialize(example, task.fields)
                    rows.append((*_hashed(salt, key), place, len(stored.data), *stored[1:]))
                    place += file.write(tf_records.framed(stored.data))
            except ClipError as error:
                skipped.append(str(error))
            finished(skipped)
    with _whole(task, ".json") as file:
        file.write(json.dumps(skipped).encode("utf-8"))
    columns = np.array(rows, np.int64).reshape(-1, len(_COLUMNS)).T
    arrays.save_together(os.path.join(task.folder, f"{task.name}.npz"), dict(zip(_COLUMNS, columns, strict=True)))


def read_part(task: PartTask) -> Part:
    """What a task has left behind."""
    path = os.path.join(task.folder, task.name)
    columns = arrays.load_together(f"{path}.npz", dict.fromkeys(_COLUMNS, np.int64))
    skipped = json.loads(pathlib.Path(f"{path}.json").read_text(encoding="utf-8"))
    return Part(f"{path}.records", np.stack([columns[name] for name in _COLUMNS], axis=1), skipped)


def counted(folder: str, split: str) -> int:
    """Jobs of a split that workers have finished by now. One that was done again counts again."""
    return sum(file.stat().st_size for file in pathlib.Path(folder, _DONE).glob(f"{split}.*"))


def _count(task: PartTask) -> None:
    """A byte in a file of this process: engines have no count of their own that can be asked while they run."""
    path = os.path.join(task.folder, _DONE, f"{task.split}.{socket.gethostname()}-{os.getpid()}")
    with contextlib.suppress(OSError), open(path, "ab") as file:
        file.write(b".")


def _hashed(salt, key: str) -> tuple[int, int]:
    """128 bits by which records are ordered, as by TFDS; each half's first bit is turned: signed numbers have the order."""
    md5 = salt.copy()
    md5.update(key.replace("\\", "/").encode("utf-8"))
    high, low = np.frombuffer(md5.digest(), ">u8").astype(np.uint64) ^ np.uint64(1 << 63)
    return int(high.view(np.int64)), int(low.view(np.int64))


@contextlib.contextmanager
def _whole(task: PartTask, suffix: str):
    """A file to write, which has its name at the end. The folder is not made: where it is gone, the build is over."""
    descriptor, name = tempfile.mkstemp(dir=task.folder, prefix=task.name)
    try:
        with open(descriptor, "wb") as file:
            yield file
        os.replace(name, os.path.join(task.folder, task.name + suffix))
    except BaseException:
        pathlib.Path(name).unlink(missing_ok=True)
        raise
