"""Frame metrics against scikit-image in float64 and tf.image."""

import numpy as np
import pytest
import tensorflow as tf

from svg_tf.evaluation.metrics import mse, psnr, ssim

skimage_metrics = pytest.importorskip("skimage.metrics")


def pairs():
    """Name -> (x, x_hat) float64 [4, 64, 64, C] in [0, 1]: noise and the cases in which one-pass float32 moments fail."""
    r = np.random.default_rng(0)
    cases = {}
    for c in (1, 3):
        shape = (4, 64, 64, c)
        noise = r.random(shape)
        smooth = np.stack([np.outer(np.linspace(0, 1, 64), np.linspace(0.2, 1, 64))] * c, -1)[None].repeat(4, 0)
        digits = (r.random(shape) > 0.9) * r.random(shape)
        halves = np.zeros(shape)
        halves[:, :, 32:] = 1.0
        cases |= {
            f"random-{c}": (noise, r.random(shape)),
            f"near-{c}": (noise, np.clip(noise + 0.05 * r.standard_normal(shape), 0, 1)),
            f"constant-{c}": (np.full(shape, 0.25), np.full(shape, 0.75)),
            f"bright-{c}": (0.99 + 0.01 * noise, 0.99 + 0.01 * r.random(shape)),
            f"low_contrast-{c}": (0.7 + 1e-3 * noise, 0.7 + 1e-3 * r.random(shape)),
            f"identical-{c}": (noise, noise.copy()),
            f"black-{c}": (digits, np.zeros(shape)),
            f"smooth-{c}": (smooth, np.clip(smooth + 0.01 * r.standard_normal(shape), 0, 1)),
            f"halves-{c}": (halves, np.clip(halves + 1e-3 * r.standard_normal(shape), 0, 1)),
            f"inverted-{c}": (halves, 1 - halves),
        }
    return cases


PAIRS = pairs()
PROTOCOLS = {
    "srvp": {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0},
    "svg": {"win_size": 7, "data_range": 2.0},
}


def skimage_ssim(x, x_hat, protocol):
    # The inputs are rounded to float32 first: the metric is judged, not the dtype of what it was given.
    x, x_hat = (v.astype(np.float32).astype(np.float64) for v in (x, x_hat))
    f = skimage_metrics.structural_similarity
    return np.array([f(a, b, channel_axis=-1, **PROTOCOLS[protocol]) for a, b in zip(x, x_hat, strict=True)])


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("case", sorted(PAIRS))
def test_ssim_equals_scikit_image_in_float64(case, protocol):
    x, x_hat = PAIRS[case]
    np.testing.assert_allclose(ssim(x, x_hat, protocol), skimage_ssim(x, x_hat, protocol), atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", sorted(PAIRS))
def test_srvp_ssim_is_that_of_tf_image(case):
    x, x_hat = (v.astype(np.float32) for v in PAIRS[case])
    np.testing.assert_allclose(ssim(x, x_hat, "srvp"), tf.image.ssim(x, x_hat, 1.0), atol=5e-4, rtol=0)


@pytest.mark.parametrize("case", sorted(set(PAIRS) - {"identical-1", "identical-3"}))
def test_psnr_equals_scikit_image_in_float64(case):
    x, x_hat = (v.astype(np.float32).astype(np.float64) for v in PAIRS[case])
    f = skimage_metrics.peak_signal_noise_ratio
    expected = np.array(
        [np.mean([f(a[..., c], b[..., c], data_range=1.0) for c in range(a.shape[-1])]) for a, b in zip(x, x_hat, strict=True)]
    )
    pooled = np.array([f(a, b, data_range=1.0) for a, b in zip(x, x_hat, strict=True)])
    np.testing.assert_allclose(psnr(x, x_hat), expected, atol=1e-5, rtol=1e-6)
    np.testing.assert_allclose(psnr(x, x_hat, channels="pooled"), pooled, atol=1e-5, rtol=1e-6)


def test_identical_frames_score_the_cap_and_one():
    x = np.random.default_rng(1).random((2, 3, 32, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(psnr(x, x), np.full((2, 3), 100.0, np.float32))
    np.testing.assert_array_equal(psnr(x, x, cap=60.0), np.full((2, 3), 60.0, np.float32))
    np.testing.assert_allclose(ssim(x, x), 1.0, atol=1e-7)
    np.testing.assert_array_equal(mse(x, x), np.zeros((2, 3), np.float32))


def test_channels_differ_where_errors_do():
    x = np.zeros((1, 16, 16, 3), np.float32)
    x_hat = x + np.array([0.1, 0.2, 0.4], np.float32)
    np.testing.assert_allclose(psnr(x, x_hat), np.mean([20.0, 13.9794, 7.9588]), atol=1e-3)
    np.testing.assert_allclose(psnr(x, x_hat, "pooled"), 10 * np.log10(1 / 0.07), atol=1e-3)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_any_leading_shape_in_and_out_of_a_function(protocol):
    r = np.random.default_rng(2)
    x, x_hat = r.random((2, 1, 35, 20, 24, 1)), r.random((2, 3, 35, 20, 24, 1))  # 210 frames: several padded chunks
    whole = ssim(x, x_hat, protocol)
    assert whole.shape == (2, 3, 35)
    assert whole.dtype == tf.float32
    one = ssim(x[1, 0, 34], x_hat[1, 2, 34], protocol)
    np.testing.assert_allclose(one, whole[1, 2, 34], atol=1e-6)
    graph = tf.function(lambda a, b: ssim(a, b, protocol), input_signature=[tf.TensorSpec([None] * 3 + [20, 24, 1])] * 2)
    flat = [np.float32(np.broadcast_to(v, x_hat.shape)).reshape(6, 35, 1, 20, 24, 1)[:, :, 0] for v in (x, x_hat)]
    got = graph(*(v.reshape(6, 35, 1, 20, 24, 1) for v in flat))
    np.testing.assert_allclose(tf.reshape(got, whole.shape), whole, atol=1e-6)


def test_wrong_input_is_named():
    good = np.zeros((2, 16, 16, 1), np.float32)
    with pytest.raises(ValueError, match="uint8"):
        mse(good.astype(np.uint8), good)
    with pytest.raises(ValueError, match=r"\(2, 16, 17, 1\)"):
        psnr(good, np.zeros((2, 16, 17, 1), np.float32))
    with pytest.raises(ValueError, match=r"\[0, 255\]"):
        ssim(good, np.concatenate([good[:1], good[1:] + 255.0]))
    with pytest.raises(ValueError, match="nan"):
        mse(good, good * np.nan)
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(good[:, :10], good[:, :10])
    with pytest.raises(ValueError, match="finn"):
        ssim(good, good, "finn")
    with pytest.raises(ValueError, match="channels"):
        psnr(good, good, "sum")
    with pytest.raises(ValueError, match="cap"):
        psnr(good, good, cap=0)
