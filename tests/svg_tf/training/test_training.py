"""Runs: what a run directory holds, refusing another configuration, stopping at NaN. Kills are in test_survival."""

import dataclasses
import json
import os
import pathlib
import signal
import warnings

import keras
import numpy as np
import pytest

from svg_tf import presets, training
from svg_tf.config import OptimizerConfig, ScheduleConfig
from svg_tf.training import callbacks, checkpoints
from svg_tf.training.state import TrainingState, named_variables
from tests.svg_tf import tiny_models

pytest.importorskip("sklearn")
COSINE = OptimizerConfig(schedule=ScheduleConfig("cosine", 1e-4))
TINY = tiny_models.experiment({"beta_warmup_steps": 4}, steps_per_epoch=5, optimizer=COSINE)


def test_a_run_directory_holds_the_experiment_and_its_model(tmp_path):
    trained = training.train(TINY, tmp_path, verbose=False)
    assert [step for step, _ in checkpoints.existing(tmp_path / "checkpoints")] == [6, 9, 10][-TINY.train.keep_checkpoints :]
    model, experiment, step = training.load_run(tmp_path)
    assert (experiment, step) == (TINY, 10)
    for name, variable in named_variables(trained).items():
        np.testing.assert_array_equal(variable.value, named_variables(model)[name].value)
    assert training.load_run(tmp_path, "best")[2] in (5, 10)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["config"]["train"]["seed"] == 0 and written["versions"]["tensorflow"]
    assert written["runtime"]["train"]["keep_checkpoints"] == 3 and "keep_checkpoints" not in written["config"]["train"]
    assert training.train(TINY, tmp_path, verbose=False).step == 10  # complete: nothing is trained

    longer = dataclasses.replace(TINY, train=dataclasses.replace(TINY.train, epochs=3))
    training.open_run(longer, tmp_path)  # more epochs are no other experiment
    with pytest.raises(ValueError, match=r"model.beta: 0.0002 -> 0.5"):
        other = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, beta=0.5))
        training.open_run(other, tmp_path)


def test_not_a_run_directory(tmp_path):
    with pytest.raises(ValueError, match="has no config.json"):
        training.read_config(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="is not a run's configuration"):
        training.read_config(tmp_path)
    training.open_run(TINY, tmp_path / "new")
    with pytest.raises(ValueError, match="has no checkpoint yet"):
        training.load_run(tmp_path / "new")


def test_a_run_moves_and_is_not_refused(tmp_path):
    """What only says how a run runs here may change; what defines it may not."""
    training.train(TINY, tmp_path / "a", verbose=False)
    (tmp_path / "a").rename(tmp_path / "b")
    moved = dataclasses.replace(
        TINY,
        train=dataclasses.replace(TINY.train, epochs=3, keep_checkpoints=5, checkpoint_every=7, recompute=True, log_every=9),
        data=dataclasses.replace(TINY.data, data_dir="elsewhere"),
    )
    assert training.train(moved, tmp_path / "b", verbose=False).step == 15
    assert training.read_config(tmp_path / "b") == moved
    for change, message in (({"seed": 1}, "train.seed: 0 -> 1"), ({"steps_per_epoch": 6}, "train.steps_per_epoch: 5 -> 6")):
        with pytest.raises(ValueError, match=message):
            training.open_run(dataclasses.replace(moved, train=dataclasses.replace(moved.train, **change)), tmp_path / "b")


def test_a_run_that_has_saved_nothing_takes_its_corrected_configuration(tmp_path):
    training.open_run(TINY, tmp_path)
    other = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, beta=0.5))
    training.open_run(other, tmp_path)
    assert training.read_config(tmp_path) == other
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "logs").write_text("")
    with pytest.raises(ValueError, match="logs must be a folder of the run, and is a file"):
        training.train(TINY, tmp_path / "file", verbose=False)


@pytest.mark.parametrize("path", ["s3://bucket/run", "s3:/bucket/run", "hdfs://host/run"])
def test_addresses_are_no_folders(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for call in (lambda: training.train(TINY, path), lambda: training.read_config(pathlib.Path(path))):
        with pytest.raises(ValueError, match="is not supported"):
            call()
    assert not any(tmp_path.iterdir())


def test_averaged_weights_at_the_end_of_a_run(tmp_path):
    """Moving averages of the steps' weights, statistics of normalization computed for them; loaded unless asked otherwise."""
    optimizer = dataclasses.replace(COSINE, average=0.7)
    config = tiny_models.experiment(steps_per_epoch=5, optimizer=optimizer)
    means, path = {}, tmp_path / "checkpoints" / "averaged.npz"

    class Follow(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            n = self.model.step - 1
            decay = min(0.7, n / (n + 10))
            for name, variable in named_variables(self.model).items():
                means[name] = decay * means.get(name, 0.0) + (1 - decay) * variable.numpy()

    trained = training.train(config, tmp_path, verbose=False, callbacks=[Follow()])
    averaged, last = (training.load_run(tmp_path, weights) for weights in (None, "last"))
    assert averaged.step == last.step == 10
    moved = {v.path for v in trained.trainable_variables}
    for name, variable in named_variables(averaged.model).items():
        raw = named_variables(last.model)[name].numpy()
        np.testing.assert_array_equal(raw, named_variables(trained)[name].numpy())
        if named_variables(trained)[name].path in moved:
            np.testing.assert_allclose(variable.numpy(), means[name], rtol=1e-4, atol=1e-6)
        if "moving" in name or name.startswith("frame_predictor"):
            assert np.abs(variable.numpy() - raw).max() > 0, name  # statistics and weights are others than the last
    before = path.read_bytes()
    path.unlink()  # killed before it was written
    training.train(config, tmp_path, verbose=False)
    assert path.read_bytes() == before
    longer = dataclasses.replace(config, train=dataclasses.replace(config.train, epochs=3))
    training.train(longer, tmp_path, verbose=False)
    assert training.load_run(tmp_path).step == 15
    with pytest.raises(ValueError, match="has no averaged weights"):
        training.train(TINY, tmp_path / "none", verbose=False)
        training.load_run(tmp_path / "none", "averaged")


def test_a_nan_loss_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    class Poison(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if self.model.step == 4:
                self.model.encoder.levels[0].conv.kernel.assign(np.full((4, 4, 1, 2), np.nan))

    with pytest.raises(FloatingPointError, match=r"nan at training step 5 .*step-00000003.npz"):
        training.train(TINY, tmp_path, verbose=False, callbacks=[Poison()])
    assert [step for step, _ in checkpoints.existing(tmp_path / "checkpoints")] == [3]


def test_values_that_callbacks_see_are_those_of_the_steps(tmp_path):
    """Means over intervals come from `logs`: the running means of the epoch."""

    class Look(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.means, self.taken, self.seen = callbacks.IntervalMeans(self.model), {}, []

        def on_epoch_begin(self, epoch, logs=None):
            self.means.reset()
            self.seen = []

        def on_train_batch_end(self, batch, logs=None):
            self.means.update(logs)
            self.seen.append(logs["loss"])
            if self.model.step % 5 in (2, 0):
                self.taken[self.model.step] = (self.means.take()["loss"], list(self.seen))

    look = Look()
    training.train(TINY, tmp_path, verbose=False, callbacks=[look])
    for step, (mean, running) in look.taken.items():
        steps = np.diff([0, *(n * value for n, value in enumerate(running, 1))])  # the loss of each step
        assert mean == pytest.approx(np.mean(steps[:2] if step % 5 == 2 else steps[2:]), rel=1e-4)


def test_an_unknown_data_set_is_refused_before_training(tmp_path):
    wrong = dataclasses.replace(TINY, data=dataclasses.replace(TINY.data, name="no_such_data_set"))
    with pytest.raises(ValueError, match="no_such_data_set"):
        training.train(wrong, tmp_path, verbose=False)


def test_an_optimizer_of_no_update_is_refused(tmp_path):
    wrong = dataclasses.replace(TINY, train=dataclasses.replace(TINY.train, optimizers={"critic": COSINE}))
    with pytest.raises(ValueError, match="train.optimizers has 'critic'; the updates of this model are elbo"):
        training.train(wrong, tmp_path, verbose=False)


def as_of_0_1_0(run_dir, step, totals):
    """Makes of the run in `run_dir`, at `step`, what 0.1.0 would have left: numbers in place of the slots' names, no step and no
    metrics among the arrays, its header and its configuration."""
    path = checkpoints.path_of(run_dir / "checkpoints", step)
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").tobytes())
    model = training.build(TINY)
    own = {id(v): name for name, v in TrainingState(model).variables.items()}
    kept = {name: value for name, value in arrays.items() if name.startswith("model/")}
    kept |= {f"optimizer/{i:04d}": arrays[own[id(v)]] for i, v in enumerate(model.optimizer.variables)}
    state = {**header["state"], "scalars": {"totals": totals, "last": {}}}
    np.savez(path, header=np.frombuffer(json.dumps({"step": step, "state": state}).encode(), np.uint8), **kept)
    for other in (run_dir / "checkpoints").glob("*.npz"):
        if other != path:
            other.unlink()
    facts = json.loads((run_dir / "config.json").read_text())
    train = facts["config"]["train"] | facts.pop("runtime")["train"]
    optimizer = train.pop("optimizer")
    schedule = optimizer.pop("schedule")
    train |= {"learning_rate": optimizer["learning_rate"], "final_learning_rate": schedule["final"], "clip_norm": 0.0}
    train |= {"linear_decay_steps": 0, "adam_beta_1": 0.9, "adam_beta_2": 0.999, "adam_epsilon": 1e-8}
    del train["optimizers"]
    facts["config"]["train"] = train
    facts["config"]["data"]["data_dir"] = facts["config"]["data"]["moving_mnist"]["digits_dir"] = ""
    (run_dir / "config.json").write_text(json.dumps(facts))


def test_a_run_of_0_1_0_goes_on_within_its_epoch(tmp_path):
    """Weights, slots and the epoch's means are those of a run that was not stopped."""
    keras_s = dataclasses.replace(COSINE, epsilon_placement="keras")
    experiment = dataclasses.replace(TINY, train=dataclasses.replace(TINY.train, optimizer=keras_s))
    seen = {"whole": {}, "broken": {}}

    class Look(keras.callbacks.Callback):
        def __init__(self, name, at=0):
            super().__init__()
            self.seen, self.at = seen[name], at

        def on_train_batch_end(self, batch, logs=None):
            if self.model.step == self.at:
                self.totals = {m.name: [float(v.numpy()) for v in m.variables] for m in self.model.metrics}
                raise InterruptedError

        def on_epoch_end(self, epoch, logs=None):
            self.seen[epoch] = dict(logs)

    whole = training.train(experiment, tmp_path / "whole", verbose=False, callbacks=[Look("whole")])
    stopped = Look("broken", 9)
    with pytest.raises(InterruptedError):  # just after the checkpoint of step 9
        training.train(experiment, tmp_path / "broken", verbose=False, callbacks=[stopped])
    as_of_0_1_0(tmp_path / "broken", 9, stopped.totals)
    old = training.read_config(tmp_path / "broken")
    assert old == experiment
    broken = training.train(old, tmp_path / "broken", verbose=False, callbacks=[Look("broken")])
    assert seen["broken"] == seen["whole"] and len(seen["whole"]) == 2
    found = TrainingState(broken).values()
    for name, value in TrainingState(whole).values().items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_means_of_0_1_0_count_steps():
    """There totals counted sequences: 4 in a step here, 3 steps after the epoch began, the last look after 2."""
    old = {"totals": {"loss": [6.0, 12.0]}, "last": {"loss": [2.0, 8.0]}}
    assert callbacks.IntervalMeans.of_0_1_0(old, 3) == {"now": {"loss": [3, 0.5]}, "last": {"loss": [2, 0.25]}}
    assert callbacks.IntervalMeans.of_0_1_0({"totals": {"loss": [0.0, 0.0]}}, 3) == {"now": {"loss": [0, 0.0]}, "last": {}}


def test_ctrl_c_saves_a_checkpoint_as_sigterm_does(tmp_path):
    class CtrlC(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.step == 4:
                os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(callbacks.Preempted, match="Stopped on request at step 5") as stopped:
        training.train(TINY, tmp_path, verbose=False, callbacks=[CtrlC()])
    assert stopped.value.signal == signal.SIGINT
    assert checkpoints.existing(tmp_path / "checkpoints")[-1][0] == 5
    assert signal.getsignal(signal.SIGINT) is before


def test_small_validation_data_is_no_warning(tmp_path):
    few = dataclasses.replace(
        TINY, train=dataclasses.replace(TINY.train, epochs=1, steps_per_epoch=1, optimizer=OptimizerConfig()),
        eval=dataclasses.replace(TINY.eval, validation_steps=10_000),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        training.train(few, tmp_path, verbose=False)


def test_a_file_is_no_run_directory(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(ValueError, match="The run directory must be a folder; .*run is a file"):
        training.train(TINY, tmp_path / "run", verbose=False)
    assert (tmp_path / "run").read_text() == "mine"


def test_fit_in_plain_python_is_what_train_does(tmp_path, toy):
    """The same step: `train` adds files to it."""
    experiment = presets.get("smmnist_toy")
    trained = training.train(experiment, tmp_path, verbose=False)
    model = training.build(experiment)
    model.fit(training.load_data(experiment, "train"), epochs=2, steps_per_epoch=5, verbose=0, shuffle=False)
    found = TrainingState(model).values()
    for name, value in TrainingState(trained).values().items():
        if not name.startswith("metrics/"):
            np.testing.assert_array_equal(found[name], value, err_msg=name)
