"""Convolutional dynamic neural advection (Finn, Goodfellow, Levine 2016): a frame as a blend of moved copies of another one.

Kernels are each example's own, and the same for all channels. Kernels, masks and blends are float32.
"""

import math

from keras import ops

RELU_SHIFT = 1e-12


def normalized_kernels(logits, size: int):
    """logits [N, size * size * K], K fastest -> float32 [N, size * size, K], not negative, the sum over the window 1.

    Where no logit of a kernel exceeds 1e-12 the kernel is uniform, and its gradient 0.
    """
    logits = ops.reshape(ops.cast(logits, "float32"), (-1, size * size, logits.shape[-1] // (size * size)))
    logits = ops.relu(logits - RELU_SHIFT) + RELU_SHIFT
    return logits / ops.sum(logits, axis=1, keepdims=True)


def moved(images, kernels, padding: str):
    """The copies of images [N, H, W, C] that kernels [N, size * size, K] move, float32 [C, H, W, N, K]: see `blend`.

    The batch takes the place of the channels of a depthwise convolution, whose filters then are each example's own.
    """
    _, height, width, channels = images.shape
    size, count = math.isqrt(kernels.shape[1]), kernels.shape[2]
    reach = [size // 2, size // 2]
    mode = {"zero": "constant", "symmetric": "symmetric"}[padding]
    padded = ops.pad(ops.transpose(images, (3, 1, 2, 0)), [[0, 0], reach, reach, [0, 0]], mode=mode)  # [C, H', W', N]
    filters = ops.transpose(ops.reshape(kernels, (-1, size, size, count)), (1, 2, 0, 3))
    return ops.reshape(ops.depthwise_conv(padded, filters, strides=1, padding="valid"), (channels, height, width, -1, count))


def blend(images, kernels, masks, padding: str):
    """sum_k masks_k * moved_k: images float32 [N, H, W, C], kernels [N, size * size, K], masks [N, H, W, K] -> [N, H, W, C].

    moved_k is the cross-correlation of an example's image with its own kernel:
    moved_k(y, x) = sum_ij kernel_k(i, j) image(y + i - size // 2, x + j - size // 2).
    padding: "zero", or "symmetric": the border's pixels mirrored.
    """
    copies = moved(images, kernels, padding)
    return ops.transpose(ops.sum(copies * ops.transpose(masks, (1, 2, 0, 3)), axis=-1), (3, 1, 2, 0))
