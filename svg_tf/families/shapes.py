"""Time and samples folded into the batch: every layer sees one long batch, time-major."""

import tensorflow as tf


def swap_batch_time(x):
    """[B, T, ...] -> [T, B, ...], and back."""
    return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])


def fold_time(x):
    """[T, B, ...] -> [T * B, ...]"""
    return tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], 0)) if None in x.shape[2:] else tf.reshape(x, [-1, *x.shape[2:]])


def unfold_time(x, time, batch):
    """[T * B, ...] -> [T, B, ...]; time, batch: int tensors."""
    return tf.reshape(x, tf.concat([[time, batch], tf.shape(x)[1:]], 0))


def frames_at(x, times):
    """x [T, B, ...], times int32 [n, B] -> [n, B, ...]: of each sequence the frames at its own times."""
    columns = tf.broadcast_to(tf.range(tf.shape(times)[1]), tf.shape(times))
    return tf.gather_nd(x, tf.stack([times, columns], axis=-1))


def length(x) -> int | tf.Tensor:
    """The first dimension of x: an int where it is known when the graph is built, else an int32 tensor."""
    return x.shape[0] if x.shape[0] is not None else tf.shape(x)[0]
