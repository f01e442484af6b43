"""Normalized kernels of each example, and the blend of images that they move."""

import numpy as np
import pytest
import tensorflow as tf

from svg_tf.layers import cdna

RNG = np.random.default_rng(0)


def random(*shape):
    return RNG.random(shape).astype("float32")


def one_hot(size, row, column, batch=1, count=1):
    kernel = np.zeros((batch, size, size, count), "float32")
    kernel[:, row, column] = 1
    return tf.constant(kernel.reshape(batch, size * size, count))


def oracle(images, kernels, masks, mode="constant"):
    """Shifted sums, in NumPy."""
    n, h, w, c = images.shape
    size, reach = int(kernels.shape[1] ** 0.5), int(kernels.shape[1] ** 0.5) // 2
    padded = np.pad(images, [(0, 0), (reach, reach), (reach, reach), (0, 0)], mode)
    out = np.zeros_like(images)
    for k in range(kernels.shape[2]):
        for i in range(size):
            for j in range(size):
                moved = kernels[:, i * size + j, k][:, None, None, None] * padded[:, i : i + h, j : j + w]
                out += masks[..., k : k + 1] * moved
    return out


def test_kernels_are_not_negative_and_sum_to_one():
    kernels = cdna.normalized_kernels(tf.constant(RNG.standard_normal((3, 25 * 4)).astype("float32")), 5)
    assert kernels.shape == (3, 25, 4) and float(tf.reduce_min(kernels)) >= 0
    np.testing.assert_allclose(tf.reduce_sum(kernels, 1), np.ones((3, 4)), rtol=1e-6)


def test_a_kernel_without_positive_logits_is_uniform_and_dead():
    logits = tf.Variable(-random(2, 25 * 3))
    with tf.GradientTape() as tape:
        kernels = cdna.normalized_kernels(logits, 5)
        value = tf.reduce_sum(kernels * random(2, 25, 3))
    np.testing.assert_allclose(kernels, np.full((2, 25, 3), 1 / 25), rtol=1e-6)
    assert not np.any(tape.gradient(value, logits))


def test_the_index_of_a_kernel_runs_fastest():
    logits = np.zeros((1, 25, 2), "float32")
    logits[0, 7, 1] = logits[0, 3, 0] = 2.0
    kernels = cdna.normalized_kernels(tf.constant(logits.reshape(1, 50)), 5).numpy()
    assert kernels[0, 3, 0] == pytest.approx(1) and kernels[0, 7, 1] == pytest.approx(1)


@pytest.mark.parametrize(("row", "column"), [(2, 2), (2, 3), (1, 2), (0, 4)])
def test_one_hot_kernels_shift(row, column):
    """out(y, x) = image(y + row - 2, x + column - 2), zeros beyond the border."""
    image = random(1, 8, 9, 2)
    moved = cdna.blend(tf.constant(image), one_hot(5, row, column), tf.ones([1, 8, 9, 1]), "zero").numpy()
    padded = np.pad(image, [(0, 0), (2, 2), (2, 2), (0, 0)])
    np.testing.assert_array_equal(moved, padded[:, row : row + 8, column : column + 9])


@pytest.mark.parametrize(("padding", "border"), [("zero", 0.36), ("symmetric", 1.0)])
def test_constant_images_stay_constant_but_for_the_border_of_zero_padding(padding, border):
    image, kernels = tf.ones([1, 8, 8, 1]), tf.fill([1, 25, 1], 1 / 25)
    moved = cdna.blend(image, kernels, tf.ones([1, 8, 8, 1]), padding).numpy()
    np.testing.assert_allclose(moved[:, 2:-2, 2:-2], 1, rtol=1e-6)
    assert moved[0, 0, 0, 0] == pytest.approx(border, rel=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("padding", "mode"), [("zero", "constant"), ("symmetric", "symmetric")])
def test_each_example_has_its_own_kernels_for_all_channels(batch, channels, padding, mode):
    images, kernels, masks = random(batch, 6, 7, channels), random(batch, 9, 4), random(batch, 6, 7, 4)
    blended = cdna.blend(*map(tf.constant, (images, kernels, masks)), padding)
    np.testing.assert_allclose(blended, oracle(images, kernels, masks, mode), rtol=1e-5)
    order = np.arange(batch)[::-1]
    turned = cdna.blend(*(tf.constant(x[order]) for x in (images, kernels, masks)), padding)
    np.testing.assert_allclose(turned, blended.numpy()[order], rtol=1e-6)


def test_gradients_and_a_batch_of_unknown_size():
    images, kernels, masks = (tf.constant(x) for x in (random(2, 4, 4, 2), random(2, 9, 3), random(2, 4, 4, 3)))
    specs = [tf.TensorSpec([None, *x.shape[1:]]) for x in (images, kernels, masks)]
    graph = tf.function(lambda *x: cdna.blend(*x, "zero"), input_signature=specs)
    np.testing.assert_allclose(graph(images, kernels, masks), cdna.blend(images, kernels, masks, "zero"), rtol=1e-6)
    theoretical, numerical = tf.test.compute_gradient(lambda *x: cdna.blend(*x, "zero"), [images, kernels, masks], 1e-2)
    for a, b in zip(theoretical, numerical, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3)
