"""Float16: a step that overflows is skipped, counted, and shifts nothing. Two replicas are in test_distribution."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import training
from svg_tf.training import callbacks, checkpoints
from svg_tf.training.loss_scale import LossScaleOptimizer
from tests.svg_tf import tiny_models

pytest.importorskip("sklearn")
TINY = tiny_models.experiment(steps_per_epoch=5, precision="mixed_float16")
SKIPPED = (3, 7)
StopAtNaN = callbacks.StopAtNaN


def stopping(at):
    """A `StopAtNaN` that makes the steps `SKIPPED` overflow, and ends the program after step `at`."""

    class Overflow(StopAtNaN):
        def on_train_batch_begin(self, batch, logs=None):
            if self.model.step + 1 in SKIPPED:
                self.before = [np.asarray(v.value) for v in self.model.trainable_variables]
                self.model.optimizer.dynamic_scale.assign(2.0**100)

        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            if self.model.step in SKIPPED:
                assert float(self.model.optimizer.dynamic_scale) == 2.0**99
                for variable, before in zip(self.model.trainable_variables, self.before, strict=True):
                    np.testing.assert_array_equal(variable.value, before)
                self.model.optimizer.dynamic_scale.assign(2.0**8)
            if self.model.step == at:
                raise InterruptedError

    return Overflow


def test_a_run_with_skipped_steps_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "StopAtNaN", stopping(0))
    whole = training.train(TINY, tmp_path / "whole", verbose=False)
    assert isinstance(whole.optimizer, LossScaleOptimizer)
    assert whole.step == 10 and int(whole.optimizer.inner_optimizer.iterations) == 8
    assert [step for step, _ in checkpoints.existing(tmp_path / "whole" / "checkpoints")] == [6, 9, 10]

    monkeypatch.setattr(callbacks, "StopAtNaN", stopping(8))
    with pytest.raises(InterruptedError):
        training.train(TINY, tmp_path / "broken", verbose=False)
    starts, load_data = [], training.load_data
    monkeypatch.setattr(training, "load_data", lambda *a, **kw: starts.append(kw.get("start_batch")) or load_data(*a, **kw))
    monkeypatch.setattr(callbacks, "StopAtNaN", stopping(0))
    broken = training.train(TINY, tmp_path / "broken", verbose=False)
    assert 6 in starts  # the checkpoint's step is the place in the data
    variables = [checkpoints.variables_of(model, True) for model in (whole, broken)]
    for name in ("iterations", "dynamic_scale", "step_counter"):
        assert int(getattr(whole.optimizer, name)) == int(getattr(broken.optimizer, name)), name
    worst = {n: np.abs(np.asarray(a.value) - np.asarray(variables[1][n].value)).max() for n, a in variables[0].items()}
    assert np.median(list(worst.values())) < 1e-5, worst  # one step on other data or noise would move most weights by 2e-3


def test_the_scale_is_in_the_checkpoint(tmp_path):
    models = [training.build(TINY), training.build(TINY)]
    models[0].optimizer.dynamic_scale.assign(64.0)
    models[0].optimizer.step_counter.assign(11)
    models[0].optimizer.iterations.assign(5)
    models[0].optimizer.inner_optimizer.iterations.assign(4)
    path = checkpoints.save(tmp_path, models[0], 5, {}, keep=1)
    checkpoints.restore(path, models[1], with_optimizer=True)
    restored = models[1].optimizer
    assert [float(v) for v in (restored.dynamic_scale, restored.step_counter, restored.inner_optimizer.iterations)] == [64, 11, 4]
    assert models[1].step == 5


def test_gradients_that_overflow_at_any_scale_stop_the_run(tmp_path):
    model = training.build(TINY)
    stop = callbacks.StopAtNaN(tmp_path)
    stop.set_model(model)
    stop.on_train_batch_end(0, {"loss": 1.0})
    variables = model.trainable_variables
    for _ in range(16):  # from 2^15
        model.optimizer.apply([tf.fill(v.shape, float("inf")) for v in variables], variables)
    with pytest.raises(FloatingPointError, match=r"overflow at a loss scale of 0.5 at optimizer step 16"):
        stop.on_train_batch_end(0, {"loss": 1.0})


def test_only_float16_scales_the_loss_and_a_users_own_scaling_is_kept():
    float32 = dataclasses.replace(TINY, train=dataclasses.replace(TINY.train, precision="float32"))
    assert isinstance(training.build(float32).optimizer, keras.optimizers.Adam)
    model = training.build(TINY)
    own = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=4.0)
    model.compile(own)
    assert model.optimizer is own
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(training.build(TINY).optimizer))
    assert isinstance(again, LossScaleOptimizer) and again.inner_optimizer.beta_1 == TINY.train.adam_beta_1
