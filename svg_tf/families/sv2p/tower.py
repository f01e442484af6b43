"""The posterior of SV2P: q(z | x_0 ... x_{T-1}), a convolutional tower over all frames of a video, stacked as channels."""

from typing import NamedTuple

import keras
import tensorflow as tf

from data_pipelines.checks import require
from svg_tf import distributions
from svg_tf.families.sv2p.config import SV2PConfig
from svg_tf.layers.conv_lstm import Conv, LayerNorm

LEAST_LOG_VARIANCE = -5.0


class Posterior(NamedTuple):
    """mean, log_variance: float32 [B, h * w * z_channels]."""

    mean: tf.Tensor
    log_variance: tf.Tensor

    @property
    def distribution(self):
        return distributions.diagonal_gaussian(self.mean, self.log_variance)


class Tower(keras.layers.Layer):
    """x float [T, B, H, W, C] -> `Posterior`. T is fixed, as the first kernel reads T * C channels."""

    def __init__(self, config: SV2PConfig, **kwargs):
        super().__init__(**kwargs)
        c, self.frames = config, config.n_frames
        w, epsilon = c.width, c.norm_epsilon
        sizes = [(c.n_frames * c.channels, w, 2), (w, 2 * w, 2), (2 * w, 2 * w, 1)]
        self.convs = [Conv(a, b, 3, strides, use_bias=False, name=f"conv_{i}") for i, (a, b, strides) in enumerate(sizes)]
        self.norms = [LayerNorm(b, epsilon, name=f"norm_{i}") for i, (_, b, _) in enumerate(sizes)]
        plain = not c.normalize_heads
        self.heads = {name: Conv(2 * w, c.z_channels, 3, 2, use_bias=plain, name=name) for name in ("mean", "log_variance")}
        self.head_norms = {} if plain else {name: LayerNorm(c.z_channels, epsilon, name=f"{name}_norm") for name in self.heads}
        self.built = True

    def call(self, x):
        self.check(x.shape[0])
        x = tf.ensure_shape(x, [self.frames, *x.shape[1:]])
        y = tf.concat(tf.unstack(x), axis=-1)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = tf.nn.relu(norm(conv(y)))
        maps = {name: head(y) for name, head in self.heads.items()}
        maps = {name: self.head_norms[name](y) if self.head_norms else y for name, y in maps.items()}
        mean, raw = (tf.reshape(tf.cast(maps[name], tf.float32), [tf.shape(y)[0], -1]) for name in ("mean", "log_variance"))
        return Posterior(mean, tf.nn.relu(raw) + LEAST_LOG_VARIANCE)

    def check(self, frames: int | None):
        """Raises `ValueError` for another number of frames; None, not known when the graph is built, is checked when it runs."""
        require(
            frames in (None, self.frames),
            f"The posterior reads all {self.frames} frames of a training window (n_frames) at once, got {frames} frames.",
        )
