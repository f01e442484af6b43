"""What Trainer, Evaluator, InfraValidator and Pusher do, without TFX: a tiny model, trained and measured for real."""

import dataclasses
import os
import pathlib
import types

import numpy as np
import pytest

from data_pipelines.tfx import blessing, examples, fingerprint, training
from data_pipelines.tfx.settings import Build, Evaluation
from svg_tf import config, presets
from tests.data_pipelines import media

pytest.importorskip("av")
SMALL = {
    "model": {"image_size": 32, "width": 2, "g_dim": 4, "z_dim": 2, "rnn_size": 4, "n_past": 2},
    "data": {"batch_size": 4, "n_future": 2},
    "train": {"epochs": 1, "steps_per_epoch": 2},
    "eval": {"n_future": 3, "n_samples": 2, "validation_steps": 1, "summary_sequences": 1},
}


def experiment(**train) -> dict:
    values = config.merge(config.to_dict(presets.get("smmnist_mini")), SMALL)
    return config.merge(values, {"train": train})


@pytest.fixture(scope="module")
def artifact(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("tfx")
    for split, count in (("train", 8), ("test", 5)):
        for number in range(count):
            frames = media.moving(number + 50 * (split == "test"), 8, 32, 32, 1)
            media.write_video(folder / "source" / split / f"{number}.avi", frames, "ffv1", "gray")
    build = Build("video_folder", {"size": 32, "channels": 1})
    splits = examples.write(folder / "examples", build, os.fspath(folder / "source"), fingerprint.Hashes())
    assert sorted(splits) == ["test", "train"]
    return folder / "examples"


def fn_args(folder, artifact, values):
    """As TFX's Trainer makes them."""
    (folder / "logs").mkdir(parents=True)
    return types.SimpleNamespace(
        train_files=[os.fspath(artifact / "Split-train" / "*")],
        serving_model_dir=os.fspath(folder / "model" / "Format-Serving"),
        model_run_dir=os.fspath(folder / "logs"),
        custom_config={"experiment": values, "work_dir": os.fspath(folder.parent), "name": "tiny", "export_samples": 2},
    )


@pytest.fixture(scope="module")
def models(artifact, tmp_path_factory):
    """Two Model artifacts of other seeds, of which the first one's Trainer was killed after training, before its export."""
    folder = tmp_path_factory.mktemp("models")
    from svg_tf.serving import export

    told, whole = fn_args(folder / "a", artifact, experiment()), export.export

    def killed(*arguments, **options):
        raise KeyboardInterrupt

    export.export = killed
    try:
        with pytest.raises(KeyboardInterrupt):
            training.run_fn(told)
    finally:
        export.export = whole
    (left,) = (folder / "training").glob("*/checkpoints/*2.npz")
    trained = left.stat().st_mtime_ns, left.read_bytes()
    training.run_fn(told)
    assert not list((folder / "training").iterdir())  # moved into the artifact
    (kept,) = (folder / "a" / "model" / "run" / "checkpoints").glob("*2.npz")
    assert kept.stat().st_mtime_ns == trained[0] and kept.read_bytes() == trained[1]  # continued, not trained again
    return os.fspath(folder / "a" / "model"), _another(folder)


def _another(folder) -> str:
    """The same model with other weights, as a Model artifact without its export."""
    from svg_tf import training as svg_training
    from svg_tf.training import checkpoints
    from svg_tf.training.state import TrainingState

    loaded = svg_training.load_run(folder / "a" / "model" / "run")
    for variable in loaded.model.trainable_variables:
        variable.assign(variable * 3 + 0.05)
    run = folder / "b" / "model" / "run"
    run.mkdir(parents=True)
    (run / "config.json").write_bytes((folder / "a" / "model" / "run" / "config.json").read_bytes())
    checkpoints.save(run / "checkpoints", TrainingState(loaded.model, with_optimizer=False), loaded.step, {}, keep=1)
    return os.fspath(folder / "b" / "model")


def test_the_artifacts_of_a_trainer(models):
    model = pathlib.Path(models[0])
    assert (model / "Format-Serving" / "saved_model.pb").is_file() and not list(model.glob(".export-*"))
    assert (model / "run" / "config.json").is_file() and not (model / "run" / "logs").exists()
    assert list((model.parent / "logs" / "logs").rglob("events*"))


def test_the_first_model_is_blessed(models, artifact, tmp_path):
    first = blessing.judge(models[0], os.fspath(artifact), None, tmp_path, Evaluation(n_samples=2), lambda line: None)
    assert first.blessed and "the first model" in first.reason
    assert (tmp_path / "candidate" / "report.md").is_file() and blessing.read(tmp_path) == first
    with pytest.raises(ValueError, match="no verdict"):
        blessing.read(tmp_path / "candidate")


def test_two_models_are_compared_on_the_same_sequences(models, artifact, tmp_path):
    told = Evaluation(n_samples=2, metric="mse")
    verdict = blessing.judge(models[0], os.fspath(artifact), models[1], tmp_path, told, lambda line: None)
    scores = [np.load(tmp_path / name / "scores.npz")["best_mse"].mean(axis=1) for name in ("candidate", "baseline")]
    difference = scores[0] - scores[1]
    half = 2.776 * difference.std(ddof=1) / np.sqrt(5)  # Student's t, 5 sequences
    assert verdict.blessed == (-difference.mean() > half) and abs(difference.mean()) > 1e-4
    assert f"mse {difference.mean():+.2g}"[:7] in verdict.reason and "lower is better" in verdict.reason


def test_the_rule():
    assert blessing.rule("psnr", True, 0.3, 0.2).blessed and not blessing.rule("psnr", True, 0.2, 0.2).blessed
    assert blessing.rule("mse", False, -0.3, 0.2).blessed and not blessing.rule("mse", False, 0.3, 0.2).blessed
    assert not blessing.rule("psnr", True, 0.3, None).blessed and not blessing.rule("psnr", True, float("nan"), 0.1).blessed


def test_the_cpp_loader_answers_every_signature_or_says_what_is_wrong(models, tmp_path):
    from svg_tf.serving import cpp
    from svg_tf.training.run_config import read_config

    serving, c = pathlib.Path(models[0]) / "Format-Serving", read_config(training.run_of(models[0])).model
    assert cpp.faults(serving, c.frame_shape, c.n_past) == []
    names = {name for name, _ in cpp.requests_of(serving, c.frame_shape, c.n_past)}
    assert names == set(cpp.signatures(serving)) and {"serving_default", "generate", "reconstruct"} <= names
    damaged = tmp_path / "damaged"
    (damaged / "variables").mkdir(parents=True)
    (damaged / "saved_model.pb").write_bytes((serving / "saved_model.pb").read_bytes())
    assert any("cannot run" in fault or "refused" in fault for fault in cpp.faults(damaged, c.frame_shape, c.n_past))
    with pytest.raises(ValueError, match="is no SavedModel"):
        cpp.signatures(tmp_path)


def test_what_is_pushed_is_an_export(models, tmp_path):
    import shutil

    from svg_tf.serving import export

    for number in ("1", "2"):
        shutil.copytree(pathlib.Path(models[0]) / "Format-Serving", tmp_path / "tiny" / ".push")
        served = export.published_as(tmp_path / "tiny" / ".push")
        assert export.publish(tmp_path / "tiny" / ".push", tmp_path / "tiny", served) == tmp_path / "tiny" / number
    assert 'name: "tiny"' in (tmp_path / "tiny" / "models.config").read_text()
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="is no export of this package"):
        export.published_as(tmp_path / "other")
    assert sorted(path.name for path in (tmp_path / "tiny").iterdir() if path.is_dir()) == ["1", "2"]


def test_the_command_checks_what_it_is_told(tmp_path, capsys):
    from data_pipelines.tfx import requirement, run

    (tmp_path / "videos").mkdir()
    own = ["--name", "mine", "--source", os.fspath(tmp_path / "videos"), "--work-dir", os.fspath(tmp_path / "work")]
    for arguments, expected in (
        ([], "expected BUILDER and PRESET first"),
        (["tapes", "smmnist_mini", *own], "BUILDER must be one of 'kth'"),
        (["video_folder", "no_preset", *own], "Unknown preset"),
        (["video_folder", "smmnist_mini", *own], "--build.size 64 must be what the model has: 32"),
        (["video_folder", "smmnist_mini", *own, "--build.source", "/x"], "--build.source is set by the pipeline"),
        (["kth", "kth_lp", *own[:2], "--source", "gs://bucket/kth", *own[4:]], "not supported"),
    ):
        assert run.main(arguments) == 2
        assert expected in capsys.readouterr().err
    assert run.main(["--help"]) == 0 and "video_folder" in capsys.readouterr().out
    if requirement.missing():
        good = ["video_folder", "smmnist_mini", *own, "--build.size", "32", "--build.channels", "1"]
        assert run.main(good) == 2
        message = capsys.readouterr().err.strip()
        assert "needs TFX 1.21" in message and len(message.splitlines()) == 1
        assert not (tmp_path / "work").exists()


def test_settings_of_the_command_are_json(tmp_path):
    import json

    from data_pipelines import cli
    from data_pipelines.tfx import run

    build = cli.BuildVideoFolder(size=32, channels=1, name="mine")
    options = run.Options(name="mine", source=os.fspath(tmp_path), work_dir=tmp_path / "work")
    settings = run.settings_of(options, "video_folder", build, presets.get("smmnist_mini"))
    assert json.loads(json.dumps(settings.experiment)) == settings.experiment
    assert settings.build.options["size"] == 32 and "source" not in settings.build.options
    assert config.from_dict(config.ExperimentConfig, settings.experiment) == presets.get("smmnist_mini")
    assert dataclasses.asdict(settings)["work_dir"] == os.fspath(tmp_path / "work")
