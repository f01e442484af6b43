"""What a prepared data set says of itself, checked before TFDS acts on it.

`dataset_info.json` and `features.json` may come from anywhere. TFDS formats file names by a template of the first, makes one
path a shard, and imports the modules that the second names. So all of it is checked first: plain names, a template of plain
fields, no more shards than files, and feature classes of TFDS itself. Both are read as TFDS reads them, as protos.
"""

import json
import pathlib
import re
import string

from google.protobuf import json_format
from tensorflow_datasets.core.proto import dataset_info_pb2, feature_pb2

from data_pipelines.checks import require

INFO, FEATURES = "dataset_info.json", "features.json"
_MAX_BYTES, _BYTES_A_FILE = 1 << 21, 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_TEMPLATE_FIELDS = {"DATASET", "SPLIT", "FILEFORMAT", "SHARD_INDEX", "NUM_SHARDS", "SHARD_X_OF_Y"}
_FEATURE_CLASSES = "tensorflow_datasets.core.features."


def check(folder: pathlib.Path) -> None:
    """Raises `ValueError`, naming the file, where the folder's description is not that of a data set in TFRecord files."""
    require(folder.is_dir(), f"{folder} is no folder; expected DATA_DIR/name/config/version.")
    num_files = sum(1 for _ in folder.iterdir())
    for name, kind, check_content in (
        (INFO, dataset_info_pb2.DatasetInfo, lambda info: _check_info(info, num_files)),
        (FEATURES, feature_pb2.Feature, _check_features),
    ):
        try:
            check_content(_read(folder / name, kind, _MAX_BYTES + _BYTES_A_FILE * num_files))
        except ValueError as error:
            raise ValueError(f"{folder / name} does not describe a data set of clips: {error} Build it again.") from None


def _read(path: pathlib.Path, kind: type, limit: int):
    require(path.is_file(), "it is missing.")
    size = path.stat().st_size
    require(size <= limit, f"it has {size} bytes; at most {limit} were expected.")
    try:
        return json_format.ParseDict(json.loads(path.read_text(encoding="utf-8")), kind())
    except (ValueError, TypeError, AttributeError, RecursionError, json_format.Error) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else f"{error}"[:200]
        raise ValueError(f"it cannot be read ({reason}).") from None


def _check_info(info: dataset_info_pb2.DatasetInfo, num_files: int) -> None:
    _check_name("its name", info.name)
    require(info.file_format in ("", "tfrecord"), f"its files must be 'tfrecord', got {info.file_format!r:.80}.")
    require(not info.alternative_file_formats, "alternative file formats are not read.")
    require(len(info.splits) > 0, "it lists no split.")
    for split in info.splits:
        _check_name("a split's name", split.name)
        _check_template(split.filepath_template)
        lengths = split.shard_lengths
        there = f"split {split.name!r} lists {len(lengths)} shards, but the folder has only {num_files} files."
        require(len(lengths) <= num_files, there)
        require(min(lengths, default=0) >= 0, f"split {split.name!r} lists a shard of {min(lengths, default=0)} records.")


def _check_name(what: str, name: str) -> None:
    good = _NAME.fullmatch(name) and ".." not in name
    require(bool(good), f"{what} must be letters, digits, '_', '.' and '-', got {name!r:.80}.")


def _check_template(template: str) -> None:
    """A file name of fields without attributes, indices and widths, which cannot name another folder. Empty: TFDS's own."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        parts = [("/", None, None, None)]
    plain = all(
        not set(text) & set("/\\\0") and field in (None, *_TEMPLATE_FIELDS) and not width and not conversion
        for text, field, width, conversion in parts
    )
    require(
        plain and len(template) <= 256,
        f"the template of its files' names must consist of plain text and {', '.join(sorted(_TEMPLATE_FIELDS))} in braces, "
        f"got {template!r:.80}.",
    )


def _check_features(feature: feature_pb2.Feature) -> None:
    """TFDS imports the module that a class name begins with."""
    name = feature.python_class_name
    require(name.startswith(_FEATURE_CLASSES), f"a feature must be one of TensorFlow Datasets' own classes, got {name!r:.80}.")
    kind = feature.WhichOneof("content")
    require(kind != "json_feature", f"{name} is described by JSON in JSON, which is not read.")
    if kind == "features_dict":
        for part in feature.features_dict.features.values():
            _check_features(part)
    elif kind == "sequence":
        _check_features(feature.sequence.feature)
