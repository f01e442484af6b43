"""How the previous frame moves: copies of it, each shifted and blurred, by kernels or along a flow. float32."""

import keras
import numpy as np
import tensorflow as tf

from svg_tf.families.savp.config import SAVPConfig
from svg_tf.families.savp.layers import NORM_EPSILON, Conv, Dense
from svg_tf.layers import cdna
from svg_tf.layers.conv_lstm import InstanceNorm

SYMMETRIC = "symmetric"


def identity(size: int) -> np.ndarray:
    """The kernel [size * size] that moves nothing."""
    return np.eye(size * size, dtype="float32")[size * size // 2]


class ImageKernels(keras.layers.Layer):
    """cdna: K kernels of an example, from the generator's smallest map; zero weights move nothing."""

    def __init__(self, config: SAVPConfig, smallest: int, **kwargs):
        super().__init__(**kwargs)
        self.count, self.size = config.transformed_images, config.kernel_size
        self.dense = Dense(smallest, self.count * self.size**2, name="dense")
        self.built = True

    def moved(self, bottom, features, u):
        """bottom [N, h, w, c], features [N, H, W, width], u float32 [N, H, W, C] -> (float32 [N, H, W, K, C], None)."""
        logits = tf.cast(self.dense(tf.reshape(bottom, [-1, self.dense.kernel.shape[0]])), tf.float32)
        logits = tf.reshape(logits, [-1, self.size**2, self.count]) + identity(self.size)[:, None]
        kernels = cdna.normalized_kernels(tf.reshape(logits, [-1, self.size**2 * self.count]), self.size)
        return tf.transpose(cdna.moved(u, kernels, SYMMETRIC), [3, 1, 2, 4, 0]), None

    def multiply_adds(self, shape) -> int:
        height, width, channels = shape
        return int(np.prod(self.dense.kernel.shape)) + height * width * channels * self.size**2 * self.count


class _OfPixels(keras.layers.Layer):
    """Numbers of each pixel from the generator's last map."""

    def __init__(self, config: SAVPConfig, outputs: int, **kwargs):
        super().__init__(**kwargs)
        self.count, self.size, w, place = config.transformed_images, config.kernel_size, config.width, config.frame_shape[:2]
        self.hidden = Conv("same", place, w, 0, w, use_bias=config.bias_before_norm, name="hidden")
        self.norm = InstanceNorm(w, NORM_EPSILON, name="norm")
        self.out = Conv("same", place, w, 0, outputs, name="out")
        self.built = True

    def numbers(self, features):
        return tf.cast(self.out(tf.nn.relu(self.norm(self.hidden(features)))), tf.float32)


class PixelKernels(_OfPixels):
    """dna: K kernels of each pixel."""

    def __init__(self, config: SAVPConfig, smallest: int, **kwargs):
        super().__init__(config, config.transformed_images * config.kernel_size**2, **kwargs)

    def moved(self, bottom, features, u):
        """As of `ImageKernels`."""
        reach, (_, height, width, channels) = self.size // 2, u.shape
        logits = tf.reshape(self.numbers(features), [-1, self.size**2, self.count]) + identity(self.size)[:, None]
        kernels = cdna.normalized_kernels(tf.reshape(logits, [-1, self.size**2 * self.count]), self.size)
        padded = tf.pad(u, [[0, 0], [reach, reach], [reach, reach], [0, 0]], "SYMMETRIC")
        window = [1, self.size, self.size, 1]
        patches = tf.image.extract_patches(padded, window, [1, 1, 1, 1], [1, 1, 1, 1], "VALID")
        patches = tf.reshape(patches, [-1, self.size**2, channels])
        moved = tf.matmul(kernels, patches, transpose_a=True)  # [N * H * W, K, C]
        return tf.reshape(moved, [-1, height, width, self.count, channels]), None

    def multiply_adds(self, shape) -> int:
        moving = int(np.prod(shape)) * self.size**2 * self.count
        return self.hidden.multiply_adds() + self.out.multiply_adds() + moving


class Flow(_OfPixels):
    """flow: K displacements of each pixel, (right, down) in pixels, from a pixel to where its value comes from."""

    def __init__(self, config: SAVPConfig, smallest: int, **kwargs):
        super().__init__(config, 2 * config.transformed_images, **kwargs)

    def moved(self, bottom, features, u):
        """As of `ImageKernels`; the second result: the flow's total variation, float32 [N]."""
        _, height, width, channels = u.shape
        flow = tf.reshape(self.numbers(features), [-1, height, width, 2, self.count])
        warped = [warp(u, flow[..., k]) for k in range(self.count)]
        return tf.stack(warped, axis=3), total_variation(flow)

    def multiply_adds(self, shape) -> int:
        return self.hidden.multiply_adds() + self.out.multiply_adds() + int(np.prod(shape)) * 4 * self.count


TRANSFORMATIONS = {"cdna": ImageKernels, "dna": PixelKernels, "flow": Flow}


def warp(image, flow):
    """out(p) = image(p + flow(p)), bilinear, beyond the border the nearest pixel: image [N, H, W, C], flow [N, H, W, 2]."""
    _, height, width, _ = image.shape
    rows, columns = tf.meshgrid(tf.range(height), tf.range(width), indexing="ij")
    x, y = tf.cast(columns, tf.float32) + flow[..., 0], tf.cast(rows, tf.float32) + flow[..., 1]
    left, top = tf.floor(x), tf.floor(y)
    right_share, lower_share = (x - left)[..., None], (y - top)[..., None]
    examples = tf.broadcast_to(tf.range(tf.shape(image)[0])[:, None, None], tf.shape(left))

    def corner(down, right):
        row = tf.cast(tf.clip_by_value(top + down, 0, height - 1), tf.int32)
        column = tf.cast(tf.clip_by_value(left + right, 0, width - 1), tf.int32)
        return tf.gather_nd(image, tf.stack([examples, row, column], axis=-1))

    upper = (1 - right_share) * corner(0, 0) + right_share * corner(0, 1)
    lower = (1 - right_share) * corner(1, 0) + right_share * corner(1, 1)
    return (1 - lower_share) * upper + lower_share * lower


def total_variation(flow) -> tf.Tensor:
    """Mean over pixels of the sum over channels of absolute differences, down and to the right: [N, H, W, ...] -> [N]."""
    over = list(range(3, flow.shape.rank))
    down, right = tf.abs(flow[:, 1:] - flow[:, :-1]), tf.abs(flow[:, :, 1:] - flow[:, :, :-1])
    return sum(tf.reduce_mean(tf.reduce_sum(d, over), [1, 2]) for d in (down, right))
