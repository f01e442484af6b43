"""The pipeline itself, where TFX is installed; elsewhere these are skipped, and tools/tfx_check.sh runs them."""

import json
import os
import pathlib
import shutil

import pytest

from data_pipelines import cli
from data_pipelines.tfx import anomalies, blessing, lineage, requirement, run
from svg_tf import config, presets
from tests.data_pipelines import media

pytestmark = pytest.mark.skipif(bool(requirement.missing()), reason=f"{requirement.missing()} tools/tfx_check.sh runs these.")
SMALL = {
    "model": {"image_size": 32, "width": 2, "g_dim": 4, "z_dim": 2, "rnn_size": 4, "n_past": 2},
    "data": {"batch_size": 4, "n_future": 2},
    "train": {"epochs": 1, "steps_per_epoch": 2},
    "eval": {"n_future": 3, "n_samples": 2, "validation_steps": 1, "summary_sequences": 1},
}
DATA = ["ClipExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "ClipValidator", "DataGate"]
MODEL = ["Trainer", "ClipEvaluator", "CppInfraValidator", "NumberedPusher"]


def write_clip(path: pathlib.Path, seed: int) -> None:
    media.write_video(path, media.moving(seed, 8, 32, 32, 1), "ffv1", "gray")


def write_source(folder: pathlib.Path) -> pathlib.Path:
    for split, count in (("train", 12), ("test", 5)):
        for number in range(count):
            write_clip(folder / split / f"{number}.avi", number + 50 * (split == "test"))
    return folder


def settings(folder: pathlib.Path, source: str, **more):
    values = config.merge(config.to_dict(presets.get("smmnist_mini")), SMALL)
    told = run.Evaluation(n_samples=2)
    options = run.Options(
        name="digits", source=source, work_dir=folder / "work", saved_models=folder / "saved_models", evaluation=told,
        stop_on="error", **more,  # so few clips differ between splits
    )  # fmt: skip
    build = cli.BuildVideoFolder(size=32, channels=1)
    return run.settings_of(options, "video_folder", build, config.from_dict(config.ExperimentConfig, values))


@pytest.fixture(scope="module")
def place(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("pipeline")
    cache = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = os.fspath(folder / "cache")
    request.addfinalizer(lambda: os.environ.pop("XDG_CACHE_HOME") if cache is None else os.environ.update(XDG_CACHE_HOME=cache))
    return folder


@pytest.fixture(scope="module")
def first(place):
    """The first run, of a copy of the source that tests may change afterwards."""
    source = write_source(place / "videos")
    told = settings(place, os.fspath(source))
    return told, run.run(told, show=lambda line: None), source


def test_raw_videos_become_a_pushed_model_that_answers(first, place):
    told, shown, _ = first
    assert set(shown.seconds) == {*DATA, *MODEL, "BlessedBefore"} and not any(shown.cached.values())
    pushed = place / "saved_models" / "digits" / "1"
    assert (pushed / "saved_model.pb").is_file() and (place / "saved_models" / "digits" / "models.config").is_file()
    lines = run.summary(told, shown, 1.0)
    assert any("blessed: the first model" in line for line in lines) and any(str(pushed) in line for line in lines)
    assert any("every signature answers" in line for line in lines)
    import tensorflow as tf

    model = tf.saved_model.load(os.fspath(pushed))
    frames = tf.zeros([1, 2, 32, 32, 1], tf.uint8)
    answer = model.signatures["serving_default"](frames=frames, seed=tf.zeros([1, 2], tf.int32))
    assert answer["frames"].shape == (1, 10, 3, 32, 32, 1)


def test_the_examples_are_those_that_tfx_knows(first):
    told, _, _ = first
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2

    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = told.metadata
    store = ml_metadata.MetadataStore(connection)
    (examples,) = store.get_artifacts_by_type("Examples")
    assert sorted(json.loads(examples.properties["split_names"].string_value)) == ["test", "train"]
    assert examples.custom_properties["span"].int_value == 0
    assert len(examples.custom_properties["input_fingerprint"].string_value) == 64
    assert len(json.loads(examples.custom_properties["clips"].string_value)) == 17
    for kind in ("ExampleStatistics", "Schema", "ExampleAnomalies"):
        assert len(store.get_artifacts_by_type(kind)) == 2  # TFX's, and ours


def test_one_query_names_the_clips_of_a_model(first, place):
    told, _, source = first
    found = lineage.clips(told.metadata, place / "saved_models" / "digits" / "1")
    assert {f"{clip.clip}" for clip in found} == {path.relative_to(source).as_posix() for path in source.rglob("*.avi")}


def test_a_second_run_comes_from_the_cache_and_a_changed_clip_runs_again_what_depends_on_it(first, place):
    told, _, source = first
    again = run.run(told, show=lambda line: None)
    assert {name for name, cached in again.cached.items() if not cached} == {"BlessedBefore"}
    os.utime(source / "train" / "3.avi")  # touched, not changed
    touched = run.run(told, show=lambda line: None)
    assert touched.cached["ClipExampleGen"]
    write_clip(source / "train" / "3.avi", 999)
    changed = run.run(told, show=lambda line: None)
    assert not any(changed.cached[name] for name in ("ClipExampleGen", "StatisticsGen", "ClipValidator", "DataGate", *MODEL))
    found = lineage.last_run(told.metadata)
    verdict = blessing.read(found["ModelEvaluation"][0])
    assert "against the last blessed model" in verdict.reason
    versions = {path.name for path in (place / "saved_models" / "digits").iterdir() if path.is_dir()}
    assert versions == ({"1", "2"} if verdict.blessed else {"1"})
    assert bool(found["PushedModel"][1]["pushed"]) == verdict.blessed


def test_anomalies_stop_it_before_training(first, place):
    told, _, source = first
    leaked = source / "test" / "leaked.avi"
    shutil.copyfile(source / "train" / "0.avi", leaked)
    shown: list[str] = []
    try:
        with pytest.raises(anomalies.AnomaliesError, match="leakage"):
            run.run(told, show=shown.append)
    finally:
        leaked.unlink()
    assert any("DataGate ..." in line for line in shown) and not any("Trainer" in line for line in shown)


def test_the_latest_span_is_taken_or_the_one_that_is_wanted(place):
    from tfx.components.example_gen import utils  # noqa: F401  TFX is here

    from data_pipelines.tfx import example_gen
    from data_pipelines.tfx.settings import Source

    for span, seed in (("01", 1), ("02", 2)):
        write_clip(place / "spans" / f"span-{span}" / "v1" / "train" / "a.avi", seed)
    source = Source.of(os.fspath(place / "spans" / "span-{SPAN:2}" / "v{VERSION}"))
    for wanted, expected in ((None, 2), (1, 1)):
        component = example_gen.ClipExampleGen(source, run.Build("video_folder", {"size": 32}), wanted)
        properties = dict(component.exec_properties)
        found = example_gen.ClipDriver(None).resolve_exec_properties(properties, None, None)
        assert found["span"] == expected and found["version"] == 1 and f"span-0{expected}/v1/*" in found["input_config"]
        assert found["input_fingerprint"] not in ("", None)


def test_a_curated_schema_takes_the_place_of_schema_gens(first, place):
    told, _, source = first
    schema = next(pathlib.Path(lineage.last_run(told.metadata)["Examples"][0]).parents[2].glob("SchemaGen/schema/*/schema.pbtxt"))
    curated = place / "curated.pbtxt"
    curated.write_text(schema.read_text() + 'feature { name: "caption" type: BYTES presence { min_count: 1 } }\n')
    shown: list[str] = []
    with pytest.raises(anomalies.AnomaliesError, match="caption"):
        run.run(settings(place, os.fspath(source), schema=os.fspath(curated)), show=shown.append)
    assert any("ImportSchemaGen" in line for line in shown)


def test_import_example_gen_takes_our_folder(first, place):
    """The pattern that docs/tfx.md gives."""
    from tfx import v1 as tfx
    from tfx.types import artifact_utils

    from data_pipelines.tfx import examples

    told, _, _ = first
    folder = examples.data_set(lineage.last_run(told.metadata)["Examples"][0]).path
    splits = [tfx.proto.Input.Split(name=name, pattern=f"video_folder-{name}.tfrecord-*") for name in ("train", "test")]
    gen = tfx.components.ImportExampleGen(input_base=folder, input_config=tfx.proto.Input(splits=splits))
    statistics = tfx.components.StatisticsGen(examples=gen.outputs["examples"])
    metadata = os.fspath(place / "import.sqlite")
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="import",
        pipeline_root=os.fspath(place / "import"),
        components=[gen, statistics],
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(metadata),
    )
    tfx.orchestration.LocalDagRunner().run(pipeline)
    uri, _ = lineage.last_run(metadata)["ExampleStatistics"]
    import tensorflow_data_validation as tfdv

    counted = {path.parent.name: tfdv.load_stats_binary(os.fspath(path)) for path in pathlib.Path(uri).rglob("FeatureStats.pb")}
    assert {name: table.datasets[0].num_examples for name, table in counted.items()} == {"Split-train": 12, "Split-test": 5}
    assert artifact_utils.decode_split_names('["train"]') == ["train"]


def test_the_pipeline_compiles_for_kubeflow_and_vertex(place):
    pytest.importorskip("kfp.pipeline_spec", reason="Compiling for Kubeflow needs kfp")
    (place / "raw").mkdir()
    path = place / "spec.json"
    run.compile_to(settings(place, os.fspath(place / "raw")), path, "registry.example/svg-tf:1")
    spec = json.loads(path.read_text())
    spec = spec.get("pipelineSpec", spec)
    executors = spec["deploymentSpec"]["executors"]
    components = {name.removesuffix("_executor") for name in executors}
    assert {*DATA, *MODEL} <= components
    for name in (*DATA, *MODEL):
        assert executors[f"{name}_executor"]["container"]["image"] == "registry.example/svg-tf:1"
    tasks = spec["root"]["dag"]["tasks"]
    assert "DataGate" in tasks["Trainer"]["dependentTasks"]
    arguments = " ".join(executors["ClipExampleGen_executor"]["container"]["args"])
    assert "data_pipelines.tfx.example_gen.ClipExecutor" in arguments
    with pytest.raises(ValueError, match="needs --image"):
        run.compile_to(settings(place, os.fspath(place / "raw")), path, "")
