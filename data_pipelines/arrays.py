"""NumPy's files read with care: what the header claims is compared with what was expected, and with the bytes that are there,
before memory is taken. Nothing is unpickled, nothing is inflated.
"""

import io
import os
import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from data_pipelines import files

_MAX_HEADER = 10_000


class ArrayError(ValueError):
    """A file does not hold the arrays that were expected."""


def _read(stream, num_bytes: int, dtype: np.dtype, name: str) -> np.ndarray:
    """One array [N] of `dtype` from a stream of `num_bytes` bytes."""
    try:
        version = npy.read_magic(stream)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, found = header(stream, max_header_size=_MAX_HEADER)
    except Exception as error:  # NumPy raises whatever Python's parser raises
        raise ArrayError(f"{name} has no readable header ({type(error).__name__}).") from error
    if found != dtype or len(shape) > 1:
        raise ArrayError(f"{name} must hold {dtype} [N], got {found} {list(shape)}.")
    count = shape[0] if shape else 1
    rest = num_bytes - stream.tell()
    if count * dtype.itemsize != rest:
        raise ArrayError(f"{name} claims {count} values of {dtype.itemsize} bytes, but {rest} bytes follow.")
    content = stream.read(rest)
    if len(content) != rest:
        raise ArrayError(f"{name} is cut short.")
    return np.frombuffer(content, dtype).reshape(shape)


def save(path: str | os.PathLike, array: np.ndarray) -> None:
    """Writes a .npy file, whole or not at all."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    files.write(path, stream.getvalue())


def load(path: str | os.PathLike, dtype: np.dtype) -> np.ndarray:
    """`dtype` [N] of a .npy file. Raises `ArrayError` naming the file for anything else."""
    try:
        place = files.located(path)
        with place.open("rb") as stream:
            return _read(stream, place.stat().st_size, np.dtype(dtype), str(path))
    except OSError as error:
        raise ArrayError(f"{path} cannot be read ({error.strerror}).") from error


def save_together(path: str | os.PathLike, arrays: dict[str, np.ndarray]) -> None:
    """Writes an uncompressed .npz file, whole or not at all."""
    with files.whole(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **arrays)


def load_together(path: str | os.PathLike, dtypes: Mapping[str, npt.DTypeLike]) -> dict[str, np.ndarray]:
    """Arrays [N] or [] of an uncompressed .npz file by name. Raises `ArrayError` naming the file for anything else."""
    try:
        place = files.located(path)
        with place.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            return {name: _member(archive, place, name, np.dtype(dtype)) for name, dtype in dtypes.items()}
    except (OSError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ArrayError(f"{path} cannot be read ({error}).") from error


def _member(archive: zipfile.ZipFile, path: pathlib.Path, name: str, dtype: np.dtype) -> np.ndarray:
    try:
        member = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ArrayError(f"{path} has no array {name}.") from None
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > path.stat().st_size:
        raise ArrayError(f"{path}: {name} must be stored as it is, within the file's {path.stat().st_size} bytes.")
    with archive.open(member) as stream:
        return _read(stream, member.file_size, dtype, f"{path}: {name}")
