"""Keypoints and maps: a heat map's center of mass, a keypoint's Gaussian map, and what keeps keypoints apart and few.

A keypoint is (x, y, mu): x from -1 (left) to 1 (right), y from -1 (bottom) to 1 (top), mu in [0, 1], relative to the strongest
one of the frame. All float32.
"""

import numpy as np
import tensorflow as tf

EPSILON = 1e-6


def axes(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(x of the columns, y of the rows), float32."""
    return np.linspace(-1, 1, width, dtype=np.float32), np.linspace(1, -1, height, dtype=np.float32)


def coordinates(height: int, width: int) -> np.ndarray:
    """float32 [1, height, width, 2]: x and y of each pixel."""
    return np.stack(np.meshgrid(*axes(height, width)), axis=-1)[None]


def of_heat_maps(heat) -> tf.Tensor:
    """Centers of mass and relative strengths: float32 [N, h, w, K] >= 0 -> [N, K, 3]."""
    x, y = axes(heat.shape[1], heat.shape[2])
    kept = heat + EPSILON
    columns, rows = tf.reduce_sum(kept, axis=1), tf.reduce_sum(kept, axis=2)  # [N, w, K], [N, h, K]
    total = tf.reduce_sum(columns, axis=1)
    strength = tf.reduce_mean(heat, axis=[1, 2])
    return tf.stack(
        [
            tf.einsum("nwk,w->nk", columns, x) / total,
            tf.einsum("nhk,h->nk", rows, y) / total,
            strength / (EPSILON + tf.reduce_max(strength, axis=-1, keepdims=True)),
        ],
        axis=-1,
    )


def to_maps(points, height: int, width: int, sigma: float) -> tf.Tensor:
    """Gaussian maps of height mu: float32 [N, K, 3] -> [N, height, width, K].

    sigma is divided by the width; as coordinates span 2, a blob's standard deviation is about 0.7 pixels at sigma 1.5, width 16.
    """
    x, y = axes(height, width)
    spread = 2.0 * (sigma / width) ** 2
    columns = tf.exp(-tf.square(x[:, None] - points[:, None, :, 0]) / spread)  # [N, width, K]
    rows = tf.exp(-tf.square(y[:, None] - points[:, None, :, 1]) / spread)
    return (points[:, None, :, 2] * rows)[:, :, None] * columns[:, None]


def separation(points, sigma: float) -> tf.Tensor:
    """How alike keypoints move, in [0, 1]: float32 [T, B, K, >= 2] -> [B].

    The mean over pairs of exp(-d / (2 sigma^2)), d the mean squared distance of the two tracks, each about its own mean in time.
    One keypoint has no pair: 0.
    """
    pairs = points.shape[2] * (points.shape[2] - 1)
    tracks = points[..., :2]
    tracks -= tf.reduce_mean(tracks, axis=0, keepdims=True)
    distance = tf.reduce_mean(tf.reduce_sum(tf.square(tracks[:, :, :, None] - tracks[:, :, None]), axis=-1), axis=0)
    alike = tf.reduce_sum(tf.exp(-distance / (2.0 * sigma**2)), axis=[1, 2])
    return (alike - points.shape[2]) / max(pairs, 1)
