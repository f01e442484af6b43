"""The digit-motion distance: a Fréchet distance between clips of Moving MNIST, in the features of a small network of ours.

The network sees two successive frames and tells, in each cell of a grid, whether a digit's center is there, where, of which class
it is, and how it moves; it was trained on generated sequences, whose labels are free (`svg-tf train-digit-network`). Features of
a clip are means and standard deviations over time of the network's last maps, averaged over space, in units of their spread over
true training clips. **This is not FVD**: other features, other data, other numbers; compare with the simulator's row alone.
"""

import functools
import hashlib
import io
import json
import pathlib

import keras
import numpy as np
import tensorflow as tf

from data_pipelines.files import near
from svg_tf.evaluation.metrics import video

SIDE, GRID = 32, 8
"""Pixels of the network's frames, and cells of its grid, on a side."""
CELL = SIDE // GRID
CLASSES = 10
OUTPUTS = 1 + 2 + 2 + CLASSES
"""Of a cell: presence (a logit), the center's place in it (x, y in [0, 1]), its motion (dx, dy in `CELL`s a frame), classes
(logits)."""
WIDTHS = ((16, 1), (32, 2), (64, 2), (64, 1), (64, 1))
"""Filters and stride of each convolution."""
SHIPPED = pathlib.Path(__file__).with_name("digit_network.npz")
_PAIRS_AT_ONCE = 512


def build(widths=WIDTHS) -> keras.Model:
    """float32 [M, SIDE, SIDE, 2] -> (maps [M, GRID, GRID, widths[-1][0]], outputs [M, GRID, GRID, OUTPUTS])"""
    x = inputs = keras.Input((SIDE, SIDE, 2))
    for filters, stride in widths:
        x = keras.layers.Conv2D(filters, 3, stride, padding="same", activation="relu")(x)
    return keras.Model(inputs, [x, keras.layers.Conv2D(OUTPUTS, 1)(x)])


def pairs(clips) -> tf.Tensor:
    """float [B, T, H, W, 1], H = W a multiple of SIDE -> float32 [B * (T - 1), SIDE, SIDE, 2], each frame after the one before.

    Raises `ValueError` for other shapes. Larger frames are averaged over squares.
    """
    clips = tf.convert_to_tensor(clips, tf.float32)
    side = clips.shape[2] if clips.shape.rank == 5 else 0
    if not side or side % SIDE or clips.shape[3] != side or clips.shape[4] != 1 or clips.shape[1] < 2:
        raise ValueError(f"Clips must be [B, T >= 2, H, W = H, 1], H a multiple of {SIDE}, got shape {clips.shape}.")
    count, frames = tf.shape(clips)[0], clips.shape[1]
    small = tf.nn.avg_pool2d(tf.reshape(clips, [-1, side, side, 1]), side // SIDE, side // SIDE, "VALID")
    small = tf.reshape(small, [count, frames, SIDE, SIDE])
    return tf.reshape(tf.stack([small[:, :-1], small[:, 1:]], axis=-1), [-1, SIDE, SIDE, 2])


class DigitNetwork:
    """A trained network. path: its .npz file, with its card, a .json file, beside it.

    Raises `ValueError` where a file is missing, holds something else, or is not the one that the card describes.
    """

    def __init__(self, path=SHIPPED):
        path = near(path, "The digit network")
        try:
            content = path.read_bytes()
            self.card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            self.sha256 = hashlib.sha256(content).hexdigest()
            if self.card["sha256"] != self.sha256:
                raise ValueError(f"its SHA-256 is {self.sha256}, not that of its card, {self.card['sha256']}")
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            self._network = build()
            self._network.set_weights([arrays[f"weight_{i}"] for i in range(len(self._network.weights))])
            self._mean, self._spread = arrays["mean"].astype(np.float64), arrays["spread"].astype(np.float64)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a digit network with its card ({error}).") from error
        self._maps = tf.function(lambda x: tf.reduce_mean(self._network(x)[0], axis=[1, 2]), reduce_retracing=True)
        self.outputs = tf.function(lambda x: self._network(x)[1], reduce_retracing=True)

    def features(self, clips) -> np.ndarray:
        """Clips as for `pairs` -> float64 [B, D]."""
        return (pooled(self._maps, clips) - self._mean) / self._spread

    @property
    def dimensions(self) -> int:
        return len(self._mean)


@functools.cache
def shipped() -> DigitNetwork:
    """The network that comes with the package."""
    return DigitNetwork()


def pooled(maps, clips) -> np.ndarray:
    """maps: a function of `pairs`, float [M, K] -> means and standard deviations over time, float64 [B, 2 K]."""
    x = pairs(clips)
    parts = [maps(x[i : i + _PAIRS_AT_ONCE]) for i in range(0, x.shape[0], _PAIRS_AT_ONCE)]
    of_frames = np.concatenate([np.asarray(part) for part in parts]).astype(np.float64)
    of_frames = of_frames.reshape(len(clips), clips.shape[1] - 1, -1)
    return np.concatenate([of_frames.mean(axis=1), of_frames.std(axis=1)], axis=1)


def distance(real: np.ndarray, other: np.ndarray) -> float:
    """Fréchet distance of features [N, D], [M, D], N, M >= 2, in float64."""
    moments = [(f.mean(axis=0), np.cov(f, rowvar=False)) for f in (np.asarray(real), np.asarray(other))]
    return video.frechet_distance(*moments[0], *moments[1])
