"""The two containers of PyTorch's files: which bytes belong to the pickle and to each storage.

Sizes, places and checksums are compared with the file before anything is read, so that no count in it can ask for more memory
than the file is long.
"""

import struct
import zipfile
import zlib
from typing import NamedTuple

import numpy as np

from svg_tf.importing import pickles
from svg_tf.importing.pickles import Symbol, described
from svg_tf.importing.torch_globals import Storage, Tensor, storage_of

MAX_ENTRIES, _MAX_DIRECTORY = 50_000, 1 << 24
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_LOCAL_HEADER = "<4s22x2H"


def array(data, start: int, order: str, tensor: Tensor) -> np.ndarray:
    """The tensor whose storage's elements begin at data[start], a copy; bfloat16 becomes float32."""
    storage = tensor.storage
    kind = np.dtype("u2" if storage.dtype == "bf2" else storage.dtype).newbyteorder(order)
    first = start + (storage.start + tensor.offset) * kind.itemsize
    raw = np.frombuffer(data[first : first + tensor.extent * kind.itemsize], kind)
    if len(raw) != tensor.extent:
        raise ValueError(f"storage {storage.key} is cut off.")
    if tensor.extent == 0:
        values = np.zeros(tensor.shape, kind)
    else:
        values = np.lib.stride_tricks.as_strided(raw, tensor.shape, [n * kind.itemsize for n in tensor.strides])
    if storage.dtype == "bf2":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return np.array(values, kind.newbyteorder("="))


class Legacy:
    """Five pickles: magic number, protocol, facts of the system, the object, names of storages; then each storage's length and
    elements."""

    name, scripted = "legacy", False

    def __init__(self, data):
        self.data = data
        self.storages: dict[str, Storage] = {}
        self.places: dict[str, int] = {}

    def load(self, find):
        try:
            magic, end = pickles.load(self.data, 0, _nothing)
        except ValueError:
            magic, end = None, 0
        if magic != _MAGIC:
            raise ValueError(f"it is no file of torch.save or torch.jit.save; it begins with {bytes(self.data[:8])!r}.")
        protocol, end = pickles.load(self.data, end, _nothing)
        system, end = pickles.load(self.data, end, _nothing)
        if protocol != _PROTOCOL or type(system) is not dict or system.get("little_endian") is not True:
            raise ValueError(f"expected protocol {_PROTOCOL} and little-endian numbers, got protocol {described(protocol)}.")
        value, end = pickles.load(self.data, end, find, self._persistent)
        keys, end = pickles.load(self.data, end, _nothing)
        self._locate(keys, end)
        return value

    def _persistent(self, identity):
        if type(identity) is tuple and len(identity) == 4 and identity[0] == "module":  # a class, with its source, unread
            if not isinstance(identity[1], Symbol):
                raise ValueError("a persistent id of a module without its class.")
            return identity[1]
        storage = storage_of(identity)
        known = self.storages.setdefault(storage.key, storage)
        if (known.dtype, known.total) != (storage.dtype, storage.total):
            raise ValueError(f"storage {storage.key} is described in two ways.")
        return storage

    def _locate(self, keys, end: int) -> None:
        if type(keys) is not list or not all(type(key) is str for key in keys) or set(keys) != set(self.storages):
            raise ValueError("the names of the storages are not those that the tensors ask for.")
        for key in keys:
            storage, header = self.storages[key], self.data[end : end + 8]
            if len(header) < 8 or struct.unpack("<q", header)[0] != storage.total:
                raise ValueError(f"storage {described(key)} is cut off or has another length than {storage.total}.")
            self.places[key] = end + 8
            end += 8 + storage.total * storage.item_size
            if end > len(self.data):
                raise ValueError(f"storage {described(key)} is cut off.")

    def array(self, tensor: Tensor) -> np.ndarray:
        return array(self.data, self.places[tensor.storage.key], "<", tensor)


class _Entry(NamedTuple):
    start: int
    size: int


class Zip:
    """NAME/data.pkl and NAME/data/KEY for each storage, uncompressed. Other entries (code, versions) are not read."""

    def __init__(self, stream, data):
        self.data = data
        _check_directory(data)
        try:
            with zipfile.ZipFile(stream) as archive:
                entries, self.directory = archive.infolist(), archive.start_dir
        except (zipfile.BadZipFile, NotImplementedError, ArithmeticError, struct.error, ValueError, EOFError, OSError) as error:
            raise ValueError(f"a damaged zip file ({error}).") from error
        if len(entries) > MAX_ENTRIES:
            raise ValueError(f"a zip file of {len(entries)} entries, more than {MAX_ENTRIES}.")
        self.entries = {}
        for entry in entries:
            if entry.filename in self.entries:
                raise ValueError(f"a zip file with two entries {described(entry.filename)}.")
            self.entries[entry.filename] = entry
        starts = sorted(entry.header_offset for entry in entries)
        if len(set(starts)) != len(starts):
            raise ValueError("a zip file whose entries overlap.")
        self.next_start = dict(zip(starts, [*starts[1:], self.directory], strict=True))
        roots = [name.removesuffix("/data.pkl") for name in self.entries if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(roots) != 1:
            found = ", ".join(repr(name[:40]) for name in sorted(self.entries)[:3])
            raise ValueError(f"a zip file that is not PyTorch's: it has {len(roots)} data.pkl; it holds {found}.")
        self.root = roots[0]
        self.scripted = any(name.startswith(f"{self.root}/code/") for name in self.entries)
        self.name = "torchscript" if self.scripted else "zip"
        self.order = self._byte_order()
        self.places: dict[str, _Entry] = {}

    def load(self, find):
        pickle = self._checked("data.pkl", pickles.MAX_BYTES)
        content = self.data[pickle.start : pickle.start + pickle.size]
        return pickles.load(content, 0, find, storage_of).value

    def array(self, tensor: Tensor) -> np.ndarray:
        storage = tensor.storage
        if storage.key not in self.places:
            self.places[storage.key] = self._checked(f"data/{storage.key}", len(self.data))
        place = self.places[storage.key]
        if place.size != storage.total * storage.item_size:
            raise ValueError(f"storage {storage.key} has {place.size} bytes, not {storage.total} elements {storage.dtype}.")
        return array(self.data, place.start, self.order, tensor)

    def _byte_order(self) -> str:
        if f"{self.root}/byteorder" not in self.entries:
            return "<"
        place = self._checked("byteorder", 16)
        order = self.data[place.start : place.start + place.size]
        if order not in (b"little", b"big"):
            raise ValueError(f"byte order {order!r}.")
        return "<" if order == b"little" else ">"

    def _checked(self, name: str, most: int) -> _Entry:
        """Where an entry's bytes are. Its two headers must agree, it must lie before the next entry, and be undamaged."""
        name = f"{self.root}/{name}"
        entry = self.entries.get(name)
        if entry is None:
            raise ValueError(f"a zip file without {name}.")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 0x1:
            raise ValueError(f"{name} is compressed or encrypted, as PyTorch never writes it.")
        if entry.file_size > most:
            raise ValueError(f"{name} has {entry.file_size} bytes, more than {most}.")
        header = entry.header_offset
        try:
            signature, name_size, extra = struct.unpack(_LOCAL_HEADER, self.data[header : header + 30])
        except struct.error:
            signature = b""
        if signature != b"PK\x03\x04" or self.data[header + 30 : header + 30 + name_size] != name.encode():
            raise ValueError(f"{name} is not where the zip file's directory says.")
        start = header + 30 + name_size + extra
        if start + entry.file_size > self.next_start[header]:
            raise ValueError(f"{name} overlaps what follows it.")
        checksum = 0
        for position in range(start, start + entry.file_size, 1 << 24):
            checksum = zlib.crc32(self.data[position : min(position + (1 << 24), start + entry.file_size)], checksum)
        if checksum != entry.CRC:
            raise ValueError(f"{name} is damaged: its checksum is {checksum:08x}, {entry.CRC:08x} was expected.")
        return _Entry(start, entry.file_size)


def _check_directory(data) -> None:
    """Refuses a central directory larger than any of PyTorch's, before it is read."""
    end = data.rfind(b"PK\x05\x06", max(0, len(data) - 65_557))
    if end < 0 or end + 22 > len(data):
        raise ValueError("a zip file without its end, cut off perhaps.")
    size = struct.unpack("<I", data[end + 12 : end + 16])[0]
    if size == 0xFFFFFFFF:
        wide = data.rfind(b"PK\x06\x06", max(0, end - 4096), end)
        size = struct.unpack("<Q", data[wide + 40 : wide + 48])[0] if wide >= 0 else size
    if size > _MAX_DIRECTORY:
        raise ValueError(f"a zip file with a directory of {size} bytes, more than {_MAX_DIRECTORY}.")


def _nothing(name: str) -> None:
    """Where no global belongs."""
