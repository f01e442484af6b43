"""Metrics that give one value for each frame: MSE, PSNR, SSIM.

SSIM has two definitions in the literature of video prediction, which differ by 0.05-0.15 on the same frames; every
number must name its protocol:

  srvp  11x11 Gaussian window (sigma 1.5), population covariance, data_range 1: `tf.image.ssim`, the SRVP paper, "finn".
  svg   7x7 uniform window, sample covariance, data_range 2: the SVG reference, through an old scikit-image whose default
        for floating-point images was the range [-1, 1].

Both average the SSIM map over the region in which the whole window fits, and over channels.
"""

import functools
from typing import Literal, NamedTuple

import numpy as np
import tensorflow as tf

from svg_tf import protocols

_CHUNK = 64  # frames that a compiled kernel takes at once: one shape to compile, and its maps stay in cache
_K1, _K2 = 0.01, 0.03  # Wang et al. 2004


class _Window(NamedTuple):
    weights: np.ndarray  # float32 [k], separable
    covariance_norm: float  # 1, or n / (n - 1) for sample covariance
    data_range: float


def _gaussian_window(size: int, sigma: float) -> np.ndarray:
    weights = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / sigma) ** 2)
    return (weights / weights.sum()).astype(np.float32)


PROTOCOLS: dict[str, _Window] = {
    "srvp": _Window(_gaussian_window(11, 1.5), 1.0, 1.0),
    "svg": _Window(np.full(7, 1 / 7, np.float32), 49 / 48, 2.0),
}


def _checked(x, x_hat, least: int = 1) -> tuple[tf.Tensor, tf.Tensor]:
    """Both as float32 of one common shape [..., H, W, C]. Raises `ValueError`."""
    pair = []
    for name, value in (("x", x), ("x_hat", x_hat)):
        if not tf.is_tensor(value):
            value = np.asarray(value)
        if not tf.as_dtype(value.dtype).is_floating:
            raise ValueError(f"{name} must hold floats in [0, 1], got dtype {tf.as_dtype(value.dtype).name}.")
        value = tf.cast(value, tf.float32)
        if value.shape.rank is None or value.shape.rank < 3 or None in value.shape[-3:]:
            raise ValueError(f"{name} must be [..., H, W, C] with H, W, C known, got shape {value.shape}.")
        pair.append(value)
    x, x_hat = pair
    try:
        shape = tf.broadcast_static_shape(x.shape, x_hat.shape)
    except ValueError:
        shape = None
    if shape is None or x.shape[-3:] != x_hat.shape[-3:]:
        raise ValueError(f"x and x_hat must have equal frames [..., H, W, C], got shapes {x.shape} and {x_hat.shape}.")
    if min(shape[-3:-1]) < least:
        raise ValueError(f"Frames must be at least {least} x {least} pixels for this metric, got {shape[-3]} x {shape[-2]}.")
    if tf.executing_eagerly():
        for name, value in (("x", x), ("x_hat", x_hat)):
            if tf.size(value) == 0:
                continue
            low, high = float(tf.reduce_min(value)), float(tf.reduce_max(value))
            if not (low >= 0.0 and high <= 1.0):  # also catches NaN
                raise ValueError(f"{name} must be in [0, 1], got values in [{low:g}, {high:g}].")
    return x, x_hat


def mse(x, x_hat) -> tf.Tensor:
    """Mean squared error over pixels and channels.

    x, x_hat: float [..., H, W, C] in [0, 1], arrays or tensors; leading dimensions may broadcast. Returns float32 [...].
    Raises `ValueError` for other dtypes and shapes, and (outside a tf.function) for values outside [0, 1].
    """
    x, x_hat = _checked(x, x_hat)
    return tf.reduce_mean(_per_channel("mse", x, x_hat), -1)


def psnr(x, x_hat, channels: Literal["mean", "pooled"] = "mean", cap: float = 100.0) -> tf.Tensor:
    """Peak signal-to-noise ratio in dB, for a peak of 1; identical frames score `cap`.

    x, x_hat, errors raised: as `mse`. channels: "mean" averages the PSNRs of the channels (SVG, SRVP), "pooled" takes
    the PSNR of the error over all channels (SAVP, FitVid); equal for one channel. Returns float32 [...].
    """
    if channels not in ("mean", "pooled"):
        raise ValueError(f"channels must be 'mean' or 'pooled', got {channels!r}.")
    if not cap > 0:
        raise ValueError(f"cap must be positive (dB), got {cap!r}.")
    x, x_hat = _checked(x, x_hat)
    error = _per_channel("mse", x, x_hat)
    if channels == "pooled":
        error = tf.reduce_mean(error, -1, keepdims=True)
    decibel = -10.0 / np.log(10.0) * tf.math.log(tf.maximum(error, 10.0 ** (-cap / 10.0)))
    return tf.reduce_mean(tf.minimum(decibel, cap), -1)


def ssim(x, x_hat, protocol: protocols.SSIM = "srvp") -> tf.Tensor:
    """Structural similarity (Wang et al. 2004) by one of the two protocols above.

    x, x_hat, errors raised: as `mse`; frames must be no smaller than the window. Returns float32 [...], at most 1.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {sorted(PROTOCOLS)}, got {protocol!r}.")
    x, x_hat = _checked(x, x_hat, least=len(PROTOCOLS[protocol].weights))
    return tf.reduce_mean(_per_channel(protocol, x, x_hat), -1)


def _per_channel(metric, x, x_hat):
    """float32 [..., H, W, C] twice -> float32 [..., C]; metric: a protocol of SSIM, or "mse"."""
    height, width, channels = x.shape[-3:]
    lead = tf.broadcast_dynamic_shape(tf.shape(x), tf.shape(x_hat))[:-3]

    def planes(value):
        value = tf.broadcast_to(value, tf.concat([lead, [height, width, channels]], 0))
        if channels > 1:
            value = tf.transpose(tf.reshape(value, [-1, height, width, channels]), [0, 3, 1, 2])
        return tf.reshape(value, [-1, height, width])

    values = _plane_metric(metric, height, width)(planes(x), planes(x_hat))
    return tf.reshape(values, tf.concat([lead, [channels]], 0))


@functools.lru_cache(maxsize=64)
def _plane_metric(metric: str, height: int, width: int):
    """The compiled function of one metric and frame size, for any number of frames: two float32 [N, H, W] -> float32 [N].

    XLA compiles for fixed shapes, hence chunks of a fixed number of frames, the last one padded. In chunks, differences
    stay in cache, too.
    """

    def kernel(x, y):
        return _mse_kernel(x, y) if metric == "mse" else _ssim_kernel(x, y, metric)

    @tf.function(input_signature=[tf.TensorSpec([None, height, width], tf.float32)] * 2)
    def function(x, y):
        n = tf.shape(x)[0]
        whole = n - n % _CHUNK
        chunks = tuple(tf.reshape(value[:whole], [-1, _CHUNK, height, width]) for value in (x, y))
        values = tf.map_fn(lambda pair: kernel(*pair), chunks, fn_output_signature=tf.TensorSpec([_CHUNK], tf.float32))

        def rest():
            padding = [[0, _CHUNK - (n - whole)], [0, 0], [0, 0]]
            padded = (tf.ensure_shape(tf.pad(value[whole:], padding), [_CHUNK, height, width]) for value in (x, y))
            return kernel(*padded)[: n - whole]

        return tf.concat([tf.reshape(values, [-1]), tf.cond(n > whole, rest, lambda: tf.zeros([0]))], 0)

    return function


def _mse_kernel(x, y):
    """x, y: float32 [_CHUNK, H, W] -> float32 [_CHUNK]. Not compiled: XLA's reductions on CPUs are scalar."""
    return tf.reduce_mean(tf.math.squared_difference(x, y), [1, 2])


@tf.function(jit_compile=True)
def _ssim_kernel(x, y, protocol):
    """x, y: float32 [_CHUNK, H, W] -> float32 [_CHUNK].

    The formula needs the window means of x and y, var_x + var_y and cov_xy only. With a = x + y and b = x - y these are
    sums and differences of the moments of a and b: four filtered maps in place of five, and exactly 1 for x = y.
    One-pass variances in float32 cancel badly on bright frames of low contrast: a and b are centred on each frame's mean
    first, which changes no variance. XLA fuses the weighted shifts of each direction into one loop.
    """
    window = PROTOCOLS[protocol]
    size = len(window.weights)
    a, b = x + y, x - y
    centre_a, centre_b = (tf.reduce_mean(tf.reduce_mean(m, 1, keepdims=True), 2, keepdims=True) for m in (a, b))
    a, b = a - centre_a, b - centre_b
    maps = tf.stack([a, b, a * a, b * b], axis=1)
    rows, columns = x.shape[1] - size + 1, x.shape[2] - size + 1
    maps = tf.add_n([maps[..., i : i + columns] * w for i, w in enumerate(window.weights)])
    maps = tf.add_n([maps[..., i : i + rows, :] * w for i, w in enumerate(window.weights)])
    mean_a, mean_b, square_a, square_b = tf.unstack(maps, axis=1)
    var_a = (square_a - mean_a * mean_a) * window.covariance_norm
    var_b = (square_b - mean_b * mean_b) * window.covariance_norm
    luminance_a, luminance_b = tf.square(mean_a + centre_a), tf.square(mean_b + centre_b)
    c1, c2 = (_K1 * window.data_range) ** 2, (_K2 * window.data_range) ** 2
    # 2 mu_x mu_y = (mu_a^2 - mu_b^2) / 2, mu_x^2 + mu_y^2 = (mu_a^2 + mu_b^2) / 2, and the same for the covariances.
    numerator = (0.5 * (luminance_a - luminance_b) + c1) * (0.5 * (var_a - var_b) + c2)
    denominator = (0.5 * (luminance_a + luminance_b) + c1) * (0.5 * (var_a + var_b) + c2)
    return tf.reduce_mean(tf.reduce_mean(numerator / denominator, 1), 1)  # rows first: XLA vectorises over columns
