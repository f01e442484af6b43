"""Runs that are killed, stopped or poisoned: nothing is lost, doubled or overwritten by something worse."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import config, summaries, training
from svg_tf.families.svg.model import SVG
from svg_tf.training import callbacks, checkpoints
from tests.svg_tf import tiny_models

pytest.importorskip("sklearn")
TINY = tiny_models.experiment(steps_per_epoch=8, deterministic=True)
# Trains; scalars every second step; stopped by `how` = "kill" (SIGKILL) or "term" (SIGTERM) in the steps that follow.
SCRIPT = """
import os, signal, sys
from svg_tf import cli, config, training
from svg_tf.training import callbacks
experiment = config.from_json(config.ExperimentConfig, open(sys.argv[2]).read())
how, at = sys.argv[3], int(sys.argv[4])
class Often(callbacks.Scalars):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, every=2, **kwargs)
    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        if int(self.model.optimizer.iterations) == at:
            self.flush()
            os.kill(os.getpid(), signal.SIGKILL if how == "kill" else signal.SIGTERM)
callbacks.Scalars = Often
try:
    training.train(experiment, sys.argv[1], verbose=False)
except callbacks.Preempted as stopped:
    print(stopped)
    sys.exit(cli.EXIT_PREEMPTED)
"""


def start(run_dir, experiment, how="", at=0, expected=0):
    file = run_dir.with_suffix(".json")
    file.write_text(config.to_json(experiment))
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(run_dir), str(file), how, str(at)],
        capture_output=True, text=True, timeout=600, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.returncode == expected, process.stderr[-3000:]
    return process.stdout


def events(run_dir):
    """(run, tag) -> [(step, value)] of all event files, but for speeds, which no two runs share."""
    found = {}
    for path in sorted(run_dir.glob("logs/**/events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.tag != "frames_per_second":
                    array = tf.make_ndarray(value.tensor)
                    found.setdefault((path.parent.name, value.tag), []).append((event.step, array.tolist()))
    return found


def weights(run_dir, name="step-00000016.npz"):
    with np.load(run_dir / "checkpoints" / name, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def test_srvp_goes_on_bit_for_bit(tmp_path, monkeypatch):
    experiment = dataclasses.replace(TINY, model=tiny_models.SRVP_VARIANTS["residual"])
    training.train(experiment, tmp_path / "whole", verbose=False)

    class Interrupted(callbacks.StopAtNaN):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            if self.model.step == 5:  # two steps after a checkpoint
                raise InterruptedError

    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(callbacks, "StopAtNaN", Interrupted)
        training.train(experiment, tmp_path / "broken", verbose=False)
    training.train(experiment, tmp_path / "broken", verbose=False)
    whole, broken = (named_variables(training.load_run(tmp_path / name)[0]) for name in ("whole", "broken"))
    for name, variable in whole.items():
        np.testing.assert_array_equal(broken[name].value, variable.value)


def test_killed_twice_and_terminated_once_the_logs_and_weights_are_those_of_an_undisturbed_run(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    start(whole, TINY)
    start(broken, TINY, "kill", 4, -signal.SIGKILL)  # after the checkpoint of step 3, in the middle of an interval of scalars
    printed = start(broken, TINY, "term", 5, 75)
    assert "Stopped on request at step 5" in printed
    assert checkpoints.existing(broken / "checkpoints")[-1][0] == 5
    start(broken, TINY, "kill", 14, -signal.SIGKILL)
    start(broken, TINY)
    expected, found = events(whole), events(broken)
    assert set(expected) == set(found)
    for key, values in expected.items():
        assert found[key] == values, key
    assert [step for step, _ in expected["train", "loss"]] == [2, 4, 6, 8, 10, 12, 14, 16]
    a, b = weights(whole), weights(broken)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_purge_removes_later_events_and_half_written_ones(tmp_path):
    for run in ("train", "videos"):
        writer = tf.summary.create_file_writer(str(tmp_path / run))
        with writer.as_default():
            for step in range(1, 6):
                tf.summary.scalar("x", step * 1.0, step=step)
        writer.close()
    (path,) = (tmp_path / "train").glob("events*")
    path.write_bytes(path.read_bytes()[:-7])  # killed while writing event 5
    untouched = next((tmp_path / "videos").glob("events*")).stat().st_mtime_ns
    assert summaries.purge(tmp_path, 9) == 1
    assert next((tmp_path / "videos").glob("events*")).stat().st_mtime_ns == untouched
    assert summaries.purge(tmp_path, 3) == 1 + 2
    for path in tmp_path.glob("*/events*"):
        steps = [tf.compat.v1.Event.FromString(r.numpy()).step for r in tf.data.TFRecordDataset(str(path))]
        assert steps == [0, 1, 2, 3]
    assert summaries.purge(tmp_path / "absent", 0) == 0


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    made = SVG(TINY.model)
    made.compile(keras.optimizers.Adam())
    made.optimizer.build(made.trainable_variables)
    return made


def saver(model, folder, **options):
    made = callbacks.Checkpoints(folder, every=2, keep=1, **options)
    made.set_model(model)
    return made


def test_the_best_checkpoint_is_kept(model, tmp_path):
    made, kernel = saver(model, tmp_path), model.decoder.weights[0]
    for step, loss in ((2, 0.5), (4, 0.3), (6, 0.4), (8, float("nan"))):
        model.optimizer.iterations.assign(step)
        kernel.assign(np.full(kernel.shape, step, np.float32))
        made.on_epoch_end(0, {"val_loss": loss})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.npz", "step-00000008.npz"]
    assert checkpoints.restore(checkpoints.best(tmp_path), model, with_optimizer=False)[0] == 4
    np.testing.assert_array_equal(kernel, 4)
    _, state = checkpoints.restore_latest(tmp_path, model, with_optimizer=True)
    assert (state["best"], state["best_step"]) == (0.3, 4)
    again = saver(model, tmp_path, resume=state)
    model.optimizer.iterations.assign(10)
    again.on_epoch_end(0, {"val_loss": 0.35})
    assert checkpoints.restore(checkpoints.best(tmp_path), model, with_optimizer=False)[0] == 4


def test_what_a_kill_after_a_checkpoint_left_undone_is_made_good(model, tmp_path):
    made = saver(model, tmp_path)
    for step in (2, 4):
        model.optimizer.iterations.assign(step)
        made.on_epoch_end(0, {"val_loss": 1 / step})
    checkpoints.save(tmp_path, model, 3, {}, keep=2)  # killed before the removal of old ones ...
    checkpoints.best(tmp_path).rename(tmp_path / "best.tmp")  # ... in the middle of keeping the best ...
    (tmp_path / "step-00000007.tmp").write_bytes(b"PK")  # ... or of writing
    step, state = checkpoints.restore_latest(tmp_path, model, with_optimizer=True)
    checkpoints.tidy(tmp_path, step, state, keep=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.npz", "step-00000004.npz"]
    assert checkpoints.restore(checkpoints.best(tmp_path), model, with_optimizer=False)[0] == 4
    checkpoints.tidy(tmp_path / "absent", 0, {}, keep=1)


def test_a_damaged_newest_checkpoint_does_not_push_out_those_that_follow(model, tmp_path):
    for step in (2, 5):
        path = checkpoints.save(tmp_path, model, step, {}, keep=2)
    path.write_bytes(path.read_bytes()[:1000])
    step, state = checkpoints.restore_latest(tmp_path, model, with_optimizer=True)
    checkpoints.tidy(tmp_path, step, state, keep=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000002.npz", "step-00000005.damaged"]
    checkpoints.save(tmp_path, model, 4, {}, keep=1)
    assert checkpoints.restore_latest(tmp_path, model, with_optimizer=True)[0] == 4


def test_weights_that_are_not_finite_are_not_saved(model, tmp_path):
    made = saver(model, tmp_path)
    model.optimizer.iterations.assign(2)
    made.save()
    kernel = model.decoder.weights[0]
    kernel.assign(np.full(kernel.shape, np.inf, np.float32))  # as after an exploding gradient
    model.optimizer.iterations.assign(4)
    with pytest.raises(FloatingPointError, match=r"kernel is not finite after optimizer step 4 .*step-00000002.npz"):
        made.on_train_batch_end(0)
    assert [step for step, _ in checkpoints.existing(tmp_path)] == [2]


def test_termination_sets_a_flag_and_gives_the_handler_back():
    before = signal.getsignal(signal.SIGTERM)
    with callbacks.termination() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
    assert signal.getsignal(signal.SIGTERM) is before
    answers = []

    def elsewhere():
        with callbacks.termination() as stop:
            answers.append(stop())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert answers == [False]


def test_clipping_bounds_the_gradients_norm():
    t = dataclasses.replace(TINY.train, clip_norm=0.5, final_learning_rate=0.0)
    assert training.optimizer_of(dataclasses.replace(TINY, train=t)).global_clipnorm == 0.5
    assert training.optimizer_of(TINY).global_clipnorm is None
