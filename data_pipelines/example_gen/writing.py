"""Jobs into shards, by whichever engine: records in parts (`parts`), then parts into shards with their index (`shards`).

There is one way for all engines, this process among them. So records, order, shards and index are equal to the byte, whoever
wrote them.
"""

import contextlib
import functools
import os
import pathlib
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from data_pipelines import clip_encoding, files, record_index
from data_pipelines.clips.errors import ClipError
from data_pipelines.example_gen import engines, failures, parts, shards

_POLL = 0.5  # seconds
COPIED_HERE = 1 << 30
"""Bytes that this process copies into shards on its own in less time than an engine starts in."""


class Split(NamedTuple):
    """jobs: at least one. shard_paths: gives the shards' files for (records, bytes of data)."""

    name: str
    jobs: list[Any]
    shard_paths: Callable[[int, int], list[str]]


class Written(NamedTuple):
    """skipped: bad clips that were left out, in the order of the jobs."""

    shard_lengths: list[int]
    num_bytes: int
    skipped: list[str]


class Watch(NamedTuple):
    """progress: told (split, jobs done, jobs in all). skipped: told (split, all lines); it raises where these are too many."""

    progress: Callable[[str, int, int], None]
    skipped: Callable[[str, list[str]], None]


def write(
    splits: list[Split],
    read_job: Callable[[Any], Iterator[tuple[str, Mapping[str, Any]]]],
    fields: Mapping[str, clip_encoding.Field],
    directory: str,
    watch: Watch,
    run: engines.Run | None = None,
) -> list[Written]:
    """Writes shards, index and list of bad clips of each split into `directory`. `run`: the engine; None: this process.

    Raises `ValueError` (`ClipError` for bad clips) for what the source is to blame for, and what engine and disk raise.
    """
    folder = parts.make_folder(directory)
    tasks = {split.name: parts.tasks(split.name, split.jobs, read_job, fields, folder) for split in splits}
    every = [task for of_split in tasks.values() for task in of_split]
    if run is None:
        _read_here(every, {split.name: len(split.jobs) for split in splits}, watch)
    else:
        with _progress(folder, {split.name: len(split.jobs) for split in splits}, watch.progress):
            _work(run, parts.write_part, folder, every)
    ordered, paths, skipped = {}, {}, {}
    for split in splits:
        found = [parts.read_part(task) for task in tasks[split.name]]
        skipped[split.name] = [line for part in found for line in part.skipped]
        watch.skipped(split.name, skipped[split.name])
        ordered[split.name] = shards.order(found, split.name)
        records = len(ordered[split.name].size)
        if not records:
            lines = skipped[split.name]
            raise ClipError(f"Split {split.name!r} has no usable clip; all {len(split.jobs)} are bad, the first: {lines[0]}")
        paths[split.name] = list(map(os.path.abspath, split.shard_paths(records, int(ordered[split.name].size.sum()))))
    _copy([task for split in splits for task in shards.tasks(ordered[split.name], paths[split.name])], folder, run)
    written = []
    for split in splits:
        index = shards.index(ordered[split.name], paths[split.name])
        record_index.save(index, directory, split.name)
        at = shards.borders(len(index), len(index.paths))
        lengths = [last - first for first, last in zip(at, at[1:], strict=False)]
        if lines := skipped[split.name]:
            files.write_json(pathlib.Path(directory) / f"skipped-{split.name}.json", lines)
        written.append(Written(lengths, int(ordered[split.name].size.sum()), skipped[split.name]))
    shutil.rmtree(folder)
    return written


def _read_here(tasks: list[parts.PartTask], totals: dict[str, int], watch: Watch) -> None:
    done, before = dict.fromkeys(totals, 0), {split: [] for split in totals}
    for task in tasks:

        def finished(skipped, split=task.split):
            done[split] += 1
            watch.skipped(split, [*before[split], *skipped])
            watch.progress(split, done[split], totals[split])

        if not done[task.split]:
            watch.progress(task.split, 0, totals[task.split])
        parts.write_part(task, finished)
        before[task.split] += parts.read_part(task).skipped


def _work(run: engines.Run, function: Callable[[Any], None], folder: str, tasks: list[Any]) -> None:
    run(functools.partial(failures.guarded, function, folder), tasks)
    failures.raise_what_failed(folder)


def _copy(tasks: list[shards.ShardTask], folder: str, run: engines.Run | None) -> None:
    if run is None or sum(int(task.size.sum()) for task in tasks) <= COPIED_HERE:
        for task in tasks:
            shards.write_shard(task)
    else:
        _work(run, shards.write_shard, folder, tasks)


@contextlib.contextmanager
def _progress(folder: str, totals: dict[str, int], tell: Callable[[str, int, int], None]):
    """Within it `tell(split, done, total)` is called as workers finish jobs."""
    ended, told = threading.Event(), {}

    def look():
        for split, total in totals.items():
            done = min(total, parts.counted(folder, split))
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
    finally:
        ended.set()
        thread.join()
    look()
