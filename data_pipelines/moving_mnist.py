"""Stochastic Moving MNIST, generated on the fly (Denton & Fergus 2018, §4.1; how digits move: `motion`).

Sequence i of seed s is the same on every machine and in every run, whatever the batch size or the sharding; see
`data_pipelines.load` for the arguments that all data sets share.
"""

import os
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tensorflow as tf

from data_pipelines import digits as digit_images
from data_pipelines import motion, transform

MAX_CANVAS, MAX_DIGITS, MAX_FRAMES, MAX_SEED = 512, 16, 10_000, 2**32
_DEFAULT_SEQUENCES = {"train": 10_000, "validation": 256, "test": 256}
_ORDER_STREAM = 0x4F52  # keeps the random order of sequences apart from their contents


@dataclass(frozen=True)
class Options:
    """What is drawn and how it moves."""

    num_digits: int = 2
    canvas: int = 64
    """Height and width of a frame in pixels."""
    digit_size: int | None = None
    """Height and width of a digit; None: canvas // 2 (reference) or 28/64 of the canvas (srvp)."""
    max_speed: int | None = None
    """Largest velocity component in pixels a frame; None or 0: canvas // 16 (4 at 64 px, 2 at 32 px)."""
    deterministic: bool = False
    """Digits reflect at the walls."""
    variant: Literal["reference", "srvp"] = "reference"
    digits: Literal["mnist", "uci"] = "mnist"
    digits_dir: str | None = None
    """Folder with MNIST's four idx .gz files; None: downloaded once."""
    num_sequences: int | None = None
    """Sequences in the split; None: endless for a repeated training split, else 10,000 (train) or 256."""
    moving: bool = False
    """No digit stands still: the velocity (0, 0) is never drawn."""
    shared: Literal["nothing", "start", "motion"] = "nothing"
    """What all sequences have in common: where and how the digits start (they part at the first collision), or their whole
    motion; the digits themselves differ. For figures (paper, Figs. 5 and 6)."""
    trajectory: int = 0
    """The sequence whose start or motion is shared."""

    def __post_init__(self):
        for name, low, high in (
            ("num_digits", 1, MAX_DIGITS),
            ("canvas", 16, MAX_CANVAS),
            ("digit_size", 4, self.canvas - 2 if isinstance(self.canvas, int) else None),
            ("max_speed", 0, self.canvas // 2 if isinstance(self.canvas, int) else None),
            ("num_sequences", 1, 2**62),
            ("trajectory", 0, 2**62),
        ):
            value = getattr(self, name)
            if value is None and name in ("digit_size", "max_speed", "num_sequences"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"{name} must be an integer between {low} and {high}, got {value!r}.")
        if self.variant not in ("reference", "srvp"):
            raise ValueError(f"variant must be 'reference' or 'srvp', got {self.variant!r}.")
        if self.shared not in ("nothing", "start", "motion"):
            raise ValueError(f"shared must be 'nothing', 'start' or 'motion', got {self.shared!r}.")
        for name in ("deterministic", "moving"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}.")

    @property
    def size(self) -> int:
        """Height and width of a digit in pixels."""
        return self.digit_size or (self.canvas // 2 if self.variant == "reference" else self.canvas * 28 // 64)

    @property
    def physics(self) -> motion.Physics:
        speed = self.max_speed or max(1, self.canvas // 16)
        return motion.Physics(self.canvas - self.size, speed, self.variant, self.deterministic, self.moving)


class Renderer:
    """Draws digits at integer positions: frames are sums of digits, clipped to white.

    A frame with one digit, flattened, is a window of one fixed byte string: zeros, then the digit's rows with the
    canvas's row stride, then zeros. Where the window starts says where the digit is. Cutting strings is a memory copy
    that TensorFlow does for a whole batch in one op, some ten times faster than gathering or resampling pixels.
    """

    def __init__(self, images: np.ndarray, canvas: int, size: int):
        """images: uint8 [D, h, w], resampled to `size` pixels."""
        method = "bicubic" if images.shape[1] < 16 else "bilinear"  # the 8 px digits would show facets
        rows = []
        for first in range(0, len(images), 4096):  # in pieces: resampling works in float32
            piece = transform.resize(images[first : first + 4096, ..., None], size, size, method)[..., 0].numpy()
            rows += [image.tobytes() for image in np.pad(piece, ((0, 0), (0, 0), (0, canvas - size)))]
        self.canvas, self.num_images = canvas, len(rows)
        self._farthest = (canvas - size) * (canvas + 1)  # flat index of the bottom right corner's top left pixel
        self._strings = tf.constant(rows)
        self._before, self._after = bytes(self._farthest), bytes(canvas * (canvas - size))

    def __call__(self, ids, positions):
        """ids int32 [B, N], positions [B, T, N, 2] (x, y), rounded here -> float32 [B, T, canvas, canvas, 1] in [0, 1]."""
        area = self.canvas**2
        num_digits, num_frames = positions.shape[2], positions.shape[1]
        corner = tf.transpose(tf.cast(tf.round(positions), tf.int32), [0, 2, 1, 3])  # [B, N, T, 2]
        start = self._farthest - (corner[..., 1] * self.canvas + corner[..., 0])
        start = tf.reshape(start, [-1, num_frames])  # [B * N, T]
        strings = tf.strings.join([self._before, tf.gather(self._strings, tf.reshape(ids, [-1])), self._after])
        windows = tf.strings.substr(strings[:, None], start, tf.fill(tf.shape(start), area))
        pixels = tf.reshape(tf.io.decode_raw(windows, tf.uint8), [-1, num_digits, num_frames, area])
        frames = transform.layers_to_float(tf.unstack(pixels, axis=1))
        return tf.reshape(frames, [-1, num_frames, self.canvas, self.canvas, 1])


def _every(states: motion.States, stride: int) -> motion.States:
    """Keeps each stride-th frame; a collision in a dropped frame counts for the next kept one."""
    if stride == 1:
        return states
    hits = tf.pad(states.collisions, [[0, 0], [stride - 1, 0], [0, 0]])
    hits = hits[:, : (hits.shape[1] // stride) * stride]
    hits = tf.reshape(hits, [-1, hits.shape[1] // stride, stride, hits.shape[2]])
    return motion.States(states.positions[:, ::stride], states.velocities[:, ::stride], tf.reduce_any(hits, axis=2))


def load(
    options: Options,
    *,
    split: str,
    seq_len: int,
    batch_size: int,
    seed: int,
    shuffle: bool,
    repeat: bool,
    frame_stride: int,
    drop_remainder: bool,
    start_batch: int,
    shard: tuple[int, int],
    with_states: bool,
) -> tf.data.Dataset:
    """The data set; the arguments are `data_pipelines.load`'s, already checked there."""
    if not 0 <= seed < MAX_SEED:
        raise ValueError(f"seed must be in [0, 2**32), got {seed}.")
    num_frames = (seq_len - 1) * frame_stride + 1
    if num_frames > MAX_FRAMES:
        raise ValueError(f"A sequence may span at most {MAX_FRAMES} frames (seq_len x frame_stride), got {num_frames}.")
    renderer = Renderer(digit_images.load_digits(options.digits, split, options.digits_dir), options.canvas, options.size)
    length = options.num_sequences
    if length is None and not (repeat and split == "train"):
        length = _DEFAULT_SEQUENCES[split]
    shard_index, shard_count = shard

    def batch(number):
        first = number * batch_size
        last = first + batch_size
        if length is not None and not repeat:
            last = tf.minimum(last, length)
        indices = tf.range(first + shard_index, last, shard_count)
        if length is not None:
            epoch, indices = indices // length, indices % length
            if shuffle:
                order = tf.fill(tf.shape(indices), _signed(seed ^ _ORDER_STREAM))
                order = tf.stack([order, tf.cast(epoch, tf.int32), tf.zeros_like(order)], -1)  # int32 [rows, 3]
                indices = tf.raw_ops.RandomIndexShuffle(index=indices, seed=order, max_index=length - 1)
        words = motion.draw(options.physics, seed, split, indices, num_frames, options.num_digits)
        if options.shared != "nothing":
            pattern = motion.draw(options.physics, seed, split, [options.trajectory], num_frames, options.num_digits)
            words = motion.share(words, pattern, whole=options.shared == "motion")
        states = _every(motion.simulate(options.physics, words), frame_stride)
        ids = motion.digit_ids(words, renderer.num_images)
        positions = tf.ensure_shape(states.positions, [None, seq_len, options.num_digits, 2])
        element = {"frames": renderer(ids, positions)}
        if with_states:
            element |= states._asdict() | {"digit_ids": ids}
        if repeat or drop_remainder:
            rows = batch_size // shard_count
            element = {name: tf.ensure_shape(value, [rows, *value.shape[1:]]) for name, value in element.items()}
        return element

    if length is None or repeat:
        numbers = tf.data.Dataset.counter(start_batch)
    else:
        batches = length // batch_size
        rest = length % batch_size
        # A worker without a row in the last, partial batch ends one batch earlier.
        if rest > shard_index and not drop_remainder:
            batches += 1
        numbers = tf.data.Dataset.range(start_batch, max(batches, start_batch))
    dataset = numbers.map(batch, num_parallel_calls=min(4, os.cpu_count() or 1), deterministic=True).prefetch(2)
    settings = tf.data.Options()
    settings.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF  # sharded above
    return dataset.with_options(settings)


def _signed(value: int) -> int:
    """The int32 with the bits of an unsigned 32-bit integer."""
    return value - 2**32 if value >= 2**31 else value
