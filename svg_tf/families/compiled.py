"""The compiled functions behind a model's public methods, and the checks of their arguments.

A model's `<name>_in_graph` methods are its mathematics on tensors; an export traces the same ones.
"""

import numpy as np
import tensorflow as tf

ROWS_AT_ONCE = 256  # samples that one call of the graph carries; more are drawn in parts (64 px: about 1.2 GB)


def check_counts(**counts):
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")


def sequence_seeds(seed, batch: int) -> tf.Tensor:
    """int -> int32 [B, 2] of pairs (seed, b); int32 [B, 2] as it is. Raises `ValueError`."""
    seed = np.asarray(seed)
    if seed.shape not in ((), (batch, 2)) or seed.dtype.kind not in "iu":
        raise ValueError(f"seed must be an integer or int32 [{batch}, 2], got {seed.dtype} of shape {seed.shape}.")
    if seed.shape == ():
        seed = np.stack([np.full(batch, seed), np.arange(batch)], axis=1)
    return tf.constant(seed.astype(np.int64).astype(np.int32))


class Functions:
    """The compiled functions of one model: traced once for each context length and options, any batch and counts."""

    def __init__(self, model):
        self._model = model
        self._compiled = {}

    def call(self, name: str, frames, *arguments, **options):
        """`model.<name>_in_graph(frames, *arguments, **options)`; frames [B, T, H, W, C], options: Python values."""
        steps = int(frames.shape[1])
        key = (name, steps, tuple(sorted(options.items())))
        if key not in self._compiled:
            method = getattr(self._model, f"{name}_in_graph")

            def run(frames, *arguments):
                frames = tf.ensure_shape(frames, [None, steps, *frames.shape[2:]])
                return method(frames, *arguments, **options)

            self._compiled[key] = tf.function(run, reduce_retracing=True)
        return self._compiled[key](frames, *arguments)

    def generate(self, frames, seeds, n_future, n_samples, first_sample, **options):
        """`generate_in_graph` in parts of at most ROWS_AT_ONCE samples -> [B, S, n_future, H, W, C]."""
        sequences = max(1, ROWS_AT_ONCE // n_samples)
        samples = min(n_samples, ROWS_AT_ONCE)
        parts = []
        for b in range(0, int(frames.shape[0]), sequences):
            row = [
                self.call(
                    "generate",
                    frames[b : b + sequences],
                    seeds[b : b + sequences],
                    tf.constant(n_future),
                    tf.constant(min(samples, n_samples - s)),
                    tf.constant(first_sample + s),
                    **options,
                )
                for s in range(0, n_samples, samples)
            ]
            parts.append(row[0] if len(row) == 1 else tf.concat(row, axis=1))
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
