"""Weight files of networks that judge videos: .npz files of named arrays, of a bounded size, and no pickle."""

import zipfile

import numpy as np


def read(path, shapes: dict[str, tuple[int, ...]], what: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file that `shapes` names; others are left out, and missing ones are missing in the result.

    Raises `ValueError`, saying of `what` the weights are, where the file cannot be read, or an array's entry is larger than its
    shape says (a compressed file can hold much more than its size).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename.removesuffix(".npy"): entry.file_size for entry in archive.infolist()}
        for name, shape in shapes.items():
            if sizes.get(name, 0) > 8 * int(np.prod(shape)) + 4096:  # float64, and the header
                raise ValueError(f"{name} has {sizes[name]} bytes")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in shapes if name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, MemoryError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(f"{what} weights {path} are not a readable .npz file ({error}).") from error
