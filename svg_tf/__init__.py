"""Stochastic Video Generation with a Learned Prior (Denton & Fergus, ICML 2018) in TensorFlow and Keras.

config = svg_tf.presets.get("smmnist_lp")
model = svg_tf.SVG(config.model)
"""

import importlib
import os

# Faster on AVX2 CPUs, where TensorFlow leaves it off (README, "Speed"). It must be set before TensorFlow is imported, and a
# user's own choice stands.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

_LAZY = {
    "SVG": "svg_tf.families.svg.model",
    "SRVP": "svg_tf.families.srvp.model",
    "VideoPredictor": "svg_tf.families.base",
    "export": "svg_tf.serving.export",
}
_MODULES = ("callbacks", "config", "evaluation", "figures", "metrics", "presets", "training", "visualization")

__all__ = ["SRVP", "SVG", "VideoPredictor", "export", *_MODULES]


def __getattr__(name):
    """Modules and classes are imported at first use: reading a configuration does not load TensorFlow."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"svg_tf.{name}")
    raise AttributeError(f"module 'svg_tf' has no attribute {name!r}")
