"""SAVP's generator: convolutional LSTMs down to the smallest map and up again, and a blend of images.

One step takes u_t, the first true frame x_0, r_t (of the latents z_0 ... z_t) and the states of the LSTMs. From 64 px on:
    H/2  h0 = conv(u, x_0)   L0         up:  h5 (H)   = up(L4, L0)
    H/4  h1 = conv(L0)       L1              h4 (H/2) = up(L3, L1)   L4
    H/8  h2 = conv(L1)       L2              h3 (H/4) = up(L2)       L3
    x = sum_m mask_m * image_m:   K moved copies of u, u, x_0, and a painted image
each convolution normalized by instance, then ReLU; where the shorter side has less than 64 px there is one level less. Several
known steps run layer by layer, folded into one batch, time first.
"""

import math
from typing import NamedTuple

import keras
import tensorflow as tf

from svg_tf.families.savp.config import SAVPConfig
from svg_tf.families.savp.layers import LSTM, NORM_EPSILON, Cell, Conv, Place
from svg_tf.families.savp.transformations import TRANSFORMATIONS
from svg_tf.layers.conv_lstm import InstanceNorm


class Maps(NamedTuple):
    """What a frame is painted from: the smallest map, and the last level's input [N, H/2, W/2, c]."""

    bottom: tf.Tensor
    top: tf.Tensor


class Kernels(NamedTuple):
    """`Prepared` of the blocks on the way down and up, and of the LSTMs."""

    down: tuple
    up: tuple
    cells: tuple


class Block(keras.layers.Layer):
    """Convolution of a map beside a vector, normalization by instance, ReLU."""

    def __init__(self, config: SAVPConfig, kind: str, place: Place, inputs: int, z: int, outputs: int, size: int = 3, **kwargs):
        super().__init__(**kwargs)
        self.conv = Conv(kind, place, inputs, z, outputs, size, use_bias=config.bias_before_norm, name="conv")
        self.norm = InstanceNorm(outputs, NORM_EPSILON, name="norm")
        self.built = True

    def call(self, x, r=None, prepared=None):
        return self.activated(self.conv(x, r, prepared=prepared))

    def activated(self, y):
        return tf.nn.relu(self.norm(y))


class Generator(keras.layers.Layer):
    """Steps of the generator; states are tuples of (h, c)."""

    def __init__(self, config: SAVPConfig, **kwargs):
        super().__init__(**kwargs)
        self.config = c = config
        (height, width, _), w, levels, kernel = c.frame_shape, c.width, c.levels, c.lstm_kernel_size
        places = [(height >> i, width >> i) for i in range(levels + 1)]  # of the frame, and after each halving
        z, place = c.z_size, c.latent_places
        everywhere = z if place == "all" else 0
        first, middle = (z if place in ("all", name) else 0 for name in ("input", "middle"))
        if c.stochastic and c.latent_lstm:
            self.latent_lstm = LSTM(z, z, name="latent_lstm")
        widths = [w * 2**i for i in range(levels)]
        down = [Block(c, "pooled", places[0], 2 * c.channels, first, w, 5, name="h0")]
        down += [Block(c, "pooled", places[i], widths[i - 1], everywhere, widths[i], name=f"h{i}") for i in range(1, levels)]
        ups = [widths[max(levels - 2 - i, 0)] for i in range(levels)]
        up, below = [], widths[-1]
        for i in range(levels):
            inputs = below + (widths[-1 - i] if i else 0)
            up.append(Block(c, "enlarged", places[levels - i], inputs, middle if i == 0 else everywhere, ups[i],
                            name=f"h{levels + i}"))  # fmt: skip
            below = ups[i]
        self.down, self.up = down, up
        of_cells = [*places[1:], *places[-2:0:-1]]
        self.cells = [Cell(place, n, everywhere, n, kernel, name=f"L{i}")
                      for i, (place, n) in enumerate(zip(of_cells, [*widths, *ups[:-1]], strict=True))]  # fmt: skip
        smallest = widths[-1] * math.prod(places[-1])
        self.transformation = TRANSFORMATIONS[c.transformation](c, smallest, name=c.transformation)
        if c.scratch_image:
            self.scratch_hidden = Block(c, "same", places[0], w, 0, w, name="scratch_hidden")
            self.scratch = Conv("same", places[0], w, 0, c.channels, name="scratch")
        self.masks_hidden = Block(c, "same", places[0], w, 0, w, name="masks_hidden")
        shown = c.images * c.channels if c.dependent_masks else 0
        self.masks = Conv("same", places[0], w + shown, 0, c.images, name="masks")
        self.built = True

    def initial_states(self, batch) -> tuple:
        """Zeros."""
        return tuple(cell.initial_state(batch) for cell in self.cells)

    def latents(self, z):
        """z float32 [T, N, z_dim] -> r [T, N, z_dim] that the layers see; None stays."""
        if z is None:
            return None
        z = tf.cast(z, self.compute_dtype)
        return self.latent_lstm(z) if self.config.latent_lstm else z

    def prepared(self) -> Kernels:
        """What all steps need of the weights."""
        blocks = tuple(tuple(block.conv.prepared() for block in blocks) for blocks in (self.down, self.up))
        return Kernels(*blocks, tuple(cell.prepared() for cell in self.cells))

    def of_frame(self, u, kernels: Kernels):
        """The first layer's part of the previous frame: u float32 [N, H, W, C] -> [N, H/2, W/2, width]."""
        kernel = kernels.down[0].kernel[:, :, : self.config.channels]
        return self.down[0].conv.of_map(tf.cast(u, self.compute_dtype), kernel)

    def of_first(self, x_0, kernels: Kernels):
        """The first layer's part of the first true frame."""
        kernel = kernels.down[0].kernel[:, :, self.config.channels :]
        return self.down[0].conv.of_map(tf.cast(x_0, self.compute_dtype), kernel)

    def advance(self, seen, r, states, kernels: Kernels, steps=1) -> tuple[Maps, tuple]:
        """seen: the sum of `of_frame` and `of_first` for steps * N rows; r [steps * N, z] or None -> (maps, states of N rows)."""
        first, after, maps = self.down[0], [], []
        y = first.activated(first.conv.finished(seen, r, kernels.down[0].latent))
        levels = len(self.down)
        for i in range(levels):
            if i:
                y = self.down[i](y, r, prepared=kernels.down[i])
            y, state = self.cells[i](y, r, states[i], steps=steps, latent=kernels.cells[i])
            maps.append(y)
            after.append(state)
        for i in range(levels - 1):
            y = self.up[i](tf.concat([y, maps[-1 - i]], axis=-1) if i else y, r, prepared=kernels.up[i])
            y, state = self.cells[levels + i](y, r, states[levels + i], steps=steps, latent=kernels.cells[levels + i])
            after.append(state)
        return Maps(maps[-1], tf.concat([y, maps[0]], axis=-1)), tuple(after)

    def paint(self, maps: Maps, r, u, x_0, kernels: Kernels):
        """The frames after u: (float32 [N, H, W, C], roughness float32 [N] of a flow, 0 without one)."""
        c, features = self.config, self.up[-1](maps.top, r, prepared=kernels.up[-1])
        images, roughness = self.transformation.moved(maps.bottom, features, u)
        others = [u] * c.previous_image + [x_0] * c.first_image
        if c.scratch_image:
            others.append(tf.sigmoid(tf.cast(self.scratch(self.scratch_hidden(features)), tf.float32)))
        images = tf.concat([images, tf.stack(others, axis=3)], axis=3) if others else images  # [N, H, W, M, C]
        hidden = self.masks_hidden(features)
        if c.dependent_masks:
            flat = tf.reshape(images, [-1, *images.shape[1:3], c.images * c.channels])
            hidden = tf.concat([hidden, tf.cast(flat, hidden.dtype)], axis=-1)
        masks = tf.nn.softmax(tf.cast(self.masks(hidden), tf.float32))
        frames = tf.reduce_sum(masks[..., None] * images, axis=3)
        return frames, tf.zeros([tf.shape(u)[0]]) if roughness is None else roughness

    def step(self, u, x_0, of_first, r, states, kernels: Kernels):
        """One step: (frame, roughness, states). of_first: that of x_0."""
        maps, states = self.advance(self.of_frame(u, kernels) + of_first, r, states, kernels)
        return *self.paint(maps, r, u, x_0, kernels), states
