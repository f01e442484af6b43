"""Futures of Moving MNIST by its own rules: the best that any predictor can know after the context.

The digits' states are drawn from what the context frames show of them (`motion_belief`), their motion goes on by the rules
with fresh random words (`motion`), and the frames are drawn as those of the data (`moving_mnist.Renderer`).
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data_pipelines import checks, digits, motion, motion_belief, moving_mnist

NEEDED = ("positions", "digit_ids")
"""True states that a batch must give."""


class Known(NamedTuple):
    """What the context shows of B sequences of N digits."""

    belief: motion_belief.Belief  # of B * N digits
    digit_ids: np.ndarray  # int32 [B, N]


class Futures(NamedTuple):
    frames: np.ndarray  # float32 [B, S, F, H, W, 1] in [0, 1]
    positions: np.ndarray  # float32 [B, S, F, N, 2], (x, y) in pixels


class Simulator:
    """The rules, the digit images and the renderer of one data set.

    Args:
      split: whose digit images are shown.
      **options: fields of `moving_mnist.Options`.

    Raises: ValueError for wrong options, or missing digit images.
    """

    def __init__(self, split: str, **options):
        self.options = moving_mnist.options(**options)
        images = digits.load_digits(self.options.digits, split, self.options.digits_dir, self.options.train_digits)
        self.renderer = moving_mnist.Renderer(images, self.options.canvas, self.options.size)
        self._go_on = tf.function(lambda *states: motion.go_on(self.options.physics, *states).positions, reduce_retracing=True)

    @property
    def physics(self) -> motion.Physics:
        return self.options.physics

    def why_not(self, batch) -> str | None:
        """What keeps this simulator from continuing the sequences of a batch of the data; None where nothing does."""
        missing = [name for name in NEEDED if name not in batch]
        if missing:
            return f"the data does not give the true {' and '.join(missing)}"
        positions, ids = (np.asarray(batch[name]) for name in NEEDED)
        if ids.max() >= self.renderer.num_images:
            return f"the data shows digit {int(ids.max())}, of {self.renderer.num_images} images that are at hand"
        try:
            self.information(positions)
        except ValueError as error:
            return f"the data does not follow the rules ({error})"
        frames = np.asarray(batch["frames"])
        drawn = self.renderer(tf.constant(ids), tf.constant(positions)).numpy()
        if drawn.shape != frames.shape or np.abs(drawn - frames).max() > 0.5 / 255:
            return "the data shows other digit images than those that are at hand"
        return None

    def digit_images(self, digit_ids) -> np.ndarray:
        """int [B, N] -> float32 [B, N, d, d], digits as they are drawn, at the top left of their places."""
        ids, size = np.asarray(digit_ids), self.options.size
        drawn = self.renderer(tf.constant(ids.reshape(-1, 1), tf.int32), tf.zeros([ids.size, 1, 1, 2]))
        return drawn.numpy()[:, 0, :size, :size, 0].reshape(*ids.shape, size, size)

    def information(self, positions) -> np.ndarray:
        """Nats that each frame's motion tells, given the frames before it: positions [B, T, N, 2] -> float64 [B, T], the sum over
        digits. Its mean over sequences and frames estimates the entropy rate of the data, without what the first frame shows."""
        rows = np.asarray(positions)
        nats = motion_belief.watch(self.physics, _by_digit(rows))[1]
        return nats.reshape(rows.shape[0], rows.shape[2], -1).sum(axis=1)

    def watch(self, positions, digit_ids) -> Known:
        """positions float [B, n_past, N, 2] of the context frames, digit_ids int [B, N]. Raises `ValueError` for positions that
        do not follow the rules."""
        belief, _ = motion_belief.watch(self.physics, _by_digit(np.asarray(positions)))
        return Known(belief, np.asarray(digit_ids, np.int32))

    def futures(self, known: Known, numbers, n_future: int, n_samples: int, first_sample: int = 0, seed: int = 0) -> Futures:
        """Samples of the frames that follow. Sample s of sequence n depends on (seed, n, s) and its states alone.

        numbers: int [B], the sequences' numbers. seed: in [0, 2**32).
        """
        batch, count = known.digit_ids.shape
        rows = np.repeat(np.asarray(numbers, np.int64), n_samples)
        samples = np.tile(np.arange(first_sample, first_sample + n_samples), batch)
        words = motion.draw_futures(self.physics, seed, rows, samples, n_future, count)
        chance = words[0, ..., 0].numpy().astype(np.float64) / 2**32  # [B * S, N]
        chance = chance.reshape(batch, n_samples, count).transpose(0, 2, 1).reshape(batch * count, n_samples)
        states = [
            part.reshape(batch, count, n_samples, 2).transpose(0, 2, 1, 3).reshape(-1, count, 2).astype(np.float32)
            for part in known.belief.pick(chance)
        ]
        ids = np.repeat(known.digit_ids, n_samples, axis=0)
        positions = self._go_on(*map(tf.constant, states), words)
        frames = self.renderer(tf.constant(ids), positions)  # not in a graph, whose division by 255 differs in the last bit
        shape = (batch, n_samples, n_future)
        return Futures(
            frames.numpy().reshape(*shape, *frames.shape[2:]), positions.numpy().reshape(*shape, *positions.shape[2:])
        )


def _by_digit(positions: np.ndarray) -> np.ndarray:
    """[B, T, N, 2] -> [B * N, T, 2]"""
    checks.require(positions.ndim == 4, f"positions must be [B, T, N, 2], got shape {positions.shape}.")
    return positions.transpose(0, 2, 1, 3).reshape(-1, positions.shape[1], 2)


def lacking(name: str, data_dir: str | None, tensors) -> str | None:
    """In words, which of the tensors a prepared data set does not hold; None: it has all."""
    from data_pipelines import catalogue

    features = catalogue.open_builder(catalogue.find(name, data_dir or None).path).info.features
    missing = [tensor for tensor in tensors if tensor not in features]
    return f"{name} does not hold the true {', '.join(missing)}" if missing else None
