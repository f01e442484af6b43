"""Philox 4x32-10, the counter-based random number generator, vectorized over counters.

Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. A word depends on (key, counter) alone.
TensorFlow's own stateless ops take one key per call, so that a batch of independent sequences would cost one call per
sequence; here the index of the sequence is part of the counter and a whole batch is one call.
"""

import tensorflow as tf

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF
_ROUNDS = 10


def _low(x):
    return tf.bitwise.bitwise_and(x, tf.constant(_MASK, tf.uint64))


def _high(x):
    return tf.bitwise.right_shift(x, tf.constant(32, tf.uint64))


def words(key, counter):
    """Four random words per counter.

    Args:
      key: two Python integers in [0, 2**32).
      counter: four non-negative integer tensors of values below 2**32 whose shapes broadcast together.

    Returns: uint64 [..., 4] with values in [0, 2**32).
    """
    shape = tf.shape(counter[0])
    for part in counter[1:]:
        shape = tf.broadcast_dynamic_shape(shape, tf.shape(part))
    c0, c1, c2, c3 = (tf.broadcast_to(tf.cast(part, tf.uint64), shape) for part in counter)
    k0, k1 = key
    xor = tf.bitwise.bitwise_xor
    multiplier0, multiplier1 = (tf.constant(m, tf.uint64) for m in _MULTIPLIERS)
    for _ in range(_ROUNDS):
        product0, product1 = multiplier0 * c0, multiplier1 * c2
        c0, c1, c2, c3 = (
            xor(xor(_high(product1), c1), tf.constant(k0, tf.uint64)),
            _low(product1),
            xor(xor(_high(product0), c3), tf.constant(k1, tf.uint64)),
            _low(product0),
        )
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return tf.stack([c0, c1, c2, c3], axis=-1)


def integers(word, low, high):
    """uint64 words in [0, 2**32) -> int32 integers uniform in [low, high], both ends included.

    Multiply-and-shift; the bias is below (high - low + 1) / 2**32.
    """
    span = tf.constant(high - low + 1, tf.uint64)
    return tf.cast(_high(word * span), tf.int32) + low
