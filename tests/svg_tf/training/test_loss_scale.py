"""Float16: a step that overflows is skipped, counted, and shifts nothing. Two replicas are in test_distribution."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import families, training
from svg_tf.training import callbacks, checkpoints, run
from svg_tf.training.loss_scale import LossScaleOptimizer
from svg_tf.training.state import TrainingState
from tests.svg_tf import tiny_models

pytest.importorskip("sklearn")
TINY = tiny_models.experiment(steps_per_epoch=5, precision="mixed_float16")
SKIPPED = (3, 7)


class Overflow(keras.callbacks.Callback):
    """Makes the steps `SKIPPED` overflow, and ends the program after step `at`."""

    def __init__(self, at=0):
        super().__init__()
        self.at = at

    def on_train_batch_begin(self, batch, logs=None):
        if self.model.step + 1 in SKIPPED:
            self.before = [np.asarray(v.value) for v in self.model.trainable_variables]
            self.model.optimizer.dynamic_scale.assign(2.0**100)

    def on_train_batch_end(self, batch, logs=None):
        if self.model.step in SKIPPED:
            assert float(self.model.optimizer.dynamic_scale) == 2.0**99
            for variable, before in zip(self.model.trainable_variables, self.before, strict=True):
                np.testing.assert_array_equal(variable.value, before)
            self.model.optimizer.dynamic_scale.assign(2.0**8)
        if self.model.step == self.at:
            raise InterruptedError


def test_a_run_with_skipped_steps_goes_on_where_it_stopped(tmp_path, monkeypatch):
    whole = training.train(TINY, tmp_path / "whole", verbose=False, callbacks=[Overflow()])
    assert isinstance(whole.optimizer, LossScaleOptimizer)
    assert whole.step == 10 and int(whole.optimizer.inner_optimizer.iterations) == 8
    assert [step for step, _ in checkpoints.existing(tmp_path / "whole" / "checkpoints")] == [6, 9, 10]

    with pytest.raises(InterruptedError):
        training.train(TINY, tmp_path / "broken", verbose=False, callbacks=[Overflow(8)])
    starts, load_data = [], run.load_data
    monkeypatch.setattr(run, "load_data", lambda *a, **kw: starts.append(kw.get("start_batch")) or load_data(*a, **kw))
    broken = training.train(TINY, tmp_path / "broken", verbose=False, callbacks=[Overflow()])
    assert 6 in starts  # the checkpoint's step is the place in the data
    values = [TrainingState(model).values() for model in (whole, broken)]
    for name in ("iterations", "dynamic_scale", "step_counter"):
        assert int(getattr(whole.optimizer, name)) == int(getattr(broken.optimizer, name)), name
    worst = {n: np.abs(a - values[1][n]).max() for n, a in values[0].items() if n.startswith("model/")}
    assert np.median(list(worst.values())) < 1e-5, worst  # one step on other data or noise would move most weights by 2e-3


def test_the_scale_is_in_the_checkpoint(tmp_path):
    models = [training.build(TINY), training.build(TINY)]
    models[0].optimizer.dynamic_scale.assign(64.0)
    models[0].optimizer.step_counter.assign(11)
    models[0].clock.assign(5)
    models[0].optimizer.inner_optimizer.iterations.assign(4)
    path = checkpoints.save(tmp_path, TrainingState(models[0]), 5, {}, keep=1)
    checkpoints.restore(path, TrainingState(models[1]))
    restored = models[1].optimizer
    assert [float(v) for v in (restored.dynamic_scale, restored.step_counter, restored.inner_optimizer.iterations)] == [64, 11, 4]
    assert models[1].step == 5


def test_updates_share_one_scale(toy):
    model = families.build(toy.ToyConfig(), dtype="mixed_float16")
    model.compile({"generator": keras.optimizers.SGD(0.1), "discriminator": keras.optimizers.SGD(0.1)})
    model.build_optimizers()
    first, second = model.optimizers.values()
    assert first.dynamic_scale is second.dynamic_scale
    frames = np.random.default_rng(0).random((2, 4, 64, 64, 1), np.float32)
    data = tf.data.Dataset.from_tensors({"frames": frames}).repeat()
    model.fit(data, steps_per_epoch=5, verbose=0)
    first.dynamic_scale.assign(2.0**100)
    before = [v.numpy() for v in model.trainable_variables]
    model.fit(data, steps_per_epoch=1, verbose=0)  # step 6: the generator's update alone is due
    assert float(second.dynamic_scale) == 2.0**99 and model.step == 6
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    names = [name for name in TrainingState(model).variables if "dynamic_scale" in name]
    assert len(names) == 1


def test_an_overflow_in_one_update_shifts_neither_data_nor_noise_nor_logs(toy):
    """With rates of 0 the weights stay: each step's losses tell which data and which noise it had."""
    frames = np.random.default_rng(0).random((6, 2, 4, 32, 32, 1), np.float32)

    def losses(overflows):
        keras.utils.set_random_seed(0)
        model = families.build(toy.ToyConfig(image_size=32, alone=1), dtype="mixed_float16")
        model.compile({name: keras.optimizers.SGD(0.0) for name in model.program.names}, seed=3)
        scale, seen = next(iter(model.optimizers.values())), []

        class Look(keras.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None):
                scale.dynamic_scale.assign(2.0**100 if model.step in overflows else 2.0**8)

            def on_train_batch_end(self, batch, logs=None):
                seen.append(dict(logs))

        model.fit(tf.data.Dataset.from_tensor_slices({"frames": frames}), verbose=0, shuffle=False, callbacks=[Look()])
        assert model.step == 6
        taken = [int(one.inner_optimizer.iterations) for one in model.optimizers.values()]
        return seen, taken

    (calm, both), (shaken, fewer) = losses(()), losses((2, 3))
    assert calm == shaken and len({step["generator/loss"] for step in calm}) == 6
    # The generator skips steps 2 and 3; the discriminator, due at steps 2 and 4, computes in float32 and does not overflow.
    assert (both, fewer) == ([6, 2], [4, 2])


def test_gradients_that_overflow_at_any_scale_stop_the_run(tmp_path):
    model = training.build(TINY)
    stop = callbacks.StopAtNaN(tmp_path)
    stop.set_model(model)
    stop.on_train_batch_end(0, {"loss": 1.0})
    variables = model.trainable_variables
    for _ in range(16):  # from 2^15
        model.optimizer.apply([tf.fill(v.shape, float("inf")) for v in variables], variables)
        model.clock.assign_add(1)
    with pytest.raises(FloatingPointError, match=r"overflow at a loss scale of 0.5 at training step 16"):
        stop.on_train_batch_end(0, {"loss": 1.0})


def test_only_float16_scales_the_loss_and_a_users_own_scaling_is_kept():
    float32 = dataclasses.replace(TINY, train=dataclasses.replace(TINY.train, precision="float32"))
    assert isinstance(training.build(float32).optimizer, keras.optimizers.Adam)
    model = training.build(TINY)
    own = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=4.0)
    model.compile(own)
    assert model.optimizer is own
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(training.build(TINY).optimizer))
    assert isinstance(again, LossScaleOptimizer) and again.inner_optimizer.beta_1 == TINY.train.optimizer.beta_1
