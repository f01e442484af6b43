"""What a frame's encoding h_t, the latents z_t and the recurrent memory are: vectors, or maps. One object of the family.

vector  h_t [g_dim], z_t [z_dim], LSTMs                                                              (Denton & Fergus 2018)
map     h_t [H/8, W/8, g_dim], z_t [H/8, W/8, z_dim], convolutional LSTMs of 3x3: what moves keeps its place (Villegas et al.
        2019, "High fidelity video prediction with large stochastic recurrent neural networks")

Distributions and noise are over all numbers of a frame's z_t in a row, float32 [..., z_size], under both.
"""

import math

import tensorflow as tf

from svg_tf.families.svg.config import SVGConfig
from svg_tf.layers import backbones
from svg_tf.layers.map_recurrent import GaussianMapLSTM, MapLSTM
from svg_tf.layers.recurrent import LSTM, GaussianLSTM


class VectorCode:
    """Encodings [..., g_dim] and latents [..., z_dim]."""

    def __init__(self, config: SVGConfig):
        self.config = config

    @property
    def place(self) -> tuple[int, ...]:
        """(height, width) of a map; () of a vector."""
        return ()

    @property
    def z_size(self) -> int:
        """Latent numbers of a frame; 0 without latents."""
        return 0 if self.config.prior == "none" else math.prod(self.place) * self.config.z_dim

    def backbones(self):
        c = self.config
        return backbones.build(c.backbone, c.image_size, c.channels, c.width, c.g_dim, c.bias_before_norm)

    def predictor(self, inputs: int, name: str):
        c = self.config
        return LSTM(inputs, c.rnn_size, c.predictor_layers, c.g_dim, name=name)

    def gaussian(self, layers: int, name: str):
        c = self.config
        return GaussianLSTM(c.g_dim, c.rnn_size, layers, c.z_dim, name=name)

    def noise_like(self, h, drawn):
        """drawn [T, B, numbers of an encoding] in the shape of h."""
        return tf.cast(drawn, h.dtype)

    def joined(self, h, z):
        """h [..., *place, g_dim], z float [..., z_size] -> what the predictor sees, [..., *place, g_dim + z_dim]."""
        return tf.concat([h, tf.cast(z, h.dtype)], axis=-1)


class MapCode(VectorCode):
    """Encodings [..., H/8, W/8, g_dim] and latents of as many places."""

    @property
    def place(self):
        height, width, _ = self.config.frame_shape
        return height // 8, width // 8

    def backbones(self):
        c = self.config
        return backbones.build_map(c.channels, c.width, c.g_dim, c.bias_before_norm)

    def predictor(self, inputs, name):
        c = self.config
        return MapLSTM(self.place, inputs, c.rnn_size, c.predictor_layers, c.g_dim, name=name)

    def gaussian(self, layers, name):
        c = self.config
        return GaussianMapLSTM(self.place, c.g_dim, c.rnn_size, layers, c.z_dim, name=name)

    def noise_like(self, h, drawn):
        return tf.cast(tf.reshape(drawn, tf.shape(h)), h.dtype)

    def joined(self, h, z):
        if not self.z_size:
            return h
        return super().joined(h, tf.reshape(z, tf.concat([tf.shape(z)[:-1], [*self.place, self.config.z_dim]], 0)))


CODES = {"vector": VectorCode, "map": MapCode}
