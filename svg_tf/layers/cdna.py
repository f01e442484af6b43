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


def neighborhoods(images, size: int, padding: str):
    """images float32 [N, H, W, C] -> [N, H * W, size * size, C]: what a window around each pixel holds, rows first.

    padding: "zero", or "symmetric": the border's pixels mirrored.
    """
    _, height, width, channels = images.shape
    reach = size // 2
    mode = {"zero": "constant", "symmetric": "symmetric"}[padding]
    padded = ops.pad(images, [[0, 0], [reach, reach], [reach, reach], [0, 0]], mode=mode)
    shifted = [padded[:, i : i + height, j : j + width] for i in range(size) for j in range(size)]
    return ops.reshape(ops.stack(shifted, axis=3), (-1, height * width, size * size, channels))


def blend(images, kernels, masks, padding: str):
    """sum_k masks_k * transformed_k: images float32 [N, H, W, C], kernels [N, size * size, K], masks [N, H, W, K] -> [N, H, W, C].

    A kernel's transformed image is its cross-correlation with the image:
    transformed_k(y, x) = sum_ij kernel_k(i, j) image(y + i - size // 2, x + j - size // 2).
    Each pixel's masks first blend the kernels into one of its own, which then meets the pixel's window: of C channels this takes
    size^2 (K + C) multiply-adds a pixel in place of size^2 K C, and no map of K C channels.
    """
    _, height, width, channels = images.shape
    size = math.isqrt(kernels.shape[1])
    own = ops.matmul(ops.reshape(masks, (-1, height * width, masks.shape[-1])), ops.transpose(kernels, (0, 2, 1)))
    blended = ops.sum(own[..., None] * neighborhoods(images, size, padding), axis=2)
    return ops.reshape(blended, (-1, height, width, channels))
