"""Backbone name -> frame encoder and decoder."""

from svg_tf.layers.dcgan import DCGANDecoder, DCGANEncoder
from svg_tf.layers.vgg import MapDecoder, MapEncoder, VGGDecoder, VGGEncoder

BACKBONES = {"dcgan": (DCGANEncoder, DCGANDecoder), "vgg": (VGGEncoder, VGGDecoder)}


def build(name: str, image_size: int, channels: int, width: int, g_dim: int, use_bias: bool = False):
    """SVG's pair (encoder, decoder), both with their weights. Sizes as in `svg_tf.SVGConfig`."""
    encoder, decoder = BACKBONES[name]
    sizes = {"image_size": image_size, "channels": channels, "width": width, "g_dim": g_dim, "use_bias": use_bias}
    return encoder(**sizes, name="encoder"), decoder(**sizes, name="decoder")


def build_map(channels: int, width: int, g_dim: int, use_bias: bool = False):
    """The pair of SVG with maps, of VGG's blocks, for frames of any height and width divisible by 8."""
    sizes = {"channels": channels, "width": width, "g_dim": g_dim, "use_bias": use_bias}
    return MapEncoder(**sizes, name="encoder"), MapDecoder(**sizes, name="decoder")


def build_state_space(name: str, image_size: int, channels: int, width: int, h_dim: int, decoder_inputs: int, skips: bool):
    """SRVP's pair: encoding [h_dim], decoder of a state of `decoder_inputs`, skips or none; convolutions without biases, and the
    first one of DCGAN without normalization."""
    encoder, decoder = BACKBONES[name]
    sizes = {"image_size": image_size, "channels": channels, "width": width}
    own = {"first_norm": False} if name == "dcgan" else {}
    return (
        encoder(**sizes, g_dim=h_dim, **own, name="encoder"),
        decoder(**sizes, g_dim=decoder_inputs, skips=skips, out_bias=False, name="decoder"),
    )
