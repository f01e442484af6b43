"""The generator of SV2P, that of CDNA (Finn, Goodfellow, Levine 2016) with z beside its smallest map.

One step takes the frame u_t and the states of seven conv-LSTMs and gives the frame after it:
    level 0 (H/2)  enc0 = conv(u)          s1, s2
    level 1 (H/4)  enc1 = conv(s2)         s3, s4
    level 2 (H/8)  enc2 = conv(s4), joined by z    s5 -> kernels
    then up        s6 with enc1, s7 with enc0, to H -> scratch image, masks
    x = mask_0 u + mask_1 scratch + sum_k mask_{1+k} (kernel_k * u)
What lies before z (`below`) is the same for all samples of a sequence. Several known steps run layer by layer, folded into one
batch, time first.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from svg_tf.families.sv2p.config import SV2PConfig
from svg_tf.layers import cdna
from svg_tf.layers.conv_lstm import Conv, ConvLSTM, ConvUp, LayerNorm


class Below(NamedTuple):
    """Maps of the levels before z: float [T * N, H/2, W/2, w], [T * N, H/4, W/4, w], [T * N, H/8, W/8, 2w]."""

    enc0: tf.Tensor
    enc1: tf.Tensor
    enc2: tf.Tensor


class Above(NamedTuple):
    """What a frame is painted from: s5's map [T * N, H/8, W/8, 4w], and the last level's [T * N, H/2, W/2, 2w]."""

    hidden: tf.Tensor
    last: tf.Tensor


class Generator(keras.layers.Layer):
    """Steps of the generator; states are tuples of (h, c), those below z and those above it apart."""

    def __init__(self, config: SV2PConfig, **kwargs):
        super().__init__(**kwargs)
        self.config = c = config
        w, z = c.width, c.z_channels if c.stochastic else 0
        height, width, channels = c.frame_shape
        self.level_sizes = [(height // 2**i, width // 2**i) for i in range(4)]
        self.enc0 = Conv(channels, w, 5, 2, use_bias=False, name="enc0")
        self.enc0_norm = LayerNorm(w, c.norm_epsilon, name="enc0_norm")
        self.enc1 = Conv(w, w, 3, 2, name="enc1")
        self.enc2 = Conv(2 * w, 2 * w, 3, 2, name="enc2")
        self.enc3 = Conv(2 * w + z, 2 * w, 1, name="enc3")
        self.enc4 = ConvUp(4 * w, 4 * w, name="enc4")
        self.enc5 = ConvUp(3 * w, 3 * w, name="enc5")
        self.enc6 = ConvUp(2 * w, 2 * w, use_bias=False, name="enc6")
        self.enc6_norm = LayerNorm(2 * w, c.norm_epsilon, name="enc6_norm")
        sizes = [(w, w, 1), (w, w, 1), (w, 2 * w, 2), (2 * w, 2 * w, 2), (2 * w, 4 * w, 3), (4 * w, 2 * w, 2), (3 * w, w, 1)]
        self.cells = [ConvLSTM(a, b, c.lstm_kernel_size, name=f"s{i + 1}") for i, (a, b, _) in enumerate(sizes)]
        self.cell_norms = [LayerNorm(b, c.norm_epsilon, name=f"s{i + 1}_norm") for i, (_, b, _) in enumerate(sizes)]
        self.cell_levels = [level for *_, level in sizes]
        self.scratch = Conv(2 * w, channels, 1, name="scratch")
        self.masks = Conv(2 * w, c.masks, 1, name="masks")
        small = self.level_sizes[3][0] * self.level_sizes[3][1] * 4 * w
        self.kernels = keras.layers.Dense(c.kernels * c.kernel_size**2, name="kernels")
        self.kernels.build((None, small))
        self.built = True

    def initial_states(self, batch) -> tuple[tuple, tuple]:
        """Zeros: (states below z, states above it)."""
        levels = zip(self.cells, self.cell_levels, strict=True)
        states = [cell.initial_state(batch, *self.level_sizes[level]) for cell, level in levels]
        return tuple(states[:4]), tuple(states[4:])

    def below(self, u, states, steps=1) -> tuple[Below, tuple]:
        """u float [steps * N, H, W, C] -> (maps, states of N rows); steps: int, or a tensor in a graph for any number."""
        enc0 = tf.nn.relu(self.enc0_norm(self.enc0(u)))
        y, s1 = self._recurrent(0, enc0, states[0], steps)
        y, s2 = self._recurrent(1, y, states[1], steps)
        enc1 = tf.nn.relu(self.enc1(y))
        y, s3 = self._recurrent(2, enc1, states[2], steps)
        y, s4 = self._recurrent(3, y, states[3], steps)
        return Below(enc0, enc1, tf.nn.relu(self.enc2(y))), (s1, s2, s3, s4)

    def above(self, below: Below, z, states, steps=1) -> tuple[Above, tuple]:
        """z float [steps * N, h, w, z_channels], or None without latents -> (maps, states)."""
        y = below.enc2 if z is None else tf.concat([below.enc2, tf.cast(z, below.enc2.dtype)], axis=-1)
        hidden, s5 = self._recurrent(4, tf.nn.relu(self.enc3(y)), states[0], steps)
        y, s6 = self._recurrent(5, tf.nn.relu(self.enc4(hidden)), states[1], steps)
        y = tf.nn.relu(self.enc5(tf.concat([y, below.enc1], axis=-1)))
        y, s7 = self._recurrent(6, y, states[2], steps)
        return Above(hidden, tf.concat([y, below.enc0], axis=-1)), (s5, s6, s7)

    def paint(self, above: Above, u) -> tf.Tensor:
        """The frames after u: float32 [N, H, W, C] -> the same, in the range of u and [0, 1]."""
        c, hidden = self.config, above.hidden
        y = self.enc6_norm(self.enc6(above.last))
        scratch = tf.sigmoid(tf.cast(self.scratch(y), tf.float32))
        masks = tf.nn.softmax(tf.cast(self.masks(y), tf.float32))
        logits = self.kernels(tf.reshape(hidden, [-1, hidden.shape[1] * hidden.shape[2] * hidden.shape[3]]))
        kernels = cdna.normalized_kernels(logits, c.kernel_size)[..., : c.masks - 2]
        moved = cdna.blend(u, kernels, masks[..., 2:], c.padding)
        return masks[..., :1] * u + masks[..., 1:2] * scratch + moved

    def step(self, u, z, states, steps=1):
        """The frames after u, float32 [steps * N, H, W, C], all of them known: (float32 [steps * N, H, W, C], states)."""
        below, first = self.below(tf.cast(u, self.compute_dtype), states[0], steps)
        above, second = self.above(below, z, states[1], steps)
        return self.paint(above, u), (first, second)

    def _recurrent(self, number, x, state, steps):
        y, state = self.cells[number](x, state, steps=steps)
        return self.cell_norms[number](y), state
