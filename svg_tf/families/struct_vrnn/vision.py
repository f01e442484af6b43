"""What sees and what draws: frame -> code, and code -> frame with the appearance of a first frame.

Convolutions are 3x3 with "same" padding, He-uniform kernels and LeakyReLU 0.2, without normalization. Frames are in
[-0.5, 0.5]. Time and samples are folded into the batch.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from svg_tf.families.struct_vrnn import geometry
from svg_tf.families.struct_vrnn.config import HEAT_MAP, StructVRNNConfig
from svg_tf.layers import recomputation
from svg_tf.layers.conv_lstm import Conv
from svg_tf.layers.convolution import leaky_relu
from svg_tf.layers.enlarging import ConvOfEnlarged

CODE_MAPS = 8
"""Maps between an unstructured code and the 16 x 16 maps that it is read from and drawn to."""


def he_conv(inputs: int, outputs: int, size: int = 3, strides: int = 1, **kwargs) -> Conv:
    return Conv(inputs, outputs, size, strides, initializer=keras.initializers.HeUniform(), **kwargs)


def in_a_row(layers, x):
    for layer in layers:
        x = leaky_relu(layer(x))
    return x


def with_coordinates(x):
    """[N, H, W, C] -> [N, H, W, C + 2]"""
    maps = tf.cast(geometry.coordinates(x.shape[1], x.shape[2]), x.dtype)
    return tf.concat([x, tf.repeat(maps, tf.shape(x)[0], axis=0)], axis=-1)


class Encoder(keras.layers.Layer):
    """x [N, H, W, inputs] -> [N, 16, 16, features]: at each scale a convolution, of stride 2 but for the first, and more."""

    def __init__(self, config: StructVRNNConfig, inputs: int, **kwargs):
        super().__init__(**kwargs)
        self.scales, width = [], config.width
        for i in range(config.halvings + 1):
            first = he_conv(inputs, width, 3, 2 if i else 1, name=f"scale_{i}_0")
            more = [he_conv(width, width, name=f"scale_{i}_{j + 1}") for j in range(config.layers_per_scale)]
            self.scales.append([first, *more])
            inputs, width = width, 2 * width
        self.built = True

    def call(self, x, recompute: bool = False):
        run = recomputation.maybe_recompute(recompute)
        for scale in self.scales:
            x = run(scale, lambda y, scale=scale: in_a_row(scale, y), x)
        return x

    @property
    def convolutions(self) -> list[Conv]:
        return [conv for scale in self.scales for conv in scale]


class Detected(NamedTuple):
    """code: float32 [N, K, 3]; activity: float32 [N], mean of the heat maps (0 for an unstructured code)."""

    code: tf.Tensor
    activity: tf.Tensor


class Detector(keras.layers.Layer):
    """Keypoints of frames, each by itself: centers of mass of K softplus maps."""

    def __init__(self, config: StructVRNNConfig, **kwargs):
        super().__init__(**kwargs)
        self.encoder = Encoder(config, config.channels + 2, name="encoder")
        self.head = Conv(config.features, config.n_keypoints, 1, name="head")
        self.built = True

    def call(self, x, recompute: bool = False) -> Detected:
        """x [N, H, W, C]"""
        heat = tf.nn.softplus(tf.cast(self.head(self.encoder(with_coordinates(x), recompute=recompute)), tf.float32))
        return Detected(geometry.of_heat_maps(heat), tf.reduce_mean(heat, axis=[1, 2, 3]))


class CodeEncoder(keras.layers.Layer):
    """The detector's stand-in without structure: 3 K numbers in [-1, 1] of a dense layer over few maps."""

    def __init__(self, config: StructVRNNConfig, **kwargs):
        super().__init__(**kwargs)
        self.shape_of_code = (config.n_keypoints, 3)
        self.encoder = Encoder(config, config.channels + 2, name="encoder")
        self.head = Conv(config.features, CODE_MAPS, 1, name="head")
        self.dense = keras.layers.Dense(config.code_size, activation="tanh", name="dense")
        self.dense.build((None, HEAT_MAP**2 * CODE_MAPS))
        self.built = True

    def call(self, x, recompute: bool = False) -> Detected:
        y = leaky_relu(self.head(self.encoder(with_coordinates(x), recompute=recompute)))
        code = tf.cast(self.dense(tf.reshape(y, [-1, HEAT_MAP**2 * CODE_MAPS])), tf.float32)
        return Detected(tf.reshape(code, [-1, *self.shape_of_code]), tf.zeros([tf.shape(x)[0]]))


class Blobs(keras.layers.Layer):
    """Keypoints [N, K, 3] -> their Gaussian maps [N, 16, 16, K]. No weights."""

    def __init__(self, config: StructVRNNConfig, **kwargs):
        super().__init__(autocast=False, **kwargs)  # codes and frames stay float32
        self.sigma, self.maps = config.blob_sigma, config.n_keypoints
        self.built = True

    def call(self, code):
        return tf.cast(geometry.to_maps(code, HEAT_MAP, HEAT_MAP, self.sigma), self.compute_dtype)


class CodeMaps(keras.layers.Layer):
    """The blobs' stand-in without structure: a dense layer to few maps."""

    def __init__(self, config: StructVRNNConfig, **kwargs):
        super().__init__(autocast=False, **kwargs)  # codes and frames stay float32
        self.size, self.maps = config.code_size, CODE_MAPS
        self.dense = keras.layers.Dense(HEAT_MAP**2 * CODE_MAPS, name="dense")
        self.dense.build((None, self.size))
        self.built = True

    def call(self, code):
        y = self.dense(tf.cast(tf.reshape(code, [-1, self.size]), self.compute_dtype))
        return leaky_relu(tf.reshape(y, [-1, HEAT_MAP, HEAT_MAP, CODE_MAPS]))


class Appearance(NamedTuple):
    """What all frames of a sequence are drawn with. frame: float32 [B, H, W, C], the first one; term: [B, 16, 16, features], what
    its features and its code add to the first convolution."""

    frame: tf.Tensor
    term: tf.Tensor


class Renderer(keras.layers.Layer):
    """Codes and a first frame -> frames, as changes of that frame. Nothing else of a frame than its code is seen."""

    def __init__(self, config: StructVRNNConfig, **kwargs):
        super().__init__(autocast=False, **kwargs)  # codes and frames stay float32
        maps, features = (Blobs if config.code == "keypoints" else CodeMaps), config.features
        self.encoder = Encoder(config, config.channels, name="encoder")
        self.maps = maps(config, name="maps")
        self.first = he_conv(2 * self.maps.maps + features + 2, features, 1, name="first")
        self.levels, side = [], HEAT_MAP
        for i in range(config.halvings):
            features //= 2
            enlarged = ConvOfEnlarged(side, 2 * features, features, name=f"level_{i}_0")
            self.levels.append([enlarged, he_conv(features, features, name=f"level_{i}_1")])
            side *= 2
        self.last = he_conv(features, config.channels, 1, name="last")
        self.built = True

    def appearance(self, frame, code, recompute: bool = False) -> Appearance:
        """frame [B, H, W, C], the first of a sequence; code float32 [B, K, 3], its own."""
        features = self.encoder(tf.cast(frame, self.compute_dtype), recompute=recompute)
        fixed = with_coordinates(tf.concat([features, self.maps(code)], axis=-1))
        # The convolution of the concatenation is the sum of two: this half is the same for all frames of a sequence.
        bias = tf.cast(self.first.bias.value, fixed.dtype)
        return Appearance(frame, tf.tensordot(fixed, self._kernel()[self.maps.maps :], 1) + bias)

    def call(self, code, appearance: Appearance, rows, recompute: bool = False):
        """code float32 [N, K, 3] -> float32 [N, H, W, C], in no bounds. rows: which appearance belongs to which row
        (`skip_terms`)."""
        run = recomputation.maybe_recompute(recompute)
        moving = self.maps(code)
        y = leaky_relu(rows.add(tf.tensordot(moving, self._kernel()[: self.maps.maps], 1), appearance.term))
        for level in self.levels:
            y = run(level, lambda y, level=level: in_a_row(level, y), y)
        return rows.add(tf.cast(self.last(y), tf.float32), appearance.frame)

    def _kernel(self):
        """[inputs, features]: the maps of the frame's code, then features, the first frame's code, coordinates."""
        return tf.cast(self.first.kernel.value[0, 0], self.compute_dtype)

    @property
    def convolutions(self) -> list:
        return [*self.encoder.convolutions, self.first, *(conv for level in self.levels for conv in level), self.last]


def sum_of_squares(layers) -> tf.Tensor:
    """Of the kernels of convolutions: float32 scalar."""
    return tf.add_n([tf.reduce_sum(tf.square(layer.kernel.value)) for layer in layers])


def largest_map(config: StructVRNNConfig) -> int:
    """Numbers of the largest map of a frame that is drawn."""
    height, width, channels = config.frame_shape
    return height * width * max(config.width, channels)

