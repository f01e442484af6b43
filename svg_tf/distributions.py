"""Posterior and prior over z_t as TensorFlow Probability distributions. The only module that imports it."""

import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


def diagonal_gaussian(mean, log_variance) -> tfd.Distribution:
    """N(mean, diag(exp(log_variance))) over the last axis; both float32 [..., z_dim]."""
    return tfd.MultivariateNormalDiag(loc=mean, scale_diag=tf.exp(0.5 * log_variance))


def diagonal_gaussian_of_scale(parameters) -> tfd.Distribution:
    """N(mean, diag(scale^2)) of SRVP: parameters float [..., 2 * size] = (mean, raw scale), scale = softplus(raw) + 1e-8."""
    mean, raw = tf.split(tf.cast(parameters, tf.float32), 2, axis=-1)
    return tfd.MultivariateNormalDiag(loc=mean, scale_diag=tf.nn.softplus(raw) + 1e-8)


def diagonal_gaussian_of_mean_and_scale(mean, scale) -> tfd.Distribution:
    """N(mean, diag(scale^2)) over the last axis; both float32 [..., z_dim], scale > 0."""
    return tfd.MultivariateNormalDiag(loc=mean, scale_diag=scale)


def observation(mean, scale: float) -> tfd.Distribution:
    """N(mean, scale^2) of each pixel: a distribution over frames [..., H, W, C], float32."""
    return tfd.Independent(tfd.Normal(tf.cast(mean, tf.float32), scale), 3)


def standard_normal_like(q: tfd.Distribution) -> tfd.Distribution:
    """N(0, I) with the shape of `q`."""
    return tfd.MultivariateNormalDiag(loc=tf.zeros_like(q.mean()), scale_diag=tf.ones_like(q.mean()))


def sample(q: tfd.Distribution, noise) -> tf.Tensor:
    """mean + sigma * noise: the reparameterized sample (Kingma & Welling 2014) for noise ~ N(0, I)."""
    return q.mean() + q.stddev() * noise


def kl(q: tfd.Distribution, p: tfd.Distribution) -> tf.Tensor:
    """KL(q || p) in nats, summed over z: float32 [...]."""
    return tfd.kl_divergence(q, p)
