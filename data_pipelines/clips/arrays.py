"""Arrays that a user saved (.npy, .npz) as frames. Nothing is unpickled; shapes are judged before data is read."""

import math
import os
import zipfile

import numpy as np

from data_pipelines.clips import kinds

SUFFIXES = frozenset({".npy", ".npz"})
MAX_BYTES = 1 << 30


def read_array(path: str | os.PathLike, shape: tuple[int, int, int]) -> np.ndarray:
    """The array of an .npy, or the array "frames" of an .npz.

    Args:
      shape: (H, W, C) of a frame.

    Returns: uint8 [T, H, W, C]; floats in [0, 1] are scaled and rounded.
    Raises: `ValueError`, naming the file, for another shape or type, values out of range, a damaged or too large file.
    """
    npz = kinds.suffix(path) == ".npz"
    kind = "an .npz with 'frames'" if npz else "an .npy of"
    expected = f"{kind} uint8, or float in [0, 1], [T >= 1, {shape[0]}, {shape[1]}, {shape[2]}]"
    name = kinds.shown(path)
    try:
        if npz:
            with zipfile.ZipFile(path) as archive, archive.open("frames.npy") as file:
                frames = _read(file, shape)
        else:
            with open(path, "rb") as file:
                frames = _read(file, shape)
    except _Unfit as error:
        raise ValueError(f"{name} must be {expected}, got {error}.") from None
    except (OSError, ValueError, KeyError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{name} must be {expected}; it cannot be read ({error}).") from error
    if frames.dtype.kind == "f":
        if not (frames.min() >= 0 and frames.max() <= 1):  # also catches NaN
            raise ValueError(f"{name} must be {expected}, got values in [{frames.min():g}, {frames.max():g}].")
        frames = np.round(frames.astype(np.float32) * 255.0).astype(np.uint8)
    return frames


class _Unfit(Exception):
    """An array of another shape or type."""


def _read(file, shape: tuple[int, int, int]) -> np.ndarray:
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    stored, fortran, dtype = header(file)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded: they are pickled")
    if len(stored) != 4 or stored[1:] != tuple(shape) or not stored[0] or not (dtype == np.uint8 or dtype.kind == "f"):
        raise _Unfit(f"{dtype} of shape {stored}")
    count = math.prod(stored)
    if count * dtype.itemsize > MAX_BYTES:
        raise ValueError(f"{count * dtype.itemsize} bytes, at most {MAX_BYTES} are read")
    data = file.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise ValueError(f"{len(data)} bytes of data for a shape of {count * dtype.itemsize}")
    return np.frombuffer(data, dtype).reshape(stored, order="F" if fortran else "C")
