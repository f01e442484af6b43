"""Configurations as dicts and JSON, and back; what differs between two."""

import dataclasses
import json
import typing
from collections.abc import Mapping
from typing import Any, Literal

from data_pipelines.checks import require
from svg_tf.config.base import Config, ModelConfig, checked, hints_of, is_runtime

Part = Literal["all", "definition", "runtime"]


def to_dict(config: Config, part: Part = "all") -> dict:
    """A configuration as plain dicts, lists, numbers and strings; a model's names its family.

    part: "definition": what defines a run; "runtime": how it runs here; both together are "all".
    """
    found = {"family": config.family} if isinstance(config, ModelConfig) and part != "runtime" else {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, Config):
            found[field.name] = to_dict(value, part)
        elif isinstance(value, dict):
            found[field.name] = {key: to_dict(item, part) for key, item in value.items()}
        elif part == "all" or is_runtime(field) == (part == "runtime"):
            found[field.name] = list(value) if isinstance(value, tuple) else value
    return {name: value for name, value in found.items() if part != "runtime" or value != {}}


def merge(a: Mapping, b: Mapping) -> dict:
    """`a` with the values of `b`, mappings within them merged alike."""
    merged = dict(a)
    for name, value in b.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = merge(merged[name], value) if nested else value
    return merged


def from_dict(cls: type, values: Any, where: str = "") -> Any:
    """Builds a configuration from a dict. Missing keys take their defaults.

    Raises `ValueError` for an unknown key or a value of the wrong type, naming the field and what it accepts.
    """
    name = where or cls.__name__
    require(isinstance(values, Mapping), f"{name} must be a mapping, got {type(values).__name__}.")
    if issubclass(cls, ModelConfig):
        cls, values = _family_of(cls, values, name)
    hints = hints_of(cls)
    unknown = sorted(map(str, set(values) - set(hints)))
    require(not unknown, f"Unknown field(s) {unknown} in {name}; known fields: {sorted(hints)}.")
    found = {}
    for key, value in values.items():
        hint, path = hints[key], f"{where}.{key}" if where else key
        if isinstance(hint, type) and issubclass(hint, Config):
            value = from_dict(hint, value, path)
        elif typing.get_origin(hint) is dict:
            require(isinstance(value, Mapping), f"{path} must be a mapping, got {type(value).__name__}.")
            kind = typing.get_args(hint)[1]
            value = {inner: from_dict(kind, item, f"{path}.{inner}") for inner, item in value.items()}
        else:
            value = checked(path, value, hint)
        found[key] = value
    return cls(**found)


def _family_of(cls, values, name):
    from svg_tf import families

    values = dict(values)
    family = values.pop("family", getattr(cls, "family", families.DEFAULT))
    if cls is ModelConfig:
        require(family in families.names(), f"{name}.family must be one of {families.names()}, got {family!r}.")
        return families.config_class(family), values
    require(family == cls.family, f"{name}.family must be {cls.family!r}, got {family!r}.")
    return cls, values


def to_json(config: Config) -> str:
    return json.dumps(to_dict(config), indent=2, sort_keys=True) + "\n"


def from_json(cls: type, text: str) -> Any:
    """The inverse of `to_json`. Raises `ValueError` for malformed JSON or an unknown field."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits, too
        raise ValueError(f"Not a {cls.__name__} in JSON: {error}.") from error
    return from_dict(cls, values)


def differences(a: Config, b: Config, part: Part = "all") -> list[str]:
    """Lines `path: value in a -> value in b`, one for each field of `part` that differs."""

    def walk(x, y, path):
        if isinstance(x, dict) and isinstance(y, dict):
            for key in sorted(set(x) | set(y)):
                yield from walk(x.get(key), y.get(key), f"{path}.{key}" if path else key)
        elif x != y:
            yield f"{path}: {x!r} -> {y!r}"

    return list(walk(to_dict(a, part), to_dict(b, part), ""))
