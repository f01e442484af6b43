"""What the builders share: a plan of jobs, bad clips, limits, and a build that is whole or absent.

A builder lists its source as jobs (one per clip or source file) and names a module-level function that turns a job into
examples. `writing` makes shards of them, in this process or by the workers of an engine; TFDS's metadata are written around them.
"""

import abc
import contextlib
import dataclasses
import errno
import functools
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_builder import FileReaderBuilder

from data_pipelines import checks, clip_storage, files
from data_pipelines.clips.errors import ClipError
from data_pipelines.example_gen import engines, writing

Example = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """How to treat the source; none of these changes what a good clip becomes."""

    source: str = ""
    """Folder of the original files."""
    max_bad_clips: int = 0
    """Bad clips in a split to leave out (and list in `skipped-SPLIT.json`) before the build gives up."""
    max_frames: int = 100_000
    """Longest clip, in decoded frames; a longer one is a bad clip."""
    max_pixels: int = 1 << 24
    """Largest source frame, width * height; a larger one is a bad clip and is not decoded."""

    def __post_init__(self):
        for name, least in (("max_bad_clips", 0), ("max_frames", 1), ("max_pixels", 1)):
            checks.integer(name, getattr(self, name), least)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Jobs of each split, and lines to tell the user about the source."""

    jobs: dict[str, list[Any]]
    notes: list[str] = dataclasses.field(default_factory=list)


class ClipBuilder(FileReaderBuilder, skip_registration=True):
    """Base of the builders; subclasses give `_info`, `plan` and `read_job`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version: uint8 frames in zlib chunks of a few frames, pixel by pixel over time."}

    def __init__(self, *, options: BuildOptions | None = None, config: Any = None, **kwargs):
        self.options = options or BuildOptions()
        self.on_progress: Callable[[str, int, int], None] = lambda split, done, total: None
        self.notes: list[str] = []
        self.engine: engines.Run | None = None
        self._plan: Plan | None = None
        self._max_bad_clips = self.options.max_bad_clips
        listed = {known.name: known for known in self.BUILDER_CONFIGS}
        if isinstance(config, tfds.core.BuilderConfig) and config.name in listed:
            if config != listed[config.name]:
                raise ValueError(
                    f"The configuration {config.name!r} has other values ({listed[config.name]}): choose another name."
                )
            config = config.name  # TFDS takes a listed configuration by name only
        if kwargs.get("data_dir"):
            kwargs["data_dir"] = os.fspath(files.local(kwargs["data_dir"], "--data-dir"))
        super().__init__(config=config, **kwargs)

    @abc.abstractmethod
    def plan(self) -> Plan:
        """Reads the outline of the source. Raises `ValueError` for a source that cannot be built."""

    @staticmethod
    @abc.abstractmethod
    def read_job(job: Any) -> Iterator[tuple[str, Example]]:
        """(key, example) pairs of a job; a module-level function, so that engines can send it to their workers.

        Raises `ClipError` for a bad clip."""

    def source_dir(self) -> pathlib.Path:
        """The source folder. Raises `ValueError` where it is no folder."""
        if not self.options.source:
            raise ValueError(f"Building {self.name} needs the folder of the original files (--source).")
        path = files.local(self.options.source, "--source")
        if not path.is_dir():
            raise ValueError(
                f"--source must be a folder, got {str(path)!r}, which {'is a file' if path.exists() else 'is not there'}."
            )
        return path

    def planned(self) -> Plan:
        """`plan`, made once."""
        if self._plan is None:
            self._plan = self.plan()
        return self._plan

    def _splits(self, shard_config) -> list[writing.Split]:
        """What there is to write."""
        plan = self.planned()
        self.notes = list(plan.notes)
        splits = {split: jobs for split, jobs in plan.jobs.items() if jobs}
        self.notes += [
            f"split {split!r} has no clip in this source and is left out" for split in plan.jobs if split not in splits
        ]
        if not splits:
            raise ValueError(f"Nothing to build from {self.options.source!r}: the source holds no clip of {self.name}.")
        paths = functools.partial(self._shard_paths, shard_config)
        return [writing.Split(split, jobs, functools.partial(paths, split)) for split, jobs in splits.items()]

    def _shard_paths(self, shard_config, split: str, records: int, num_bytes: int) -> list[str]:
        template, count = self._get_filename_template(split_name=split), shard_config.get_number_shards(num_bytes, records)
        return [os.fspath(template.sharded_filepath(shard_index=number, num_shards=count)) for number in range(count)]

    def _check_skipped(self, split: str, skipped: list[str]) -> None:
        if len(skipped) > self._max_bad_clips:
            listing = "\n  ".join(skipped)
            raise ClipError(
                f"{len(skipped)} bad clip(s) in split {split!r}, {self._max_bad_clips} allowed:\n  {listing}\n"
                "Mend or remove the file(s), or leave them out with --max-bad-clips."
            )

    def _download_and_prepare(self, dl_manager, download_config):
        # Runs inside TFDS's temporary folder, which becomes the data set by one rename when everything below has succeeded.
        del dl_manager
        splits = self._splits(download_config.get_shard_config())
        written = writing.write(
            splits,
            self.read_job,
            clip_storage.fields(self.info.features),
            os.fspath(self.data_dir),
            writing.Watch(self.on_progress, self._check_skipped),
            self.engine,
        )
        infos = []
        for split, done in zip(splits, written, strict=True):
            self.notes += [f"skipped in {split.name!r}: {line}" for line in done.skipped]
            infos.append(
                tfds.core.SplitInfo(
                    name=split.name,
                    shard_lengths=done.shard_lengths,
                    num_bytes=done.num_bytes,
                    filename_template=self._get_filename_template(split_name=split.name),
                )
            )
        self.info.set_splits(tfds.core.SplitDict(infos))


def build(
    builder: ClipBuilder, *, beam_runner: str | None = None, beam_options: list[str] | None = None, overwrite: bool = False
) -> str:
    """Builds a data set and returns its folder.

    The data set appears by one rename when it is whole. What an earlier, killed build left behind is removed.

    Args:
      beam_runner: "DaskRunner", or a Beam runner ("DirectRunner", "FlinkRunner", ...); None builds in this process.
      beam_options: the runner's options, e.g. `["--dask_workers=2"]`, or
        `["--direct_num_workers=2", "--direct_running_mode=multi_processing"]`.
      overwrite: replace a data set of the same version.
    Raises:
      ValueError: bad source (`ClipError` where a clip is to blame), or a data set is already there.
      OSError: the target cannot be written, or the disk is full.
    """
    target = pathlib.Path(builder.data_dir)
    if target.exists() and not overwrite:
        raise ValueError(f"{target} is already built. Use another --data-dir, or build it anew with --overwrite.")
    builder.planned()  # a bad source is told before anything is written
    config = tfds.download.DownloadConfig(
        try_download_gcs=False,
        download_mode=tfds.GenerateMode.REUSE_CACHE_IF_EXISTS if overwrite else tfds.GenerateMode.REUSE_DATASET_IF_EXISTS,
    )
    if beam_runner:
        builder.engine = engines.engine(beam_runner, beam_options or [])
    elif beam_options:
        raise ValueError(f"Beam options {beam_options} need a Beam runner (--runner).")
    _check_writable(target.parent)
    with files.locked(target.parent, "is building into", f".{target.name}.lock"):
        for stale in target.parent.glob(f"{target.name}.incomplete*"):
            shutil.rmtree(stale)
        for stale in target.parent.glob(f"incomplete.*_{target.name}"):
            shutil.rmtree(stale)
        with _kept_until_replaced(target), tempfile.TemporaryDirectory() as downloads:  # TFDS wants a place for downloads
            try:
                builder.download_and_prepare(download_dir=downloads, download_config=config)
            except Exception as error:  # of the source, the disk, an engine
                if _is_disk_full(error):
                    reason = f"Building {target} failed: the disk is full: free some space and build again. Nothing was kept"
                    raise OSError(errno.ENOSPC, reason) from error
                if isinstance(error, OSError):
                    reason = f"Building {target} failed: {error}. Nothing was kept"
                    raise (OSError(error.errno, reason) if error.errno else OSError(reason)) from error
                if beam_runner and not isinstance(error, ValueError):
                    raise ValueError(f"{beam_runner} could not build {target}: {engines.reason(error)}") from error
                raise
    return os.fspath(target)


def _is_disk_full(error: BaseException | None) -> bool:
    """Whether a full disk is the error's cause, or its cause's cause, ..."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def _kept_until_replaced(target: pathlib.Path):
    """Sets an older data set aside, and brings it back where building the new one fails (TFDS would delete it first)."""
    aside = target.parent / f".{target.name}.replaced"
    if aside.exists() and not target.exists():
        aside.rename(target)  # a build that was killed
    shutil.rmtree(aside, ignore_errors=True)
    if target.exists():
        target.rename(aside)
    try:
        yield
    except BaseException:
        if aside.exists():
            shutil.rmtree(target, ignore_errors=True)
            aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _check_writable(directory: pathlib.Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise OSError(error.errno, f"Cannot write into {directory}: {error.strerror}. Choose another --data-dir") from error
