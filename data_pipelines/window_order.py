"""Which window comes when: a pure function of (seed, position).

Position p of the endless stream of windows lies in epoch p // length. Each epoch is a permutation of the split's windows (or
a drawing with replacement, see `random_windows`), keyed by (seed, epoch), so that a reader can begin anywhere without reading
what came before, workers take every n-th position, and no shuffle buffer is needed. TensorFlow's stateless Philox numbers,
which are the same on every machine and in every version, decide.
"""

import dataclasses

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class WindowOrder:
    """Order of the windows of `num_records` clips; the options are those of `reader.Options`."""

    num_records: int
    seed: int
    shuffle: bool
    windows_per_clip: int = 1
    random_windows: int = 0

    @property
    def length(self) -> int:
        """Windows in an epoch."""
        return self.random_windows or self.num_records * self.windows_per_clip

    @property
    def random_starts(self) -> bool:
        return self.shuffle or bool(self.random_windows)

    def epoch(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The windows of an epoch, int64 [length] each: record, number of the window among those of its clip, and 63 random
        bits for its start (zeros where starts are fixed)."""
        entries = tf.range(self.length, dtype=tf.int64)
        if not self.random_starts:
            return entries // self.windows_per_clip, entries % self.windows_per_clip, tf.zeros_like(entries)
        seed = tf.stack([tf.constant(self.seed, tf.int64), tf.cast(number, tf.int64)])
        bits = tf.random.stateless_uniform([2, self.length], seed, minval=None, maxval=None, dtype=tf.int64, alg="philox")
        keys, starts = tf.unstack(tf.bitwise.bitwise_and(bits, tf.int64.max))
        if self.random_windows:
            return keys % self.num_records, tf.zeros_like(entries), starts
        order = tf.argsort(keys, stable=True)
        entries = tf.gather(entries, order)
        return entries // self.windows_per_clip, entries % self.windows_per_clip, tf.gather(starts, order)

    def dataset(self, first: int, step: int, count: int | None) -> tf.data.Dataset:
        """Positions first, first + step, ... (`count` of them; None: without end) as (record, number, random bits)."""
        length = self.length

        def epoch_positions(number):
            base = number * length
            skip = tf.where(base <= first, first - base, tf.math.floormod(first - base, step))
            return tf.data.Dataset.from_tensor_slices(tuple(column[skip::step] for column in self.epoch(number)))

        stream = tf.data.Dataset.range(first // length, np.iinfo(np.int64).max).flat_map(epoch_positions)
        return stream if count is None else stream.take(count)


def fixed_starts(last_starts: tf.Tensor, numbers: tf.Tensor, of: int) -> tf.Tensor:
    """First frames of fixed windows `numbers` of `of`, int64, the last of which may start at `last_starts`: the clip's first
    window where there is one, else evenly spaced from the first to the last possible."""
    if of == 1:
        return tf.zeros_like(last_starts)
    return (2 * numbers * last_starts + (of - 1)) // (2 * (of - 1))  # rounded to the nearest
