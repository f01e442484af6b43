"""Reading .npz files that may be damaged, foreign or hostile: types, shapes and sizes are known before any data is read."""

import json
import math
import re
import struct
import zipfile
import zlib
from typing import Any, NamedTuple

import numpy as np

HEADER = "header"
MAX_HEADER_BYTES = 1 << 24
_MAX_MEMBERS = 1 << 16
# NumPy's own bound; its reader takes into memory what a header claims to be long, up to 4 GB, before it looks.
_MAX_ARRAY_HEADER = 10_000
# As NumPy writes it for numbers. Nothing else is taken, and nothing evaluated.
_ARRAY_HEADER = re.compile(
    r"\{'descr': '([<>|=][a-zA-Z][0-9]{1,9})', 'fortran_order': (True|False), "
    r"'shape': \(((?:[0-9]{1,19}(?:, ?|(?=\))))*)\), ?\}\s*"
)
UNREADABLE = (ValueError, OSError, EOFError, LookupError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error)
"""What reading a damaged zip file may raise, `DamagedError` among them."""


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
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DamagedError(f"{info.filename!r} is encrypted, or compressed otherwise than NumPy does")
        with archive.open(info) as file:
            shape, dtype, _ = _array_header(file, info.filename)
            size = math.prod(shape) * dtype.itemsize
            if dtype.hasobject or size != info.file_size - file.tell():
                raise DamagedError(f"{info.filename!r} claims {size} bytes of {dtype}, and has {info.file_size - file.tell()}")
        name = info.filename.removesuffix(".npy")
        if name in found:
            raise DamagedError(f"{name!r} is there twice")
        found[name] = Array(shape, dtype, size)
    return found


def _array_header(file, name):
    """(shape, dtype, order) at the beginning of a member: at most its header is read, and nothing of it is evaluated."""
    magic = file.read(8)
    width = {b"\x93NUMPY\x01": 2, b"\x93NUMPY\x02": 4}.get(magic[:7])
    length = int.from_bytes(file.read(width), "little") if width else _MAX_ARRAY_HEADER + 1
    found = _ARRAY_HEADER.fullmatch(file.read(length).decode("latin1")) if length <= _MAX_ARRAY_HEADER else None
    if found is None:
        raise DamagedError(f"{name!r} has no header of an array of numbers")
    try:
        dtype = np.dtype(found[1])
    except TypeError as error:
        raise DamagedError(f"{name!r} is an array of {found[1]!r}") from error
    return tuple(map(int, re.findall("[0-9]+", found[3]))), dtype, "F" if found[2] == "True" else "C"


def read_array(archive: zipfile.ZipFile, name: str, expected: Array) -> np.ndarray:
    """An array's data, as `describe` found it; at most its own bytes are read."""
    with archive.open(f"{name}.npy") as file:
        shape, dtype, order = _array_header(file, name)
        content = file.read(expected.size)
        if (shape, dtype, len(content)) != expected or file.read(1):  # the end is where the checksum is compared
            raise DamagedError(f"{name!r} has {len(content)} bytes, and not those of {expected.dtype} {expected.shape}")
    return np.frombuffer(content, dtype).reshape(shape, order=order)


def read_json(archive: zipfile.ZipFile, arrays: dict[str, Array]) -> dict[str, Any]:
    """The JSON header that a checkpoint holds as bytes. Raises `DamagedError`."""
    found = arrays.get(HEADER)
    if found is None or found.dtype != np.uint8 or len(found.shape) != 1 or found.size > MAX_HEADER_BYTES:
        raise DamagedError("it has no header")
    try:
        header = json.loads(read_array(archive, HEADER, found).tobytes().decode())
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"its header is no JSON ({error})") from error
    if not isinstance(header, dict):
        raise DamagedError(f"its header is a {type(header).__name__}")
    return header
