"""Pixel scale and size."""

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import transform


def test_round_trip_and_exact_division():
    levels = np.arange(256, dtype=np.uint8)
    scaled = transform.to_float(levels).numpy()
    np.testing.assert_array_equal(scaled, levels.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(transform.to_uint8(scaled), levels)
    np.testing.assert_array_equal(transform.to_uint8([-1.0, 2.0, 0.5]), [0, 255, 128])
    np.testing.assert_array_equal(transform.layers_to_float([tf.constant([200], tf.uint8), tf.constant([100], tf.uint8)]), [1.0])


def test_resize():
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    small = transform.resize(images, 4, 4, method="area").numpy()
    expected = images.reshape(2, 4, 2, 4, 2, 3).mean((2, 4))
    assert small.dtype == np.uint8 and np.abs(small - expected).max() <= 0.5
    assert transform.resize(tf.constant(images), 8, 8).numpy().tobytes() == images.tobytes()
    flat = np.full((1, 5, 7, 1), 200, np.uint8)
    for method in ("bilinear", "bicubic", "area"):
        assert set(transform.resize(flat, 9, 3, method).numpy().ravel()) == {200}


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: transform.to_float(np.zeros(3)), "must be uint8"),
        (lambda: transform.to_uint8(np.zeros(3, np.uint8)), "must be floats"),
        (lambda: transform.resize(np.zeros((1, 2, 2, 1)), 4, 4), "must be uint8"),
        (lambda: transform.resize(np.zeros((2, 2, 1), np.uint8), 4, 4), "must be uint8"),
        (lambda: transform.resize(np.zeros((1, 2, 2, 1), np.uint8), 0, 4), "height must be an integer in .1, 4096., got 0"),
        (lambda: transform.resize(np.zeros((1, 2, 2, 1), np.uint8), 4, 4, "cubic"), "method must be"),
    ],
)
def test_bad_pixels(call, message):
    with pytest.raises(ValueError, match=message):
        call()
