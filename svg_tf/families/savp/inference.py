"""Posterior and prior of SAVP: Gaussians of z_t from pairs of frames."""

import keras
import tensorflow as tf

from svg_tf import distributions, kernels
from svg_tf.families.savp.config import SAVPConfig
from svg_tf.families.savp.layers import LSTM, NORM_EPSILON, Dense, kernel_initializer
from svg_tf.families.shapes import fold_time, length, unfold_time
from svg_tf.layers.conv_lstm import InstanceNorm

LOG_VARIANCE_BOUND = 10.0
SLOPE = 0.2


class Halving(keras.layers.Layer):
    """4x4 convolution of stride 2, normalization by instance but for the first one, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, use_bias: bool, normalized: bool, **kwargs):
        super().__init__(**kwargs)
        self.kernel = self.add_weight(shape=(4, 4, inputs, outputs), initializer=kernel_initializer(), name="kernel")
        self.bias = self.add_weight(shape=(outputs,), initializer="zeros", name="bias") if use_bias else None
        self.norm = InstanceNorm(outputs, NORM_EPSILON, name="norm") if normalized else None
        self.built = True

    def call(self, x):
        y = kernels.conv_down(x, tf.convert_to_tensor(self.kernel))
        y = y if self.bias is None else y + tf.convert_to_tensor(self.bias)
        return kernels.leaky_relu(y if self.norm is None else self.norm(y), SLOPE)


class PairGaussian(keras.layers.Layer):
    """N(mean, sigma^2) of z_t from x_t and x_{t+1}, for all t; with `recurrent`, also from the pairs before.

    The log-variance is clipped to [-10, 10].
    """

    def __init__(self, config: SAVPConfig, recurrent: bool, **kwargs):
        super().__init__(**kwargs)
        c, w = config, config.encoder_width
        widths = [2 * c.channels, w, 2 * w, 4 * w]
        self.convs = [
            Halving(widths[i], widths[i + 1], c.bias_before_norm or i == 0, i > 0, name=f"conv_{i}") for i in range(3)
        ]
        features = widths[-1]
        if recurrent:
            self.dense, features = Dense(features, c.inference_size, name="dense"), c.inference_size
            self.lstm = LSTM(features, features, name="lstm")
        self.heads = {name: Dense(features, c.z_dim, name=name) for name in ("mean", "log_variance")}
        self.recurrent, self.built = recurrent, True

    def features(self, x):
        """x [T, B, H, W, C] -> [T - 1, B, 4 * encoder_width], a vector of each pair."""
        pairs = tf.cast(tf.concat([x[:-1], x[1:]], axis=-1), self.compute_dtype)
        y = fold_time(pairs)
        for conv in self.convs:
            y = conv(y)
        return unfold_time(tf.reduce_mean(y, [1, 2]), length(x) - 1, tf.shape(x)[1])

    def call(self, features):
        """[T - 1, B, features] -> a distribution over [T - 1, B, z_dim]."""
        y = self.lstm(self.dense(features)) if self.recurrent else features
        raw = tf.cast(self.heads["log_variance"](y), tf.float32)
        log_variance = tf.clip_by_value(raw, -LOG_VARIANCE_BOUND, LOG_VARIANCE_BOUND)
        return distributions.diagonal_gaussian(tf.cast(self.heads["mean"](y), tf.float32), log_variance)

    def posterior(self, x):
        """q(z_t | x_t, x_{t+1}) for t = 0 ... T - 2: x float32 [T, B, H, W, C]."""
        return self(self.features(x))

    def prior(self, context, steps):
        """The learned prior of z_0 ... z_{steps - 1} from the context [P, B, H, W, C] alone: zeros in place of the features of
        pairs that are not known."""
        batch, known = tf.shape(context)[1], length(context) - 1
        unseen = tf.zeros([steps - known, batch, self.dense.kernel.shape[0]], self.compute_dtype)
        if known is not None and not tf.is_tensor(known) and known == 0:
            return self(unseen)
        return self(tf.concat([self.features(context), unseen], axis=0))

    def multiply_adds(self, height: int, width: int, pairs: int) -> int:
        """Of `pairs` pairs of frames of this size."""
        places = [(height >> i) * (width >> i) for i in (1, 2, 3)]
        convolutions = sum(place * int(tf.size(conv.kernel)) for place, conv in zip(places, self.convs, strict=True))
        return pairs * convolutions
