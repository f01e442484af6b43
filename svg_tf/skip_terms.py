"""What the encoder's maps of few frames add to the decoder's levels for many frames."""

from dataclasses import dataclass
from typing import Any

import tensorflow as tf


@dataclass(frozen=True)
class HeldOverTime:
    """Terms of `distinct` time steps [distinct * B, ...] for predictions of `steps` >= distinct [steps * B, ...].

    Each step has its own for as long as there is one, then the last one is held.
    distinct, steps: ints, or int32 scalars in a graph for any length; batch: B.
    """

    distinct: Any
    steps: Any
    batch: Any

    def add(self, y, term):
        known = isinstance(self.distinct, int) and isinstance(self.steps, int)
        if not known or self.distinct < self.steps:
            last = term[(self.distinct - 1) * self.batch :]
            term = tf.concat([term, tf.tile(last, [self.steps - self.distinct, 1, 1, 1])], axis=0)
        return y + term


@dataclass(frozen=True)
class SharedBySamples:
    """Terms of B sequences [B, ...] for predictions [steps * B * n_samples, ...] of any number of steps."""

    n_samples: Any

    def add(self, y, term):
        shape = tf.shape(y)
        y = tf.reshape(y, tf.concat([[-1, tf.shape(term)[0], self.n_samples], shape[1:]], 0))
        return tf.reshape(y + term[:, None], shape)


@dataclass(frozen=True)
class OwnRows:
    """A term for each row of the predictions."""

    def add(self, y, term):
        return y + term


@dataclass(frozen=True, eq=False)
class SkipTerms:
    """levels: what is added to each level of a decoder, coarsest first, computed once for each distinct frame of the skips; rows:
    which of it belongs to which row of the predictions. Made by a decoder's `skip_terms`."""

    levels: tuple
    rows: HeldOverTime | SharedBySamples | OwnRows

    def add(self, level: int, y):
        return self.rows.add(y, self.levels[level])
