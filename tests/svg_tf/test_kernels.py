"""Convolution, normalization and LSTM kernels against TensorFlow's own operations and automatic differentiation."""

import numpy as np
import pytest
import tensorflow as tf

from svg_tf import kernels

PAD = [[0, 0], [1, 1], [1, 1], [0, 0]]


def outputs_and_gradients(function, *inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = tf.nest.flatten(function(*inputs))
        weights = [tf.cos(tf.reshape(tf.range(tf.size(y), dtype=tf.float32), y.shape)) for y in outputs]
        loss = tf.add_n([tf.reduce_sum(w * y) for w, y in zip(weights, outputs, strict=True)])
    return [*outputs, *tape.gradient(loss, inputs)]


def assert_equal(actual, expected, rtol=2e-5):
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, atol=rtol * float(tf.reduce_max(abs(e))))


@pytest.mark.parametrize(("h", "ci", "co"), [(4, 130, 24), (4, 20, 17), (8, 17, 16), (2, 1, 20), (8, 20, 3)])
def test_strided_convolutions_and_their_gradients(h, ci, co):
    rng = tf.random.Generator.from_seed(1)
    kernel = rng.normal([4, 4, ci, co])
    x = rng.normal([3, 2 * h, 2 * h, ci])
    assert_equal(
        outputs_and_gradients(kernels.conv_down, x, kernel),
        outputs_and_gradients(lambda x, k: tf.nn.conv2d(x, k, 2, PAD), x, kernel),
    )
    x = rng.normal([3, h, h, co])
    assert_equal(
        outputs_and_gradients(kernels.conv_up, x, kernel),
        outputs_and_gradients(lambda x, k: tf.nn.conv2d_transpose(x, k, [3, 2 * h, 2 * h, ci], 2, PAD), x, kernel),
    )


def test_conv_up_takes_any_batch_in_a_graph():
    kernel = tf.random.Generator.from_seed(0).normal([4, 4, 16, 16])
    function = tf.function(lambda x: kernels.conv_up(x, kernel), input_signature=[tf.TensorSpec([None, 4, 4, 16])])
    for batch in (1, 3):
        x = tf.random.Generator.from_seed(batch).normal([batch, 4, 4, 16])
        np.testing.assert_allclose(function(x), kernels.conv_up(x, kernel), atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2])
def test_batch_norm(groups):
    rng = tf.random.Generator.from_seed(2)
    x, gamma, beta = rng.normal([6, 3, 3, 5], 2.0, 3.0), rng.normal([5]), rng.normal([5])

    def reference(x, gamma, beta):
        parts = []
        for part in tf.split(x, groups):
            mean, variance = tf.nn.moments(part, [0, 1, 2])
            parts.append((part - mean) / tf.sqrt(variance + 1e-5) * gamma + beta)
        return tf.concat(parts, 0)

    assert_equal(
        outputs_and_gradients(lambda *a: kernels.batch_norm(*a, 1e-5, groups)[0], x, gamma, beta),
        outputs_and_gradients(reference, x, gamma, beta),
    )
    _, mean, variance = kernels.batch_norm(x, gamma, beta, 1e-5, groups)
    parts = np.split(x.numpy(), groups)
    np.testing.assert_allclose(mean, [p.mean((0, 1, 2)) for p in parts], rtol=1e-5)
    np.testing.assert_allclose(variance, [p.reshape(-1, 5).var(0, ddof=1) for p in parts], rtol=1e-4)


def test_lstm_backward_equals_automatic_differentiation():
    rng = tf.random.Generator.from_seed(3)
    projected, recurrent, h, c = rng.normal([5, 2, 12]), rng.normal([3, 12]), rng.normal([2, 3]), rng.normal([2, 3])

    def reference(projected, recurrent, h, c):
        outputs = []
        for now in tf.unstack(projected):
            i, f, candidate, o = tf.split(now + h @ recurrent, 4, -1)
            c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(candidate)
            h = tf.sigmoid(o) * tf.tanh(c)
            outputs.append(h)
        return tf.stack(outputs), h, c

    inputs = (projected, recurrent, h, c)
    assert_equal(kernels.lstm_loop(*inputs), reference(*inputs))
    assert_equal(outputs_and_gradients(kernels.lstm, *inputs), outputs_and_gradients(reference, *inputs))


def test_split_off_head_equals_slicing():
    x = tf.random.Generator.from_seed(4).normal([4, 3])
    expected = outputs_and_gradients(lambda x: (x + 0, x[:2]), x)
    assert_equal(outputs_and_gradients(lambda x: kernels.split_off_head(x, 2), x), expected)


@pytest.mark.parametrize("channels", [(20, 24), (3, 2)])  # in four parities, and by TensorFlow's transposed convolution
def test_enlarged_convolution_is_a_convolution_of_the_enlarged_map(channels):
    rng = tf.random.Generator.from_seed(1)
    x, kernel = rng.normal([2, 5, 3, channels[0]]), rng.normal([3, 3, *channels])
    assert_equal(
        outputs_and_gradients(kernels.conv_enlarged, x, kernel),
        outputs_and_gradients(lambda x, k: tf.nn.conv2d(tf.repeat(tf.repeat(x, 2, 1), 2, 2), k, 1, "SAME"), x, kernel),
    )
