"""What a run of the pipeline is told; all of it is JSON, since TFX keeps it as execution properties. Needs no TFX."""

import dataclasses
import json
import os
import pathlib
import re
from typing import Any, Literal, NamedTuple

from data_pipelines import checks, files

_SPEC = re.compile(r"\{(SPAN|VERSION|YYYY|MM|DD)(?::\d+)?\}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
BUILD_FIELDS_OF_THE_PIPELINE = ("source", "data_dir", "overwrite", "runner", "beam_options")


class Source(NamedTuple):
    """A source as TFX wants it: a folder, and a pattern below it that may hold {SPAN} and {VERSION}."""

    base: str
    pattern: str

    @classmethod
    def of(cls, path: str) -> "Source":
        """`videos/span-{SPAN}/v{VERSION}` -> (`videos`, `span-{SPAN}/v{VERSION}/*`). Raises `ValueError`."""
        local = files.local(path, "--source")
        parts = local.parts
        first = next((number for number, part in enumerate(parts) if "{" in part), len(parts))
        base, below = pathlib.Path(*parts[:first]).resolve(), parts[first:]
        for part in below:
            rest = _SPEC.sub("", part)
            known = f"--source takes {{SPAN}}, {{VERSION}}, {{YYYY}}, {{MM}} and {{DD}}, got {path!r}."
            checks.require("{" not in rest and "}" not in rest, known)
        checks.require(base.is_dir(), f"--source must be a folder, got {path!r}, and {base} is none.")
        return cls(os.fspath(base), "/".join((*below, "*")))

    @property
    def has_span(self) -> bool:
        return bool(re.search(r"\{(SPAN|YYYY)", self.pattern))


@dataclasses.dataclass(frozen=True)
class Build:
    """Which builder makes the Examples, and how."""

    builder: str
    """"video_folder", "kth", "bair" or "moving_mnist": a command of `svg-data build`."""
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    """The options of that command by name, without those that the pipeline sets itself."""

    def __post_init__(self):
        from data_pipelines import cli

        checks.one_of("builder", self.builder, cli.BUILDERS)
        known = {field.name for field in dataclasses.fields(cli.BUILDERS[self.builder])}
        own = sorted(set(self.options) & set(BUILD_FIELDS_OF_THE_PIPELINE))
        checks.require(not own, f"The pipeline sets {', '.join(own)} itself.")
        unknown = sorted(set(self.options) - known)
        checks.require(not unknown, f"svg-data build {self.builder} has no option {', '.join(unknown)}.")

    def made(self, source: str, data_dir: str):
        """The builder, a `ClipBuilder`."""
        from data_pipelines import cli

        return cli.BUILDERS[self.builder](source=source, data_dir=data_dir, **self.options).prepared()

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Build":
        return cls(**json.loads(text))


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How a model is measured, and when it is blessed."""

    metric: Literal["psnr", "ssim", "mse"] = "psnr"
    """Best of the samples, by which a model must be better than the last blessed one."""
    split: Literal["test", "validation", "train"] = "test"
    sequences: int | None = None
    """Sequences evaluated; None: one of each clip of the split."""
    n_samples: int = 20
    seed: int = 0

    def __post_init__(self):
        checks.one_of("metric", self.metric, ("psnr", "ssim", "mse"))
        checks.one_of("split", self.split, ("test", "validation", "train"))
        if self.sequences is not None:
            checks.integer("sequences", self.sequences, 2)
        checks.integer("n_samples", self.n_samples, 1)
        checks.integer("seed", self.seed, 0, 2**31 - 1)


@dataclasses.dataclass(frozen=True)
class Settings:
    """All of a run. Paths are absolute."""

    name: str
    """Of the pipeline, and under which the model is served."""
    source: Source
    build: Build
    experiment: dict[str, Any]
    """`svg_tf.config.to_dict` of the experiment; its data are the pipeline's own."""
    work_dir: str
    saved_models: str
    """Versions are pushed to `saved_models/name/<n>`."""
    evaluation: Evaluation = Evaluation()
    schema: str = ""
    """A curated schema of the records; empty: SchemaGen's."""
    measurements_schema: str = ""
    """A curated schema of the measurements; empty: inferred."""
    span: int | None = None
    """None: the latest."""
    stop_on: Literal["warning", "error"] = "warning"
    """Least severe anomaly that stops the pipeline before training."""
    export_samples: int = 10
    cache: bool = True

    def __post_init__(self):
        checks.require(
            _NAME.fullmatch(self.name) is not None and not self.name.isdigit(),
            f"--name must be letters, digits, '_', '-' and '.', and no number, got {self.name!r}.",
        )
        checks.one_of("stop_on", self.stop_on, ("warning", "error"))
        checks.integer("export_samples", self.export_samples, 1)
        if self.span is not None:
            checks.integer("span", self.span, 0)
            checks.require(self.source.has_span, "--span needs a {SPAN} in --source.")
        for what, path in (("--schema", self.schema), ("--measurements-schema", self.measurements_schema)):
            checks.require(not path or pathlib.Path(path).is_file(), f"{what} must be a file, got {path!r}.")

    @property
    def pipeline_root(self) -> str:
        return os.path.join(self.work_dir, "artifacts")

    @property
    def metadata(self) -> str:
        return os.path.join(self.work_dir, "metadata.sqlite")

    @property
    def pushed(self) -> str:
        return os.path.join(self.saved_models, self.name)
