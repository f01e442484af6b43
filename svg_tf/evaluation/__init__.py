"""Evaluation: metrics, best-of-S reports, paired comparisons, and the papers' figures.

run         samples of every sequence, scored; can be interrupted
report      what it says of them: JSON, Markdown, curves
comparison  several evaluations beside each other
metrics/    of frames, of videos, perceptual ones
figures/    the papers' figures
"""

import importlib

_FROM_RUN = ("HIGHER_IS_BETTER", "Options", "evaluate", "weights_checksum")

__all__ = list(_FROM_RUN)


def __getattr__(name):
    """At first use: metrics and plots can be had without models."""
    if name in _FROM_RUN:
        return getattr(importlib.import_module("svg_tf.evaluation.run"), name)
    raise AttributeError(f"module 'svg_tf.evaluation' has no attribute {name!r}")
