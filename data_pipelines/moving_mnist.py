"""Stochastic Moving MNIST, generated on the fly (Denton & Fergus 2018, §4.1; how digits move: `motion`).

Sequence i of seed s is the same on every machine and in every run, whatever the batch size or the sharding; see
`data_pipelines.load` for the arguments that all data sets share.
"""

import dataclasses
import os
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tensorflow as tf

from data_pipelines import checks, motion, transform
from data_pipelines import digits as digit_images
from data_pipelines.window_request import FRAMES, WindowRequest

MAX_CANVAS, MAX_DIGITS, MAX_FRAMES, MAX_SEED = 512, 16, 10_000, 2**32
_MAX_SEQUENCES = 2**62
_DEFAULT_SEQUENCES = {"train": 10_000, "validation": 256, "test": 256}
STATES = (*motion.States._fields, "digit_ids")
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
    train_digits: Literal["split", "all"] = "split"
    """Digits that train: all but those of validation, or all that are published for training (60,000 of MNIST), as the papers'
    programs do. Then those of validation train, too, and only the test split shows new digits."""

    def __post_init__(self):
        checks.integer("num_digits", self.num_digits, 1, MAX_DIGITS)
        checks.integer("canvas", self.canvas, 16, MAX_CANVAS)
        checks.integer("trajectory", self.trajectory, 0, _MAX_SEQUENCES)
        for name, low, high in (
            ("digit_size", 4, self.canvas - 2),
            ("max_speed", 0, self.canvas // 2),
            ("num_sequences", 1, _MAX_SEQUENCES),
        ):
            if getattr(self, name) is not None:
                checks.integer(name, getattr(self, name), low, high)
        for name, kinds in (
            ("variant", ("reference", "srvp")),
            ("shared", ("nothing", "start", "motion")),
            ("train_digits", digit_images.TRAIN_DIGITS),
        ):
            checks.one_of(name, getattr(self, name), kinds)
        for name in ("deterministic", "moving"):
            checks.require(isinstance(getattr(self, name), bool), f"{name} must be True or False, got {getattr(self, name)!r}.")

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


def options(**given) -> Options:
    """Options by name. Raises `ValueError` for an unknown one."""
    known = [field.name for field in dataclasses.fields(Options)]
    unknown = sorted(set(given) - set(known))
    checks.require(not unknown, f"Unknown option(s) {unknown} of moving_mnist; options: {', '.join(known)}.")
    return Options(**given)


def load(request: WindowRequest, options: Options) -> tf.data.Dataset:
    """The data set (see `data_pipelines.load`). Raises `ValueError` for what this one does not have, or a missing digit file."""
    checks.require(request.seed < MAX_SEED, f"seed must be in [0, 2**32), got {request.seed}.")
    spans = f"A sequence may span at most {MAX_FRAMES} frames (seq_len x frame_stride), got {request.span}."
    checks.require(request.span <= MAX_FRAMES, spans)
    names = request.wanted((FRAMES, *STATES), STATES, "moving_mnist")
    images = digit_images.load_digits(options.digits, request.split, options.digits_dir, options.train_digits)
    renderer = Renderer(images, options.canvas, options.size)
    of_frames = [request.rows if request.whole_batches else None, request.seq_len, options.num_digits]
    shapes = {name: [*of_frames, 2] for name in ("positions", "velocities")}
    shapes |= {"collisions": of_frames, "digit_ids": [of_frames[0], options.num_digits]}
    length = options.num_sequences
    if length is None and not (request.repeat and request.split == "train"):
        length = _DEFAULT_SEQUENCES[request.split]

    def batch(number):
        indices = _sequences(request, number, length)
        words = motion.draw(options.physics, request.seed, request.split, indices, request.span, options.num_digits)
        if options.shared != "nothing":
            which = [options.trajectory]
            pattern = motion.draw(options.physics, request.seed, request.split, which, request.span, options.num_digits)
            words = motion.share(words, pattern, whole=options.shared == "motion")
        states = motion.every(motion.simulate(options.physics, words), request.frame_stride)
        ids = motion.digit_ids(words, renderer.num_images)
        element = states._asdict() | {"digit_ids": ids}
        element = {name: tf.ensure_shape(value, shapes[name]) for name, value in element.items()}
        if FRAMES in names:
            frames = renderer(ids, element["positions"])
            element[FRAMES] = tf.ensure_shape(frames, [*of_frames[:2], *frames.shape[2:]])
        return {name: element[name] for name in names}

    dataset = _batch_numbers(request, length).map(batch, num_parallel_calls=min(4, os.cpu_count() or 1), deterministic=True)
    settings = tf.data.Options()
    settings.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF  # sharded above
    return dataset.prefetch(2).with_options(settings)


def _batch_numbers(request: WindowRequest, length: int | None) -> tf.data.Dataset:
    """Numbers of the request's batches; `length`: sequences of the split, None: endless."""
    index, count = request.batches
    start = request.start_batch + index
    if length is None or request.repeat:
        return tf.data.Dataset.counter(start, count)
    batches, rest = divmod(length, request.batch_size)
    # A worker without a row in the last, partial batch ends one batch earlier.
    if rest > request.shard[0] and not request.drop_remainder:
        batches += 1
    return tf.data.Dataset.range(start, max(batches, start), count)


def _sequences(request: WindowRequest, number: tf.Tensor, length: int | None) -> tf.Tensor:
    """Which sequences are this worker's rows of batch `number`, int64 [rows]."""
    first = number * request.batch_size
    last = first + request.batch_size
    if length is not None and not request.repeat:
        last = tf.minimum(last, length)
    shard_index, shard_count = request.shard
    indices = tf.range(first + shard_index, last, shard_count)
    if length is None:
        return indices
    epoch, indices = indices // length, indices % length
    if not request.shuffle:
        return indices
    order = tf.fill(tf.shape(indices), _signed(request.seed ^ _ORDER_STREAM))
    order = tf.stack([order, tf.cast(epoch, tf.int32), tf.zeros_like(order)], -1)  # int32 [rows, 3]
    return tf.raw_ops.RandomIndexShuffle(index=indices, seed=order, max_index=length - 1)


def _signed(value: int) -> int:
    """The int32 with the bits of an unsigned 32-bit integer."""
    return value - 2**32 if value >= 2**31 else value
