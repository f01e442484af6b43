"""Who is who among the clips: hashes of pixels, name, source and group, 40 bytes a clip.

`measurements/identities-SPLIT.npy` holds them in stored order, so that `leakage` finds what two splits share without reading the
videos again.
"""

import hashlib
import pathlib

import numpy as np

from data_pipelines import arrays, artifacts

DTYPE = np.dtype([("content", "V16"), ("clip_id", "<u8"), ("source", "<u8"), ("group", "<u8")])
NAMES = ("clip_id", "source", "group")
NONE = 0
"""The hash of a name that the records do not have."""


def hash_text(value: bytes) -> int:
    """The 64 bits by which a name is known."""
    return int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "little")


def keys(identities: np.ndarray, field: str) -> np.ndarray:
    """One column, in a form that NumPy compares and sorts."""
    # NumPy compares fixed-width bytes, but not void values, and pads them with the zeros that it strips: exact.
    return np.ascontiguousarray(identities[field]).view("S16") if field == "content" else identities[field]


def _path(builder_dir, split: str) -> pathlib.Path:
    return artifacts.measurements(builder_dir).folder / f"identities-{split}.npy"


def save(builder_dir, split: str, identities: np.ndarray) -> None:
    arrays.save(_path(builder_dir, split), identities)


def load(builder_dir, split: str, num_examples: int) -> np.ndarray:
    """`DTYPE` [N] of a split, in stored order. Raises `ValueError` where they do not belong to these statistics."""
    path = _path(builder_dir, split)
    try:
        found = arrays.load(path, DTYPE)
    except arrays.ArrayError as error:
        raise ValueError(f"{error} Make the statistics again.") from error
    if len(found) != num_examples:
        raise ValueError(f"{path} must hold {num_examples} clips, got {len(found)}. Make the statistics again.")
    return found
