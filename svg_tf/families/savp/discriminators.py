"""SAVP's video discriminators: spectrally normalized convolutions over space and time (Miyato et al. 2018).

Normalization here, and not by Keras's layer, which overwrites its kernel with the normalized one and lets no gradient through
the norm.
"""

import keras
import tensorflow as tf

from svg_tf import kernels
from svg_tf.families.savp.config import SAVPConfig
from svg_tf.families.savp.layers import kernel_initializer

SLOPE = 0.1
NORM_FLOOR = 1e-12
# (frames of the kernel, its strides in time and in space, width as a multiple of the first one's); 3x3 pixels, 4x4 with stride 2.
LAYERS = ((3, 1, 1, 1), (4, 1, 2, 2), (3, 1, 1, 2), (4, 1, 2, 4), (3, 1, 1, 4), (4, 2, 2, 8), (3, 1, 1, 8))


class SpectralKernel(keras.layers.Layer):
    """A kernel divided by an estimate of its largest singular value, as a matrix [product of the others, outputs].

    One step of power iteration from the vector u, which is kept, makes the estimate; the gradient sees u and v as constants.
    """

    def __init__(self, shape: tuple[int, ...], **kwargs):
        super().__init__(**kwargs)
        self.kernel = self.add_weight(shape=shape, initializer=kernel_initializer(), name="kernel", autocast=False)
        self.bias = self.add_weight(shape=shape[-1:], initializer="zeros", name="bias", autocast=False)
        # Of kernel and u alone, so equal on all replicas.
        self.u = self.add_weight(
            shape=(1, shape[-1]), initializer=keras.initializers.TruncatedNormal(stddev=1.0), trainable=False, name="u",
            autocast=False, aggregation="only_first_replica",
        )  # fmt: skip
        self.built = True

    def normalized(self, iterate: bool = False):
        """The normalized kernel, float32. iterate: u moves on by the step."""
        kernel, u = tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.u)
        matrix = tf.reshape(kernel, [-1, kernel.shape[-1]])
        v, after = map(tf.stop_gradient, power_iteration(matrix, u))
        if iterate:
            self.u.assign(after)
        return kernel / tf.reduce_sum(v * tf.matmul(matrix, after, transpose_b=True))


def power_iteration(matrix, u):
    """matrix [rows, columns], u [1, columns] -> (v [rows, 1], the next u), both of norm 1."""
    v = tf.matmul(matrix, u, transpose_b=True)
    v = v / (tf.norm(v) + NORM_FLOOR)
    u = tf.matmul(v, matrix, transpose_a=True)
    return v, u / (tf.norm(u) + NORM_FLOOR)


class VideoConv(SpectralKernel):
    """A convolution over space and time with one zero at each border, and a leaky ReLU; x [T, N, H, W, inputs].

    It is a convolution over space of the frames that a kernel meets, side by side as channels.
    """

    def __init__(self, inputs: int, outputs: int, frames: int, time_strides: int, strides: int, **kwargs):
        size = 4 if strides == 2 else 3
        super().__init__((size, size, frames, inputs, outputs), **kwargs)
        self.frames, self.time_strides, self.strides = frames, time_strides, strides

    def length_after(self, frames: int) -> int:
        return (frames + 2 - self.frames) // self.time_strides + 1

    def call(self, x, iterate: bool = False):
        size, _, frames, inputs, outputs = self.kernel.shape
        kernel = tf.cast(self.normalized(iterate), x.dtype)
        kernel = tf.reshape(kernel, [size, size, frames * inputs, outputs])
        time, _, height, width, _ = x.shape
        after = self.length_after(time)
        x = tf.pad(x, [[1, 1], [0, 0], [0, 0], [0, 0], [0, 0]])
        last = self.time_strides * (after - 1) + 1
        met = tf.concat([x[i : i + last : self.time_strides] for i in range(frames)], axis=-1)
        met = tf.reshape(met, [-1, height, width, frames * inputs])
        y = kernels.conv_down(met, kernel) if self.strides == 2 else tf.nn.conv2d(met, kernel, 1, "SAME")
        y = kernels.leaky_relu(y + tf.cast(self.bias, y.dtype), SLOPE)
        return tf.reshape(y, [after, -1, height // self.strides, width // self.strides, outputs])


class Judgement(keras.layers.Layer):
    """One number of a map [T, N, H, W, C], by a product with all of it: [N]."""

    def __init__(self, inputs: int, **kwargs):
        super().__init__(**kwargs)
        self.product = SpectralKernel((inputs, 1), name="product")
        self.built = True

    def call(self, x, iterate: bool = False):
        flat = tf.reshape(tf.transpose(tf.cast(x, tf.float32), [1, 0, 2, 3, 4]), [-1, self.product.kernel.shape[0]])
        return (tf.matmul(flat, self.product.normalized(iterate)) + tf.convert_to_tensor(self.product.bias))[:, 0]


class Discriminator(keras.layers.Layer):
    """Clips float32 [clip_length, N, H, W, C] -> (logits float32 [N], features: the map after each convolution)."""

    def __init__(self, config: SAVPConfig, **kwargs):
        super().__init__(**kwargs)
        self.convs, frames, (height, width, inputs) = [], config.clip_length, config.frame_shape
        for i, (time, time_strides, strides, multiple) in enumerate(LAYERS):
            outputs = multiple * config.discriminator_width
            conv = VideoConv(inputs, outputs, time, time_strides, strides, name=f"conv_{i}")
            self.convs.append(conv)
            inputs, frames = outputs, conv.length_after(frames)
            height, width = height // strides, width // strides
        self.judgement = Judgement(frames * height * width * inputs, name="judgement")
        self.built = True

    def call(self, clips, iterate: bool = False):
        """iterate: the vectors of the spectral norms move on, once a training step."""
        x, features = tf.cast(clips, self.compute_dtype), []
        for conv in self.convs:
            x = conv(x, iterate=iterate)
            features.append(x)
        return self.judgement(x, iterate=iterate), features

    def multiply_adds(self, height: int, width: int, frames: int) -> list[int]:
        """Of each layer for one clip of frames of this size."""
        found = []
        for conv in self.convs:
            frames, height, width = conv.length_after(frames), height // conv.strides, width // conv.strides
            found.append(frames * height * width * int(tf.size(conv.kernel)))
        return [*found, int(tf.size(self.judgement.product.kernel))]
