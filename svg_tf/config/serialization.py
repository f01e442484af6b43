"""Configurations as dicts and JSON, and back; what differs between two."""

import dataclasses
import json
import typing
from typing import Any

from svg_tf.config.checks import require
from svg_tf.config.models import FAMILIES, Model


def to_dict(config: Any) -> dict:
    """A configuration as plain dicts, lists, numbers and strings; a model's names its family."""
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
    values = {name: to_dict(value) if dataclasses.is_dataclass(value) else value for name, value in values.items()}
    return {"family": config.family, **values} if isinstance(config, Model) else values


def from_dict(cls: type, values: dict, where: str = "") -> Any:
    """Builds a configuration dataclass from a dict.

    Missing keys take their defaults. Raises `ValueError` for an unknown key or a value of the wrong type,
    naming the field and what it accepts.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    if not isinstance(values, dict):
        raise ValueError(f"{where or cls.__name__} must be a mapping, got {type(values).__name__}.")
    if cls in FAMILIES.values():
        family = values.get("family", cls.family)
        require(family == cls.family, f"{where or cls.__name__}.family must be {cls.family!r}, got {family!r}.")
        values = {name: value for name, value in values.items() if name != "family"}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(f"Unknown field(s) {unknown} in {where or cls.__name__}; known fields: {sorted(fields)}.")
    kwargs = {}
    for name, value in values.items():
        kind, path = hints[name], f"{where}.{name}" if where else name
        if kind == Model:
            family = value.get("family", "svg") if isinstance(value, dict) else "svg"
            require(family in FAMILIES, f"{path}.family must be one of {sorted(FAMILIES)}, got {family!r}.")
            value = from_dict(FAMILIES[family], value, path)
        elif dataclasses.is_dataclass(kind):
            value = from_dict(kind, value, path)
        elif kind in (int, float, bool, str):
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise ValueError(f"{path} must be {kind.__name__}, got {value!r}.")
        kwargs[name] = value
    return cls(**kwargs)


def to_json(config: Any) -> str:
    return json.dumps(to_dict(config), indent=2, sort_keys=True) + "\n"


def from_json(cls: type, text: str) -> Any:
    """The inverse of `to_json`. Raises `ValueError` for malformed JSON or an unknown field."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"Not a {cls.__name__} in JSON: {error}.") from error
    return from_dict(cls, values)


def differences(a: Any, b: Any) -> list[str]:
    """Lines `path: value in a -> value in b`, one for each field that differs."""

    def walk(x, y, path):
        if isinstance(x, dict) and isinstance(y, dict):
            for key in sorted(set(x) | set(y)):
                yield from walk(x.get(key), y.get(key), f"{path}.{key}" if path else key)
        elif x != y:
            yield f"{path}: {x!r} -> {y!r}"

    return list(walk(to_dict(a), to_dict(b), ""))
