"""Adam as published, against NumPy in float64; schedules; optimizers from a configuration."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import presets
from svg_tf.config import OptimizerConfig, ScheduleConfig, TrainConfig
from svg_tf.families.interface import Program, Update
from svg_tf.training import optimizers
from svg_tf.training import program as training_program


def adam_in_numpy(gradients, start, rate, b1, b2, epsilon, placement):
    x, m, v = np.array(start, np.float64), np.zeros(len(start)), np.zeros(len(start))
    for t, g in enumerate(np.asarray(gradients, np.float64), 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        if placement == "pytorch":  # Kingma & Ba, algorithm 1
            x = x - rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + epsilon)
        else:  # their section 2's reordering
            x = x - rate * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + epsilon)
    return x


@pytest.mark.parametrize("placement", ["pytorch", "keras"])
def test_adam_with_gradients_as_small_as_epsilon(placement):
    rng = np.random.default_rng(0)
    gradients = (rng.standard_normal((20, 5)) * 10.0 ** np.array([-9, -8, -7, -3, 0])).astype(np.float32)
    variable = keras.Variable(np.zeros(5, np.float32))
    adam = optimizers.Adam(1e-2, epsilon=1e-8, epsilon_placement=placement)
    adam.build([variable])
    for t, gradient in enumerate(gradients, 1):
        adam.apply([gradient], [variable])
        expected = adam_in_numpy(gradients[:t], np.zeros(5), 1e-2, 0.9, 0.999, 1e-8, placement)
        np.testing.assert_allclose(variable.numpy(), expected, rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize("placement", ["pytorch", "keras"])
def test_moving_averages_of_weights(placement):
    """After update n (from 0) by min(decay, n / (n + 10)); they do not change how the weights move."""
    rng = np.random.default_rng(0)
    plain, averaged = keras.Variable(np.ones(4, np.float32)), keras.Variable(np.ones(4, np.float32))
    adams = [optimizers.Adam(1e-1, epsilon_placement=placement, average=average) for average in (None, 0.6)]
    mean = np.zeros(4)
    for n in range(30):
        gradient = rng.standard_normal(4).astype(np.float32)
        for adam, variable in zip(adams, (plain, averaged), strict=True):
            adam.apply([gradient], [variable])
        decay = min(0.6, n / (n + 10))
        mean = decay * mean + (1 - decay) * averaged.numpy()
        np.testing.assert_array_equal(plain, averaged)
        ((moved, kept),) = adams[1].averages()
        assert moved is averaged and adams[0].averages() == []
        np.testing.assert_allclose(kept, mean, rtol=1e-5, atol=1e-6)
    assert np.abs(mean - averaged.numpy()).max() > 0.01


def test_the_placement_matters_at_first_and_keras_s_is_keras_s():
    gradient = np.full(3, 1e-8, np.float32)
    steps = {}
    for name, adam in (
        ("pytorch", optimizers.Adam(1e-2)),
        ("keras", optimizers.Adam(1e-2, epsilon_placement="keras")),
        ("its own", keras.optimizers.Adam(1e-2, epsilon=1e-8)),
    ):
        variable = keras.Variable(np.zeros(3, np.float32))
        adam.build([variable])
        adam.apply([gradient], [variable])
        steps[name] = variable.numpy()
    np.testing.assert_allclose(steps["pytorch"], -1e-2 / 2, rtol=1e-4)
    assert np.abs(steps["keras"]).max() < np.abs(steps["pytorch"]).max() / 15
    np.testing.assert_array_equal(steps["keras"], steps["its own"])


def test_keras_s_placement_is_keras_s_bit_for_bit():
    rng = np.random.default_rng(1)
    gradients, found = rng.standard_normal((20, 5)).astype(np.float32) * np.float32(1e-6), []
    for adam in (optimizers.Adam(1e-2, epsilon_placement="keras"), keras.optimizers.Adam(1e-2, epsilon=1e-8)):
        variable = keras.Variable(np.zeros(5, np.float32))
        adam.build([variable])
        for gradient in gradients:
            adam.apply([gradient], [variable])
        found.append(variable.numpy())
    np.testing.assert_array_equal(*found)


def program(every=1):
    critic = [Update("critic", None, ("loss",), list, every)] if every > 1 else []
    return Program.of(Update("elbo", None, ("loss",), list), *critic)


def rates(optimizer, steps):
    optimizer.build([])
    found = []
    for step in steps:
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    return found


def test_optimizers_follow_the_configuration():
    adam = optimizers.of(presets.get("smmnist_lp").train, program())["elbo"]
    assert (adam.beta_1, adam.beta_2, adam.epsilon, adam.epsilon_placement, adam.clip_norm) == (0.9, 0.999, 1e-8, "pytorch", None)
    assert rates(adam, [0, 100_000]) == pytest.approx([2e-3, 2e-3])
    cosine = OptimizerConfig(schedule=ScheduleConfig("cosine", 1e-4))
    critic = OptimizerConfig(1e-3, clip_norm=0.5)
    train = TrainConfig(epochs=2, steps_per_epoch=5, optimizer=cosine, optimizers={"critic": critic})
    both = optimizers.of(train, program(every=2))
    assert rates(both["elbo"], [0, 5, 10]) == pytest.approx([2e-3, 1.05e-3, 1e-4])
    assert (both["critic"].clip_norm, both["critic"].name) == (0.5, "critic")
    with pytest.raises(ValueError, match="has 'critic'; the updates of this model are elbo"):
        optimizers.of(train, program())


def test_linear_decay_is_the_published_program_s():
    """Constant; after update number `constant` the published schedule moves on, so that the last update has rate 0."""
    constant, decay = 6, 4
    config = OptimizerConfig(3e-4, schedule=ScheduleConfig("linear", steps=decay))
    adam = optimizers.build(config, steps=constant + decay)
    shares, moves = [], 0
    for update in range(1, constant + decay + 1):
        shares.append(max(0, (decay - moves) / decay))
        moves += update >= constant
    assert rates(adam, range(10)) == pytest.approx([3e-4 * share for share in shares], abs=1e-10)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(adam))
    assert rates(again, range(10)) == pytest.approx(rates(adam, range(10)))
    assert again.epsilon_placement == "pytorch"


def test_gradients_are_clipped_together_or_each_by_itself():
    gradients = [tf.constant([3.0, 4.0]), None, tf.constant([0.6, 0.8])]  # norms 5 and 1, together 26 ** 0.5
    together, each = (
        training_program.clipped(gradients, optimizers.build(OptimizerConfig(clip_norm=2.0, clip_by=by), steps=1))
        for by in ("global", "variable")
    )
    np.testing.assert_allclose(together[0], np.array([3.0, 4.0]) * 2 / 26**0.5, rtol=1e-6)
    np.testing.assert_allclose(together[2], np.array([0.6, 0.8]) * 2 / 26**0.5, rtol=1e-6)
    np.testing.assert_allclose(each[0], [1.2, 1.6], rtol=1e-6)
    np.testing.assert_allclose(each[2], [0.6, 0.8], rtol=1e-6)
    assert together[1] is None and each[1] is None
    adam = optimizers.Adam(clip_norm=1.0, clip_by="variable")
    assert optimizers.Adam.from_config(adam.get_config()).clip_by == "variable"
    with pytest.raises(ValueError, match="clip_by must be"):
        OptimizerConfig(clip_by="layer")


def test_a_schedule_of_an_update_that_is_not_always_due_counts_its_own_steps():
    config = OptimizerConfig(1.0, schedule=ScheduleConfig("cosine", 0.0))
    train = dataclasses.replace(TrainConfig(epochs=1, steps_per_epoch=20), optimizer=config)
    assert rates(optimizers.of(train, program(every=2))["critic"], [10]) == pytest.approx([0.0], abs=1e-6)
