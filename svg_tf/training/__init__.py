"""Training: a run from configuration to checkpoints, on one device or many.

run          a run directory: open, build, train, continue, load
checkpoints  files of a run's state, whole or absent
callbacks/   TensorBoard, progress, checkpoints, stops
"""

import importlib

_FROM_RUN = (
    "build",
    "load_data",
    "load_finished_run",
    "load_run",
    "open_run",
    "optimizer_of",
    "read_config",
    "train",
)

__all__ = list(_FROM_RUN)


def __getattr__(name):
    """At first use: a family needs parts of this room, and this room needs the families."""
    if name in _FROM_RUN:
        return getattr(importlib.import_module("svg_tf.training.run"), name)
    raise AttributeError(f"module 'svg_tf.training' has no attribute {name!r}")
