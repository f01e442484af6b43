"""Folders for what is imported."""

import pathlib

from data_pipelines import files


def vacant(out, what: str) -> pathlib.Path:
    """`out` as a path, which must not exist or be an empty folder. Raises `ValueError`."""
    out = files.located(out, what)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists and is not an empty folder.")
    return out

