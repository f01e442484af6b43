"""Backward passes that are written out, against automatic differentiation of the plain expressions."""

import numpy as np
import tensorflow as tf

from svg_tf import motion_kernels

RNG = np.random.default_rng(0)


def normal(*shape):
    return tf.constant(RNG.standard_normal(shape), tf.float32)


def gradients(function, inputs, weights):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        results = tf.nest.flatten(function(*inputs))
        value = tf.add_n([tf.reduce_sum(r * w) for r, w in zip(results, weights, strict=True)])
    return results, tape.gradient(value, inputs)


def same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


def plain_cell(gates, c):
    i, j, f, o = tf.split(gates, 4, axis=-1)
    c = tf.sigmoid(f + 1.0) * c + tf.sigmoid(i) * tf.tanh(j)
    return tf.tanh(c) * tf.sigmoid(o), c


def plain_norm(x, gamma, beta):
    mean, variance = tf.nn.moments(x, [1, 2, 3], keepdims=True)
    return (x - mean) / tf.sqrt(variance + 1e-3) * gamma + beta


def test_gates_to_state():
    inputs, weights = [normal(2, 3, 4, 8), normal(2, 3, 4, 2)], [normal(2, 3, 4, 2), normal(2, 3, 4, 2)]
    results, found = gradients(lambda *x: motion_kernels.gates_to_state(*x, 1.0), inputs, weights)
    expected_results, expected = gradients(plain_cell, inputs, weights)
    same(results + found, expected_results + expected)


def test_layer_norm():
    inputs, weights = [2 + normal(3, 4, 5, 2), normal(2), normal(2)], [normal(3, 4, 5, 2)]
    results, found = gradients(lambda *x: motion_kernels.layer_norm(*x, 1e-3), inputs, weights)
    expected_results, expected = gradients(plain_norm, inputs, weights)
    same(results + found, expected_results + expected)


def test_over_time_runs_through_the_steps_in_order():
    def step(x, state):
        total = state[0] + x
        return total, (total,)

    x = tf.reshape(tf.range(6.0), [6, 1])
    outputs, (last,) = tf.function(lambda n: motion_kernels.over_time(step, x, (tf.zeros([2, 1]),), n))(tf.constant(3))
    np.testing.assert_array_equal(outputs[:, 0], [0, 1, 2, 4, 6, 9])
    np.testing.assert_array_equal(last[:, 0], [6, 9])


def test_a_conv_lstm_over_known_steps_equals_automatic_differentiation():
    """Values and all gradients, float64, a map of unequal sides."""
    rng, steps = np.random.default_rng(0), 3
    shapes = (steps * 2, 4, 5, 12), (3, 3, 3, 12), (2, 4, 5, 3), (2, 4, 5, 3)
    arguments = [tf.constant(rng.standard_normal(shape)) for shape in shapes]

    def plain(projected, kernel, h, c):
        outputs = []
        for now in tf.split(projected, steps):
            i, j, f, o = tf.split(now + tf.nn.conv2d(h, kernel, 1, "SAME"), 4, axis=-1)
            c = tf.sigmoid(f + 0.7) * c + tf.sigmoid(i) * tf.tanh(j)
            h = tf.tanh(c) * tf.sigmoid(o)
            outputs.append(h)
        return tf.concat(outputs, axis=0), h, c

    def values_and_gradients(function):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            values = function(*arguments)
            total = tf.add_n([tf.reduce_sum(tf.sin((i + 2) * value)) for i, value in enumerate(values)])
        return [*values, *tape.gradient(total, arguments)]

    written = values_and_gradients(lambda *tensors: motion_kernels.conv_lstm(*tensors, steps, 0.7))
    for a, b in zip(written, values_and_gradients(plain), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
