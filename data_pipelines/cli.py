"""`svg-data`: build, list, describe, stats, schema, validate."""

import abc
import contextlib
import io
import logging
import os
import pathlib
import sys
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from data_pipelines import command_line, flags, frame_size

_DATA_DIR_HELP = "Folder of prepared data sets; empty = TFDS_DATA_DIR, or ~/tensorflow_datasets."
DataDir = Annotated[str, tyro.conf.arg(help=_DATA_DIR_HELP)]
Name = tyro.conf.Positional[str]


@dataclass(frozen=True, kw_only=True)
class _Build(abc.ABC):
    """What every builder takes."""

    source: str = ""
    """Folder of the original files."""
    data_dir: DataDir = ""
    max_bad_clips: int = 0
    """Bad clips in a split to leave out and list, before the build gives up."""
    max_frames: int = 100_000
    """Longest clip, in decoded frames."""
    max_pixels: int = 1 << 24
    """Largest source frame, width * height."""
    overwrite: bool = False
    """Replace a data set of the same name and version."""
    runner: str = ""
    """DaskRunner, or a Beam runner (DirectRunner, FlinkRunner, SparkRunner, DataflowRunner); empty = build in this process."""
    beam_options: list[str] = field(default_factory=list)
    """Options of the runner without their dashes, e.g. dask_workers=4."""

    @abc.abstractmethod
    def builder(self, **arguments):
        """The TFDS builder for these options."""

    def prepared(self):
        """The builder, with its source, target folder and limits."""
        return self.builder(**self._options())

    def _options(self):
        from data_pipelines import catalogue, files
        from data_pipelines.example_gen.base import BuildOptions

        return {
            "data_dir": str(files.local(catalogue.root_dir(self.data_dir or None), "--data-dir")),
            "options": BuildOptions(
                source=self.source, max_bad_clips=self.max_bad_clips, max_frames=self.max_frames, max_pixels=self.max_pixels
            ),
        }

    def run(self) -> int:
        from data_pipelines import catalogue, describe, staging

        root = catalogue.root_dir(self.data_dir or None)
        with staging.built_near(self, root) as command:
            name, version, notes = command._build(root)
        for note in notes:
            print(note)
        print("\n".join(describe.describe(catalogue.Prepared(name, version, str(root / name / version)))))
        return 0

    def _build(self, root: pathlib.Path) -> tuple[str, str, list[str]]:
        """Builds on this machine what is to be below `root`. Returns the data set's name and version, and lines for the user."""
        import tensorflow_datasets as tfds

        from data_pipelines import files, staging
        from data_pipelines.example_gen import base

        builder = self.prepared()
        name, version = pathlib.Path(builder.data_dir).parent.relative_to(builder.data_dir_root).as_posix(), str(builder.version)
        staging.require_vacant(root / name / version, self.overwrite or not files.is_store(root))
        tfds.disable_progress_bar()  # ours knows the number of clips
        with Progress() as progress:
            builder.on_progress = progress
            with contextlib.redirect_stdout(io.StringIO()):  # TFDS's own messages speak of downloads
                base.build(
                    builder,
                    beam_runner=self.runner or None,
                    beam_options=[f"--{option.lstrip('-')}" for option in self.beam_options],
                    overwrite=self.overwrite,
                )
        return name, version, builder.notes


@dataclass(frozen=True, kw_only=True)
class BuildKth(_Build):
    """KTH actions: a folder of .avi files and 00sequences.txt."""

    size: frame_size.Size = 64
    """Pixels of a frame: 64, of a square, or height x width; 120x160 is the clips' own."""
    ranges: Literal["sequences", "all"] = "sequences"
    """Records are the ranges of 00sequences.txt (SVG paper), or all frames of each clip (SRVP's numbers)."""

    def builder(self, **arguments):
        from data_pipelines.example_gen.kth import Kth, KthConfig

        return Kth(config=KthConfig.of(self.size, self.ranges), **arguments)


@dataclass(frozen=True, kw_only=True)
class BuildBair(_Build):
    """BAIR robot pushing: the folder that holds softmotion30_44k."""

    camera: Literal["aux1", "main"] = "aux1"

    def builder(self, **arguments):
        from data_pipelines.example_gen.bair import Bair

        return Bair(config=self.camera, **arguments)


@dataclass(frozen=True, kw_only=True)
class BuildVideoFolder(_Build):
    """Your own videos: video files, GIFs and other animations, or folders of numbered pictures."""

    name: str = "mine"
    """What to call the data set: load it as video_folder/NAME."""
    size: frame_size.Size = 64
    """Pixels of a frame: 64, of a square, or 64x80, height x width."""
    channels: Literal[1, 3] = 3
    fps: float = 0.0
    """Frames per second, by dropping or repeating frames; 0 = each clip's own."""
    fit: Literal["crop", "squash"] = "crop"
    test_percent: float = 10.0
    """Share of clips for the test split, chosen by a hash of their names; unused where folders are called train, test, ..."""
    segment_frames: int = 300
    """Clips are cut into records of at most so many frames."""
    box: tuple[int, int, int, int] | None = None
    """LEFT TOP RIGHT BOTTOM: the part of each frame that is taken, in its pixels, before --fit; default: all."""
    skip: str = ""
    """Pattern of names of files to leave out, e.g. "_*"."""

    def builder(self, **arguments):
        from data_pipelines.example_gen.video_folder import VideoFolder, VideoFolderConfig

        keys = ("name", "size", "channels", "fps", "fit", "test_percent", "segment_frames", "box", "skip")
        return VideoFolder(config=VideoFolderConfig(**{key: getattr(self, key) for key in keys}), **arguments)


@dataclass(frozen=True, kw_only=True)
class BuildMovingMnist(_Build):
    """Fixed Moving MNIST test sets with true states; --source: folder of MNIST's .gz files, empty = downloaded."""

    config: Literal["srvp", "reference"] = "srvp"

    def builder(self, **arguments):
        from data_pipelines.example_gen.moving_mnist import MovingMnist

        return MovingMnist(config=self.config, **arguments)


@dataclass(frozen=True)
class List:
    """List the prepared data sets, and those that can be built."""

    data_dir: DataDir = ""

    def run(self) -> int:
        from data_pipelines import catalogue, describe, files

        found = catalogue.prepared(self.data_dir or None)
        for entry in found:
            size = describe.size_on_disk(files.located(entry.path))
            print(f"{entry.name}:{entry.version}  {size / 1e6:.1f} MB  {entry.path}")
        if not found:
            print(f"No data set is prepared in {catalogue.root_dir(self.data_dir or None)}.")
        print(f"To build: {', '.join(BUILDERS)} (svg-data build NAME --help)")
        return 0


@dataclass(frozen=True)
class Describe:
    """Splits, clips, lengths and sizes of a prepared data set, and a preview GIF."""

    name: Name
    data_dir: DataDir = ""
    preview: pathlib.Path | None = None
    """Write an animated GIF of some clips here."""
    clips: int = 8

    def run(self) -> int:
        from data_pipelines import catalogue, checks, describe

        checks.integer("--clips", self.clips, 1, describe.MAX_CLIPS)
        entry = catalogue.find(self.name, self.data_dir or None)
        print("\n".join(describe.describe(entry)))
        if self.preview is not None:
            describe.preview(entry, self.preview, clips=self.clips)
            print(f"preview: {self.preview}")
        return 0


@dataclass(frozen=True)
class Stats:
    """StatisticsGen: statistics of the records and of what is measured in their videos, written beside the data."""

    name: Name
    data_dir: DataDir = ""

    def run(self) -> int:
        from data_pipelines import catalogue, statistics_gen

        with Progress() as progress:
            result = statistics_gen.run(catalogue.find(self.name, self.data_dir or None).path, on_progress=progress)
        print("\n".join(statistics_gen.describe(result)))
        return 0


@dataclass(frozen=True)
class Schema:
    """SchemaGen: a schema of the records and one of the measurements, written beside the data; TABLE is printed."""

    name: Name
    data_dir: DataDir = ""
    overwrite: bool = False
    """Infer them anew where they exist."""
    table: Literal["records", "measurements"] = "records"
    """Which of the two to print."""

    def run(self) -> int:
        from google.protobuf import text_format

        from data_pipelines import catalogue, schema_gen

        schemas = schema_gen.run(catalogue.find(self.name, self.data_dir or None).path, overwrite=self.overwrite)
        print(text_format.MessageToString(getattr(schemas, self.table)), end="")
        return 0


@dataclass(frozen=True)
class Validate:
    """ExampleValidator: check against the schemas, for drift and for leakage; anomalies exit with status 1."""

    name: Name
    data_dir: DataDir = ""
    previous: str = ""
    """Another version or data set to measure drift from, e.g. kth/64:1.0.0."""

    def run(self) -> int:
        from data_pipelines import catalogue, example_validator

        folder = self.data_dir or None
        previous = catalogue.find(self.previous, folder).path if self.previous else None
        validation = example_validator.run(catalogue.find(self.name, folder).path, previous_dir=previous)
        print("\n".join(validation.lines) or f"{self.name}: no anomalies")
        return 0 if validation.ok else 1


BUILDERS = {"kth": BuildKth, "bair": BuildBair, "video_folder": BuildVideoFolder, "moving_mnist": BuildMovingMnist}
COMMANDS = {"list": List, "describe": Describe, "stats": Stats, "schema": Schema, "validate": Validate}


class Progress:
    """One bar per split on the terminal, fed by (split, done, total)."""

    def __enter__(self):
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bars = Progress(*columns, console=Console(stderr=True))
        self._tasks = {}
        self._bars.start()
        return self

    def __call__(self, split: str, done: int, total: int) -> None:
        if split not in self._tasks:
            self._tasks[split] = self._bars.add_task(split, total=total)
        self._bars.update(self._tasks[split], completed=done, total=total)

    def __exit__(self, *error):
        self._bars.stop()


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `svg-data`. Anomalies return 1; errors in what the user gave print one message and return 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    return command_line.run("svg-data", lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)
    if arguments == ["--version"]:
        print(f"svg-data {command_line.version()}")
        return 0
    from_dict = tyro.extras.subcommand_cli_from_dict
    if arguments[:1] == ["build"]:
        text = "Build a data set from its original files."
        command = from_dict(BUILDERS, prog="svg-data build", description=text, args=arguments[1:], registry=flags.REGISTRY)
    else:
        text = "Prepare and inspect data sets of videos."
        command = from_dict({"build": _build_help, **COMMANDS}, prog="svg-data", description=text, args=arguments)
    return command.run()


def _build_help():
    """Build a data set from its original files (svg-data build --help lists them)."""


if __name__ == "__main__":
    sys.exit(main())
