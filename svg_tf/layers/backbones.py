"""Backbone name -> frame encoder and decoder."""

from svg_tf.layers.dcgan import DCGANDecoder, DCGANEncoder
from svg_tf.layers.vgg import VGGDecoder, VGGEncoder

BACKBONES = {"dcgan": (DCGANEncoder, DCGANDecoder), "vgg": (VGGEncoder, VGGDecoder)}


def build(name: str, image_size: int, channels: int, width: int, g_dim: int, use_bias: bool = False):
    """Returns (encoder, decoder), both with their weights. Sizes as in `config.ModelConfig`."""
    encoder, decoder = BACKBONES[name]
    sizes = {"image_size": image_size, "channels": channels, "width": width, "g_dim": g_dim, "use_bias": use_bias}
    return encoder(**sizes, name="encoder"), decoder(**sizes, name="decoder")
