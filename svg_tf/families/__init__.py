"""Configuration -> model, whatever its family."""

from svg_tf.config import SRVPConfig, SVGConfig
from svg_tf.families.base import VideoPredictor
from svg_tf.families.srvp.model import SRVP
from svg_tf.families.svg.model import SVG

MODELS = {SVGConfig: SVG, SRVPConfig: SRVP}


def build(config: SVGConfig | SRVPConfig, **kwargs) -> VideoPredictor:
    """The model of `config` with fresh weights; kwargs as of `keras.Model`."""
    return MODELS[type(config)](config, **kwargs)
