"""Stateless noise: every random number is a function of a seed, so that runs and samples can be repeated.

A seed is an int32 pair [2]. `fold` derives a new one from an integer (step, sample); Philox is named
because TensorFlow's default algorithm depends on the device.
"""

from typing import NamedTuple

import tensorflow as tf

TRAIN, TEST = 1, 2  # streams of a run seed


class BatchSeed(NamedTuple):
    """One seed for a global batch, and which of its rows are here."""

    seed: tf.Tensor  # int32 [2]
    rows: tf.Tensor  # int32 [B], in [0, total)
    total: tf.Tensor  # int32 scalar, sequences in the global batch


def seed_pair(seed) -> tf.Tensor:
    """An int, or an int32 pair as it is -> int32 [2]."""
    seed = tf.cast(tf.convert_to_tensor(seed), tf.int32)
    return tf.stack([seed, 0]) if seed.shape.rank == 0 else seed


def fold(seed, *values) -> tf.Tensor:
    """The seed [2] that follows from `seed` and integers, one after the other."""
    for value in values:
        seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(value, tf.int32), alg="philox")
    return seed


def normal(seed, shape) -> tf.Tensor:
    """float32 N(0, I) of `shape` from one seed [2]."""
    return tf.random.stateless_normal(shape, seed, alg="philox")


def uniform(seed, shape) -> tf.Tensor:
    """float32 uniform in [0, 1) of `shape` from one seed [2]."""
    return tf.random.stateless_uniform(shape, seed, alg="philox")


def normal_of_rows(seed, steps, rows, total, size) -> tf.Tensor:
    """float32 N(0, I) [steps, B, size]: the columns `rows` [B] of one draw for a global batch of `total` sequences.

    A sequence's noise so depends on its place in the global batch, not on the number of replicas that share it.
    """
    return tf.gather(normal(seed, [steps, total, size]), rows, axis=1)


def of_sequences(seed, steps, batch, size) -> tf.Tensor:
    """float32 N(0, I) [steps, B, size], one column for each sequence.

    seed: `BatchSeed`, [2] for the batch as it is, or [B, 2]: a sequence's noise then does not depend on the batch.
    """
    if isinstance(seed, BatchSeed):
        return normal_of_rows(seed.seed, steps, seed.rows, seed.total, size)
    if seed.shape.rank == 1:
        return normal(seed, [steps, batch, size])
    return tf.transpose(normal_per_seed(seed, [steps, size]), [1, 0, 2])


def uniform_of_sequences(seed, steps, batch) -> tf.Tensor:
    """float32 uniform in [0, 1) [steps, B], one column for each sequence; seed as of `of_sequences`."""
    if isinstance(seed, BatchSeed):
        return tf.gather(uniform(seed.seed, [steps, seed.total]), seed.rows, axis=1)
    if seed.shape.rank == 1:
        return uniform(seed, [steps, batch])
    signature = tf.TensorSpec([steps if isinstance(steps, int) else None], tf.float32)
    return tf.transpose(tf.map_fn(lambda one: uniform(one, [steps]), seed, fn_output_signature=signature))


def stream(seed, number):
    """A seed of the same kind, for another use of the same sequences."""
    if isinstance(seed, BatchSeed):
        return seed._replace(seed=fold(seed.seed, number))
    if seed.shape.rank == 1:
        return fold(seed, number)
    return tf.map_fn(lambda one: fold(one, number), seed, fn_output_signature=tf.TensorSpec([2], tf.int32))


def normal_per_seed(seeds, shape) -> tf.Tensor:
    """seeds int32 [N, 2] -> float32 N(0, I) [N, *shape]; row n depends on seeds[n] alone."""
    signature = tf.TensorSpec([size if isinstance(size, int) else None for size in shape], tf.float32)
    return tf.map_fn(lambda seed: normal(seed, shape), seeds, fn_output_signature=signature)


def fold_each(seed, indices) -> tf.Tensor:
    """The seeds int32 [N, 2] that follow from `seed` [2] and each of `indices` [N]."""
    return tf.map_fn(lambda i: fold(seed, i), indices, fn_output_signature=tf.TensorSpec([2], tf.int32))


def sample_seeds(seeds, first_sample, n_samples) -> tf.Tensor:
    """seeds int32 [B, 2] -> int32 [B * S, 2], those of samples first_sample, ..., first_sample + S - 1 of each sequence."""
    samples = tf.range(first_sample, first_sample + n_samples)
    signature = tf.TensorSpec([None, 2], tf.int32)
    return tf.reshape(tf.map_fn(lambda seed: fold_each(seed, samples), seeds, fn_output_signature=signature), [-1, 2])
