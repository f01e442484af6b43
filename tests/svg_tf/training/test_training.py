"""Runs: what a run directory holds, refusing another configuration, stopping at NaN. Kills are in test_survival."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from svg_tf import presets, training
from svg_tf.training import callbacks, checkpoints
from tests.svg_tf import tiny_models

pytest.importorskip("sklearn")
TINY = tiny_models.experiment({"beta_warmup_steps": 4}, steps_per_epoch=5, final_learning_rate=1e-4)


def test_a_run_directory_holds_the_experiment_and_its_model(tmp_path):
    trained = training.train(TINY, tmp_path, verbose=False)
    assert [step for step, _ in checkpoints.existing(tmp_path / "checkpoints")] == [6, 9, 10][-TINY.train.keep_checkpoints :]
    model, experiment, step = training.load_run(tmp_path)
    assert (experiment, step) == (TINY, 10)
    for name, variable in named_variables(trained).items():
        np.testing.assert_array_equal(variable.value, named_variables(model)[name].value)
    assert training.load_run(tmp_path, best=True)[2] in (5, 10)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["seed"] == 0 and written["versions"]["tensorflow"]
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


def test_a_nan_loss_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    class Poison(callbacks.StopAtNaN):
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 4:
                self.model.encoder.levels[0].conv.kernel.assign(np.full((4, 4, 1, 2), np.nan))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks, "StopAtNaN", Poison)
        with pytest.raises(FloatingPointError, match=r"nan at optimizer step 5 .*step-00000003.npz"):
            training.train(TINY, tmp_path, verbose=False)
    assert [step for step, _ in checkpoints.existing(tmp_path / "checkpoints")] == [3]


def test_optimizer_follows_the_configuration():
    adam = training.optimizer_of(presets.get("smmnist_lp"))
    assert (float(adam.learning_rate), adam.beta_1, adam.beta_2, adam.epsilon) == (pytest.approx(2e-3), 0.9, 0.999, 1e-8)
    decayed = training.optimizer_of(TINY)
    decayed.build([])
    assert float(decayed.learning_rate) == pytest.approx(2e-3)
    decayed.iterations.assign(10)
    assert float(decayed.learning_rate) == pytest.approx(1e-4)


def test_linear_decay_of_the_learning_rate():
    """SRVP: constant, then linearly to 0; the schedule is saved with the model."""
    t = dataclasses.replace(TINY.train, learning_rate=3e-4, final_learning_rate=0.0, linear_decay_steps=4)  # of 10 steps
    adam = training.optimizer_of(dataclasses.replace(TINY, train=t))
    adam.build([])
    for step, share in ((0, 1), (6, 1), (7, 0.75), (8, 0.5), (10, 0), (11, 0)):
        adam.iterations.assign(step)
        assert float(adam.learning_rate) == pytest.approx(3e-4 * share, abs=1e-10)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(adam))
    again.build([])
    again.iterations.assign(8)
    assert float(again.learning_rate) == pytest.approx(1.5e-4)


def test_data_of_another_size_than_the_model_is_refused(tmp_path):
    wrong = dataclasses.replace(TINY, data=dataclasses.replace(TINY.data, name="no_such_data_set"))
    with pytest.raises(ValueError, match="no_such_data_set"):
        training.train(wrong, tmp_path, verbose=False)
