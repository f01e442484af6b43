"""Scheduled sampling (Bengio et al. 2015): in training some predictions still follow from a true frame after the context."""

import tensorflow as tf


def truth_chance(step, k: float) -> tf.Tensor:
    """Of a true frame at training step `step`: k / (k + exp(step / k)), float32 scalar."""
    return k / (k + tf.exp(tf.minimum(tf.cast(step, tf.float32) / k, 80.0)))
