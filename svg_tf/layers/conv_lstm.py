"""Convolutional LSTM (Shi et al. 2015), and the layers around it in CDNA's and SAVP's generators. State goes in and comes out.

Maps of several steps are one batch [T * N, H, W, C], time first. Kernels are Glorot uniform and biases zero, as published.
"""

import math

import keras
from keras import ops

from svg_tf import motion_kernels

FORGET_BIAS = 1.0
UNROLLED_STEPS = 64  # longer sequences, or sequences of unknown length, run in a graph loop


def glorot(fan_in: int, fan_out: int):
    """Glorot's uniform distribution of a kernel that is stored in parts."""
    bound = math.sqrt(6.0 / (fan_in + fan_out))
    return keras.initializers.RandomUniform(-bound, bound)


class ConvLSTM(keras.layers.Layer):
    """gates = conv(concat(x, h)) + bias in the order input, candidate, forget, output; forget_bias is added to the forget gate's.

    bound: kernels and bias are uniform in [-bound, bound]; None: Glorot's kernels, a bias of zeros.

    The convolution of the input and that of the state have kernels of their own: with all steps of x known, their half of the
    gates is one convolution.
    """

    normalized = False

    def __init__(
        self, inputs: int, units: int, size: int, *, forget_bias=FORGET_BIAS, bound: float | None = None, use_bias: bool = True,
        initializer=None, **kwargs,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.units, self.size, self.forget_bias = units, size, forget_bias
        uniform = initializer or glorot(size * size * (inputs + units), size * size * 4 * units)
        uniform = uniform if bound is None else keras.initializers.RandomUniform(-bound, bound)
        self.kernel = self.add_weight(shape=(size, size, inputs, 4 * units), initializer=uniform, name="kernel")
        self.recurrent_kernel = self.add_weight(
            shape=(size, size, units, 4 * units), initializer=uniform.clone(), name="recurrent_kernel"
        )
        bias = "zeros" if bound is None else uniform.clone()
        self.bias = self.add_weight(shape=(4 * units,), initializer=bias, name="bias") if use_bias else None
        self.built = True

    def initial_state(self, batch, height: int, width: int) -> tuple:
        """(h, c) of zeros, each [batch, height, width, units]."""
        zeros = ops.zeros((batch, height, width, self.units), self.compute_dtype)
        return zeros, zeros

    def cell(self, gates, c):
        """(h', c') of gates [N, H, W, 4 * units] and c [N, H, W, units]."""
        return motion_kernels.gates_to_state(gates, c, self.forget_bias)

    def call(self, x, state, steps=1, offset=None):
        """x [steps * N, H, W, inputs], state (h, c) of N rows -> (outputs [steps * N, H, W, units], state).

        steps: an int, or an int32 tensor in a graph for any number. offset: what is added to the gates, of their shape.
        """
        projected = ops.conv(x, self.kernel, strides=1, padding="same")
        if self.bias is not None:
            projected = projected + self.bias
        if offset is not None:
            projected = projected + offset
        recurrent = ops.convert_to_tensor(self.recurrent_kernel)
        known = isinstance(steps, int) and steps <= UNROLLED_STEPS
        if known and steps > 1 and not self.normalized:
            outputs, *state = motion_kernels.conv_lstm(projected, recurrent, *state, steps, self.forget_bias)
            return outputs, tuple(state)

        def step(now, state):
            h, c = state
            gates = now + ops.conv(h, recurrent, strides=1, padding="same")
            h, c = self.cell(gates, c)
            return h, (h, c)

        if not known:
            return motion_kernels.over_time(step, projected, state, steps)
        outputs = []
        for now in ops.split(projected, steps, axis=0) if steps > 1 else [projected]:
            h, state = step(now, state)
            outputs.append(h)
        return ops.concatenate(outputs, axis=0) if steps > 1 else outputs[0], state

    def multiply_adds(self, height: int, width: int) -> int:
        """Of one step of one example."""
        return height * width * (math.prod(self.kernel.shape) + math.prod(self.recurrent_kernel.shape))


class MapNorm(keras.layers.Layer):
    """Normalization of each example of maps [N, H, W, C], with a scale and an offset of each channel, by `normalize`."""

    def __init__(self, channels: int, epsilon: float, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.gamma = self.add_weight(shape=(channels,), initializer="ones", name="gamma", autocast=False)
        self.beta = self.add_weight(shape=(channels,), initializer="zeros", name="beta", autocast=False)
        self.built = True

    def call(self, x):
        return ops.cast(self.normalize(x, self.gamma, self.beta, self.epsilon), x.dtype)


class InstanceNorm(MapNorm):
    """Each channel of each example is normalized by its own statistics."""

    normalize = staticmethod(motion_kernels.instance_norm)


class LayerNorm(MapNorm):
    """Each example is normalized by the statistics of its whole map."""

    normalize = staticmethod(motion_kernels.layer_norm)


class NormalizedConvLSTM(ConvLSTM):
    """A `ConvLSTM` without biases whose gates, and whose c, are normalized by instance; the normalized c is carried on."""

    normalized = True

    def __init__(self, inputs: int, units: int, size: int, epsilon: float, **kwargs):
        super().__init__(inputs, units, size, use_bias=False, **kwargs)
        self.gates_norm = InstanceNorm(4 * units, epsilon, name="gates_norm")
        self.cell_norm = InstanceNorm(units, epsilon, name="cell_norm")

    def cell(self, gates, c):
        pairs = ((norm.gamma, norm.beta) for norm in (self.gates_norm, self.cell_norm))
        h, new_c = motion_kernels.normalized_gates_to_state(gates, c, *pairs, self.gates_norm.epsilon, self.forget_bias)
        return ops.cast(h, gates.dtype), ops.cast(new_c, c.dtype)


class Conv(keras.layers.Layer):
    """A convolution with "same" padding as TensorFlow pads it: x [N, H, W, inputs] -> [N, H / strides, W / strides, outputs].

    initializer: of the kernel; None: Glorot uniform.
    """

    def __init__(
        self, inputs: int, outputs: int, size: int, strides: int = 1, use_bias: bool = True, initializer=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.strides = strides
        kernel = initializer or keras.initializers.GlorotUniform()
        self.kernel = self.add_weight(shape=(size, size, inputs, outputs), initializer=kernel, name="kernel")
        self.bias = self.add_weight(shape=(outputs,), initializer="zeros", name="bias") if use_bias else None
        self.built = True

    def call(self, x):
        if self.kernel.shape[0] == 1 and self.strides == 1:
            y = ops.matmul(x, self.kernel[0, 0])
        else:
            y = ops.conv(x, self.kernel, strides=self.strides, padding="same")
        return y if self.bias is None else y + self.bias

    def multiply_adds(self, height: int, width: int) -> int:
        """For one example whose result has this size."""
        return height * width * math.prod(self.kernel.shape)


class ConvUp(keras.layers.Layer):
    """The transpose of a 3x3 "same" convolution of stride 2: x [N, h, w, inputs] -> [N, 2h, 2w, outputs].

    An even row of the result meets the rows i - 1 and i of x with taps 2 and 0, an odd one row i with tap 1; so for columns. All
    four parities are one 2x2 convolution, whose kernel has zeros at 7 of 16 places: faster on a CPU than a scattering transpose.
    """

    def __init__(self, inputs: int, outputs: int, use_bias: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.outputs = outputs
        kernel = glorot(9 * inputs, 9 * outputs)
        self.kernel = self.add_weight(shape=(3, 3, outputs, inputs), initializer=kernel, name="kernel")
        self.bias = self.add_weight(shape=(outputs,), initializer="zeros", name="bias") if use_bias else None
        self.built = True

    def call(self, x):
        _, height, width, inputs = x.shape
        kernel = ops.convert_to_tensor(self.kernel)
        # places[parity, tap of the 2x2 kernel, tap of the 3x3 kernel]
        places = ops.convert_to_tensor([[[0, 0, 1], [1, 0, 0]], [[0, 0, 0], [0, 1, 0]]], kernel.dtype)
        taps = ops.einsum("pai,qbj,ijoc->abcpqo", places, places, kernel)
        taps = ops.reshape(taps, (2, 2, inputs, 4 * self.outputs))
        y = ops.conv(ops.pad(x, [[0, 0], [1, 0], [1, 0], [0, 0]]), taps, strides=1, padding="valid")
        y = ops.transpose(ops.reshape(y, (-1, height, width, 2, 2, self.outputs)), (0, 1, 3, 2, 4, 5))
        y = ops.reshape(y, (-1, 2 * height, 2 * width, self.outputs))
        return y if self.bias is None else y + self.bias

    def multiply_adds(self, height: int, width: int) -> int:
        """For one example whose input has this size, of the transposed convolution."""
        return height * width * math.prod(self.kernel.shape)
