"""The data layer: videos in, batches of frames out. Start with `data_pipelines.load`."""

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data_pipelines.clip_storage import decode
    from data_pipelines.loading import load
    from data_pipelines.reader import ClipsTooShort

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as svg_tf does, whichever is imported first

_PLACES = {
    "ClipsTooShort": "data_pipelines.reader",
    "decode": "data_pipelines.clip_storage",
    "load": "data_pipelines.loading",
}

__all__ = ["ClipsTooShort", "decode", "load"]


def __getattr__(name):
    """At first use, so that checks and files can be had without TensorFlow."""
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'data_pipelines' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
