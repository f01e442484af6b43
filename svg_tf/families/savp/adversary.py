"""The game's losses, of each sequence, float32 [B]: what discriminators and generator want of the logits."""

import tensorflow as tf

from svg_tf import noise
from svg_tf.families.shapes import frames_at

FLOOR = 1e-10


def discriminator_loss(kind: str, real, fake):
    """lsgan (Mao et al. 2017): (real - 1)^2 + fake^2; cross_entropy: -log sigmoid(real) - log(1 - sigmoid(fake))."""
    if kind == "lsgan":
        return tf.square(real - 1) + tf.square(fake)
    return tf.nn.softplus(-real) + tf.nn.softplus(fake)


def generator_loss(kind: str, fake):
    """lsgan: (fake - 1)^2; cross_entropy: -log sigmoid(fake), which does not saturate."""
    return tf.square(fake - 1) if kind == "lsgan" else tf.nn.softplus(-fake)


def feature_distance(real, fake):
    """1 less the cosine of features over channels, as half the squared distance of vectors of norm 1: mean over time and pixels,
    sum over layers. Lists of maps [T, N, H, W, C] -> float32 [N]."""
    total = 0.0
    for a, b in zip(real, fake, strict=True):
        squares = tf.reduce_sum(tf.square(directions(a) - directions(b)), axis=-1)
        total += tf.reduce_mean(squares, axis=[0, 2, 3]) / 2
    return total


def directions(x):
    """Vectors over the last axis with a norm of 1, float32; zero ones stay, with a gradient of 0."""
    x = tf.cast(x, tf.float32)
    squares = tf.reduce_sum(tf.square(x), axis=-1, keepdims=True)
    norms = tf.sqrt(tf.where(squares > 0, squares, 1.0))
    return tf.where(squares > 0, x / (norms + FLOOR), 0.0)


def clip_starts(seed, frames: int, length: int, batch):
    """The first frame of a clip of each sequence: int32 [B], evenly from all that there are."""
    draws = noise.uniform_of_sequences(seed, 1, batch)[0]
    return tf.minimum(tf.cast(draws * float(frames - length + 1), tf.int32), frames - length)


def clips(frames, starts, length: int):
    """`length` frames from each sequence's start: frames [T, B, H, W, C] -> [length, B, H, W, C]."""
    if frames.shape[0] == length:
        return frames
    cut = frames_at(frames, tf.range(length)[:, None] + starts[None])
    return tf.ensure_shape(cut, [length, *frames.shape[1:]])
