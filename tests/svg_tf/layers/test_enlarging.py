"""Enlargement whose corners stay corners, and the convolution after it, folded or not."""

import numpy as np
import pytest
import tensorflow as tf

from svg_tf import kernels
from svg_tf.layers import enlarging


@pytest.mark.parametrize("side", [1, 2, 5])
def test_enlargement_is_a_line_between_pixels_and_keeps_the_corners(side):
    matrix = enlarging.enlargement(side)
    line = np.random.default_rng(0).random(side)
    places = np.linspace(0, side - 1, 2 * side)
    np.testing.assert_allclose(matrix @ line, np.interp(places, np.arange(side), line), atol=1e-6)
    x = np.random.default_rng(1).random((2, side, side, 3)).astype("float32")
    expected = np.einsum("ai,bj,nijc->nabc", matrix, matrix, x)
    np.testing.assert_allclose(kernels.enlarged(tf.constant(x)), expected, atol=1e-6)
    assert kernels.enlarged(tf.cast(x, tf.bfloat16)).dtype == tf.bfloat16


@pytest.mark.parametrize("side", [2, 6])
def test_taps_before_the_enlargement_give_the_convolution_after_it(side, monkeypatch):
    layer = enlarging.ConvOfEnlarged(side, 3, 4)
    layer.bias.assign([0.1, 0.2, -0.3, 0.4])
    x = tf.random.stateless_normal([2, side, side, 3], [1, 2])
    results = []
    for limit in (16, 0):
        monkeypatch.setattr(enlarging, "FOLDED_UP_TO", limit)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(tf.sin(y))
        results.append((y, *tape.gradient(loss, [x, layer.kernel.value, layer.bias.value])))
    assert results[0][0].shape == (2, 2 * side, 2 * side, 4)
    for folded, plain in zip(*results, strict=True):
        np.testing.assert_allclose(folded, plain, atol=2e-4)
    assert layer.multiply_adds(2 * side, 2 * side) == 4 * side**2 * 9 * 3 * 4
