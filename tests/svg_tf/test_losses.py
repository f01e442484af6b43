"""The reductions of the objective, pinned: beta means nothing under others."""

import numpy as np
import tensorflow as tf

from svg_tf import distributions, losses


def test_frame_mse_is_a_mean_over_pixels_and_channels():
    x, x_hat = tf.zeros([5, 2, 4, 4, 3]), tf.fill([5, 2, 4, 4, 3], 0.5)
    np.testing.assert_allclose(losses.frame_mse(x, x_hat), np.full((5, 2), 0.25))


def test_kl_is_a_sum_over_z_in_nats_and_equals_the_closed_form():
    rng = np.random.default_rng(0)
    mq, lq, mp, lp = rng.normal(size=(4, 3, 2, 5)).astype("float32")
    kl = distributions.kl(distributions.diagonal_gaussian(mq, lq), distributions.diagonal_gaussian(mp, lp))
    expected = 0.5 * (lp - lq + (np.exp(lq) + (mq - mp) ** 2) / np.exp(lp) - 1).sum(-1)
    np.testing.assert_allclose(kl, expected, rtol=1e-4)
    standard = distributions.kl(
        distributions.diagonal_gaussian(mq, lq), distributions.standard_normal_like(distributions.diagonal_gaussian(mq, lq))
    )
    np.testing.assert_allclose(standard, 0.5 * (-lq + np.exp(lq) + mq**2 - 1).sum(-1), rtol=1e-4)


def test_kl_is_finite_at_the_bounds_of_the_log_variance():
    narrow, wide = (distributions.diagonal_gaussian(tf.zeros([1, 3]), tf.fill([1, 3], v)) for v in (-10.0, 10.0))
    assert np.isfinite(distributions.kl(wide, narrow)).all()


def test_loss_sums_over_time():
    mse, kl = tf.fill([14, 2], 0.5), tf.fill([14, 2], 3.0)
    np.testing.assert_allclose(losses.elbo_loss(mse, kl, 0.1), [14 * 0.5 + 0.1 * 14 * 3.0] * 2, rtol=1e-6)


def test_beta_warm_up():
    assert float(losses.warmed_up(0.5, 0, 0)) == 0.5
    assert [float(losses.warmed_up(0.5, 10, step)) for step in (0, 5, 10, 99)] == [0.0, 0.25, 0.5, 0.5]
