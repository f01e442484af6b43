"""Reading .npz files that may be damaged, foreign or hostile: types, shapes and sizes are known before any data is read."""

import io
import json
import math
import zipfile
from typing import Any, NamedTuple

import numpy as np

HEADER = "header"
MAX_HEADER_BYTES = 1 << 24
_MAX_MEMBERS = 1 << 20


class Array(NamedTuple):
    """What a file says of an array, before its data is read."""

    shape: tuple[int, ...]
    dtype: np.dtype
    size: int  # bytes of its data


class DamagedError(ValueError):
    """A file that is no archive of arrays, or not a whole one."""


def describe(archive: zipfile.ZipFile) -> dict[str, Array]:
    """Name -> shape and type of all arrays. Raises `DamagedError`; reads headers only."""
    found = {}
    if len(archive.infolist()) > _MAX_MEMBERS:
        raise DamagedError(f"{len(archive.infolist())} arrays")
    for info in archive.infolist():
        if not info.filename.endswith(".npy"):
            raise DamagedError(f"{info.filename!r} is no array")
        with archive.open(info) as file:
            shape, _, dtype = _array_header(file, info.filename)
            size = math.prod(shape) * dtype.itemsize
            if dtype.hasobject or size != info.file_size - file.tell():
                raise DamagedError(f"{info.filename!r} claims {size} bytes of {dtype}, and has {info.file_size - file.tell()}")
        name = info.filename.removesuffix(".npy")
        if name in found:
            raise DamagedError(f"{name!r} is there twice")
        found[name] = Array(shape, dtype, size)
    return found


def _array_header(file, name):
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        return read(file, max_header_size=10_000)
    except (ValueError, KeyError, EOFError) as error:
        raise DamagedError(f"{name!r} has no array's header ({error})") from error


def read_array(archive: zipfile.ZipFile, name: str, expected: Array) -> np.ndarray:
    """An array's data, as `describe` found it; at most its own bytes are read."""
    with archive.open(f"{name}.npy") as file:
        content = file.read(expected.size + 10_100)
        if file.read(1):
            raise DamagedError(f"{name!r} is longer than its header says")
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


def read_json(archive: zipfile.ZipFile, arrays: dict[str, Array]) -> dict[str, Any]:
    """The JSON header that a checkpoint holds as bytes. Raises `DamagedError`."""
    found = arrays.get(HEADER)
    if found is None or found.dtype != np.uint8 or len(found.shape) != 1 or found.size > MAX_HEADER_BYTES:
        raise DamagedError("it has no header")
    try:
        header = json.loads(read_array(archive, HEADER, found).tobytes().decode())
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DamagedError(f"its header is no JSON ({error})") from error
    if not isinstance(header, dict):
        raise DamagedError(f"its header is a {type(header).__name__}")
    return header
