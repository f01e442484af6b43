"""Descriptions that lead elsewhere, or to endless work."""

import json
import shutil
import time

import clip_files
import pytest

import data_pipelines
from data_pipelines import catalogue, described


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return clip_files.build_numbered(tmp_path_factory.mktemp("whole"), {"train": [5, 8]})


@pytest.fixture
def copy(built, tmp_path):
    folder = tmp_path / "numbered" / "1.0.0"
    shutil.copytree(built, folder)
    return folder


def attack(folder, name, change):
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


def split_with(**values):
    return lambda info: info["splits"][0].update(values)


def chunks_of(**values):
    return lambda features: features["featuresDict"]["features"]["frame_chunks"].update(values)


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "name, change, message",
    [
        ("dataset_info.json", split_with(filepathTemplate="../../{DATASET}"), "the template of its files' names must consist"),
        ("dataset_info.json", split_with(filepathTemplate="/etc/passwd"), "the template"),
        ("dataset_info.json", split_with(filepathTemplate="{SPLIT.__class__.__init__}"), "the template"),
        ("dataset_info.json", split_with(filepathTemplate="{SPLIT:>999999999}"), "the template"),
        ("dataset_info.json", split_with(filepathTemplate="{SPLIT!r}{0}"), "the template"),
        ("dataset_info.json", split_with(filepathTemplate="{SPLIT"), "the template"),
        ("dataset_info.json", split_with(filepath_template="../x", filepathTemplate=""), "cannot be read|the template"),
        ("dataset_info.json", split_with(name="../../train"), "a split's name must be letters"),
        ("dataset_info.json", split_with(shardLengths=["1"] * 100_000), "lists 100000 shards, but the folder has only 4 files"),
        ("dataset_info.json", split_with(shardLengths=["-2"]), "a shard of -2 records"),
        ("dataset_info.json", split_with(shardLengths=["many"]), "cannot be read"),
        ("dataset_info.json", split_with(shardLengths=None), "the data set is incomplete|no clip|2 clips"),
        ("dataset_info.json", lambda info: info.update(splits=[]), "it lists no split"),
        ("dataset_info.json", lambda info: info.update(splits=3), "cannot be read"),
        ("dataset_info.json", lambda info: info.update(name="../numbered"), "its name must be letters"),
        ("dataset_info.json", lambda info: info.update(fileFormat="riegeli"), "its files must be 'tfrecord'"),
        ("dataset_info.json", lambda info: info.update(alternativeFileFormats=["riegeli"]), "alternative file formats"),
        ("features.json", lambda f: f.update(pythonClassName="antigravity.Fly"), "one of TensorFlow Datasets' own classes"),
        ("features.json", chunks_of(pythonClassName="antigravity.Fly"), "one of TensorFlow Datasets' own classes"),
        ("features.json", lambda f: f.update(type="antigravity.Fly", content={}), "cannot be read"),
    ],
)
def test_refused_before_anything_is_done(copy, name, change, message):
    attack(copy, name, change)
    start = time.process_time()
    with pytest.raises(ValueError, match=message):
        data_pipelines.load("numbered", seq_len=5, batch_size=1, data_dir=str(copy.parents[1]))
    assert time.process_time() - start < 20


@pytest.mark.parametrize(
    "content, message",
    [(b"", "cannot be read"), (DEEP.encode(), "cannot be read"), (b"\xff{}", "cannot be read"), (b"[1]", "cannot be read"),
     (b" " * (1 << 22), "at most .* were expected")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_no_description(copy, name, content, message):
    (copy / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} does not describe a data set of clips: .*{message}"):
        described.check(copy)
    (copy / name).unlink()
    with pytest.raises(ValueError, match="it is missing"):
        described.check(copy)


def test_a_whole_one_is_taken(built):
    assert catalogue.open_builder(built).name == "numbered"
