"""idx files: every way in which they may be broken."""

import gzip
import struct

import numpy as np
import pytest

from data_pipelines import digits


def write(path, content):
    path.write_bytes(gzip.compress(content, compresslevel=1))
    return path


def idx(count=3, size=4, magic=0x803):
    images = np.arange(count * size * size, dtype=np.uint8)
    return struct.pack(">4I", magic, count, size, size) + images.tobytes()


def test_reads_images(tmp_path):
    images = digits.read_idx_images(write(tmp_path / "a.gz", idx()), 3, 4)
    np.testing.assert_array_equal(images, np.arange(48, dtype=np.uint8).reshape(3, 4, 4))


@pytest.mark.parametrize(
    "content, message",
    [
        (idx(magic=0x801), "must start with magic"),
        (idx(count=2), "must start with magic"),
        (idx()[:-1], "must hold 64 bytes, got 63"),
        (idx() + b"x", "must hold 64 bytes, got more than 64"),
        (b"short", "fewer than the 16"),
    ],
)
def test_wrong_contents(tmp_path, content, message):
    with pytest.raises(ValueError, match=message) as error:
        digits.read_idx_images(write(tmp_path / "broken.gz", content), 3, 4)
    assert "broken.gz" in str(error.value)


def test_damaged_gzip(tmp_path):
    whole = gzip.compress(idx())
    for name, content in (
        ("cut", whole[:-12]),
        ("flipped", whole[:20] + bytes([whole[20] ^ 255]) + whole[21:]),
        ("text", b"hello"),
    ):
        path = tmp_path / f"{name}.gz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}.gz"):
            digits.read_idx_images(path, 3, 4)
    with pytest.raises(ValueError, match="does not exist"):
        digits.read_idx_images(tmp_path / "missing.gz", 3, 4)


def test_unknown_split_and_source():
    with pytest.raises(ValueError, match="split must be one of"):
        digits.load_digits("uci", "eval")
    with pytest.raises(ValueError, match="digits must be one of"):
        digits.load_digits("svhn", "train")


def test_download_is_by_checksum_and_a_failure_says_what_to_do(monkeypatch, tmp_path):
    import tensorflow_datasets as tfds

    seen = {}

    class Offline:
        def __init__(self, **settings):
            seen.update(settings)

        def download(self, url):
            seen["url"] = url
            raise ConnectionError("no route to host")

    monkeypatch.setattr(tfds.download, "DownloadManager", Offline)
    with pytest.raises(ValueError, match="no route to host.*digits_dir.*digits='uci'"):
        digits.load_digits("mnist", "test")
    assert seen["url"].endswith("/t10k-images-idx3-ubyte.gz") and seen["force_checksums_validation"]
    assert len(seen["url_infos"][seen["url"]].checksum) == 64
