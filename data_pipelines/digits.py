"""Digit images for Moving MNIST, by source and split; the digits of the splits never mix, unless asked for.

mnist: test is MNIST's test set, validation the last 5,000 images of its training set, train the other 55,000.
uci: the 1,797 8x8 digits that come with scikit-learn (UCI "Optical Recognition of Handwritten Digits"), cut at fixed
indices into 1,200 / 240 / 357; a bundled stand-in that needs no download.

With `train_digits="all"` train has all images that are not of the test split (60,000 of MNIST, as the published programs);
those of validation are then among them.
"""

import functools
import gzip
import math
import pathlib
import struct
import zlib

import numpy as np

from data_pipelines import checks, files

SPLITS = ("train", "validation", "test")
SOURCES = ("mnist", "uci")
TRAIN_DIGITS = ("split", "all")

_MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_MNIST_FILES = {"train": "train-images-idx3-ubyte.gz", "test": "t10k-images-idx3-ubyte.gz"}
_MNIST_COUNTS = {"train": 60_000, "test": 10_000}
_MNIST_VALIDATION = 5_000
_MNIST_SIZE = 28
_UCI_RANGES = {"train": (0, 1200), "validation": (1200, 1440), "test": (1440, 1797)}
_MNIST_LABELS = {"train": "train-labels-idx1-ubyte.gz", "test": "t10k-labels-idx1-ubyte.gz"}
_IDX_IMAGES = 0x00000803  # unsigned bytes, three dimensions
_IDX_LABELS = 0x00000801  # one dimension


def read_idx_images(path, count, size) -> np.ndarray:
    """Reads a gzipped idx file of images.

    Args:
      path: the .gz file.
      count, size: the number of images and their height and width in pixels that the file must hold.

    Returns: uint8 [count, size, size].
    Raises: ValueError naming the file if it is missing, truncated, corrupt, or holds something else.
    """
    return _read_idx(path, (_IDX_IMAGES, count, size, size), "magic, count, height, width").reshape(count, size, size)


def read_idx_labels(path, count) -> np.ndarray:
    """Reads a gzipped idx file of classes, as `read_idx_images`: uint8 [count]."""
    return _read_idx(path, (_IDX_LABELS, count), "magic, count")


def _read_idx(path, header: tuple[int, ...], names: str) -> np.ndarray:
    """The bytes of a gzipped idx file that must begin with the magic number and the sizes of `header`, uint8 [their product]."""
    path = files.located(path)
    advice = "Download it again (the four original files are train-/t10k-images-idx3-ubyte.gz and -labels-idx1-ubyte.gz)."
    if not path.is_file():
        raise ValueError(f"MNIST file {path} does not exist. {advice}")
    start = 4 * len(header)
    expected = start + math.prod(header[1:])
    try:
        with path.open("rb") as file, gzip.open(file) as stream:
            content = stream.read(expected + 1)  # never inflates more than a genuine file holds
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"MNIST file {path} is truncated or corrupt ({error}). {advice}") from error
    except OSError as error:
        raise ValueError(f"MNIST file {path} cannot be read ({error}).") from error
    if len(content) < start:
        raise ValueError(f"MNIST file {path} holds {len(content)} bytes, fewer than the {start} of an idx header. {advice}")
    found = struct.unpack(f">{len(header)}I", content[:start])
    if found != header:
        raise ValueError(f"MNIST file {path} must start with {names} = {header}, got {found}. {advice}")
    if len(content) != expected:
        more = "more than " if len(content) > expected else ""
        raise ValueError(f"MNIST file {path} must hold {expected} bytes, got {more}{min(len(content), expected)}. {advice}")
    return np.frombuffer(content, np.uint8, offset=start)


def _mnist_file(name: str, digits_dir: str | None) -> pathlib.Path:
    if digits_dir:
        folder = files.located(digits_dir, "The folder of MNIST's files")
        if not folder.is_dir():
            raise ValueError(f"digits_dir must be a folder with the four MNIST idx .gz files, got {digits_dir!r}.")
        return folder / name
    import tensorflow_datasets as tfds

    # TFDS's download manager (cache, checksums), but its original files: their order defines the validation digits.
    builder = tfds.builder("mnist")
    folder = pathlib.Path(tfds.core.constants.DATA_DIR).expanduser() / "downloads"
    manager = tfds.download.DownloadManager(
        download_dir=folder, url_infos=builder.url_infos, force_checksums_validation=True, dataset_name="mnist"
    )
    try:
        return pathlib.Path(manager.download(_MNIST_URL + name))
    except Exception as error:
        raise ValueError(
            f"MNIST could not be downloaded from {_MNIST_URL} ({error}). Download its four .gz files by hand and pass their "
            "folder as digits_dir, or use digits='uci'."
        ) from error


def _uci() -> tuple[np.ndarray, np.ndarray]:
    """(images uint8 [1797, 8, 8], classes uint8 [1797])"""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ValueError("digits='uci' needs scikit-learn: pip install 'svg_tf[demo]'.") from error
    data = load_digits()  # images: 0 ... 16
    return np.round(data.images * (255.0 / 16.0)).astype(np.uint8), data.target.astype(np.uint8)


@functools.lru_cache(maxsize=8)
def _load(source: str, split: str, digits_dir: str | None, train_digits: str, classes: bool = False) -> np.ndarray:
    part = "test" if split == "test" else "train"
    if source == "uci":
        first, last = _UCI_RANGES[split]
        last = _UCI_RANGES["validation"][1] if split == "train" and train_digits == "all" else last
        values = _uci()[classes][first:last]
    else:
        count = _MNIST_COUNTS[part]
        if classes:
            values = read_idx_labels(_mnist_file(_MNIST_LABELS[part], digits_dir), count)
        else:
            values = read_idx_images(_mnist_file(_MNIST_FILES[part], digits_dir), count, _MNIST_SIZE)
        if split == "validation":
            values = values[-_MNIST_VALIDATION:]
        elif split == "train" and train_digits == "split":
            values = values[:-_MNIST_VALIDATION]
    values = np.ascontiguousarray(values)
    values.flags.writeable = False
    return values


def load_digits(
    source: str = "mnist", split: str = "train", digits_dir: str | None = None, train_digits: str = "split"
) -> np.ndarray:
    """The digit images of one split.

    Args:
      source: "mnist" or "uci".
      split: "train", "validation" or "test".
      digits_dir: folder with MNIST's four original .gz files; without it they are downloaded once.
      train_digits: "split": train has none of validation's; "all": it has them, too.

    Returns: read-only uint8 [N, 28, 28] (mnist) or [N, 8, 8] (uci), in the order of the original files.
    Raises: ValueError for an unknown source, split or choice, or a missing or corrupt file.
    """
    _check(source, split, train_digits)
    return _load(source, split, str(digits_dir) if digits_dir else None, train_digits)


def load_classes(
    source: str = "mnist", split: str = "train", digits_dir: str | None = None, train_digits: str = "split"
) -> np.ndarray:
    """What the images of `load_digits`, which takes the same, show: read-only uint8 [N], 0 to 9."""
    _check(source, split, train_digits)
    return _load(source, split, str(digits_dir) if digits_dir else None, train_digits, classes=True)


def _check(source, split, train_digits) -> None:
    checks.one_of("digits", source, SOURCES)
    checks.one_of("split", split, SPLITS)
    checks.one_of("train_digits", train_digits, TRAIN_DIGITS)
