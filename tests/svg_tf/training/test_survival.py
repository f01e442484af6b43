"""Runs that are killed, stopped or poisoned: nothing is lost, doubled or overwritten by something worse."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import files
from svg_tf import config, presets, summaries, training
from svg_tf.families.svg.model import SVG
from svg_tf.training import callbacks, checkpoints
from svg_tf.training.state import TrainingState
from tests.conformance.descriptors.interface import all_of_them
from tests.svg_tf import tiny_models

pytest.importorskip("sklearn")
TINY = tiny_models.experiment(steps_per_epoch=8, deterministic=True, log_every=2)
PROGRAM = pathlib.Path(__file__).parents[2] / "programs" / "train.py"


def start(run_dir, experiment, number=0, at=0, expected=0):
    """Trains in a process that sends itself the signal `number` after step `at`. Returns what it wrote to stderr."""
    file = run_dir.with_suffix(".json")
    file.write_text(config.to_json(experiment))
    process = subprocess.run(
        [sys.executable, str(PROGRAM), str(run_dir), str(file), str(int(number)), str(at)],
        capture_output=True, text=True, timeout=600, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.returncode == expected, process.stderr[-3000:]
    return process.stderr


def events(run_dir):
    """(run, tag) -> [(step, value)] of all event files, but for speeds, which no two runs share."""
    found = {}
    for path in sorted(run_dir.glob("logs/**/events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if not value.tag.startswith("speed/"):
                    array = tf.make_ndarray(value.tensor)
                    found.setdefault((path.parent.name, value.tag), []).append((event.step, array.tolist()))
    return found


def weights(run_dir, name="step-00000016.npz"):
    with np.load(run_dir / "checkpoints" / name, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


class StopAt(keras.callbacks.Callback):
    """Ends the program after step `at`, as an error would."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def on_train_batch_end(self, batch, logs=None):
        if self.model.step == self.at:
            raise InterruptedError


MODELS = {"state_space": tiny_models.SRVP_VARIANTS["residual"], "keypoints": all_of_them()["struct_vrnn"].configs["keypoints"]}


@pytest.mark.parametrize("family", [*MODELS, "adversarial"])
def test_other_families_go_on_bit_for_bit(tmp_path, family, toy):
    experiment = presets.get("smmnist_toy") if family == "adversarial" else None
    experiment = experiment or dataclasses.replace(TINY, model=MODELS[family])
    whole = training.train(experiment, tmp_path / "whole", verbose=False)
    with pytest.raises(InterruptedError):  # two steps after a checkpoint, in another phase than the first one
        training.train(experiment, tmp_path / "broken", verbose=False, callbacks=[StopAt(5)])
    broken = training.train(experiment, tmp_path / "broken", verbose=False)
    whole, broken = TrainingState(whole).values(), TrainingState(broken).values()
    assert set(whole) == set(broken) and any(name.startswith("optimizer/") for name in whole)
    for name, value in whole.items():
        np.testing.assert_array_equal(broken[name], value, err_msg=name)


def test_killed_twice_and_terminated_once_the_logs_and_weights_are_those_of_an_undisturbed_run(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    start(whole, TINY)
    start(broken, TINY, signal.SIGKILL, 4, -signal.SIGKILL)  # after a checkpoint, within an interval of scalars
    printed = start(broken, TINY, signal.SIGTERM, 4, 75)
    assert "Stopped on request at step 5" in printed
    assert checkpoints.existing(broken / "checkpoints")[-1][0] == 5
    start(broken, TINY, signal.SIGKILL, 14, -signal.SIGKILL)
    start(broken, TINY)
    expected, found = events(whole), events(broken)
    assert set(expected) == set(found)
    for key, values in expected.items():
        assert found[key] == values, key
    assert [step for step, _ in expected["train", "step/loss"]] == [2, 4, 6, 8, 10, 12, 14, 16]
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
    made.build_optimizers()
    return made


def saver(model, folder, **options):
    made = callbacks.Checkpoints(folder, every=2, keep=1, **options)
    made.set_model(model)
    return made


def test_the_best_checkpoint_is_kept(model, tmp_path):
    made, kernel = saver(model, tmp_path), model.decoder.weights[0]
    for step, loss in ((2, 0.5), (4, 0.3), (6, 0.4), (8, float("nan"))):
        model.clock.assign(step)
        kernel.assign(np.full(kernel.shape, step, np.float32))
        made.on_epoch_end(0, {"val_loss": loss})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.npz", "step-00000008.npz"]
    assert checkpoints.restore(checkpoints.best(tmp_path), TrainingState(model, False))[0] == 4
    np.testing.assert_array_equal(kernel, 4)
    _, state = checkpoints.restore_latest(tmp_path, TrainingState(model))
    assert (state["best"], state["best_step"]) == (0.3, 4)
    again = saver(model, tmp_path, resume=state)
    model.clock.assign(10)
    again.on_epoch_end(0, {"val_loss": 0.35})
    assert checkpoints.restore(checkpoints.best(tmp_path), TrainingState(model, False))[0] == 4


def test_what_a_kill_after_a_checkpoint_left_undone_is_made_good(model, tmp_path):
    made = saver(model, tmp_path)
    for step in (2, 4):
        model.clock.assign(step)
        made.on_epoch_end(0, {"val_loss": 1 / step})
    checkpoints.save(tmp_path, TrainingState(model), 3, {}, keep=2)  # killed before the removal of old ones ...
    os.link(checkpoints.path_of(tmp_path, 4), tmp_path / ".best.npz")  # ... in the middle of keeping the best ...
    (tmp_path / ".step-00000007.npz.abc.npz").write_bytes(b"PK")  # ... or of writing
    step, state = checkpoints.restore_latest(tmp_path, TrainingState(model))
    checkpoints.finish_interrupted_work(tmp_path, step, state, keep=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.npz", "step-00000004.npz"]
    assert checkpoints.restore(checkpoints.best(tmp_path), TrainingState(model, False))[0] == 4
    checkpoints.finish_interrupted_work(tmp_path / "absent", 0, {}, keep=1)


def test_a_damaged_newest_checkpoint_does_not_push_out_those_that_follow(model, tmp_path):
    for step in (2, 5):
        path = checkpoints.save(tmp_path, TrainingState(model), step, {}, keep=2)
    path.write_bytes(path.read_bytes()[:1000])
    step, state = checkpoints.restore_latest(tmp_path, TrainingState(model))
    checkpoints.finish_interrupted_work(tmp_path, step, state, keep=1)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000002.npz", "step-00000005.damaged"]
    checkpoints.save(tmp_path, TrainingState(model), 4, {}, keep=1)
    assert checkpoints.restore_latest(tmp_path, TrainingState(model))[0] == 4


def test_weights_that_are_not_finite_are_not_saved(model, tmp_path):
    made = saver(model, tmp_path)
    model.clock.assign(2)
    made.save()
    kernel = model.decoder.weights[0]
    kernel.assign(np.full(kernel.shape, np.inf, np.float32))  # as after an exploding gradient
    model.clock.assign(4)
    with pytest.raises(FloatingPointError, match=r"kernel is not finite after training step 4 .*step-00000002.npz"):
        made.on_train_batch_end(0)
    assert [step for step, _ in checkpoints.existing(tmp_path)] == [2]


def test_termination_sets_a_flag_and_gives_the_handlers_back():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    for number in (signal.SIGTERM, signal.SIGINT):
        with callbacks.termination() as stop:
            assert not stop()
            os.kill(os.getpid(), number)
            assert stop()
            if number == signal.SIGINT:  # a second ctrl-C does not wait
                with pytest.raises(KeyboardInterrupt):
                    os.kill(os.getpid(), number)
                    time.sleep(1)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    answers = []

    def elsewhere():
        with callbacks.termination() as stop:
            answers.append(stop())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert answers == [False]


def test_a_second_process_in_a_run_directory_is_refused(tmp_path):
    """In a process of its own, since a lock is one of a process."""
    file = tmp_path / "tiny.json"
    file.write_text(config.to_json(TINY))
    with files.locked(tmp_path / "run", "trains in"):
        process = subprocess.run(
            [sys.executable, str(PROGRAM), str(tmp_path / "run"), str(file)], capture_output=True, text=True, timeout=600,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    assert process.returncode != 0
    assert f"Another process trains in {tmp_path / 'run'} now: process {os.getpid()} on " in process.stderr
    assert not (tmp_path / "run" / "config.json").exists()
