"""Stochastic video prediction in TensorFlow and Keras: SVG (Denton & Fergus, ICML 2018) and its successors.

config = svg_tf.presets.get("smmnist_lp")
model = svg_tf.SVG(config.model)
"""

import importlib
import os
from typing import TYPE_CHECKING

from svg_tf import families
from svg_tf.version import __version__

if TYPE_CHECKING:
    from svg_tf import config, evaluation, presets, training, visualization
    from svg_tf.doors import from_preset, load
    from svg_tf.evaluation import figures, metrics
    from svg_tf.families import *  # noqa: F403
    from svg_tf.families.base import VideoPredictor
    from svg_tf.serving.export import export
    from svg_tf.training import callbacks

# Faster on AVX2 CPUs, where TensorFlow leaves it off (docs/performance.md). It must be set before TensorFlow is imported, and a
# user's own choice stands.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

_PLACES = {
    "VideoPredictor": "svg_tf.families.base:VideoPredictor",
    "export": "svg_tf.serving.export:export",
    "from_preset": "svg_tf.doors:from_preset",
    "load": "svg_tf.doors:load",
    "callbacks": "svg_tf.training.callbacks",
    "config": "svg_tf.config",
    "evaluation": "svg_tf.evaluation",
    "figures": "svg_tf.evaluation.figures",
    "metrics": "svg_tf.evaluation.metrics",
    "presets": "svg_tf.presets",
    "training": "svg_tf.training",
    "visualization": "svg_tf.visualization",
}

__all__ = ["__version__", *_PLACES, *families.__all__]


def require_backend() -> None:
    """Raises `ValueError` where the environment asks Keras for another backend than TensorFlow."""
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend != "tensorflow":
        raise ValueError(
            f"svg_tf needs Keras's TensorFlow backend, and KERAS_BACKEND is {backend!r}: unset it, or set 'tensorflow'."
        )


def __getattr__(name):
    """Modules and classes are imported at first use: reading a configuration does not load TensorFlow."""
    place = _PLACES.get(name) or families.doors().get(name)
    if place is None:
        raise AttributeError(f"module 'svg_tf' has no attribute {name!r}")
    if name not in ("config", "presets"):
        require_backend()
    module, _, attribute = place.partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


def __dir__():
    return sorted({*__all__, *families.doors()})
