"""LSTM stacks of the predictor, the posterior and the prior. State goes in and comes out.

Cells have weights ~ U(-1/sqrt(units), 1/sqrt(units)) and no forget-gate offset (Keras's defaults differ). PyTorch's cells
add two such bias vectors where one suffices: 4 * units fewer parameters a cell here, the same function, and at the start
the same distribution (`SumOfTwoUniforms`).
"""

import math

import keras
from keras import ops

from svg_tf import kernels
from svg_tf.layers.convolution import kernel_initializer

UNROLLED_STEPS = 64  # longer sequences, or sequences of unknown length, run in a graph loop


class SumOfTwoUniforms(keras.initializers.Initializer):
    """u + v with u, v ~ U(-bound, bound): what two bias vectors of PyTorch's recurrent cells add to. Standard deviation
    bound * sqrt(2/3)."""

    def __init__(self, bound: float):
        self.bound = bound
        self._uniform = keras.initializers.RandomUniform(-bound, bound)

    def __call__(self, shape, dtype=None):
        return ops.sum(self._uniform((2, *shape), dtype=dtype), axis=0)

    def get_config(self):
        return {"bound": self.bound}


class Dense(keras.layers.Layer):
    """x [..., inputs] -> [..., outputs]; kernel ~ N(0, 0.02) unless `initializer` says otherwise, bias 0."""

    def __init__(self, inputs: int, outputs: int, initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.kernel = self.add_weight(shape=(inputs, outputs), initializer=initializer or kernel_initializer(), name="kernel")
        self.bias = self.add_weight(shape=(outputs,), initializer="zeros", name="bias")
        self.built = True

    def call(self, x):
        return ops.matmul(x, self.kernel) + self.bias


class LSTMLayer(keras.layers.Layer):
    """One LSTM layer over time: x [T, B, inputs], state (h, c) each [B, units] -> (outputs [T, B, units], state)."""

    def __init__(self, inputs: int, units: int, **kwargs):
        super().__init__(**kwargs)
        bound = 1.0 / math.sqrt(units)
        self.units = units

        def uniform():
            return keras.initializers.RandomUniform(-bound, bound)

        self.kernel = self.add_weight(shape=(inputs, 4 * units), initializer=uniform(), name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(units, 4 * units), initializer=uniform(), name="recurrent_kernel")
        self.bias = self.add_weight(shape=(4 * units,), initializer=SumOfTwoUniforms(bound), name="bias")
        self.built = True

    def call(self, x, state):
        projected = ops.matmul(x, self.kernel) + self.bias  # all time steps in one product
        unrolled = x.shape[0] is not None and x.shape[0] <= UNROLLED_STEPS
        run = kernels.lstm if unrolled else kernels.lstm_loop
        outputs, h, c = run(projected, ops.convert_to_tensor(self.recurrent_kernel), *state)
        return outputs, (h, c)


class LSTMStack(keras.layers.Layer):
    """Dense embedding -> LSTM layers -> features [T, B, units]. Subclasses add the head."""

    def __init__(self, inputs: int, units: int, layers: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.embed = Dense(inputs, units, name="embed")
        self.cells = [LSTMLayer(units, units, name=f"cell_{i + 1}") for i in range(layers)]
        self.built = True

    def initial_state(self, batch):
        """Zeros: a tuple over layers of (h, c), each [batch, units]."""
        zeros = ops.zeros((batch, self.units), self.compute_dtype)
        return tuple((zeros, zeros) for _ in self.cells)

    def features(self, x, state):
        y, states = self.embed(x), []
        for cell, cell_state in zip(self.cells, state, strict=True):
            y, cell_state = cell(y, cell_state)
            states.append(cell_state)
        return y, tuple(states)


class LSTM(LSTMStack):
    """The frame predictor: x [T, B, inputs], state -> (tanh(Dense(features)) [T, B, outputs], state)."""

    def __init__(self, inputs: int, units: int, layers: int, outputs: int, **kwargs):
        super().__init__(inputs, units, layers, **kwargs)
        self.head = Dense(units, outputs, name="head")

    def call(self, x, state):
        y, state = self.features(x, state)
        return ops.tanh(self.head(y)), state


class GaussianLSTM(LSTMStack):
    """Posterior and learned prior: x [T, B, inputs], state -> (mean, log-variance, state), each [T, B, z_dim] float32.

    The log-variance is clipped to [-10, 10] (sigma in [0.0067, 148]) so that no KL divergence overflows.
    """

    LOG_VARIANCE_BOUND = 10.0

    def __init__(self, inputs: int, units: int, layers: int, z_dim: int, **kwargs):
        super().__init__(inputs, units, layers, **kwargs)
        self.mean = Dense(units, z_dim, name="mean")
        self.log_variance = Dense(units, z_dim, name="log_variance")

    def call(self, x, state):
        y, state = self.features(x, state)
        bound = self.LOG_VARIANCE_BOUND
        log_variance = ops.clip(ops.cast(self.log_variance(y), "float32"), -bound, bound)
        return ops.cast(self.mean(y), "float32"), log_variance, state
