"""Protos beside the data: what StatisticsGen, SchemaGen and ExampleValidator exchange, laid out as TFX does.

In a data set's folder (DATA_DIR/name/config/version), for its records:

    statistics/Split-train/FeatureStats.pb     tfdv.load_stats_binary
    schema/schema.pbtxt                        tfdv.load_schema_text
    anomalies/Split-train/SchemaDiff.pb        anomalies_pb2.Anomalies.FromString

and the same below `measurements/` for what is measured in their videos, with `identities-SPLIT.npy` (see `identities`).
"""

import pathlib
from typing import NamedTuple

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from data_pipelines import files

MAX_BYTES, MAX_TEXT_BYTES = 1 << 26, 1 << 22


class Place(NamedTuple):
    """Where the artifacts of one kind of features are."""

    folder: pathlib.Path

    def statistics(self, split: str) -> pathlib.Path:
        return self.folder / "statistics" / f"Split-{split}" / "FeatureStats.pb"

    @property
    def schema(self) -> pathlib.Path:
        return self.folder / "schema" / "schema.pbtxt"

    def anomalies(self, split: str) -> pathlib.Path:
        return self.folder / "anomalies" / f"Split-{split}" / "SchemaDiff.pb"


def records(builder_dir) -> Place:
    """The place for the features of the records."""
    return Place(require_data_set(builder_dir))


def measurements(builder_dir) -> Place:
    """The place for what is measured in the videos."""
    return Place(require_data_set(builder_dir) / "measurements")


def write_proto(path, message) -> None:
    """Text form for names ending in .pbtxt, else binary; whole or not at all."""
    text = str(path).endswith(".pbtxt")
    files.write(path, text_format.MessageToString(message) if text else message.SerializeToString(deterministic=True))


def read_proto(path, kind: type):
    """Reads a proto of class `kind`. Raises `ValueError` naming the file if it is missing, too large or malformed."""
    path = files.located(path)
    if not path.is_file():
        raise ValueError(f"There is no {path.name} in {path.parent}.")
    size, limit = path.stat().st_size, MAX_TEXT_BYTES if path.suffix == ".pbtxt" else MAX_BYTES
    if size > limit:
        raise ValueError(f"{path} has {size} bytes; a {kind.__name__} of at most {limit} was expected.")
    content = path.read_bytes()
    try:
        return text_format.Parse(content.decode(), kind()) if path.suffix == ".pbtxt" else kind.FromString(content)
    except (DecodeError, text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(
            f"{path} is not a {kind.__name__} proto ({error}). Mend it, or delete it to have it made again."
        ) from error


def require_data_set(directory) -> pathlib.Path:
    """The folder as a path. Raises `ValueError` unless it is that of a prepared TFDS data set."""
    folder = files.located(directory)
    if not (folder / "dataset_info.json").is_file():
        raise ValueError(f"{folder} is not the folder of a prepared data set (expected DATA_DIR/name/config/version).")
    return folder
