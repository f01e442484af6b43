"""What all configurations share: checks by their type hints, and what a model of any family says of itself."""

import abc
import dataclasses
import functools
import types
import typing
from dataclasses import dataclass
from typing import Any, Literal

from data_pipelines import frame_size
from data_pipelines.checks import one_of, require


@functools.cache
def hints_of(cls: type) -> dict[str, Any]:
    """Name -> type of the fields of a configuration."""
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def runtime(default: Any) -> Any:
    """A field that says how a run runs here and not what it is: it may differ between two starts of a run."""
    return dataclasses.field(default=default, metadata={"runtime": True})


def is_runtime(field: dataclasses.Field) -> bool:
    return field.metadata.get("runtime", False)


@dataclass(frozen=True)
class Config:
    """A frozen dataclass whose fields are checked by their type hints where it is built. Raises `ValueError`."""

    def __post_init__(self):
        for name, hint in hints_of(type(self)).items():
            object.__setattr__(self, name, checked(name, getattr(self, name), hint))


def checked(name: str, value: Any, hint: Any) -> Any:
    """`value` where it is of the type `hint`, an int as a float where that is wanted. Raises `ValueError`."""
    if hint == frame_size.Size:
        return frame_size.checked(name, value)
    origin = typing.get_origin(hint)
    if origin is Literal:
        return one_of(name, value, hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return None if value is None else checked(name, value, kinds[0])
    if isinstance(hint, type) and issubclass(hint, Config):
        require(isinstance(value, hint), f"{name} must be a {hint.__name__}, got {value!r}.")
    if origin is dict:
        require(isinstance(value, dict), f"{name} must be a dict, got {value!r}.")
        kind = typing.get_args(hint)[1]
        return {checked(f"a name in {name}", key, str): checked(f"{name}.{key}", item, kind) for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float, bool, str):
        right = isinstance(value, hint) and not (hint is int and isinstance(value, bool))
        require(right and value == value, f"{name} must be {hint.__name__}, got {value!r}.")  # NaN is no number
    return value


@dataclass(frozen=True)
class ModelConfig(Config, abc.ABC):
    """What every family's configuration has. A family adds its own fields, and `family`, the name of its folder."""

    family: typing.ClassVar[str]
    citation: typing.ClassVar[str]
    """The paper, for model cards."""
    image_size: frame_size.Size = 64
    """Height and width of a frame in pixels: an integer for a square, or a pair (height, width)."""
    channels: int = 1
    n_past: int = 5
    """Context frames in training and, unless told otherwise, in generation."""

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return *frame_size.pair(self.image_size), self.channels

    @property
    def stochastic(self) -> bool:
        """Whether there are latents."""
        return True

    @property
    def any_size(self) -> bool:
        """Whether weights mean the same at any size of frames: none belongs to a place in them."""
        return False

    @property
    def least_context(self) -> int:
        """Context frames without which there is no generation."""
        return 1

    def check_run(self, n_frames: int, steps: int) -> None:  # noqa: B027
        """Raises `ValueError` where a run of `steps` training steps on windows of `n_frames` frames cannot train this model."""

    @property
    @abc.abstractmethod
    def summary(self) -> str:
        """The model in one line."""
