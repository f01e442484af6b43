"""Named experiments of all families. Each lists only its differences from the defaults, in layers that merge deeply."""

import functools

from svg_tf import families
from svg_tf.config import ExperimentConfig, from_dict, merge


def names() -> list[str]:
    return sorted(families.presets())


def get(name: str) -> ExperimentConfig:
    """The experiment called `name`. Raises `ValueError` for an unknown name, listing those that exist."""
    layers = families.presets().get(name)
    if layers is None:
        raise ValueError(f"Unknown preset {name!r}; presets: {', '.join(names())}.")
    return from_dict(ExperimentConfig, functools.reduce(merge, layers, {}))
