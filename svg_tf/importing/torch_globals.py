"""What the globals and persistent ids of PyTorch's pickles stand for: storages, tensors, plain containers, classes by name."""

import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from svg_tf.importing.pickles import Symbol, checked_key, described

_HIGH = 1 << 40  # of offsets, strides and counts
_DTYPES = {
    "Float": "f4", "Double": "f8", "Half": "f2", "BFloat16": "bf2", "Long": "i8", "Int": "i4", "Short": "i2", "Char": "i1",
    "Byte": "u1", "Bool": "b1",
}  # fmt: skip
_LAYERS = {
    f"torch.nn.modules.{name}"
    for name in (
        "container.Sequential", "container.ModuleList", "conv.Conv2d", "conv.ConvTranspose2d", "batchnorm.BatchNorm2d",
        "activation.LeakyReLU", "activation.Tanh", "activation.Sigmoid", "activation.ReLU", "pooling.MaxPool2d",
        "upsampling.UpsamplingNearest2d", "upsampling.Upsample", "linear.Linear", "rnn.LSTMCell",
    )
}  # fmt: skip


class Storage(NamedTuple):
    """A range of the elements that a file stores under `key`."""

    key: str
    dtype: str
    """NumPy's code, or "bf2" for bfloat16."""
    start: int
    count: int
    total: int
    """Elements under the key."""

    @property
    def item_size(self) -> int:
        return int(self.dtype[-1])


@dataclass(frozen=True)
class Tensor:
    """A tensor that is not read yet. Its elements are known to lie within its storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    extent: int
    """Elements from its first to its last one."""
    ignores_state = True


def finder(classes: Collection[str], names: Collection[str], scripted: bool) -> Callable[[str], Symbol | None]:
    """Name of a global -> `Symbol`, or None where it is refused.

    classes: those whose objects become records, besides PyTorch's layers. names: globals that may stand as values and mean
    nothing. scripted: a TorchScript file, whose own classes are records too.
    """
    records = _LAYERS.union(classes)

    def find(name):
        if name in records or (scripted and name.startswith("__torch__.")):
            return Symbol(name, record=True)
        if name in names:
            return Symbol(name)
        return _KNOWN.get(name) or (_SCRIPT.get(name) if scripted else None)

    return find


def storage_of(identity) -> Storage:
    """The persistent id of a storage: ("storage", type, key, device, elements[, view of another storage])."""
    if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
        raise ValueError("a persistent id that is not a storage's.")
    _, kind, key, _, count, *view = identity
    if not isinstance(kind, Symbol) or kind.value is None or type(key) is not str or not re.fullmatch(r"[\w-]{1,64}", key):
        raise ValueError(f"a storage of type {described(kind)} and key {described(key)}.")
    if not _counts(count):
        raise ValueError(f"a storage of {described(count)} elements.")
    if not view or view[0] is None:
        return Storage(key, kind.value, 0, count, count)
    view = view[0]
    if type(view) is not tuple or len(view) != 3 or not _counts(*view[1:]) or view[1] + view[2] > count:
        raise ValueError(f"a view of a storage of {count} elements that does not lie within it.")
    return Storage(key, kind.value, view[1], view[2], count)


def _counts(*values) -> bool:
    return all(type(value) is int and 0 <= value < _HIGH for value in values)


def _tensor(storage, offset, shape, strides, *flags):
    if not isinstance(storage, Storage) or type(shape) is not tuple or type(strides) is not tuple:
        raise ValueError(f"a tensor made of {described(storage)}, {described(shape)} and {described(strides)}.")
    if len(shape) > 8 or len(shape) != len(strides) or not _counts(offset, *shape, *strides):
        raise ValueError("a tensor of a shape, strides or an offset that are none.")
    size = math.prod(shape)
    extent = 1 + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True)) if size else 0
    if offset + extent > storage.count or size > storage.count:
        raise ValueError(f"a tensor of shape {shape} and strides {strides} beyond its storage of {storage.count} elements.")
    return Tensor(storage, offset, shape, strides, extent)


def _parameter(tensor, *flags):
    if not isinstance(tensor, Tensor):
        raise ValueError(f"a parameter that is {described(tensor)}, not a tensor.")
    return tensor


def _ordered_dict(items=()):
    pairs = type(items) in (list, tuple) and all(type(pair) in (list, tuple) and len(pair) == 2 for pair in items)
    if not pairs:
        raise ValueError(f"an ordered dict of {described(items)}.")
    return {checked_key(key): value for key, value in items}


def _set(items=()):
    if type(items) not in (list, tuple):
        raise ValueError(f"a set of {described(items)}.")
    return {checked_key(item) for item in items}


def _items(items=()):
    return items


def _symbols(calls: dict[str, Callable]) -> dict[str, Symbol]:
    return {name: Symbol(name, call=call) for name, call in calls.items()}


_KNOWN = _symbols(
    {
        "collections.OrderedDict": _ordered_dict,
        "builtins.set": _set,
        "__builtin__.set": _set,
        "torch.Size": _items,
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _parameter,
        # PyTorch before 0.4:
        "torch.nn.parameter.Parameter": _parameter,
        "torch.autograd.variable.Variable": _parameter,
        "torch.nn.backends.thnn._get_thnn_function_backend": lambda: None,
    }
) | {
    f"{module}.{kind}Storage": Symbol(f"{module}.{kind}Storage", value=dtype)
    for kind, dtype in _DTYPES.items()
    for module in ("torch", "torch.cuda")
}
_SCRIPT = _symbols(
    {f"torch.jit._pickle.build_{kind}list": _items for kind in ("int", "double", "bool", "tensor")}
    | {"torch.jit._pickle.restore_type_tag": lambda value, kind: value}
)
