"""Parts of SAVP: convolutions, transformations, spectral norms, the game's losses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf.families.savp import adversary, discriminators, inference, layers, transformations
from svg_tf.families.savp.config import SAVPConfig
from svg_tf.layers import cdna
from svg_tf.layers.conv_lstm import InstanceNorm, NormalizedConvLSTM
from tests.svg_tf.families.savp import numpy_savp

RNG = np.random.default_rng(0)
TINY = SAVPConfig(image_size=16, width=2, channels=2, lstm_kernel_size=3, transformed_images=3, clip_length=4, n_past=2)


def random(*shape):
    return RNG.standard_normal(shape).astype("float32")


@pytest.mark.parametrize(("kind", "size"), [("same", 3), ("pooled", 3), ("pooled", 5), ("enlarged", 3)])
@pytest.mark.parametrize("place", [(4, 4), (12, 8)])
def test_one_convolution_of_the_small_map_is_the_plain_form(kind, size, place):
    """Folded kernels and border classes, against tiled vectors, averages and bilinear enlargement."""
    conv = layers.Conv(kind, place, 3, 2, 4, size)
    conv.kernel.assign(random(*conv.kernel.shape))
    conv.bias.assign(random(4))
    x, r = random(2, *place, 3), random(2, 2)
    y = numpy_savp.tiled(x, r).astype(np.float64)
    y = numpy_savp.enlarged(y) if kind == "enlarged" else y
    y = numpy_savp.windows_product(y, conv.kernel.numpy(), 1, 0 if kind == "enlarged" else size // 2) + conv.bias.numpy()
    y = numpy_savp.averaged(y) if kind == "pooled" else y
    found = conv(x, r)
    assert found.shape == (2, *conv.result_place, 4)
    np.testing.assert_allclose(found, y, atol=2e-5)


@pytest.mark.parametrize(("place", "size"), [((2, 2), 5), ((4, 4), 5), ((2, 16), 5), ((16, 4), 3)])
def test_a_vector_at_every_pixel(place, size):
    kernel, r = random(size, size, 3, 2), random(2, 3)
    everywhere = layers.Everywhere(place, size, 1, size // 2)
    tiled = np.broadcast_to(r[:, None, None], (2, *place, 3))
    expected = tf.nn.conv2d(tiled, kernel, 1, "SAME")
    np.testing.assert_allclose(everywhere(tf.constant(r), everywhere.sums(tf.constant(kernel))), expected, atol=1e-4)


def test_normalization_and_the_carried_state():
    norm = InstanceNorm(3, layers.NORM_EPSILON)
    assert [tuple(v.shape) for v in norm.trainable_variables] == [(3,), (3,)]
    flat = np.full((2, 4, 4, 3), 5.0, "float32")
    np.testing.assert_allclose(norm(flat), np.zeros_like(flat), atol=1e-5)  # a constant map, without a division by zero
    cell = NormalizedConvLSTM(2, 3, 3, layers.NORM_EPSILON)
    state = cell.initial_state(2, 4, 4)
    _, (h, c) = cell(random(2, 4, 4, 2), state)
    np.testing.assert_allclose(tf.reduce_mean(c, [1, 2]), np.zeros((2, 3)), atol=1e-5)  # c is normalized as it is carried on
    np.testing.assert_allclose(tf.math.reduce_std(c, [1, 2]), np.ones((2, 3)), rtol=2e-2)
    assert float(tf.reduce_max(abs(h))) < 1


def test_the_vectors_lstm_by_hand():
    lstm = layers.LSTM(2, 3)
    x = random(4, 2, 2)
    h = c = np.zeros((2, 3))
    k, u, b = (v.numpy() for v in (lstm.kernel, lstm.recurrent_kernel, lstm.bias))
    for now, found in zip(x, lstm(x), strict=True):
        i, f, j, o = np.split(now @ k + h @ u + b, 4, axis=-1)
        c = numpy_savp.sigmoid(f + 1) * c + numpy_savp.sigmoid(i) * np.tanh(j)
        h = numpy_savp.sigmoid(o) * np.tanh(c)
        np.testing.assert_allclose(found, h, atol=1e-5)
    of_any_length = tf.function(lstm, input_signature=[tf.TensorSpec([None, 2, 2])])
    np.testing.assert_allclose(of_any_length(x), lstm(x), atol=1e-6)


@pytest.mark.parametrize("kind", ["cdna", "dna", "flow"])
def test_weights_of_zero_move_nothing(kind):
    layer = transformations.TRANSFORMATIONS[kind](TINY, 32)
    for v in layer.trainable_variables:
        v.assign(tf.zeros_like(v))
    u = RNG.random((2, 16, 16, 2)).astype("float32")
    images, roughness = layer.moved(tf.zeros([2, 4, 4, 2]), random(2, 16, 16, 2), tf.constant(u))
    assert images.shape == (2, 16, 16, 3, 2)
    np.testing.assert_allclose(images, np.repeat(u[:, :, :, None], 3, axis=3), atol=1e-6)  # the border, too
    assert (roughness is None) == (kind != "flow") and (roughness is None or not np.any(roughness))


def test_kernels_of_pixels_that_are_the_same_are_kernels_of_the_image():
    logits, u = abs(random(2, 25 * 3)), tf.constant(RNG.random((2, 16, 16, 2)).astype("float32"))
    pixels = transformations.PixelKernels(TINY, 32)
    pixels.numbers = lambda features: tf.tile(tf.constant(logits)[:, None, None], [1, 16, 16, 1])
    images, _ = pixels.moved(None, None, u)
    whole = tf.reshape(logits, [2, 25, 3]) + transformations.identity(5)[:, None]
    kernels = cdna.normalized_kernels(tf.reshape(whole, [2, 75]), 5)
    expected = tf.transpose(cdna.moved(u, kernels, "symmetric"), [3, 1, 2, 4, 0])
    np.testing.assert_allclose(images, expected, atol=1e-5)
    flat, _ = pixels.moved(None, None, tf.fill([2, 16, 16, 2], 0.7))
    np.testing.assert_allclose(flat, np.full(flat.shape, 0.7), rtol=1e-5)  # constants stay, at the border, too


def test_flow_shifts_with_the_border_repeated():
    u = RNG.random((1, 5, 6, 2)).astype("float32")

    def along(x, y):
        return transformations.warp(tf.constant(u), tf.ones([1, 5, 6, 1]) * [[[[float(x), float(y)]]]])[0].numpy()

    rows, columns = np.arange(5), np.arange(6)
    np.testing.assert_allclose(along(0, 0), u[0])
    np.testing.assert_allclose(along(2, 0), u[0][:, np.clip(columns + 2, 0, 5)], atol=1e-6)
    np.testing.assert_allclose(along(0, -1), u[0][np.clip(rows - 1, 0, 4)], atol=1e-6)
    half = (u[0][:, :-1] + u[0][:, 1:]) / 2
    np.testing.assert_allclose(along(0.5, 0)[:, :-1], half, atol=1e-6)
    np.testing.assert_allclose(along(0.5, 0)[:, -1], u[0][:, -1], atol=1e-6)
    flow = np.zeros((1, 4, 4, 2), "float32")
    flow[0, :, 2:, 0] = 3.0  # one step of 3 to the right in each row, of three differences in a row
    assert float(transformations.total_variation(tf.constant(flow))[0]) == pytest.approx(1.0)


def made_kernel(*shape):
    kernel = discriminators.SpectralKernel(shape)
    kernel.kernel.assign(random(*shape))
    return kernel


def test_the_spectral_norm_is_the_largest_singular_value():
    spectral = made_kernel(3, 3, 2, 4, 5)
    matrix = spectral.kernel.numpy().reshape(-1, 5)
    for _ in range(60):
        normalized = spectral.normalized(iterate=True).numpy()
    largest = np.linalg.svd(matrix, compute_uv=False)[0]
    np.testing.assert_allclose(normalized, spectral.kernel.numpy() / largest, rtol=1e-3, atol=1e-6)
    assert np.linalg.svd(normalized.reshape(-1, 5), compute_uv=False)[0] == pytest.approx(1, rel=1e-3)
    u = spectral.u.numpy()
    np.testing.assert_array_equal(spectral.normalized(), spectral.normalized())
    np.testing.assert_array_equal(spectral.u.numpy(), u)  # it moves where it is told to alone


def test_the_gradient_passes_through_the_norm_with_its_vectors_held():
    spectral, weights = made_kernel(4, 3), random(4, 3)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(spectral.normalized() * weights)
    gradient = tape.gradient(value, spectral.kernel.value).numpy()
    kernel = spectral.kernel.numpy().astype(np.float64)
    v = kernel @ spectral.u.numpy()[0]
    v /= np.linalg.norm(v)
    u = v @ kernel / np.linalg.norm(v @ kernel)

    def of(kernel):
        return (kernel / (v @ kernel @ u) * weights).sum()

    for index in np.ndindex(4, 3):
        moved = kernel.copy()
        moved[index] += 1e-6
        assert gradient[index] == pytest.approx((of(moved) - of(kernel)) / 1e-6, rel=1e-3, abs=1e-4)


def test_a_video_convolution_is_one_over_space_and_time():
    for frames, time_strides, strides in ((3, 1, 1), (4, 1, 2), (4, 2, 2)):
        conv = discriminators.VideoConv(2, 3, frames, time_strides, strides)
        x = random(7, 2, 8, 8, 2)
        kernel = tf.transpose(conv.normalized(), [2, 0, 1, 3, 4])
        padded = tf.pad(tf.transpose(x, [1, 0, 2, 3, 4]), [[0, 0], [1, 1], [1, 1], [1, 1], [0, 0]])
        expected = tf.nn.leaky_relu(tf.nn.conv3d(padded, kernel, [1, time_strides, strides, strides, 1], "VALID"), 0.1)
        found = conv(x)
        assert found.shape[0] == conv.length_after(7)
        np.testing.assert_allclose(found, tf.transpose(expected, [1, 0, 2, 3, 4]), atol=1e-5)


def test_losses_of_the_game():
    zero, one = tf.zeros([3]), tf.ones([3])
    np.testing.assert_array_equal(adversary.discriminator_loss("lsgan", zero, zero), one)
    np.testing.assert_array_equal(adversary.generator_loss("lsgan", zero), one)
    np.testing.assert_array_equal(adversary.discriminator_loss("lsgan", one, zero), zero)  # a perfect one
    np.testing.assert_array_equal(adversary.generator_loss("lsgan", one), zero)
    np.testing.assert_allclose(adversary.discriminator_loss("cross_entropy", zero, zero), 2 * np.log(2) * one, rtol=1e-6)
    np.testing.assert_allclose(adversary.generator_loss("cross_entropy", zero), np.log(2) * one, rtol=1e-6)


def test_the_distance_of_features():
    a, right, up = random(3, 2, 4, 4, 5), np.zeros((1, 1, 2, 2, 2), "float32"), np.zeros((1, 1, 2, 2, 2), "float32")
    right[..., 0], up[..., 1] = 2.0, 3.0
    np.testing.assert_allclose(adversary.feature_distance([a], [3 * a]), [0, 0], atol=1e-6)
    np.testing.assert_allclose(adversary.feature_distance([right, up], [up, right]), [2.0], rtol=1e-6)  # of two layers
    blank = tf.Variable(tf.zeros([1, 1, 2, 2, 2]))
    with tf.GradientTape() as tape:
        distance = adversary.feature_distance([right], [blank])
    assert not np.any(tape.gradient(distance, blank))  # and not NaN


def test_clips_start_everywhere_and_evenly():
    seed = tf.constant([1, 2])
    starts = adversary.clip_starts(seed, 9, 4, 6000).numpy()
    assert set(starts) == set(range(6)) and np.bincount(starts).min() > 900
    frames = tf.reshape(tf.range(9.0), [9, 1, 1, 1, 1]) * tf.ones([9, 3, 1, 1, 1])
    cut = adversary.clips(frames, tf.constant([0, 5, 2]), 4)
    np.testing.assert_array_equal(cut[:, :, 0, 0, 0], [[0, 5, 2], [1, 6, 3], [2, 7, 4], [3, 8, 5]])
    assert adversary.clips(frames, tf.zeros([3], tf.int32), 9) is frames


def test_the_log_variance_is_bounded_and_pairs_see_two_frames():
    keras.utils.set_random_seed(0)
    net = inference.PairGaussian(SAVPConfig(image_size=16, encoder_width=2, z_dim=3), recurrent=False)
    x = RNG.random((5, 2, 16, 16, 1)).astype("float32")
    q = net.posterior(tf.constant(x))
    assert q.mean().shape == (4, 2, 3)
    changed = x.copy()
    changed[3] = 1 - changed[3]
    same = np.all(net.posterior(tf.constant(changed)).mean() == q.mean(), axis=(1, 2))
    np.testing.assert_array_equal(same, [True, True, False, False])
    for sign in (-1, 1):
        net.heads["log_variance"].bias.assign(np.full(3, sign * 100.0))
        np.testing.assert_allclose(net.posterior(tf.constant(x)).stddev(), np.full((4, 2, 3), np.exp(sign * 5.0)), rtol=1e-5)
