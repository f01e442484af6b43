"""What a family knows of the checkpoints of its published program: how they are recognized and converted.

Nothing of such a file is imported or run: classes are named here, and its reader makes inert records of their objects.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from svg_tf.config import ExperimentConfig


class Converted(NamedTuple):
    """A published checkpoint as this package has it."""

    experiment: ExperimentConfig
    weights: dict[str, np.ndarray]
    """By the attribute paths of the family's model; all of them."""


@dataclass(frozen=True)
class Reference:
    """How checkpoints of a published program are read.

    title: what they are, for messages.
    matches: (a file's value) -> whether it looks like such a checkpoint.
    convert: (arrays by name, options of the program, *, data, and those of `options`) -> `Converted`. data: name of a data set of
      this package, or empty. Sizes come from the arrays. It raises `ValueError` for an option that contradicts them, and for an
      array too many, too few, of another shape or not finite.
    modules: where whole modules were saved, their keys in the file; arrays are then "KEY.NAME", and the options are the
      `argparse.Namespace` under "opt". Empty: the file is a state dict, and the options are the config.json beside it.
    classes: full names of the classes of these modules. names: other globals that may stand in the file and mean nothing.
    options: keyword arguments of `convert` that a user may give.
    """

    title: str
    matches: Callable[[Any], bool]
    convert: Callable[..., Converted]
    modules: tuple[str, ...] = ()
    classes: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    options: tuple[str, ...] = ()
