"""The jobs of a builder as a Beam transform (imported only where a Beam runner is asked for)."""

import contextlib
import json
import os
import pathlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam

from data_pipelines.clips.errors import ClipError

_POLL = 0.5  # seconds


def _run_job(job: Any, read_job: Callable, done: str) -> Iterator[tuple[str, Any]]:
    try:
        for key, example in read_job(job):
            yield "example", (key, example)
    except ClipError as error:
        yield "skipped", json.dumps(str(error))
    with contextlib.suppress(OSError), open(f"{done}.{socket.gethostname()}-{os.getpid()}", "ab") as file:
        file.write(b".")


def _done_files(directory: str, split: str) -> str:
    """How the files begin in which workers count their jobs, a byte for each."""
    return os.path.join(directory, f".done-{split}")


@contextlib.contextmanager
def progress(directory: str, totals: dict[str, int], tell: Callable[[str, int, int], None]):
    """Within it `tell(split, done, total)` is called as workers finish jobs; what they count in is removed at the end.

    Engines have no count of their own that can be asked while they run. A job that is done again counts again, up to the total.
    """
    ended, told = threading.Event(), {}

    def look():
        for split, total in totals.items():
            files = pathlib.Path(directory).glob(f"{os.path.basename(_done_files('', split))}.*")
            done = min(total, sum(file.stat().st_size for file in files))
            if done != told.get(split):
                told[split] = done
                tell(split, done, total)

    def watch():
        while not ended.wait(_POLL):
            with contextlib.suppress(OSError):
                look()

    thread = threading.Thread(target=watch, name="progress", daemon=True)
    thread.start()
    try:
        yield
        look()
    finally:
        ended.set()
        thread.join()
        for split in totals:
            for file in pathlib.Path(directory).glob(f"{os.path.basename(_done_files('', split))}.*"):
                file.unlink(missing_ok=True)


def _is(item: tuple[str, Any], kind: str) -> bool:
    return item[0] == kind


def _value(item: tuple[str, Any]) -> Any:
    return item[1]


class _Generate(beam.PTransform):
    def __init__(self, split: str, jobs: list[Any], read_job: Callable, directory: str):
        super().__init__()
        self._split, self._jobs, self._read_job, self._directory = split, jobs, read_job, directory

    def expand(self, pipeline):
        results = (
            pipeline
            | "Jobs" >> beam.Create(self._jobs)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(_run_job, self._read_job, _done_files(self._directory, self._split))
        )
        # Workers cannot count together; the builder reads these lines when the pipeline is done, before the data set appears.
        _ = (
            results
            | "Bad" >> beam.Filter(_is, "skipped")
            | "Lines" >> beam.Map(_value)
            | "List" >> beam.io.WriteToText(os.path.join(self._directory, f"skipped-{self._split}.part"), num_shards=1)
        )
        return results | "Good" >> beam.Filter(_is, "example") | "Examples" >> beam.Map(_value)


def generate(split: str, jobs: list[Any], read_job: Callable, directory: str) -> beam.PTransform:
    """A transform that yields the (key, example) pairs of `jobs` and lists bad clips in `directory`."""
    return _Generate(split, jobs, read_job, directory)
