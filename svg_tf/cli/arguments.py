"""What the commands share: checks of counts and paths, and an experiment's data at other places."""

import dataclasses
import pathlib
from typing import Any

from data_pipelines import files, frame_size
from data_pipelines.checks import integer


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def check_counts(command, low: int = 1, high: int | None = None, *, names: tuple[str, ...]) -> None:
    """Raises `ValueError` unless each of a command's fields is an integer of at least `low`, or None."""
    for name in names:
        if getattr(command, name) is not None:
            integer(flag(name), getattr(command, name), low, high)


def localized(command) -> Any:
    """The command with `~` expanded in its paths. Raises `ValueError` for one of a store that is not known."""
    changed = {}
    for field in dataclasses.fields(command):
        value = getattr(command, field.name)
        if isinstance(value, pathlib.Path):
            changed[field.name] = files.located(value, flag(field.name))
        elif isinstance(value, tuple) and value and all(isinstance(part, pathlib.Path) for part in value):
            changed[field.name] = tuple(files.located(part, flag(field.name)) for part in value)
    return dataclasses.replace(command, **changed)


def size_of(written: str | None) -> frame_size.Size | None:
    """--image-size as a size; None where it is not given. Raises `ValueError`."""
    return None if written is None else frame_size.parse(written)


def sizes(run_dir: pathlib.Path, written: str | None) -> tuple[frame_size.Size | None, frame_size.Size]:
    """(--image-size where it is another one than the run's, else None; that of the run). Raises `ValueError`."""
    from svg_tf.training.run_config import read_config

    size, trained = size_of(written), read_config(run_dir).model.image_size
    return None if size == trained else size, trained


def named(folder: str, size: frame_size.Size | None) -> str:
    """The name of a run's subfolder for results at another size than the run's: "evaluation-64x80"."""
    return folder if size is None else f"{folder}-{frame_size.text(size)}"


def text(path: pathlib.Path | None) -> str | None:
    return None if path is None else str(path)
