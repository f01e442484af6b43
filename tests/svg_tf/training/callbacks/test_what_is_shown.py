"""What a person reads during training: the progress line, speed, rows of pictures, and what a run is, each by known numbers."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from svg_tf import summaries, visualization
from svg_tf.training import callbacks
from svg_tf.training.callbacks import progress, scalars
from tests.svg_tf import tiny_models


class Clock:
    """Seconds that pass as the test says."""

    def __init__(self, monkeypatch, module):
        self.now = 100.0
        monkeypatch.setattr(module, "time", types.SimpleNamespace(perf_counter=lambda: self.now))


class Trained(types.SimpleNamespace):
    """Of a model what callbacks ask for."""

    def __init__(self):
        optimizers = {"elbo": types.SimpleNamespace(learning_rate=0.002)}
        super().__init__(step=0, optimizers=optimizers, metrics=[], program=types.SimpleNamespace(names=("elbo",)))

    def metrics_at(self, step):
        return ("loss", "mse", "kl")


def trained(callback, clock, seconds, steps):
    """Steps of `seconds` each; the running mean of the loss is 1."""
    model = Trained()
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for step in range(1, steps + 1):
        model.step, clock.now = step, clock.now + seconds
        callback.on_train_batch_end(step - 1, {"loss": 1.0, "mse": 0.5, "kl": 2.0})
    callback.on_train_end()


def test_progress_says_speed_and_time_left(monkeypatch, capsys):
    clock = Clock(monkeypatch, progress)
    trained(callbacks.Progress(total=100, batch_frames=30, every=2), clock, seconds=1.5, steps=4)
    lines = capsys.readouterr().out.splitlines()
    # 30 frames in 1.5 s; 98 and 96 steps of 1.5 s are left.
    assert lines == [
        "step 2/100  loss 1  mse 0.5  kl 2  20 frames/s  left 2:27",
        "step 4/100  loss 1  mse 0.5  kl 2  20 frames/s  left 2:24",
    ]


def test_scalars_say_frames_per_second(monkeypatch, tmp_path):
    clock = Clock(monkeypatch, scalars)
    callback = callbacks.Scalars(tmp_path, batch_frames=30, every=2)
    trained(callback, clock, seconds=0.5, steps=4)
    callback.flush()
    events = EventAccumulator(str(tmp_path / "train")).Reload().Tensors("speed/frames_per_second")
    assert [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events] == [(2, 60.0), (4, 60.0)]


def test_the_best_row_is_the_best_sample(monkeypatch):
    frames = tiny_models.frames_of(batch=2, steps=4)
    samples = np.random.default_rng(1).random((2, 5, 2, 32, 32, 1)).astype(np.float32)
    samples[0, 3], samples[1, 1] = frames[0, 2:], frames[1, 2:]
    model = types.SimpleNamespace(generate=lambda *arguments, **options: tf.constant(samples))
    drawn = []
    monkeypatch.setattr(visualization, "grid", lambda clips, n_past: drawn.extend(clips))
    callbacks.sample_grid(model, frames, 2, 5)
    for truth, rows in zip(frames, drawn, strict=True):
        rows = dict(rows)
        np.testing.assert_array_equal(rows["truth"], truth)
        np.testing.assert_array_equal(rows["best"], truth)
        assert all(np.any(rows[f"random {i}"][:2] == truth[:2]) for i in (1, 2, 3))


@pytest.fixture
def described(tmp_path):
    experiment = tiny_models.experiment()

    def describe(step=0):
        model = Trained()
        model.step, model.metrics = step, [types.SimpleNamespace(name=name) for name in ("loss", "kl")]
        callback = callbacks.Describe(tmp_path / "a run" / "logs", experiment)
        callback.set_model(model)
        callback.on_train_begin()
        callback.on_train_begin()

    return tmp_path / "a run" / "logs", experiment, describe


def values_of(folder):
    found = []
    for path in folder.glob("events*"):
        for record in tf.data.TFRecordDataset(str(path)):
            found += list(tf.compat.v1.Event.FromString(record.numpy()).summary.value)
    return found


def test_a_run_describes_itself_once_also_when_it_continues(described):
    logs, experiment, describe = described
    describe()
    (logs / "train").mkdir()
    with tf.summary.create_file_writer(str(logs / "train")).as_default(step=3):
        tf.summary.scalar("epoch/loss", 0.5)
    summaries.purge(logs, 7)
    describe(step=7)
    values = values_of(logs)
    tags = [value.tag for value in values]
    assert len(tags) == len(set(tags)), tags
    assert len(values_of(logs / "train")) == 1  # curves are as they were
    by_tag = {value.tag: value for value in values}
    (text,) = tf.make_ndarray(by_tag["configuration"].tensor).ravel()
    assert "| model.z_dim | `2` |" in text.decode() and "| train.strategy | `single` |" in text.decode()
    layout = layout_pb2.Layout.FromString(tf.make_ndarray(by_tag["custom_scalars__config__"].tensor).item())
    charts = {c.title: {chart.title: list(chart.multiline.tag) for chart in c.chart} for c in layout.category}
    assert charts["Epochs: training and validation"] == {"loss": ["^epoch/loss$"], "kl": ["^epoch/kl$"]}
    assert charts["Optimization"]["learning rate"] == ["^optimizer/learning_rate$"]


def test_hyperparameters_compare_in_tensorboards_own_tab(described):
    logs, experiment, describe = described
    describe()
    by_tag = {value.tag: value for value in values_of(logs)}
    content = by_tag["_hparams_/session_start_info"].metadata.plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert start.group_name == "a run"
    assert start.hparams["model.z_dim"].number_value == 2
    assert start.hparams["data.name"].string_value == "moving_mnist"
    assert start.hparams["data.moving_mnist.deterministic"].bool_value is False
    assert start.hparams["train.optimizer.clip_norm"].string_value == "none"
    assert "train.strategy" not in start.hparams and "data.data_dir" not in start.hparams  # how it runs here
    content = by_tag["_hparams_/experiment"].metadata.plugin_data.content
    shown = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
    assert {(m.name.group, m.name.tag) for m in shown.metric_infos} == {("validation", "epoch/loss"), ("train", "epoch/loss")}
    assert isinstance(callbacks.Describe(logs, experiment), keras.callbacks.Callback)
