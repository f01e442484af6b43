"""The components together: raw videos -> a pushed SavedModel.

    ClipExampleGen -> StatisticsGen -> SchemaGen | ImportSchemaGen -> ExampleValidator --\\
                   \\-> ClipValidator ---------------------------------------------------> DataGate
    DataGate -> Trainer -> (BlessedBefore) ClipEvaluator, CppInfraValidator -> NumberedPusher
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import types

from tfx import v1 as tfx
from tfx.dsl.input_resolution.strategies import latest_blessed_model_strategy
from tfx.orchestration.local import local_dag_runner
from tfx.orchestration.portable import launcher
from tfx.types import standard_artifacts

from data_pipelines import files
from data_pipelines.tfx import clip_validator, evaluator, infra_validator, lineage, progress, pusher, training
from data_pipelines.tfx.example_gen import ClipExampleGen
from data_pipelines.tfx.settings import Settings

BEAM = ["--direct_running_mode=in_memory"]


def create(settings: Settings, *, kubeflow: bool = False):
    """The TFX pipeline of `settings`.

    Args:
      kubeflow: with TFX's own resolver of the last blessed model, the only one that Kubeflow and Vertex run.
    """
    example_gen = ClipExampleGen(settings.source, settings.build, settings.span)
    examples = example_gen.outputs["examples"]
    statistics_gen = tfx.components.StatisticsGen(examples=examples)
    statistics = statistics_gen.outputs["statistics"]
    if settings.schema:
        schema_gen = tfx.components.ImportSchemaGen(schema_file=_by_content(settings, settings.schema))
    else:
        schema_gen = tfx.components.SchemaGen(statistics=statistics, infer_feature_shape=False)
    validator = tfx.components.ExampleValidator(statistics=statistics, schema=schema_gen.outputs["schema"])
    measurements = _by_content(settings, settings.measurements_schema)
    clips = clip_validator.ClipValidator(examples=examples, measurements_schema=measurements)
    gate = clip_validator.DataGate(
        examples=examples,
        example_anomalies=validator.outputs["anomalies"],
        clip_anomalies=clips.outputs["anomalies_found"],
        stop_on=settings.stop_on,
        split=settings.evaluation.split,
    )
    trainer = _trainer(settings, examples)
    trainer.add_upstream_node(gate)
    model = trainer.outputs["model"]
    resolver = _resolver(model, kubeflow)
    judge = evaluator.ClipEvaluator(
        examples=examples,
        model=model,
        baseline_model=resolver.outputs["model"],
        settings=json.dumps(dataclasses.asdict(settings.evaluation), sort_keys=True),
    )
    infra = infra_validator.CppInfraValidator(model=model)
    filesystem = tfx.proto.PushDestination.Filesystem(base_directory=settings.pushed)
    push = pusher.NumberedPusher(
        model=model,
        model_blessing=judge.outputs["model_blessing"],
        infra_blessing=infra.outputs["infra_blessing"],
        push_destination=tfx.proto.PushDestination(filesystem=filesystem),
    )
    components = [
        example_gen, statistics_gen, schema_gen, validator, clips, gate, trainer, resolver, judge, infra, push
    ]  # fmt: skip
    connection = None
    if not kubeflow:
        pathlib.Path(settings.work_dir).mkdir(parents=True, exist_ok=True)
        connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(settings.metadata)
    return tfx.dsl.Pipeline(
        pipeline_name=settings.name,
        pipeline_root=settings.pipeline_root,
        components=components,
        enable_cache=settings.cache,
        metadata_connection_config=connection,
        beam_pipeline_args=BEAM,
    )


@contextlib.contextmanager
def told_to(shown: progress.Lines, metadata: str):
    """TFX's local runner tells `shown` of each component while the block runs."""

    class Telling(launcher.Launcher):
        def launch(self):
            name = self._pipeline_node.node_info.id
            shown.started(name)
            found = super().launch()
            shown.ended(name, self._system_node_handler is None and lineage.last_was_cached(metadata))
            return found

    before = local_dag_runner.launcher
    local_dag_runner.launcher = types.SimpleNamespace(Launcher=Telling)
    try:
        yield
    finally:
        local_dag_runner.launcher = before


def _trainer(settings: Settings, examples):
    told = {  # all of it is compared with the cache's: nothing here depends on where the command runs
        "experiment": settings.experiment,
        "work_dir": settings.work_dir,
        "name": settings.name,
        "export_samples": settings.export_samples,
    }
    return tfx.components.Trainer(
        run_fn=training.RUN_FN,
        examples=examples,
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=[settings.evaluation.split]),
        custom_config=told,
    )


def _resolver(model, kubeflow: bool):
    channels = {
        "model": tfx.dsl.Channel(type=standard_artifacts.Model),
        "model_blessing": tfx.dsl.Channel(type=standard_artifacts.ModelBlessing),
    }
    if kubeflow:
        strategy = latest_blessed_model_strategy.LatestBlessedModelStrategy
        return tfx.dsl.Resolver(strategy_class=strategy, **channels).with_id("BlessedBefore")
    return tfx.dsl.Resolver(strategy_class=evaluator.BlessedBefore, current=model, **channels).with_id("BlessedBefore")


def _by_content(settings: Settings, path: str) -> str:
    """A copy of a curated file, named by what is in it: TFX's cache knows files by their names alone."""
    if not path:
        return ""
    content = pathlib.Path(path).read_bytes()
    name = f"{hashlib.sha256(content).hexdigest()[:16]}.pbtxt"
    return os.fspath(files.write(pathlib.Path(settings.work_dir) / "schemas" / name, content))
