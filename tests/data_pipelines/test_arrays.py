"""NumPy's files with headers that lie."""

import io
import struct
import zipfile

import numpy as np
import pytest

from data_pipelines import arrays

DTYPE = np.dtype([("a", "V4"), ("b", "<u8")])


def npy(shape, descr="'<i8'", data=b"", version=b"\x01\x00") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + data


def test_round_trip(tmp_path):
    values = np.array([(b"abcd", 7), (b"\0\0\0\0", 2**63)], DTYPE)
    arrays.save(tmp_path / "a.npy", values)
    np.testing.assert_array_equal(arrays.load(tmp_path / "a.npy", DTYPE), values)
    arrays.save_together(tmp_path / "b.npz", {"x": np.arange(5), "n": np.int64(3)})
    found = arrays.load_together(tmp_path / "b.npz", {"n": np.int64, "x": np.int64})
    assert found["n"].tolist() == 3 and found["x"].tolist() == [0, 1, 2, 3, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "b.npz"]


LIES = [
    (npy("(1000000000000,)"), "claims 1000000000000 values of 8 bytes, but 0 bytes follow"),
    (npy("(-1,)", data=b"12345678"), "claims -1 values"),
    (npy("(1,)", data=b"1234567"), "claims 1 values of 8 bytes, but 7 bytes follow"),
    (npy("(1,)", data=bytes(16)), "but 16 bytes follow"),
    (npy("(1, 1)", data=bytes(8)), r"must hold int64 \[N\], got int64 \[1, 1\]"),
    (npy("(1,)", "'|O'", bytes(8)), "must hold int64"),
    (npy("(1,)", "'<f8'", bytes(8)), "must hold int64"),
    (npy("1e9"), "no readable header"),
    (npy("(" * 5000), "no readable header"),
    (npy("(1,)", version=b"\x09\x00"), "no readable header"),
    (b"nonsense", "no readable header"),
    (b"", "no readable header"),
]


@pytest.mark.parametrize("content, message", LIES, ids=range(len(LIES)))
def test_lies(tmp_path, content, message):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(arrays.ArrayError, match=message):
        arrays.load(tmp_path / "a.npy", np.dtype(np.int64))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(arrays.ArrayError, match=f"a.npz: x.*{message}|a.npz: x"):
        arrays.load_together(tmp_path / "a.npz", {"x": np.int64})


def test_nothing_is_inflated(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy("(1000000,)", data=bytes(8_000_000)))
    assert (tmp_path / "a.npz").stat().st_size < 20_000
    with pytest.raises(arrays.ArrayError, match="x must be stored as it is"):
        arrays.load_together(tmp_path / "a.npz", {"x": np.int64})
    with pytest.raises(arrays.ArrayError, match="has no array y"):
        arrays.load_together(tmp_path / "a.npz", {"y": np.int64})


def test_no_archive(tmp_path):
    stream = io.BytesIO()
    np.savez(stream, x=np.arange(3))
    for content in (b"", b"PK", stream.getvalue()[:-9]):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(arrays.ArrayError, match="cannot be read"):
            arrays.load_together(tmp_path / "a.npz", {"x": np.int64})
    for read in (arrays.load, arrays.load_together):
        with pytest.raises(arrays.ArrayError, match="cannot be read"):
            read(tmp_path / "nowhere", ())
