"""Convolutions that see a map and a vector, and the vector's LSTM.

The vector r_t stands at every pixel beside the map's channels. Its part of a convolution is the same at all pixels but those
near the border, so that it takes a product for each kind of border and not for each pixel. Kernels are N(0, 0.02), cut at two
standard deviations, and biases zero, as published.
"""

import math
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from svg_tf import kernels
from svg_tf.layers import recurrent
from svg_tf.layers.conv_lstm import NormalizedConvLSTM

Place = tuple[int, int]
"""Height and width of a map."""
NORM_EPSILON = 1.001e-5  # the smallest that fused batch normalization takes, by which the authors' program normalizes


def kernel_initializer():
    return keras.initializers.TruncatedNormal(stddev=0.02)


def averaging(size: int) -> np.ndarray:
    """[size + 1, size]: the taps along one axis of "convolve, then average two pixels in two" from those of the convolution."""
    return 0.5 * (np.eye(size + 1, size) + np.eye(size + 1, size, -1))


# [parity of the result, tap at the small map, tap at the enlarged map] of "enlarge bilinearly by two, then convolve 3 x 3":
# row 2 m of the enlarged map is 1/4 of row m - 1 and 3/4 of row m, row 2 m + 1 is 3/4 of row m and 1/4 of row m + 1.
ENLARGING = 0.25 * np.array([[[3, 1, 0], [1, 3, 3], [0, 0, 1]], [[1, 0, 0], [3, 3, 1], [0, 1, 3]]])


class Border(NamedTuple):
    """How windows along one axis leave a map. inside: [classes, size], which taps are within it; of_place: [places, classes]."""

    inside: np.ndarray
    of_place: np.ndarray

    @classmethod
    def of(cls, side: int, size: int, strides: int, padding: int) -> "Border":
        """Of a map of `side` pixels; size, strides, padding: of the kernel. Windows that leave the map alike are of one class."""
        starts = np.arange(side // strides) * strides - padding
        inside = ((starts[:, None] + np.arange(size) >= 0) & (starts[:, None] + np.arange(size) < side)).astype("float32")
        new = [i == 0 or bool((inside[i] != inside[i - 1]).any()) for i in range(len(inside))]
        return cls(inside[new], np.eye(sum(new), dtype="float32")[np.cumsum(new) - 1])


class Everywhere:
    """The convolution of a map that holds the same vector at every pixel, by classes of rows and of columns.

    place: (height, width) of the map. size, strides, padding: of the kernel.
    """

    def __init__(self, place: Place, size: int, strides: int, padding: int):
        self.rows, self.columns = (Border.of(side, size, strides, padding) for side in place)
        self.pairs = len(self.rows.inside) * len(self.columns.inside)
        self.place = len(self.rows.of_place), len(self.columns.of_place)
        spread = np.einsum("ha,wb->hwab", self.rows.of_place, self.columns.of_place)
        self.places = spread.reshape(math.prod(self.place), self.pairs)

    def sums(self, kernel):
        """Of a kernel [size, size, z, outputs] the taps within the map, for each pair of classes: [z, pairs * outputs]."""
        rows, columns = (ops.convert_to_tensor(border.inside, kernel.dtype) for border in (self.rows, self.columns))
        return ops.reshape(ops.einsum("ai,bj,ijzo->zabo", rows, columns, kernel), (kernel.shape[2], -1))

    def __call__(self, r, sums):
        """r [N, z], the kernel's `sums` -> [N, h, w, outputs]."""
        y = ops.reshape(ops.matmul(r, sums), (-1, self.pairs, sums.shape[1] // self.pairs))
        spread = ops.matmul(ops.convert_to_tensor(self.places, y.dtype), y)
        return ops.reshape(spread, (-1, *self.place, y.shape[-1]))


class Prepared(NamedTuple):
    """A convolution's kernel as it is applied: computed once for many steps. latent: `Everywhere.sums`, () without a vector."""

    kernel: Any
    latent: Any


class Conv(keras.layers.Layer):
    """A convolution of a map [N, h, w, inputs] beside a vector [N, z].

    place: (h, w). kind: "same"; "pooled": then the mean of 2 x 2 pixels; "enlarged": 3 x 3, of the map enlarged bilinearly by
    two, with zeros around it. Both are one convolution of the small map.
    """

    def __init__(
        self, kind: str, place: Place, inputs: int, z: int, outputs: int, size: int = 3, use_bias: bool = True, **kwargs
    ):
        super().__init__(**kwargs)
        self.kind, self.inputs, self.z, self.outputs, self.size, self.place = kind, inputs, z, outputs, size, place
        shape = (size, size, inputs + z, outputs)
        self.kernel = self.add_weight(shape=shape, initializer=kernel_initializer(), name="kernel")
        self.bias = self.add_weight(shape=(outputs,), initializer="zeros", name="bias") if use_bias else None
        geometry = {"same": (size, 1, size // 2), "pooled": (size + 1, 2, size // 2), "enlarged": (3, 1, 1)}[kind]
        self.everywhere = Everywhere(place, *geometry)
        self.built = True

    @property
    def result_place(self) -> Place:
        height, width = self.place
        return {"same": self.place, "pooled": (height // 2, width // 2), "enlarged": (2 * height, 2 * width)}[self.kind]

    def prepared(self) -> Prepared:
        kernel = self._folded()
        return Prepared(kernel[:, :, : self.inputs], self.everywhere.sums(kernel[:, :, self.inputs :]) if self.z else ())

    def _folded(self):
        """The kernel of the one convolution."""
        kernel = ops.cast(self.kernel, self.compute_dtype)
        if self.kind == "pooled":
            fold = ops.convert_to_tensor(averaging(self.size), kernel.dtype)
            return ops.einsum("ip,jq,pqco->ijco", fold, fold, kernel)
        if self.kind == "enlarged":
            fold = ops.convert_to_tensor(ENLARGING, kernel.dtype)
            taps = ops.einsum("adp,beq,pqco->decabo", fold, fold, kernel)
            return ops.reshape(taps, (3, 3, self.inputs + self.z, 4 * self.outputs))
        return kernel

    def of_map(self, x, kernel):
        """The part of channels x [N, h, w, c]; kernel: of `Prepared`, of these channels."""
        if self.kind != "pooled":
            return ops.conv(x, kernel, strides=1, padding="same")
        if self.size == 3:
            return kernels.conv_down(x, kernel)
        # Strided 6 x 6 windows are 3 x 3 windows of blocks of 2 x 2 pixels.
        (height, width), c = self.result_place, x.shape[-1]
        blocks = ops.transpose(ops.reshape(x, (-1, height, 2, width, 2, c)), (0, 1, 3, 2, 4, 5))
        windows = (self.size + 1) // 2
        taps = ops.transpose(ops.reshape(kernel, (windows, 2, windows, 2, c, self.outputs)), (0, 2, 1, 3, 4, 5))
        taps = ops.reshape(taps, (windows, windows, 4 * c, self.outputs))
        return ops.conv(ops.reshape(blocks, (-1, height, width, 4 * c)), taps, strides=1, padding="same")

    def finished(self, y, r, latent):
        """The sum `y` of the parts of maps, and what is left to do: r's part, pixels at their places, the bias."""
        if self.z:
            y = y + self.everywhere(ops.cast(r, y.dtype), latent)
        if self.kind == "enlarged":
            y = ops.transpose(ops.reshape(y, (-1, *self.place, 2, 2, self.outputs)), (0, 1, 3, 2, 4, 5))
            y = ops.reshape(y, (-1, *self.result_place, self.outputs))
        return y if self.bias is None else y + ops.cast(self.bias, y.dtype)

    def call(self, x, r=None, prepared=None):
        kernel, latent = prepared or self.prepared()
        return self.finished(self.of_map(x, kernel), r, latent)

    def multiply_adds(self, inputs: int | None = None) -> int:
        """Of `inputs` channels of one map, as the one convolution; None: all, and the vector's part."""
        taps = {"same": self.size**2, "pooled": (self.size + 1) ** 2, "enlarged": 9}[self.kind] * math.prod(self.result_place)
        vector = self.everywhere.pairs * self.z * self.outputs * (4 if self.kind == "enlarged" else 1)
        return taps * self.outputs * (self.inputs if inputs is None else inputs) + (vector if inputs is None else 0)


class Cell(keras.layers.Layer):
    """A convolutional LSTM with normalized gates whose input is a map beside a vector. place: (h, w) of the map."""

    def __init__(self, place: Place, inputs: int, z: int, units: int, size: int, **kwargs):
        super().__init__(**kwargs)
        self.place, self.z, self.units = place, z, units
        self.lstm = NormalizedConvLSTM(inputs, units, size, NORM_EPSILON, initializer=kernel_initializer(), name="lstm")
        if z:
            shape = (size, size, z, 4 * units)
            self.latent_kernel = self.add_weight(shape=shape, initializer=kernel_initializer(), name="latent_kernel")
        self.everywhere = Everywhere(place, size, 1, size // 2)
        self.built = True

    def initial_state(self, batch):
        return self.lstm.initial_state(batch, *self.place)

    def prepared(self):
        """`Everywhere.sums` of z's kernel; () without z."""
        return self.everywhere.sums(ops.cast(self.latent_kernel, self.compute_dtype)) if self.z else ()

    def call(self, x, r, state, steps=1, latent=None):
        """x [steps * N, h, w, inputs], r [steps * N, z], `prepared` -> (outputs [steps * N, h, w, units], state)."""
        offset = self.everywhere(ops.cast(r, x.dtype), latent) if self.z else None
        return self.lstm(x, state, steps=steps, offset=offset)

    def multiply_adds(self) -> int:
        """Of one step of one example."""
        vector = self.everywhere.pairs * self.z * 4 * self.units
        return self.lstm.multiply_adds(*self.place) + vector


class LSTM(keras.layers.Layer):
    """x [T, N, inputs] -> [T, N, units], T of any kind, from a state of zeros; the forget gate's bias is 1 more."""

    def __init__(self, inputs: int, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        bound = math.sqrt(6.0 / (inputs + 5 * units))  # Glorot's, of one kernel for input and state
        uniform = keras.initializers.RandomUniform(-bound, bound)
        self.kernel = self.add_weight(shape=(inputs, 4 * units), initializer=uniform, name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(units, 4 * units), initializer=uniform.clone(), name="recurrent_kernel")
        self.bias = self.add_weight(shape=(4 * units,), initializer="zeros", name="bias")
        self.built = True

    def call(self, x):
        forget = ops.convert_to_tensor(np.repeat([0.0, 1.0, 0.0, 0.0], self.units), x.dtype)  # input, forget, candidate, output
        projected = ops.matmul(x, self.kernel) + self.bias + forget
        zeros = ops.zeros((ops.shape(x)[1], self.units), x.dtype)
        unrolled = x.shape[0] is not None and x.shape[0] <= recurrent.UNROLLED_STEPS
        run = kernels.lstm if unrolled else kernels.lstm_loop
        return run(projected, ops.convert_to_tensor(self.recurrent_kernel), zeros, zeros)[0]


class Dense(recurrent.Dense):
    """x [..., inputs] -> [..., outputs]."""

    def __init__(self, inputs: int, outputs: int, **kwargs):
        super().__init__(inputs, outputs, kernel_initializer(), **kwargs)
