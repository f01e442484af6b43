"""A run whose data, folder, evaluation, figures and export are in a store that cannot rename: `ram://`, made to be as object
stores are."""

import dataclasses
import json
import secrets

import keras
import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import files
from svg_tf import cli, training
from svg_tf.training import checkpoints
from tests import object_store
from tests.data_pipelines import media
from tests.svg_tf import tiny_models


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.step == 5:
            raise Killed


@pytest.fixture(scope="module")
def store():
    with pytest.MonkeyPatch.context() as patch:
        object_store.emulate(patch)
        tf.config.run_functions_eagerly(True)  # so few steps are done before a graph is made
        yield files.located(f"ram://{secrets.token_hex(6)}")
        tf.config.run_functions_eagerly(False)


def main(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def run(store):
    """A run of eight steps, killed after the fifth, on data that were built from pictures of the store."""
    from data_pipelines import cli as data_cli

    for part in ("train", "test"):
        for clip in range(4):
            for number, frame in enumerate(media.moving(clip, 10, 32, 32, 1)):
                content = tf.io.encode_png(frame).numpy()
                files.write(store / "videos" / part / f"{part}{clip}" / f"{number}.png", content)
    build = ["build", "video_folder", "--source", store / "videos", "--data-dir", store / "data", "--size", 32, "--channels", 1]
    assert data_cli.main([str(argument) for argument in build]) == 0
    experiment = tiny_models.experiment(steps_per_epoch=4, checkpoint_every=2)
    data = dataclasses.replace(experiment.data, name="video_folder/mine", data_dir=str(store / "data"))
    experiment = dataclasses.replace(experiment, data=data)
    with pytest.raises(Killed):
        training.train(experiment, str(store / "run"), verbose=False, callbacks=[Kill()])
    folder = store / "run" / "checkpoints"
    assert checkpoints.existing(folder)[-1][0] == 4 and (folder / "best.npz").is_file()
    half = (store / "run" / "checkpoints" / "step-00000006.npz").open("wb")  # as the kill may leave it in a store
    half.write(b"PK")
    half.close()
    training.train(experiment, store / "run", verbose=False)
    return store / "run"


def test_a_killed_run_goes_on(run):
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    steps = ("00000004.npz", "00000006.damaged", "00000006.npz", "00000008.npz")
    assert names == ["best.npz", *(f"step-{step}" for step in steps)]
    assert not [path for path in run.glob("**/*") if path.name.startswith(".")]
    steps = []
    for path in (run / "logs" / "train").glob("events*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            steps += [event.step for value in event.summary.value if value.tag == "epoch/loss"]
    assert steps == [4, 8]
    here = files.near(run)
    loaded, copied = training.load_run(str(run)), training.load_run(here)
    assert loaded.step == copied.step == 8
    for one, other in zip(loaded.model.weights, copied.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_is_evaluated_compared_and_shown(run, store, capsys):
    out = run / "evaluation"
    assert main("evaluate", run, "--shard", "0/2") == 0
    assert (out / "curves.png").is_file() and not (out / "unfinished").exists()
    assert main("evaluate", run) == 2 and "exists: the evaluation there is complete" in capsys.readouterr().err
    (store / "again").put_folder(files.near(out), "report.json")
    assert main("compare", f"a={run}", f"b={store / 'again'}", "--out", store / "both") == 0
    assert json.loads((store / "both" / "comparison.json").read_text())
    assert main("figures", run, "--figure", "3", "--n-samples", 2, "--sequences", 1) == 0
    assert (run / "figures" / "figure3.json").is_file() and list((run / "logs" / "figures").glob("events*"))
    assert main("slim", run, "--out", store / "slim") == 0 and (store / "slim" / "config.json").is_file()


def test_it_is_exported_and_used(run, store):
    tf.config.run_functions_eagerly(False)
    model = store / "models" / "tiny"
    files.write(model / "1" / "saved_model.pb", "of another export")
    assert main("export", run, "--out", model, "--n-samples", 2, "--no-warmup") == 0
    assert (model / "2" / "saved_model.pb").is_file() and (model / "models.config").is_file()
    out = store / "out.npz"
    clip = ("--input", store / "videos" / "test" / "test1", "--n-past", 2)
    assert main("predict", *clip, "--out", out, "--model", model, "--n-samples", 2) == 0
    with out.open("rb") as stream, np.load(stream, allow_pickle=False) as answer:
        assert answer["futures"].shape == (2, 3, 32, 32, 1)


def test_a_store_that_is_not_known_is_refused_before_work(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ("generate", "s3x://bucket/run"), ("slim", "s3x://bucket/run", "--out", "x"), ("figures", "s3x://bucket/run"),
        ("train", "smmnist_mini", "--run-dir", "s3x://bucket/run"), ("evaluate", "run", "--out", "s3x://bucket/x"),
        ("train", "kth_lp", "--run-dir", "run", "--data.data-dir", "s3x://bucket"),
        ("export", "run", "--out", "s3x://bucket/x"), ("compare", "a", "s3x://bucket/run", "--out", "x"),
    ):  # fmt: skip
        assert main(*arguments) == 2
        error = capsys.readouterr().err
        assert "s3x:// is not supported" in error and error.count("\n") == 1, error
    assert not list(tmp_path.iterdir())
