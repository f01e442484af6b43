"""The reductions of the objective. beta means nothing under others."""

import math

import tensorflow as tf


def frame_mse(x, x_hat) -> tf.Tensor:
    """Mean squared error of each frame over its pixels and channels: [..., H, W, C] -> float32 [...]."""
    error = tf.cast(x_hat, tf.float32) - tf.cast(x, tf.float32)
    return tf.reduce_mean(tf.square(error), axis=[-3, -2, -1])


def warmed_up(beta: float, warmup_steps: int, step) -> tf.Tensor:
    """beta at optimizer step `step`: rises linearly from 0 over `warmup_steps`, then constant. float32 scalar."""
    if warmup_steps == 0:
        return tf.constant(beta, tf.float32)
    return beta * tf.minimum(tf.cast(step, tf.float32) / warmup_steps, 1.0)


def elbo_loss(mse, kl, beta) -> tf.Tensor:
    """loss = sum_t mse_t + beta * sum_t kl_t (paper eq. 2): mse, kl float32 [T-1, B] -> float32 [B].

    mse_t is a mean over pixels, kl_t a sum over z in nats; the mean over the batch is taken by the training step.
    """
    return tf.reduce_sum(mse, axis=0) + beta * tf.reduce_sum(kl, axis=0)


def gaussian_nll(mse, variance: float, size: int) -> tf.Tensor:
    """-log N(x; x_hat, variance) of a frame of `size` numbers, in nats, from its mean squared error: float32 [...]."""
    return size / 2 * (mse / variance + math.log(2 * math.pi * variance))
