"""The pipeline's command: python -m data_pipelines.tfx.run BUILDER PRESET --name NAME --source FOLDER --work-dir FOLDER ...

BUILDER is a command of `svg-data build`, with its options as `--build.size 32`; PRESET one of `svg-tf presets`, with every field
as a flag, as in `svg-tf train`.
"""

import dataclasses
import logging
import os
import pathlib
import sys
import time
from typing import Annotated, Literal

import tyro

from data_pipelines import checks, command_line, files, frame_size
from data_pipelines.tfx import anomalies, blessing, lineage, progress, requirement
from data_pipelines.tfx.settings import BUILD_FIELDS_OF_THE_PIPELINE, Build, Evaluation, Settings, Source

PROGRAM = "data_pipelines.tfx.run"
ANOMALIES, PREEMPTED = 1, 75


@dataclasses.dataclass(frozen=True)
class Options:
    """What the pipeline itself is told."""

    name: str
    """Of the pipeline; the model is served under it."""
    source: str
    """Folder of the original files; may hold {SPAN} and {VERSION}, of which the latest are taken."""
    work_dir: pathlib.Path
    """Artifacts, metadata.sqlite, unfinished training."""
    saved_models: pathlib.Path = pathlib.Path("saved_models")
    """Versions are pushed to SAVED_MODELS/NAME/<n>."""
    span: int | None = None
    """Take this span, not the latest."""
    schema: str = ""
    """Curated schema of the records (.pbtxt); without it SchemaGen infers one."""
    measurements_schema: str = ""
    """Curated schema of what is measured in the videos (.pbtxt)."""
    stop_on: Literal["warning", "error"] = "warning"
    """Least severe anomaly that stops the pipeline before training."""
    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)
    export_samples: int = 10
    """Samples of an answer of the served model."""
    cache: bool = True
    """Take from the cache what has not changed."""
    compile: pathlib.Path | None = None
    """Write the pipeline's specification for Kubeflow and Vertex to this .json, and run nothing."""
    image: str = ""
    """With --compile: the container image that has this package and TFX."""


def settings_of(options: Options, builder: str, build, experiment) -> Settings:
    """Checked settings. build: the command of `svg-data build`. Raises `ValueError`."""
    from svg_tf import config

    default = type(build)()
    for field in BUILD_FIELDS_OF_THE_PIPELINE:
        same = getattr(build, field) == getattr(default, field)
        checks.require(same, f"--build.{field.replace('_', '-')} is set by the pipeline; leave it out.")
    chosen = {f.name: getattr(build, f.name) for f in dataclasses.fields(build) if f.name not in BUILD_FIELDS_OF_THE_PIPELINE}
    _check_frames(chosen, experiment.model)
    return Settings(
        name=options.name,
        source=Source.of(options.source),
        build=Build(builder, chosen),
        experiment=config.to_dict(experiment),
        work_dir=os.path.abspath(files.local(options.work_dir, "--work-dir")),
        saved_models=os.path.abspath(files.local(options.saved_models, "--saved-models")),
        evaluation=options.evaluation,
        schema=options.schema,
        measurements_schema=options.measurements_schema,
        span=options.span,
        stop_on=options.stop_on,
        export_samples=options.export_samples,
        cache=options.cache,
    )


def _check_frames(options: dict, model) -> None:
    """Raises `ValueError` where the frames that the builder is told to make are not the model's."""
    for name, wanted, shown in (("size", model.image_size, frame_size.text), ("channels", model.channels, str)):
        value = options.get(name, wanted)
        checks.require(value == wanted, f"--build.{name} {shown(value)} must be what the model has: {shown(wanted)}.")


def run(settings: Settings, *, show=None) -> progress.Lines:
    """Runs the pipeline on this machine. Returns times, and what came from the cache.

    show: called with each line of progress; None: stderr.
    Raises `anomalies.AnomaliesError` where the gate stops it, `ValueError` for a bad source or settings.
    """
    requirement.require()
    from tfx import v1 as tfx

    from data_pipelines.tfx import pipeline

    made = pipeline.create(settings)
    shown = progress.Lines(len(made.components), show)
    with files.locked(settings.work_dir, "runs the pipeline in"), progress.quiet(), pipeline.told_to(shown, settings.metadata):
        tfx.orchestration.LocalDagRunner().run(made)
    return shown


def compile_to(settings: Settings, path: pathlib.Path, image: str) -> None:
    """Compiles the pipeline by TFX's own runner for Kubeflow and Vertex. Raises `ValueError` without kfp, or an image."""
    checks.require(bool(image), "--compile needs --image, the container that has this package and TFX.")
    requirement.require()
    try:
        from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as kubeflow
    except ImportError as error:
        raise ValueError(f"Compiling for Kubeflow needs kfp ({error}): pip install 'kfp>=2.6,<3'.") from error
    from data_pipelines.tfx import pipeline

    path = path.resolve()
    config = kubeflow.KubeflowV2DagRunnerConfig(display_name=settings.name, default_image=image)
    runner = kubeflow.KubeflowV2DagRunner(config=config, output_dir=os.fspath(path.parent), output_filename=path.name)
    runner.run(pipeline.create(settings, kubeflow=True), write_out=True)


def summary(settings: Settings, shown: progress.Lines, seconds: float) -> list[str]:
    """What the run gave, in lines."""
    found = lineage.last_run(settings.metadata)
    cached = [name for name, from_cache in shown.cached.items() if from_cache]
    uri, properties = found["Examples"]
    span = f", span {properties['span']}" if settings.source.has_span else ""
    lines = [
        f"{settings.name}: {len(shown.seconds)} components in {seconds:.0f} s, {len(cached)} from the cache",
        f"  data      {properties['data_set']}{span}, content {properties['input_fingerprint'][:12]}: {uri}",
    ]
    if "ModelEvaluation" in found:
        verdict = blessing.read(found["ModelEvaluation"][0])
        lines.append(f"  model     {'blessed' if verdict.blessed else 'not blessed'}: {verdict.reason}")
        lines.append(f"  report    {found['ModelEvaluation'][0]}/{blessing.CANDIDATE}/report.md")
    if "InfraBlessing" in found:
        infra = found["InfraBlessing"][1]
        lines.append("  C++       " + ("every signature answers" if infra["blessed"] else f"fails: {infra['faults']}"))
    if "PushedModel" in found:
        pushed = found["PushedModel"][1]
        place = pushed["pushed_destination"] if pushed.get("pushed") else "nothing"
        gone = place != "nothing" and not pathlib.Path(place).is_dir()
        lines.append(f"  pushed    {place}{', which is gone: --no-cache pushes again' if gone else ''}")
    return [*lines, f"  lineage   {settings.metadata}"]


def _command(arguments: list[str]) -> int:
    from data_pipelines import cli
    from svg_tf import config, presets

    words = f"BUILDER and PRESET first: {', '.join(cli.BUILDERS)}; {', '.join(presets.names())}."
    if arguments[:1] in (["--help"], ["-h"]):
        print(f"{__doc__}\n{words}\nAll flags: python -m {PROGRAM} BUILDER PRESET --help")
        return 0
    if len(arguments) < 2 or arguments[0].startswith("-") or arguments[1].startswith("-"):
        raise ValueError(f"expected {words}")
    builder, preset = arguments[:2]
    checks.one_of("BUILDER", builder, cli.BUILDERS)
    default, build_default = presets.get(preset), cli.BUILDERS[builder]()
    own = Annotated[Options, tyro.conf.arg(name="")]
    flags = tyro.conf.AvoidSubcommands[Annotated[config.ExperimentConfig, tyro.conf.arg(name="")]]

    def pipeline(options: own, build: cli.BUILDERS[builder] = build_default, experiment: flags = default) -> int:
        """Raw videos -> examples, statistics, validation, training, evaluation -> a pushed SavedModel, by TFX."""
        settings = settings_of(options, builder, build, experiment)
        if options.compile is not None:
            compile_to(settings, options.compile, options.image)
            print(options.compile)
            return 0
        start = time.monotonic()
        shown = run(settings)
        print("\n".join(summary(settings, shown, time.monotonic() - start)))
        return 0

    return tyro.cli(pipeline, prog=f"{PROGRAM} {builder} {preset}", args=arguments[2:])


def _run(arguments: list[str]) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        return _command(arguments)
    except anomalies.AnomaliesError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return ANOMALIES
    except Exception as error:
        from svg_tf.training import callbacks

        if not isinstance(error, callbacks.Preempted):
            raise
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return PREEMPTED


def main(arguments: list[str] | None = None) -> int:
    """Anomalies return 1, bad input 2 with one message, a training that only has to be started again 75."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    return command_line.run(PROGRAM, lambda: _run(arguments), (ValueError, OSError, FloatingPointError))


if __name__ == "__main__":
    sys.exit(main())
