"""What the conformance tests must know of a family. `svg_tf.families.names()` says which descriptors there must be."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from svg_tf import families


class Reach(NamedTuple):
    """The gradient of `term` of the configuration `name` reaches just `parts`; unreached: the other parts, or None: not said."""

    name: str
    term: str
    parts: set
    unreached: set | None = None


@dataclass(frozen=True)
class Descriptor:
    """configs: name -> tiny configuration, frames of 32 px; `default` is one of them. recomputed: configurations whose
    recomputation is compared. reaches, wrong: cases. predicted: frames of T that the bound speaks of. loss: (config, means) ->
    what the loss must be. parts: attributes of modules that split work, which a test sets to small numbers.
    batch_normalized: whether a sample can depend on its batch-mates, by the statistics of batch normalization."""

    configs: dict[str, Any]
    default: str
    recomputed: dict[str, Any]
    reaches: list[Reach]
    wrong: list[tuple[Callable, str]]
    predicted: Callable[[int], int]
    loss: Callable[[Any, dict], Any]
    parts: tuple[tuple[str, int], ...] = ()
    batch_normalized: bool = True


def all_of_them() -> dict[str, Descriptor]:
    """Of every family in the table. Raises `ModuleNotFoundError` for one without."""
    names = families.TABLE
    return {name: importlib.import_module(f"tests.conformance.descriptors.{name}").DESCRIPTOR for name in names}
