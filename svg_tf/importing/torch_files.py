"""The files that `torch.save` and `torch.jit.save` write, read without PyTorch and without running anything in them."""

import contextlib
import hashlib
import mmap
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from data_pipelines import files
from svg_tf.importing import containers, torch_globals
from svg_tf.importing.pickles import Record
from svg_tf.importing.torch_globals import Tensor


class TorchFile(NamedTuple):
    """What a file holds."""

    value: Any
    """Dicts, lists, numbers, texts, `Record`s of modules, and arrays in the place of tensors."""
    sha256: str
    container: str
    """"zip", "legacy" or "torchscript"."""


def read(path, classes: Collection[str] = (), names: Collection[str] = ()) -> TorchFile:
    """Reads a file of tensors.

    Args:
      path: the file.
      classes: full names of the classes whose objects the caller reads, besides PyTorch's own layers.
      names: full names of other globals that may stand in the file as values and mean nothing.

    Raises `ValueError`, naming the file, for one that is missing, damaged or in another format, and for a global that is
    neither a tensor's, a plain container's, nor among `classes` and `names`.
    """
    path = files.local(path, "the file")
    if not path.is_file():
        raise ValueError(f"{path} is not a file.")
    if path.stat().st_size < 16:
        raise ValueError(f"{path} cannot be read: it is too short for a file of weights.")
    with open(path, "rb") as stream, contextlib.closing(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)) as data:
        try:
            container = containers.Zip(stream, data) if data[:4] == b"PK\x03\x04" else containers.Legacy(data)
            value = container.load(torch_globals.finder(classes, names, container.scripted))
            value = _with_arrays(value, container, len(data))
        except ValueError as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
        return TorchFile(value, hashlib.sha256(data).hexdigest(), container.name)


def arrays_of(module: Record, prefix: str = "") -> dict[str, np.ndarray]:
    """The state dict of a module that was saved whole: dotted name -> array. Raises `ValueError` for what is no module."""
    found = {}
    for kind in ("_parameters", "_buffers"):
        entries = _entries(module, kind)
        found |= {prefix + name: value for name, value in entries.items() if isinstance(value, np.ndarray)}
    for name, child in _entries(module, "_modules").items():
        if isinstance(child, Record):
            found |= arrays_of(child, f"{prefix}{name}.")
    return found


def scripted_arrays(module: Record, prefix: str = "") -> dict[str, np.ndarray]:
    """The same of a TorchScript module, whose weights and children are attributes like any other."""
    found = {prefix + name: value for name, value in module.state.items() if isinstance(value, np.ndarray)}
    for name, child in module.state.items():
        if isinstance(child, Record):
            found |= scripted_arrays(child, f"{prefix}{name}.")
    return found


def _entries(module: Record, kind: str) -> dict:
    entries = module.state.get(kind)
    if type(entries) is not dict or not all(isinstance(name, str) for name in entries):
        raise ValueError(f"{module.name} has no {kind} as a module of PyTorch has.")
    return entries


def _with_arrays(value, container, size: int):
    """The same tree with arrays in the place of tensors, each tensor read once."""
    done: dict[int, Any] = {}
    left = 4 * size  # bytes: tensors that share a storage may not multiply it

    def visit(value):
        nonlocal left
        if id(value) in done:
            return done[id(value)]
        if isinstance(value, Tensor):
            left -= value.extent * value.storage.item_size
            if left < 0:
                raise ValueError("its tensors are many times larger than the file.")
            result = container.array(value)
        elif type(value) is dict:
            result = {key: visit(item) for key, item in value.items()}
        elif type(value) in (list, tuple):
            result = type(value)(visit(item) for item in value)
        elif isinstance(value, Record):
            value.state = visit(value.state)
            result = value
        else:
            return value
        done[id(value)] = result
        return result

    return visit(value)
