"""The conv-LSTM cell and the layers around it, against their equations and TensorFlow's own operations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf.layers.conv_lstm import Conv, ConvLSTM, ConvUp, LayerNorm

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype("float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_cell_by_hand_on_maps_of_one_pixel():
    cell = ConvLSTM(2, 3, 3)
    cell.bias.assign(normal(12))
    x, h, c = normal(2, 1, 1, 2), normal(2, 1, 1, 3), normal(2, 1, 1, 3)
    _, (new_h, new_c) = cell(tf.constant(x), (tf.constant(h), tf.constant(c)))
    gates = x[:, 0, 0] @ cell.kernel.numpy()[1, 1] + h[:, 0, 0] @ cell.recurrent_kernel.numpy()[1, 1] + cell.bias.numpy()
    i, j, f, o = np.split(gates, 4, -1)
    expected = sigmoid(f + 1) * c[:, 0, 0] + sigmoid(i) * np.tanh(j)
    np.testing.assert_allclose(new_c[:, 0, 0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(new_h[:, 0, 0], np.tanh(expected) * sigmoid(o), rtol=1e-5, atol=1e-6)


def test_a_fresh_cell_keeps_sigmoid_of_one_of_its_state():
    cell = ConvLSTM(1, 1, 3)
    for weight in cell.weights:
        weight.assign(tf.zeros_like(weight))
    zeros = tf.zeros([1, 2, 2, 1])
    _, (_, c) = cell(zeros, (zeros, tf.ones([1, 2, 2, 1])))
    np.testing.assert_allclose(c, np.full((1, 2, 2, 1), sigmoid(1.0)), rtol=1e-6)


def test_many_steps_at_once_one_by_one_and_in_a_loop():
    cell, x = ConvLSTM(2, 3, 3), tf.constant(normal(4 * 2, 4, 5, 2))
    start = cell.initial_state(2, 4, 5)
    together, end = cell(x, start, steps=4)
    state, outputs = start, []
    for now in tf.split(x, 4):
        y, state = cell(now, state)
        outputs.append(y)
    loop = tf.function(
        lambda x, steps: cell(x, cell.initial_state(tf.shape(x)[0] // steps, 4, 5), steps=steps),
        input_signature=[tf.TensorSpec([None, 4, 5, 2]), tf.TensorSpec([], tf.int32)],
    )
    looped, looped_end = loop(x, tf.constant(4))
    for found, last in ((tf.concat(outputs, 0), state), (looped, looped_end)):
        np.testing.assert_allclose(found, together, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(last[1], end[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("use_bias", [True, False])
def test_up_is_tensorflows_transposed_convolution(use_bias):
    layer, x = ConvUp(2, 3, use_bias=use_bias), tf.constant(normal(2, 4, 5, 2))
    expected = tf.nn.conv2d_transpose(x, layer.kernel.value, [2, 8, 10, 3], 2, "SAME")
    if use_bias:
        layer.bias.assign(normal(3))
        expected = expected + layer.bias.value
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "strides"), [(5, 2), (3, 1), (1, 1)])
def test_convolutions_pad_as_tensorflow_does(size, strides):
    layer, x = Conv(2, 3, size, strides), tf.constant(normal(2, 6, 8, 2))
    np.testing.assert_allclose(layer(x), tf.nn.conv2d(x, layer.kernel.value, strides, "SAME"), rtol=1e-4, atol=1e-6)


def test_normalization_is_of_the_whole_map_with_weights_for_each_channel():
    layer, x = LayerNorm(4, 1e-5), tf.constant(3 + 2 * normal(3, 5, 6, 4))
    assert [w.shape for w in layer.weights] == [(4,), (4,)]
    layer.gamma.assign(normal(4))
    layer.beta.assign(normal(4))
    groups = keras.layers.GroupNormalization(groups=1, epsilon=1e-5)
    groups.build(x.shape)
    groups.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(x), groups(x), rtol=1e-4, atol=1e-5)


def test_a_map_of_one_value_becomes_the_offset():
    layer = LayerNorm(2, 1e-12)
    np.testing.assert_array_equal(layer(tf.fill([1, 4, 4, 2], 0.3)), np.zeros((1, 4, 4, 2)))


def test_arithmetic_of_float16_layers_is_in_range():
    layer = LayerNorm(2, 1e-12, dtype="mixed_float16")
    y = layer(tf.cast(tf.constant(1e-3 * normal(2, 4, 4, 2)), tf.float16))
    assert y.dtype == tf.float16 and np.isfinite(y).all() and abs(np.std(y) - 1) < 0.1
