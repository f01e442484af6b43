"""The jobs of a builder as a Beam transform (imported only where a Beam runner is asked for)."""

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam

from data_pipelines.clips.errors import ClipError


def _run_job(job: Any, read_job: Callable) -> Iterator[tuple[str, Any]]:
    try:
        for key, example in read_job(job):
            yield "example", (key, example)
    except ClipError as error:
        yield "skipped", json.dumps(str(error))


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
            | "Read" >> beam.FlatMap(_run_job, self._read_job)
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
