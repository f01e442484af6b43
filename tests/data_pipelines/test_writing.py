"""Parts and shards: the order is TFDS's, and neither the parts nor who wrote them can be seen in the bytes."""

import os
import pathlib
import shutil

import clip_files
import numpy as np
import pytest
from tensorflow_datasets.core import hashing

from data_pipelines import clip_records, clip_storage, record_index
from data_pipelines.example_gen import parts, shards, writing

FIELDS = clip_storage.fields(clip_storage.clip_features(4, 4, 1))
JOBS = [(number, 2 + number % 9, 6) for number in range(40)]


def write(folder, jobs=JOBS, count=3):
    folder.mkdir(exist_ok=True)
    paths = [str(folder / f"x.tfrecord-{number}") for number in range(count)]
    told = []
    watch = writing.Watch(lambda *counts: told.append(counts), lambda split, skipped: None)
    split = writing.Split("train", jobs, lambda records, num_bytes: paths)
    return paths, writing.write([split], clip_files.read_numbered, FIELDS, str(folder), watch)[0], told


def test_order_and_bytes(tmp_path, monkeypatch):
    paths, written, told = write(tmp_path / "a")
    ids = [record.text("clip_id").decode() for record in clip_records.read(paths)]
    hasher = hashing.Hasher("train")
    assert ids == sorted((f"clip{number:03d}" for number in range(40)), key=hasher.hash_key)
    assert written.shard_lengths == [13, 14, 13] and told == [("train", done, 40) for done in range(41)]
    index = record_index.load(str(tmp_path / "a"), "train", paths, (4, 4, 1, 6))
    again = record_index.build(paths)
    assert all(np.array_equal(getattr(index, name), getattr(again, name)) for name in record_index._COLUMNS)
    assert sorted(os.listdir(tmp_path / "a")) == ["record_index-train.npz", *(f"x.tfrecord-{n}" for n in range(3))]
    monkeypatch.setattr(parts, "_MOST_TASKS", 7)
    monkeypatch.setattr(shards, "_OPEN_FILES", 2)
    assert write(tmp_path / "b")[1] == written
    first, second = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in "ab")
    assert first == second and len(first) == 4


def test_two_records_of_one_key(tmp_path):
    with pytest.raises(ValueError, match="Two records of the split 'train' have one key: 'clip001' and 'clip001'"):
        write(tmp_path / "a", [*JOBS, (1, 5, 6)])


def test_a_shard_that_is_cut_short(tmp_path, monkeypatch):
    whole = shards.write_shard

    def cut(task):
        whole(task)
        os.truncate(task.path, 100)

    monkeypatch.setattr(shards, "write_shard", cut)
    with pytest.raises(OSError, match="tfrecord-0 has 100 bytes on disk, [0-9]+ were written; build it again"):
        write(tmp_path / "a")


def test_a_task_done_twice_leaves_the_same_bytes_and_none_where_the_build_is_over(tmp_path):
    folder = pathlib.Path(parts.make_folder(str(tmp_path)))
    (task,) = parts.tasks("train", JOBS[:1], clip_files.read_numbered, FIELDS, str(folder))

    def content():
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    parts.write_part(task)
    first = content()
    parts.write_part(task)
    assert content() == first and sorted(first) == [f"train-0000.{kind}" for kind in ("json", "npz", "records")]
    assert parts.counted(str(folder), "train") == 2
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError):
        parts.write_part(task)
    assert not folder.exists()
