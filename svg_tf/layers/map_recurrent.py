"""Stacks of convolutional LSTMs over maps: `layers.recurrent` with a 3x3 convolution for every matrix product.

Cells have weights ~ U(-1/sqrt(9 (inputs + units)), .), as PyTorch's convolutions, and no forget-gate offset.
"""

import math

import keras
from keras import ops

from svg_tf.families.shapes import fold_time, length, unfold_time
from svg_tf.layers.conv_lstm import ConvLSTM
from svg_tf.layers.convolution import Conv
from svg_tf.layers.recurrent import GaussianLSTM


class MapLSTMStack(keras.layers.Layer):
    """Embedding -> conv-LSTM layers -> features [T * B, h, w, units]. Subclasses add the head."""

    def __init__(self, place: tuple[int, int], inputs: int, units: int, layers: int, **kwargs):
        """place: (height, width) of the maps; no weight depends on it."""
        super().__init__(**kwargs)
        self.place, self.units = place, units
        self.embed = Conv("same", inputs, units, use_bias=True, name="embed")
        bound = 1.0 / math.sqrt(9 * 2 * units)
        self.cells = [ConvLSTM(units, units, 3, forget_bias=0.0, bound=bound, name=f"cell_{i + 1}") for i in range(layers)]
        self.built = True

    def initial_state(self, batch):
        """Zeros: a tuple over layers of (h, c), each [batch, h, w, units]."""
        return tuple(cell.initial_state(batch, *self.place) for cell in self.cells)

    def features(self, x, state):
        """x float [T, B, h, w, inputs], T of any kind -> ([T * B, h, w, units], state)."""
        steps, states = length(x), []
        y = self.embed(fold_time(x))
        for cell, cell_state in zip(self.cells, state, strict=True):
            y, cell_state = cell(y, cell_state, steps=steps)
            states.append(cell_state)
        return y, tuple(states)


class MapLSTM(MapLSTMStack):
    """The frame predictor: x [T, B, h, w, inputs], state -> (tanh(conv(features)) [T, B, h, w, outputs], state)."""

    def __init__(self, place, inputs: int, units: int, layers: int, outputs: int, **kwargs):
        super().__init__(place, inputs, units, layers, **kwargs)
        self.head = Conv("same", units, outputs, use_bias=True, name="head")

    def call(self, x, state):
        time, batch = ops.shape(x)[:2]
        y, state = self.features(x, state)
        return unfold_time(ops.tanh(self.head(y)), time, batch), state


class GaussianMapLSTM(MapLSTMStack):
    """Posterior and learned prior: x [T, B, h, w, inputs], state -> (mean, log-variance, state), each float32
    [T, B, h * w * z_dim], the log-variance clipped as that of `GaussianLSTM`."""

    def __init__(self, place, inputs: int, units: int, layers: int, z_dim: int, **kwargs):
        super().__init__(place, inputs, units, layers, **kwargs)
        self.mean = Conv("same", units, z_dim, use_bias=True, name="mean")
        self.log_variance = Conv("same", units, z_dim, use_bias=True, name="log_variance")

    def call(self, x, state):
        time, batch = ops.shape(x)[:2]
        y, state = self.features(x, state)
        bound, size = GaussianLSTM.LOG_VARIANCE_BOUND, math.prod(self.place) * self.mean.outputs
        mean, log_variance = (
            ops.reshape(ops.cast(head(y), "float32"), (time, batch, size)) for head in (self.mean, self.log_variance)
        )
        return mean, ops.clip(log_variance, -bound, bound), state
