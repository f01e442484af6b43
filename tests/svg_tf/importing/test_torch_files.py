"""PyTorch's files: what PyTorch writes is read, and everything else is refused, before it can do anything."""

import io
import pickle  # to write
import struct
import tracemalloc
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from svg_tf.importing import containers, pickles, torch_files, torch_globals
from tests.svg_tf.importing import torch_writer
from tests.svg_tf.importing.torch_writer import Call, Global, Object, Pickler, Raw, archive, global_, legacy_bytes, zip_bytes

TENSORS = {
    "float": np.arange(24, dtype="f4").reshape(2, 3, 4),
    "double": np.linspace(0, 1, 5),
    "half": np.array([0.5, -2], "f2"),
    "count": np.array(7, "i8"),
    "none": np.zeros((0, 3), "f4"),
    "flags": np.array([True, False]),
}
FLOATS = Global("torch.FloatStorage")


def written(tmp_path, content: bytes):
    path = tmp_path / "file.pt"
    path.write_bytes(content)
    return path


def tensor(storage, *, offset=0, shape=(2,), strides=(1,)) -> Call:
    return Call("torch._utils._rebuild_tensor_v2", (storage, offset, shape, strides, False, Call("collections.OrderedDict")))


def stored(pickler, array, *view) -> Raw:
    return Raw(pickler.storage(array) if not view else pickler.of(("storage", FLOATS, "0", "cpu", array.size, *view)) + b"Q")


# ---- what is read


@pytest.mark.parametrize(("make", "container"), [(zip_bytes, "zip"), (legacy_bytes, "legacy")])
def test_both_containers(tmp_path, make, container):
    value = {
        "state": TENSORS,
        "numbers": [1, -(1 << 40), 2.5, None, True],
        "pair": ("a", 3),
        "set": Call("builtins.set", (["x"],)),
    }
    file = torch_files.read(written(tmp_path, make(value)))
    assert (file.container, len(file.sha256)) == (container, 64)
    for name, array in TENSORS.items():
        got = file.value["state"][name]
        assert (got.dtype, got.shape) == (array.dtype, array.shape), name
        np.testing.assert_array_equal(got, array)
    assert file.value["numbers"] == [1, -(1 << 40), 2.5, None, True]
    assert (file.value["pair"], file.value["set"]) == (("a", 3), {"x"})


def test_views_and_strides(tmp_path):
    pickler, base = Pickler(), np.arange(12, dtype="f4")
    storage = stored(pickler, base)
    turned = tensor(storage, offset=1, shape=(3, 2), strides=(1, 4))
    again = tensor(Raw(storage.code), offset=10, shape=(2,), strides=(1,))
    file = torch_files.read(written(tmp_path, zip_bytes([turned, again], pickler=pickler)))
    np.testing.assert_array_equal(file.value[0], [[1, 5], [2, 6], [3, 7]])
    np.testing.assert_array_equal(file.value[1], [10, 11])


def test_bfloat16_and_big_endian(tmp_path):
    code = Pickler().dump(tensor(Raw(Pickler().of(("storage", Global("torch.BFloat16Storage"), "0", "cpu", 2)) + b"Q")))
    entries = {"a/data.pkl": code, "a/byteorder": b"big", "a/data/0": b"\x3f\x80\xc0\x20"}  # 1, -2.5
    np.testing.assert_array_equal(torch_files.read(written(tmp_path, archive(entries))).value, [1.0, -2.5])


def test_files_of_old_pythons_and_pytorches(tmp_path):
    """Python 2's texts, views of storages, parameters and backends as before PyTorch 0.4, classes with their source."""
    pickler, base = Pickler(legacy=True, python2=True), np.arange(6, dtype="f4")
    raw = Raw(pickler.storage(base))
    view = Raw(pickler.of(("storage", FLOATS, "0", "cuda:0", 6, ("view", 2, 3))) + b"Q")
    old = Call("torch._utils._rebuild_tensor", (view, 1, (2,), (1,)))
    hooks = Call("collections.OrderedDict", ([],))
    weight = Call("torch.nn.parameter.Parameter", (old,), (True, False, hooks))
    state = {
        "_backend": Call("torch.nn.backends.thnn._get_thnn_function_backend"),
        "_parameters": Call("collections.OrderedDict", ([["weight", weight]],)),
        "_buffers": {"mean": tensor(raw, shape=(6,)), "none": None},
        "_modules": Call("collections.OrderedDict", ([],)),
        "hidden": [(Call("torch.autograd.variable.Variable", (tensor(Raw(raw.code)),), (False, True, hooks)),)],
    }
    value = {"net": Object("models.lstm.lstm", state, source=True), "optimizer": Global("torch.optim.adam.Adam")}
    path = written(tmp_path, legacy_bytes(value, python2=True, pickler=pickler))
    file = torch_files.read(path, {"models.lstm.lstm"}, {"torch.optim.adam.Adam"})
    arrays = torch_files.arrays_of(file.value["net"], "net.")
    assert sorted(arrays) == ["net.mean", "net.weight"]
    np.testing.assert_array_equal(arrays["net.weight"], [3, 4])
    with pytest.raises(ValueError, match=r"torch\.optim\.adam\.Adam"):
        torch_files.read(path, {"models.lstm.lstm"})
    with pytest.raises(ValueError, match=r"models\.lstm\.lstm"):
        torch_files.read(path, (), {"torch.optim.adam.Adam"})


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_python_itself(protocol):
    value = {"a": [1, -1, 300, 1 << 70, 2.5, None, True], "b": ("x", ("y" * 300, ())), "s": {"m", "n"}, "o": OrderedDict(k=1)}
    value["again"] = value["a"]
    content = pickle.dumps(value, protocol)
    loaded = pickles.load(b"before" + content + b"after", 6, torch_globals.finder((), (), False))
    assert loaded.value == value
    assert loaded.end == 6 + len(content)
    assert loaded.value["again"] is loaded.value["a"]


# ---- what is refused: pickles

EVIL = b"cos\nsystem\n(X\x0b\x00\x00\x00touch EVIL!tR."
NEST, MANY = 20_000, pickles.MAX_INSTRUCTIONS


def _laughs() -> bytes:
    code = b"](](" + b"N" * 10 + b"eq\x00"
    for i in range(1, 40):
        code += b"](" + bytes([ord("h"), i - 1]) * 10 + b"eq" + bytes([i])
    return code + b"e."


def _copies() -> bytes:
    return b"](](" + b"K\x01N\x86" * 50_000 + b"eq\x00" + (global_("collections.OrderedDict") + b"h\x00\x85R") * 2_000 + b"e."


def _storage(**change) -> bytes:
    """A tensor of two elements with one thing changed."""
    identity = {"tag": "storage", "kind": FLOATS, "key": "0", "place": "cpu", "count": 2}
    layout = {"offset": 0, "shape": (2,), "strides": (1,)}
    identity |= {k: v for k, v in change.items() if k in identity}
    layout |= {k: v for k, v in change.items() if k in layout}
    return Pickler().dump(tensor(Raw(Pickler().of(tuple(identity.values())) + b"Q"), **layout))


PICKLES = {
    "a call of os.system": (EVIL, r"os\.system"),
    "a call of eval": (Pickler().dump(Call("builtins.eval", ("1",))), r"builtins\.eval"),
    "a call of getattr": (Pickler().dump(Call("__builtin__.getattr", ("a", "b"))), r"__builtin__\.getattr"),
    "a name from the stack": (b"\x80\x04\x8c\x02os\x8c\x06system\x93)R.", r"os\.system"),
    "a name made of numbers": (b"\x80\x04K\x01K\x02\x93.", "malformed name"),
    "torch.load within": (Pickler().dump(Call("torch.serialization.load", ("x",))), r"torch\.serialization\.load"),
    "numpy's reconstruction": (global_("numpy.core.multiarray._reconstruct") + b".", r"numpy\.core\.multiarray"),
    "copyreg": (global_("copyreg._reconstructor") + b".", r"copyreg"),
    "an attribute of an attribute": (b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93.", "OrderedDict.__init__"),
    "another layer of PyTorch": (global_("torch.nn.modules.module.Module") + b".", r"modules\.module\.Module"),
    "a class of TorchScript elsewhere": (global_("__torch__.Net") + b")\x81.", r"__torch__\.Net"),
    "INST": (b"(ios\nsystem\n.", "INST"),
    "OBJ": (b"(cos\nsystem\no.", r"os\.system"),
    "OBJ of a known class": (b"(" + global_("collections.OrderedDict") + b"o.", "OBJ"),
    "EXT1": (b"\x80\x02\x82\x01.", "EXT1"),
    "NEWOBJ_EX": (global_("torch.nn.modules.linear.Linear") + b")}\x92.", "NEWOBJ_EX"),
    "a new object with arguments": (global_("torch.nn.modules.linear.Linear") + b"K\x01\x85\x81.", "makes an object"),
    "a new object of a function": (global_("torch._utils._rebuild_tensor_v2") + b")\x81.", "makes an object"),
    "a call of a class": (global_("torch.nn.modules.linear.Linear") + b")R.", "calls torch.nn.modules.linear.Linear"),
    "a call of a storage's type": (Pickler().dump(Call("torch.FloatStorage", (4,))), "calls torch.FloatStorage"),
    "a call of a text": (b"X\x01\x00\x00\x00a)R.", "calls 'a'"),
    "a call without a tuple": (global_("collections.OrderedDict") + b"]R.", "calls"),
    "a call with too many arguments": (Pickler().dump(Call("collections.OrderedDict", (1, 2, 3))), "TypeError"),
    "an ordered dict of a number": (Pickler().dump(Call("collections.OrderedDict", (7,))), "ordered dict of 7"),
    "the state of a list": (b"]}b.", "sets the state of list"),
    "the state of a class": (global_("torch.nn.modules.linear.Linear") + b"}b.", "sets the state of torch.nn"),
    "the state of a module twice": (global_("torch.nn.modules.linear.Linear") + b")\x81}K\x01K\x02sb}b.", "sets the state"),
    "a state that is a tuple": (global_("torch.nn.modules.linear.Linear") + b")\x81N}\x86b.", "sets the state"),
    "appending to a dict": (b"}Na.", "appends to dict"),
    "items of a list": (b"]NNs.", "sets items of list"),
    "members of a dict": (b"}(N\x90.", "adds to dict"),
    "a key that is a list": (b"}]Ns.", "key of type list"),
    "a member that is a tuple": (Pickler().dump(Call("builtins.set", ([("a",)],))), "key of type tuple"),
    "a nest of tuples as a key": (b"})" + b"\x85" * NEST + b"Ns.", "key of type tuple"),
    "a list that contains itself": (b"]q\x00h\x00a.", "contains itself"),
    "a loop through a dict and a tuple": (b"}q\x00K\x01h\x00\x85s.", "contains itself"),
    "nested lists": (b"]" * NEST + b"a" * (NEST - 1) + b".", "nested deeper"),
    "nested tuples": (b")" + b"\x85" * NEST + b".", "nested deeper"),
    "nests of which each holds the next, deepest last": (
        b"](]q\x00" + b"".join(b"](h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(200)) + b"e.",
        "nested deeper",
    ),
    "lists of lists of lists": (_laughs(), "more than 4000000 values"),
    "copies of one long list": (_copies(), "copies more than"),
    "more instructions than any file": (b"N" * (MANY + 5), f"more than {MANY} instructions"),
    "an endless name": (b"c" + b"x" * 1_000_000, "too long"),
    "a text longer than the file": (b"X\xff\xff\xff\xffa", "cut off|larger"),
    "a text of eight bytes' length": (b"\x8d" + b"\xff" * 8, "BINUNICODE8"),
    "a number of a million digits": (b"L" + b"9" * 1_000_000 + b"L\n.", "LONG"),
    "a number of four bytes' length": (b"\x8b\xff\xff\xff\x7f", "LONG4"),
    "a buffer out of band": (b"\x80\x05\x97.", "NEXT_BUFFER"),
    "a memory that is empty": (b"h\x05.", "KeyError"),
    "an empty stack": (b"\x80\x02\x86.", "missing"),
    "a value from below a mark": (b"N(\x85.", "missing"),
    "a mark that is not there": (b"Nt.", "mark is missing"),
    "values left over": (b"NN.", "left over"),
    "no end": (b"N" * 20, "cut off"),
    "POP": (b"N0.", "POP"),
    "DUP": (b"N2.", "DUP"),
    "a text that is none": (b"X\x01\x00\x00\x00\xff.", "UnicodeDecodeError"),
    "another persistent id": (_storage(tag="module"), "not a storage"),
    "a storage elsewhere": (_storage(key="../../etc/passwd"), "passwd"),
    "a storage of another type": (_storage(kind=Global("collections.OrderedDict")), "storage of type"),
    "a storage of any number of elements": (_storage(count=1 << 60), "elements"),
    "a storage of less than nothing": (_storage(count=-1), "elements"),
    "a storage larger than its entry": (_storage(count=1 << 30, shape=(1 << 30,)), "larger than the file"),
    "a tensor beyond its storage": (_storage(shape=(3,)), "beyond its storage"),
    "a tensor that begins outside": (_storage(offset=1), "beyond its storage"),
    "a tensor with a negative offset": (_storage(offset=-1), "offset"),
    "a tensor with negative strides": (_storage(strides=(-1,)), "strides"),
    "a tensor of one element a thousand million times": (_storage(shape=(1 << 30,), strides=(0,)), "beyond its storage"),
    "a tensor of a huge shape": (_storage(shape=(1 << 50,)), "shape"),
    "a tensor of many dimensions": (_storage(shape=(1,) * 9, strides=(1,) * 9), "shape"),
    "a tensor of a text": (_storage(shape="ab"), "made of"),
    "a tensor without a storage": (Pickler().dump(tensor(None)), "made of"),
    "a parameter that is no tensor": (Pickler().dump(Call("torch._utils._rebuild_parameter", (1, True))), "not a tensor"),
}


@pytest.mark.parametrize("kind", sorted(PICKLES))
def test_malicious_pickles_are_refused(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, message = PICKLES[kind]
    path = written(tmp_path, archive({"a/data.pkl": code, "a/data/0": b"12345678"}))
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"file\.pt cannot be read: (?s:.*)(?:{message})"):
        torch_files.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # bytes
    assert [p.name for p in tmp_path.iterdir()] == ["file.pt"]
    with pytest.raises(ValueError, match="cannot be read"):
        torch_files.read(written(tmp_path, legacy_bytes(code)))


def test_tensors_that_share_a_storage_do_not_multiply_it(tmp_path):
    pickler = Pickler()
    storage = stored(pickler, np.zeros(1 << 16, "f4"))
    value = [tensor(Raw(storage.code), shape=(1 << 16,)) for _ in range(50)]
    with pytest.raises(ValueError, match="many times larger"):
        torch_files.read(written(tmp_path, zip_bytes(value, pickler=pickler)))


# ---- what is refused: containers


def patched(content: bytes, signature: bytes, offset: int, value: bytes, which=0) -> bytes:
    """`content` with bytes replaced in the which-th header of a kind."""
    at = -1
    for _ in range(which + 1):
        at = content.index(signature, at + 1)
    return content[: at + offset] + value + content[at + offset + len(value) :]


GOOD = zip_bytes([np.arange(4, dtype="f4")])
DIRECTORY, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
CODE = Pickler().dump([np.arange(4, dtype="f4")])
DATA = np.arange(4, dtype="f4").tobytes()


def _twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate"):
        return b"".join([zip_of([("a/data.pkl", CODE), ("a/data.pkl", CODE), ("a/data/0", DATA)])])


def zip_of(pairs) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in pairs:
            file.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


ZIPS = {
    "a bomb": (lambda: archive({"a/data.pkl": b"N" * 10_000_000}, zipfile.ZIP_DEFLATED), "compressed"),
    "a compressed storage": (lambda: archive({"a/data.pkl": CODE, "a/data/0": DATA}, zipfile.ZIP_DEFLATED), "compressed"),
    "one name twice": (_twice, "two entries"),
    "entries at one place": (lambda: patched(GOOD, DIRECTORY, 42, struct.pack("<I", 0), which=2), "overlap"),
    "an entry within another": (lambda: patched(GOOD, DIRECTORY, 42, struct.pack("<I", 40), which=2), "not where|overlap"),
    "a size beyond what follows": (
        lambda: patched(patched(GOOD, DIRECTORY, 20, struct.pack("<I", 900), which=0), DIRECTORY, 24, struct.pack("<I", 900)),
        "overlaps what follows",
    ),
    "two sizes": (lambda: patched(GOOD, DIRECTORY, 24, struct.pack("<I", 1 << 30)), "compressed|more than"),
    "another name in its header": (lambda: patched(GOOD, LOCAL, 30, b"X"), "not where"),
    "a flipped bit": (lambda: GOOD.replace(DATA, b"\x01" + DATA[1:]), "damaged"),
    "an encrypted entry": (lambda: patched(GOOD, DIRECTORY, 8, b"\x01\x00"), "encrypted"),
    "two pickles": (lambda: archive({"a/data.pkl": CODE, "b/data.pkl": CODE}), "2 data.pkl"),
    "no pickle": (lambda: archive({"a.txt": CODE}), "0 data.pkl; it holds 'a.txt'"),
    "no storage": (lambda: archive({"a/data.pkl": CODE}), "without a/data/0"),
    "a storage that is too short": (lambda: archive({"a/data.pkl": CODE, "a/data/0": DATA[:8]}), "8 bytes"),
    "a byte order of its own": (lambda: archive({"a/data.pkl": CODE, "a/byteorder": b"middle"}), "byte order"),
    "cut off": (lambda: GOOD[:-30], "without its end|damaged"),
    "a directory that is elsewhere": (lambda: patched(GOOD, END, 16, struct.pack("<I", 1 << 31)), "damaged|overlap|not where"),
    "a directory of a gigabyte": (lambda: patched(GOOD, END, 12, struct.pack("<I", 1 << 30)), "directory of"),
    "many entries": (lambda: archive({f"a/data/{i}": b"" for i in range(containers.MAX_ENTRIES + 1)}), "entries, more than"),
    "a pickle that is too large": (lambda: archive({"a/data.pkl": b"\0" * (pickles.MAX_BYTES + 1)}), "more than"),
    "a gzip file": (lambda: b"\x1f\x8b" + bytes(100), "begins with"),
    "HDF5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "begins with"),
    "a bare pickle": (lambda: EVIL + bytes(20), "begins with"),
    "nothing": (lambda: b"", "too short"),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(ZIPS))
def test_tricks_of_containers_are_refused(kind, tmp_path):
    make, message = ZIPS[kind]
    with pytest.raises(ValueError, match=rf"file\.pt cannot be read: .*(?:{message})"):
        torch_files.read(written(tmp_path, make()))


LEGACY = legacy_bytes([np.arange(4, dtype="f4")])
LEGACIES = {
    "cut off in the storages": (LEGACY[:-3], "cut off"),
    "cut off in the pickle": (LEGACY[:90], "cannot be read"),
    "a storage of another length": (LEGACY[:-24] + struct.pack("<q", 1 << 50) + DATA, "another length"),
    "a storage of negative length": (LEGACY[:-24] + struct.pack("<q", -4) + DATA, "another length"),
    "storages under other names": (LEGACY.replace(b"](X\x01\x00\x00\x000e.", b"](X\x01\x00\x00\x001e."), "not those"),
    "big-endian": (LEGACY.replace(b"little_endian\x88", b"little_endian\x89"), "little-endian"),
    "another protocol": (LEGACY.replace(struct.pack("<i", 1001), struct.pack("<i", 1002), 1), "protocol 1001"),
    "a global where none belongs": (torch_writer.MAGIC + global_("os.system") + b".", r"os\.system"),
    "a class that is a text": (legacy_bytes(Raw(Pickler().of(("module", "os", "", "")) + b"Q")), "without its class"),
}


@pytest.mark.parametrize("kind", sorted(LEGACIES))
def test_damaged_legacy_files_are_refused(kind, tmp_path):
    content, message = LEGACIES[kind]
    assert content != LEGACY
    with pytest.raises(ValueError, match=rf"file\.pt cannot be read: .*(?:{message})|{message}"):
        torch_files.read(written(tmp_path, content))


@pytest.mark.parametrize("content", [GOOD, LEGACY], ids=["zip", "legacy"])
def test_damaged_bytes_are_read_or_refused(content, tmp_path):
    """Nothing but a value or a `ValueError` comes of a file of which some bytes are others."""
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), random.integers(1, 4)):
            damaged[place] = random.integers(256)
        path = written(tmp_path, bytes(damaged))
        try:
            torch_files.read(path)
        except ValueError as error:
            assert str(path) in str(error)


def test_what_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="not a file"):
        torch_files.read(tmp_path / "absent.pt")
    with pytest.raises(ValueError, match="not a file"):
        torch_files.read(tmp_path)
    with pytest.raises(ValueError, match="s3://"):
        torch_files.read("s3://bucket/file.pt")


def test_torchscript_is_read_without_its_code(tmp_path):
    inner = Object("__torch__.___torch_mangle_0.Conv", {"weight": np.ones((2, 3), "f4"), "stride": [1, 1]})
    lists = Call("torch.jit._pickle.build_intlist", ([1, 2],))
    net = Object("__torch__.Net", {"conv": inner, "training": False, "sizes": lists, "bias": np.zeros(2, "f4")})
    file = torch_files.read(written(tmp_path, zip_bytes(net, scripted=True)))
    assert file.container == "torchscript"
    arrays = torch_files.scripted_arrays(file.value)
    assert {name: array.shape for name, array in arrays.items()} == {"bias": (2,), "conv.weight": (2, 3)}
    with pytest.raises(ValueError, match=r"os\.system"):
        torch_files.read(written(tmp_path, zip_bytes(Call("os.system", ("x",)), scripted=True)))
