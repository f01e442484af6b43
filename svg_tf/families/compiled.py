"""The compiled functions behind a model's public methods, and the checks of their arguments."""

import numpy as np
import tensorflow as tf

from data_pipelines.checks import integer
from svg_tf.families.interface import Sampling

ROWS_AT_ONCE = 256  # samples that one call of the graph carries; more are drawn in parts (64 px: about 1.2 GB)


def check_counts(**counts):
    for name, value in counts.items():
        integer(name, value, 1)


def sequence_seeds(seed, batch: int) -> tf.Tensor:
    """int -> int32 [B, 2] of pairs (seed, b); int32 [B, 2] as it is. Raises `ValueError`."""
    seed = np.asarray(seed)
    if seed.shape not in ((), (batch, 2)) or seed.dtype.kind not in "iu":
        raise ValueError(f"seed must be an integer or int32 [{batch}, 2], got {seed.dtype} of shape {seed.shape}.")
    if seed.shape == ():
        seed = np.stack([np.full(batch, seed), np.arange(batch)], axis=1)
    return tf.constant(seed.astype(np.int64).astype(np.int32))


class CompiledMethods:
    """Graphs of a model's methods on tensors: traced once for each context length and options, any batch and counts."""

    def __init__(self):
        self._graphs = {}

    def run(self, method, frames, *tensors, **options):
        """`method(frames, *tensors, **options)`; frames [B, T, H, W, C], options: Python values that a graph is traced for."""
        steps = int(frames.shape[1])
        key = (method.__name__, steps, tuple(sorted(options.items())))
        if key not in self._graphs:

            def traced(frames, *tensors):
                frames = tf.ensure_shape(frames, [None, steps, *frames.shape[2:]])
                return method(frames, *tensors, **options)

            self._graphs[key] = tf.function(traced, reduce_retracing=True)
        return self._graphs[key](frames, *tensors)

    def sample(self, method, frames, seeds, sampling: Sampling):
        """`method(frames, seeds, sampling)` in parts of at most ROWS_AT_ONCE samples -> [B, S, frames, ...]."""
        n_samples, first = sampling.n_samples, sampling.first_sample
        sequences, samples = max(1, ROWS_AT_ONCE // n_samples), min(n_samples, ROWS_AT_ONCE)

        def drawn(frames, seeds, n_future, n_samples, first_sample, fixed):
            return method(frames, seeds, Sampling(n_future, n_samples, first_sample, *fixed))

        drawn.__name__ = method.__name__  # graphs are kept by it

        def part(b, s):
            rows, counts = slice(b, b + sequences), (sampling.n_future, min(samples, n_samples - s), first + s)
            return self.run(drawn, frames[rows], seeds[rows], *map(tf.constant, counts), fixed=sampling.fixed)

        parts = []
        for b in range(0, int(frames.shape[0]), sequences):
            row = [part(b, s) for s in range(0, n_samples, samples)]
            parts.append(row[0] if len(row) == 1 else tf.concat(row, axis=1))
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
