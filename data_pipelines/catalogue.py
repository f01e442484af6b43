"""Prepared data sets on disk: DATA_DIR/name[/config]/version, as TFDS lays them out."""

import dataclasses
import json
import os
import pathlib
import re

import tensorflow_datasets as tfds

from data_pipelines import checks, described, files

_NAME = re.compile(
    r"(?P<name>[a-z][a-z0-9_]*)(?:/(?P<config>[A-Za-z0-9][A-Za-z0-9_.-]*))?(?::(?P<version>[0-9]+\.[0-9]+\.[0-9]+))?"
)
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


@dataclasses.dataclass(frozen=True)
class Prepared:
    """One built data set."""

    name: str
    """"kth/64": data set and, where it has one, configuration."""
    version: str
    path: str


def default_data_dir() -> str:
    """`TFDS_DATA_DIR`, or TFDS's own default."""
    return os.environ.get("TFDS_DATA_DIR") or os.path.join(os.path.expanduser("~"), "tensorflow_datasets")


def root_dir(data_dir: str | None = None) -> pathlib.Path:
    """`data_dir`, or `default_data_dir`. Raises `ValueError` for a store that TensorFlow does not know."""
    if data_dir:
        return files.located(data_dir, "The folder of data sets (data_dir)")
    return files.located(default_data_dir(), "TFDS_DATA_DIR")


def prepared(data_dir: str | None = None) -> list[Prepared]:
    """All whole data sets below `data_dir`, sorted by name and version; half-built ones (other folder names) are not seen."""
    root = root_dir(data_dir)
    found = []
    for marker in [*root.glob("*/*/features.json"), *root.glob("*/*/*/features.json")]:
        folder = marker.parent
        if _VERSION.fullmatch(folder.name) and (folder / "dataset_info.json").is_file():
            found.append(Prepared(folder.parent.relative_to(root).as_posix(), folder.name, str(folder)))
    return sorted(found, key=lambda entry: (entry.name, _numbers(entry.version)))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def find(name: str, data_dir: str | None = None) -> Prepared:
    """The data set called "name", "name/config" or "name/config:version".

    Unless told: the only configuration that is there, else the builder's default one ("kth/64"); the newest version.

    Raises `ValueError` for a malformed name, one that is not there, or one with several configurations to choose from.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"A data set is named 'name', 'name/config' or 'name/config:1.0.0', got {name!r}.")
    everything = prepared(data_dir)
    wanted = match["name"] + (f"/{match['config']}" if match["config"] else "")
    candidates = [
        entry
        for entry in everything
        if (entry.name == wanted or (not match["config"] and entry.name.startswith(wanted + "/")))
        and match["version"] in (None, entry.version)
    ]
    names = sorted({entry.name for entry in candidates})
    where = str(root_dir(data_dir))
    if not names:
        there = ", ".join(sorted({entry.name for entry in everything})) or "none"
        raise ValueError(
            f"No data set {name!r} in {where}; prepared there: {there}. Build it with: svg-data build {match['name']} "
            f"--source FOLDER --data-dir {where}"
        )
    if len(names) > 1 and (default := f"{match['name']}/{_default_config(where, match['name'])}") in names:
        candidates, names = [entry for entry in candidates if entry.name == default], [default]
    if len(names) > 1:
        raise ValueError(f"{name!r} is there in several configurations: {', '.join(names)}. Name one of them.")
    return candidates[-1]


def _default_config(root: str, name: str) -> str | None:
    """What TFDS notes beside the configurations of a data set."""
    try:
        facts = files.located(root) / name / ".config" / "metadata.json"
        return json.loads(facts.read_text(encoding="utf-8"))["default_config_name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def open_builder(path: str | os.PathLike) -> tfds.core.DatasetBuilder:
    """The TFDS builder of a prepared data set. Raises `ValueError` where the folder holds none that can be read."""
    described.check(files.located(path))
    try:
        return tfds.builder_from_directory(os.fspath(path))
    except Exception as error:  # TFDS raises whatever its JSON and protobuf parsers raise
        raise ValueError(f"{path} is not a readable TFDS data set ({type(error).__name__}: {error}). Build it again.") from error


def shards(builder: tfds.core.DatasetBuilder, split: str) -> list[str]:
    """The shard files of a split, in order. Raises `ValueError` where one is missing or not in the data set's folder."""
    paths = [os.fspath(path) for path in builder.info.splits[split].filepaths]
    for path in paths:
        inside = os.path.dirname(path) == os.fspath(builder.data_path)
        checks.require(inside, f"{path} is not in the folder of the data set, {builder.data_path}. Build it again.")
        there = f"{path} is missing: the data set is incomplete. Build it again, or copy all of its shards."
        checks.require(files.located(path).is_file(), there)
    return paths
