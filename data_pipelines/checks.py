"""Checks of arguments: each says what was expected and what was received. Standard library only; used by both packages."""

import math
import numbers
import typing
from typing import Any


def require(condition: bool, message: str) -> None:
    """Raises `ValueError` with `message` unless `condition`."""
    if not condition:
        raise ValueError(message)


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """`value` as an int of [low, high]. Raises `ValueError`; booleans and floats are no integers."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        wanted = f"of at least {low}" if high is None else f"in [{low}, {high}]"
        raise ValueError(f"{name} must be an integer {wanted}, got {value!r}.")
    return int(value)


def number(name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, above: float | None = None) -> float:
    """`value` as a finite float of [low, high], and greater than `above` where that is given. Raises `ValueError`."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not real or not low <= value <= high or (above is not None and value <= above):
        bounds = f"greater than {above:g}" if above is not None else f"in [{low:g}, {high:g}]"
        raise ValueError(f"{name} must be a finite number {bounds}, got {value!r}.")
    return float(value)


def one_of(name: str, value: Any, kinds: Any) -> Any:
    """`value`, which must be among `kinds`, a collection or a `Literal`. Raises `ValueError`."""
    kinds = typing.get_args(kinds) or tuple(kinds)
    require(value in kinds, f"{name} must be one of {', '.join(map(repr, kinds))}, got {value!r}.")
    return value
