"""Our Examples artifact: a TFDS data set that training reads, and the same records where TFX's components look for them.

    URI/data/video_folder/mine/1.0.0/     the data set, with its index
    URI/Split-train/*.tfrecord-*          hard links to its shards (copies where the file system has no links)
    URI/clips.json                        the source's clips in it, with their checksums

Needs no TFX.
"""

import contextlib
import io
import json
import os
import pathlib
import shutil

import tensorflow_datasets as tfds

from data_pipelines import catalogue, clip_records, files
from data_pipelines.example_gen import base
from data_pipelines.tfx import fingerprint
from data_pipelines.tfx.settings import Build

DATA, CLIPS = "data", "clips.json"
MAX_BYTES = 1 << 28


def split_folder(uri: str | os.PathLike, split: str) -> pathlib.Path:
    return pathlib.Path(uri) / f"Split-{split}"


def write(uri: str | os.PathLike, build: Build, source: str, hashes: fingerprint.Hashes, on_progress=None) -> list[str]:
    """Builds the data set of `source` into `uri`. Returns its splits. Raises `ValueError` for a bad source."""
    uri = pathlib.Path(uri)
    builder = build.made(source, os.fspath(uri / DATA))
    if on_progress is not None:
        builder.on_progress = on_progress
    tfds.disable_progress_bar()  # ours knows the number of clips
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS's own messages speak of downloads
        folder = base.build(builder)
    prepared = catalogue.open_builder(folder)
    built = {}
    for split in prepared.info.splits:
        shards = catalogue.shards(prepared, split)
        _link(shards, split_folder(uri, split))
        built[split] = {record.text("source").decode("utf-8", "replace") for record in clip_records.read(shards)}
    known = fingerprint.clips(builder.planned().jobs, source, built, hashes)
    files.write(uri / CLIPS, json.dumps(known, indent=0, sort_keys=True) + "\n")
    return list(built)


def _link(paths: list[str], folder: pathlib.Path) -> None:
    folder.mkdir(parents=True)
    for path in paths:
        try:
            os.link(path, folder / os.path.basename(path))
        except OSError:
            shutil.copyfile(path, folder / os.path.basename(path))


def data_set(uri: str | os.PathLike) -> catalogue.Prepared:
    """The data set in an artifact. Raises `ValueError` where there is none."""
    folder = os.fspath(pathlib.Path(uri) / DATA)
    found = catalogue.prepared(folder)
    if len(found) != 1:
        raise ValueError(f"{uri} must hold one data set of clips, got {len(found)}: it is not of ClipExampleGen.")
    return found[0]


def data_dir(uri: str | os.PathLike) -> str:
    """The `data_dir` under which `data_pipelines.load` finds it."""
    return os.fspath(pathlib.Path(uri) / DATA)


def clips(uri: str | os.PathLike) -> list[dict]:
    """[{"split", "clip", "sha256"}] of an artifact."""
    path = pathlib.Path(uri) / CLIPS
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{uri} has no list of clips: it is not of ClipExampleGen.")
    return json.loads(path.read_text(encoding="utf-8"))


def shadow(uri: str | os.PathLike, folder: str | os.PathLike) -> pathlib.Path:
    """The data set again below `folder`, by links, for what is written beside data; an artifact never changes.

    Returns its folder, `folder/name/config/version`."""
    found = data_set(uri)
    target = pathlib.Path(folder) / found.name / found.version
    target.mkdir(parents=True)
    for path in sorted(pathlib.Path(found.path).iterdir()):
        if path.is_file():
            _link_one(path, target / path.name)
    return target


def _link_one(path: pathlib.Path, target: pathlib.Path) -> None:
    try:
        os.symlink(path.resolve(), target)
    except OSError:
        shutil.copyfile(path, target)
