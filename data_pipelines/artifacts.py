"""Protos beside the data: the artifacts that StatisticsGen, SchemaGen and ExampleValidator exchange.

In a data set's folder (DATA_DIR/name/config/version): `statistics.pb`, `schema.pbtxt`, `anomalies.pbtxt`, and
`identities-SPLIT.npy` (see `statistics_gen`). All are tensorflow_metadata protos, which TFX and TFDV also read.
"""

import os
import pathlib
import tempfile

import numpy as np
from google.protobuf import text_format
from google.protobuf.message import DecodeError

STATISTICS, SCHEMA, ANOMALIES = "statistics.pb", "schema.pbtxt", "anomalies.pbtxt"
MAX_BYTES = 1 << 28


def write(path, content: bytes) -> None:
    """Writes a file by a temporary name and a rename, so that it is whole or absent."""
    path = pathlib.Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise


def write_proto(path, message) -> None:
    """Text form for names ending in .pbtxt, else binary."""
    text = str(path).endswith(".pbtxt")
    write(path, text_format.MessageToString(message).encode() if text else message.SerializeToString(deterministic=True))


def read_proto(path, kind: type):
    """Reads a proto of class `kind`. Raises `ValueError` naming the file if it is missing, too large or malformed."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"There is no {path.name} in {path.parent}.")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; a {kind.__name__} of at most {MAX_BYTES} was expected.")
    content = path.read_bytes()
    try:
        return text_format.Parse(content.decode(), kind()) if path.suffix == ".pbtxt" else kind.FromString(content)
    except (DecodeError, text_format.ParseError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not a {kind.__name__} proto ({error}). Mend it, or delete it to have it made again."
        ) from error


def write_array(path, array: np.ndarray) -> None:
    import io

    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    write(path, stream.getvalue())


def read_array(path, dtype: np.dtype) -> np.ndarray:
    """Reads a one-dimensional .npy file. Raises `ValueError` naming the file for anything else."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as an array ({error}). Make the statistics again.") from error
    if array.dtype != dtype or array.ndim != 1:
        raise ValueError(f"{path} must hold {dtype} [N], got {array.dtype} {array.shape}. Make the statistics again.")
    return array


def require_data_set(directory) -> pathlib.Path:
    """The folder as a path. Raises `ValueError` unless it is that of a prepared TFDS data set."""
    folder = pathlib.Path(directory)
    if not (folder / "dataset_info.json").is_file():
        raise ValueError(f"{folder} is not the folder of a prepared data set (expected DATA_DIR/name/config/version).")
    return folder
