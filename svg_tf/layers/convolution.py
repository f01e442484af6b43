"""Convolutions, batch normalization and activation of the backbones (paper appendix; initializers of DCGAN).

`norm` is how batch normalization works in a call:
  "train"    statistics of this batch; the moving averages follow
  "batch"    statistics of this batch; the moving averages stay (an option in evaluation)
  "running"  the moving averages: each frame's result is independent of its batch-mates
"""

from typing import Literal

import keras
from keras import ops

from svg_tf import kernels

Norm = Literal["train", "batch", "running"]
LEAKY_SLOPE = 0.2
BN_EPSILON = 1e-5
BN_DECAY = 0.9


def kernel_initializer():
    return keras.initializers.RandomNormal(mean=0.0, stddev=0.02)


def leaky_relu(x):
    return kernels.leaky_relu(x, LEAKY_SLOPE)


class BatchNorm(keras.layers.Layer):
    """Batch normalization with synchronized statistics, gamma ~ N(1, 0.02), epsilon 1e-5, moving-average decay 0.9.

    Its own class because Keras's normalizes in several unfused passes (2.5 times slower on CPU) and has no mode that
    uses the batch's statistics without moving the averages.
    """

    def __init__(self, channels: int, **kwargs):
        super().__init__(**kwargs)
        self.gamma = self.add_weight(
            shape=(channels,), initializer=keras.initializers.RandomNormal(mean=1.0, stddev=0.02), name="gamma"
        )
        self.beta = self.add_weight(shape=(channels,), initializer="zeros", name="beta")
        averages = {"trainable": False, "autocast": False, "aggregation": "mean"}
        self.moving_mean = self.add_weight(shape=(channels,), initializer="zeros", name="moving_mean", **averages)
        self.moving_variance = self.add_weight(shape=(channels,), initializer="ones", name="moving_variance", **averages)
        self.built = True

    def call(self, x, norm: Norm = "running", groups: int = 1):
        """x: float [N, H, W, C]. groups > 1: each of `groups` consecutive parts (time steps) is normalized on its own.

        A frozen layer (`trainable = False`) trains by its moving averages, which stay, as Keras's does.
        """
        if norm == "running" or (norm == "train" and not self.trainable):
            scale = ops.cast(self.gamma, "float32") * ops.rsqrt(self.moving_variance + BN_EPSILON)
            offset = ops.cast(self.beta, "float32") - self.moving_mean * scale
            return x * ops.cast(scale, x.dtype) + ops.cast(offset, x.dtype)
        gamma, beta = ops.cast(self.gamma, "float32"), ops.cast(self.beta, "float32")
        y, mean, variance = kernels.batch_norm(x, gamma, beta, BN_EPSILON, groups)
        if norm == "train":
            # What `groups` updates in a row leave: the last one counts most.
            weights = ops.convert_to_tensor([[(1 - BN_DECAY) * BN_DECAY ** (groups - 1 - i)] for i in range(groups)], "float32")
            for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
                average.assign(average * BN_DECAY**groups + ops.sum(weights * value, axis=0))
        return y


class Conv(keras.layers.Layer):
    """A convolution kernel [k, k, ...] ~ N(0, 0.02) and, where `use_bias`, a bias of zeros.

    kind: "down" 4x4 stride 2 padding 1; "up" its transpose; "same" 3x3 padding 1; "enlarged" nearest up-sampling by 2, then
    "same"; "valid" the whole map to 1x1 (kernel 4x4); "expand" 1x1 to a 4x4 map (a transposed "valid").
    """

    def __init__(self, kind: str, inputs: int, outputs: int, use_bias: bool = False, **kwargs):
        super().__init__(**kwargs)
        size = 3 if kind in ("same", "enlarged") else 4
        shape = (size, size, outputs, inputs) if kind in ("up", "expand") else (size, size, inputs, outputs)
        self.kind, self.outputs = kind, outputs
        self.kernel = self.add_weight(shape=shape, initializer=kernel_initializer(), name="kernel")
        self.bias = self.add_weight(shape=(outputs,), initializer="zeros", name="bias") if use_bias else None
        self.built = True

    def call(self, x):
        kernel = ops.convert_to_tensor(self.kernel)  # in the compute dtype
        if self.kind == "down":
            y = kernels.conv_down(x, kernel)
        elif self.kind == "up":
            y = kernels.conv_up(x, kernel)
        elif self.kind == "same":
            y = ops.conv(x, kernel, strides=1, padding="same")
        elif self.kind == "enlarged":
            y = kernels.conv_enlarged(x, kernel)
        elif self.kind == "valid":  # one dot product with the whole 4x4 map
            y = ops.matmul(ops.reshape(x, (-1, 16 * x.shape[-1])), ops.reshape(kernel, (-1, self.outputs)))
            y = ops.reshape(y, (-1, 1, 1, self.outputs))
        else:  # "expand": [N, 1, 1, C] -> [N, 4, 4, outputs]
            y = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), ops.transpose(ops.reshape(kernel, (-1, x.shape[-1]))))
            y = ops.reshape(y, (-1, 4, 4, self.outputs))
        return y if self.bias is None else y + self.bias

class ConvBlock(keras.layers.Layer):
    """Convolution, batch normalization (unless `normalized` is false), activation ("leaky_relu" or "tanh")."""

    def __init__(
        self,
        kind: str,
        inputs: int,
        outputs: int,
        activation: str = "leaky_relu",
        use_bias: bool = False,
        normalized: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.conv = Conv(kind, inputs, outputs, use_bias, name="conv")
        self.norm = BatchNorm(outputs, name="norm") if normalized else None
        self.activation = {"leaky_relu": leaky_relu, "tanh": ops.tanh}[activation]
        self.built = True

    def call(self, x, norm: Norm = "running", groups: int = 1):
        return self.activated(self.conv(x), norm, groups)

    def activated(self, y, norm: Norm = "running", groups: int = 1):
        """What follows the convolution, whose result is y."""
        if self.norm is not None:
            y = self.norm(y, norm=norm, groups=groups)
        return self.activation(y)


class SkipConvBlock(keras.layers.Layer):
    """A `ConvBlock` fed with concat(x, skip), computed as conv(x) + conv(skip).

    The skip half is the same for all frames that share a skip frame (and for all samples of a sequence): `skip_conv`
    computes it once per distinct skip, and `rows` (of `layers.skips`) adds it to the frames that use it. With skip_inputs 0
    there is no skip. kind "up": x and skip are up-sampled by the convolution; "enlarged": x alone.
    """

    def __init__(self, kind: str, inputs: int, skip_inputs: int, outputs: int, use_bias: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.block = ConvBlock(kind, inputs, outputs, use_bias=use_bias, name="block")
        skip_kind = "same" if kind == "enlarged" else kind
        self.skip_conv = Conv(skip_kind, skip_inputs, outputs, name="skip_conv") if skip_inputs else None
        self.built = True

    def call(self, x, term=None, rows=None, norm: Norm = "running", groups: int = 1):
        """term: the result of `skip_conv` for the distinct skips, or None."""
        y = self.block.conv(x)
        if term is not None:
            y = rows.add(y, term)
        return self.block.activated(y, norm, groups)


def in_a_row(layers, rows, settings: dict, x, *term):
    """A `SkipConvBlock` with its term, or none, then further blocks or convolutions. Tensors come last, for
    `recomputation.recomputed`; settings: norm and groups."""
    first, *rest = layers
    x = first(x, *term, rows=rows, **settings)
    for layer in rest:
        x = layer(x) if isinstance(layer, Conv) else layer(x, **settings)
    return x
