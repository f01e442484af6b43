"""Writes files as PyTorch does, without it: pickles instruction by instruction, in the zip and the legacy container.

`made` values: None, bools, ints, floats, texts, dicts, lists, tuples, NumPy arrays (tensors), and the classes below.
"""

import io
import struct
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np

KINDS = {"f4": "Float", "f8": "Double", "f2": "Half", "i8": "Long", "i4": "Int", "u1": "Byte", "b1": "Bool"}
MAGIC = b"\x80\x02\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."


@dataclass
class Global:
    name: str


@dataclass
class Call:
    """What the pickle's reader is to call."""

    name: str
    arguments: tuple = ()
    state: Any = None


@dataclass
class Object:
    """An object of a class by its name; `source`: as the legacy container stores modules' classes."""

    name: str
    state: dict = field(default_factory=dict)
    source: bool = False


@dataclass
class Raw:
    """Instructions as they are."""

    code: bytes


def global_(name: str) -> bytes:
    module, _, attribute = name.rpartition(".")
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


class Pickler:
    def __init__(self, legacy=False, python2=False):
        self.arrays: list[np.ndarray] = []
        self.legacy, self.python2 = legacy, python2

    def dump(self, value) -> bytes:
        return b"\x80\x02" + self.of(value) + b"."

    def of(self, value) -> bytes:
        if isinstance(value, Raw):
            return value.code
        if value is None or isinstance(value, bool):
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        if isinstance(value, int):
            small = abs(value) < 1 << 31
            return b"J" + struct.pack("<i", value) if small else b"\x8a\x10" + value.to_bytes(16, "little", signed=True)
        if isinstance(value, float):
            return b"G" + struct.pack(">d", value)
        if isinstance(value, str):
            text = value.encode()
            old = self.python2 and len(text) < 256
            return (b"U" + bytes([len(text)]) if old else b"X" + struct.pack("<I", len(text))) + text
        if isinstance(value, dict):
            return b"}(" + b"".join(self.of(k) + self.of(v) for k, v in value.items()) + b"u"
        if isinstance(value, list):
            return b"](" + b"".join(map(self.of, value)) + b"e"
        if isinstance(value, tuple):
            return b"(" + b"".join(map(self.of, value)) + b"t"
        if isinstance(value, Global):
            return global_(value.name)
        if isinstance(value, Call):
            code = global_(value.name) + self.of(tuple(value.arguments)) + b"R"
            return code + (self.of(value.state) + b"b" if value.state is not None else b"")
        if isinstance(value, Object):
            identity = ("module", Global(value.name), "models.py", "class encoder: ...")
            cls = self.of(identity) + b"Q" if value.source else global_(value.name)
            return cls + b")\x81" + self.of(value.state) + b"b"
        return self.tensor(np.asarray(value))

    def tensor(self, array: np.ndarray) -> bytes:
        shape = array.shape
        strides = tuple(n // array.itemsize for n in np.empty(shape, array.dtype).strides)
        arguments = (Raw(self.storage(array)), 0, shape, strides, False, Call("collections.OrderedDict"))
        return self.of(Call("torch._utils._rebuild_tensor_v2", arguments))

    def storage(self, array: np.ndarray) -> bytes:
        self.arrays.append(array)
        kind = Global(f"torch.{KINDS[array.dtype.str[1:]]}Storage")
        identity = ("storage", kind, str(len(self.arrays) - 1), "cuda:0", array.size)
        return self.of(identity + (None,) * self.legacy) + b"Q"


def zip_bytes(value, root="archive", scripted=False, pickler=None) -> bytes:
    pickler = pickler or Pickler()
    content = value if isinstance(value, bytes) else pickler.dump(value)
    entries = {"data.pkl": content, "byteorder": b"little"}
    entries |= {f"data/{i}": np.ascontiguousarray(array).tobytes() for i, array in enumerate(pickler.arrays)}
    entries |= {"code/__torch__.py": b"import os; os.abort()", "constants.pkl": b"\x80\x02)."} if scripted else {}
    return archive({f"{root}/{name}": content for name, content in {**entries, "version": b"3\n"}.items()})


def archive(entries: dict[str, bytes], compression=zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, content in entries.items():
            file.writestr(zipfile.ZipInfo(name), content, compression)
    return stream.getvalue()


def legacy_bytes(value, python2=False, pickler=None) -> bytes:
    pickler = pickler or Pickler(legacy=True, python2=python2)
    main = value if isinstance(value, bytes) else pickler.dump(value)
    plain = Pickler(python2=python2)
    facts = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = MAGIC + plain.dump(1001) + plain.dump(facts) + main + plain.dump([str(i) for i in range(len(pickler.arrays))])
    return head + b"".join(struct.pack("<q", a.size) + np.ascontiguousarray(a).tobytes() for a in pickler.arrays)


def module(name: str, parameters=None, children=None, source=False, **state) -> Object:
    """A module as PyTorch saves one."""
    empty = Call("collections.OrderedDict")
    attributes = {
        "training": True,
        "_parameters": {k: Call("torch._utils._rebuild_parameter", (v, True, empty)) for k, v in (parameters or {}).items()},
        "_buffers": {},
        "_backward_hooks": empty,
        "_non_persistent_buffers_set": Call("builtins.set", ([],)),
        "_modules": children or {},
        **state,
    }
    return Object(name, attributes, source)


def modules(classes: dict[str, str], arrays: dict[str, np.ndarray], root: str, source=False) -> Object:
    """The tree of modules whose state dict is `arrays`; classes: path -> class, others are Sequential."""

    def made(prefix: str) -> Object:
        inside = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
        children = dict.fromkeys(name.split(".")[0] for name in inside if "." in name)
        own = {name: array for name, array in inside.items() if "." not in name}
        cls = classes.get(prefix.rstrip("."), "torch.nn.modules.container.Sequential")
        buffers = {name: own.pop(name) for name in list(own) if name.startswith(("running", "num_batches"))}
        return module(cls, own, {name: made(f"{prefix}{name}.") for name in children}, source, _buffers=buffers)

    return made(root)
