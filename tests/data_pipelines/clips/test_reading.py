"""The room needs no TensorFlow, and one reader serves all."""

import subprocess
import sys

import numpy as np
import pytest

from data_pipelines import clips
from data_pipelines.clips import arrays
from tests.data_pipelines import media


def test_neither_tensorflow_nor_tfds_nor_keras_is_needed():
    program = "import sys, data_pipelines.clips, data_pipelines.clips.sources; print(*(n.split('.')[0] for n in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow", "tensorflow_datasets", "keras", "fcntl", "av"} & set(loaded) and "numpy" in loaded


def test_pictures_are_in_natural_order_without_what_file_managers_leave(tmp_path):
    frames = np.stack([np.full((8, 8, 3), 20 * t, np.uint8) for t in range(12)])
    media.write_pictures(tmp_path / "p", frames)
    for name in ("._frame1.png", ".frame3.png", "Thumbs.db"):
        (tmp_path / "p" / name).write_bytes(b"Mac OS X")
    got = list(clips.read_clip(tmp_path / "p", clips.Wanted(8, 8, 1)))
    assert [int(frame[0, 0, 0]) for frame in got] == [20 * t for t in range(12)]
    assert len(list(clips.read_clip(tmp_path / "p", clips.Wanted(8, 8, 1, fps=1)))) == 12


@pytest.mark.parametrize("name, array", [
    ("a.npy", np.zeros((3, 8, 8, 1), np.uint8)),
    ("a.npy", np.asfortranarray(np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8))),
    ("a.npz", np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)),
    ("a.npy", np.random.default_rng(0).uniform(0, 1, (3, 8, 8, 1))),
])  # fmt: skip
def test_arrays(tmp_path, name, array):
    np.savez(tmp_path / name, frames=array) if name.endswith("z") else np.save(tmp_path / name, array)
    wanted = array if array.dtype == np.uint8 else np.round(array.astype(np.float32) * 255)
    np.testing.assert_array_equal(arrays.read_array(tmp_path / name, (8, 8, 1)), wanted)


def header(shape, dtype="|u1"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("content, message", [
    (header((10**12, 8, 8, 1)), "64000000000000 bytes, at most"),
    (header((2**62, 2**62, 8, 1)), "got uint8 of shape"),
    (header((3, 8, 8, 1)) + b"x", "1 bytes of data for a shape of 192"),
    (header((3, 8, 8, 1), "|O"), "Object arrays cannot be loaded"),
    (header((3, 8, 8, 1), "<c8") + bytes(9999), "got complex64"),
    (header((-3, 8, 8, 1)) + bytes(9999), "must be"),
    (b"", "cannot be read"),
    (b"\x93NUMPY\x09\x00rubbish", "cannot be read"),
])  # fmt: skip
def test_headers_are_judged_before_data(tmp_path, content, message):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=f"a.npy must be an .npy of uint8.*{message}"):
        arrays.read_array(tmp_path / "a.npy", (8, 8, 1))
