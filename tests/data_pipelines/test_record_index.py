"""The index beside the shards."""

import dataclasses
import os
import pathlib
import zipfile

import clip_files
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from test_arrays import npy

from data_pipelines import catalogue, record_index

SHAPE = (4, 4, 1, 6)


@pytest.fixture
def built(tmp_path):
    path = clip_files.build_numbered(tmp_path, {"train": [5, 13, 2]})
    shards = [os.fspath(file) for file in tfds.builder_from_directory(path).info.splits["train"].filepaths]
    return pathlib.Path(path), shards


def equal(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in record_index._COLUMNS)


def test_places_lead_to_the_bytes(built):
    folder, shards = built
    index = record_index.load(str(folder), "train", shards, SHAPE)
    records = [record.numpy() for record in tf.data.TFRecordDataset(shards)]
    assert len(index) == len(records) == 3
    data = pathlib.Path(shards[0]).read_bytes()
    for number, record in enumerate(records):
        offset, size = index.offset[number] + 12, index.size[number]
        assert data[offset : offset + size] == record
        feature = tf.train.Example.FromString(record).features.feature
        chunks = feature["frame_chunks"].bytes_list.value
        assert index.num_chunks[number] == len(chunks) and index.longest_chunk[number] == max(map(len, chunks))
        assert index.num_frames[number] == feature["num_frames"].int64_list.value[0]
    chosen = index.select(index.num_frames > 2)
    assert sorted(chosen.num_frames) == [5, 13]


def test_written_by_the_build_and_made_again_where_absent_or_stale(built):
    folder, shards = built
    file = folder / "record_index-train.npz"
    index, content = record_index.load(str(folder), "train", shards, SHAPE), file.read_bytes()
    for damage in (None, b"nonsense", b""):
        file.unlink() if damage is None else file.write_bytes(damage)
        assert equal(record_index.load(str(folder), "train", shards, SHAPE), index)
        assert file.read_bytes()[:2] == content[:2] == b"PK"
    file.unlink()
    clip_files.build_numbered(folder.parents[1] / "other", {"train": [4]})
    other = next((folder.parents[1] / "other").rglob("record_index-train.npz"))
    file.write_bytes(other.read_bytes())  # of other shards
    assert equal(record_index.load(str(folder), "train", shards, SHAPE), index)


def test_damage_names_the_file(built):
    folder, shards = built
    (folder / "record_index-train.npz").unlink()
    shard = pathlib.Path(shards[0])
    whole = shard.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    for damaged in (whole[:-7], bytes(flipped), whole[: len(whole) // 2], b"text\n" * 9):
        shard.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{shard.name}.* is damaged at byte .*Build the data set again"):
            record_index.load(str(folder), "train", shards, SHAPE)
    with tf.io.TFRecordWriter(shards[0]) as writer:
        writer.write(tf.train.Example().SerializeToString())
    with pytest.raises(ValueError, match="the record at byte 0 is not a clip"):
        record_index.load(str(folder), "train", shards, SHAPE)
    shard.unlink()
    with pytest.raises(ValueError, match=f"{shard.name} is missing: the data set is incomplete"):
        catalogue.shards(catalogue.open_builder(folder), "train")


@pytest.mark.parametrize(
    "name, change",
    [
        ("shard", lambda column: column + 1),
        ("offset", lambda column: column + 2**62),
        ("offset", lambda column: -column - 1),
        ("size", lambda column: column[:-1]),
        ("num_frames", lambda column: column + 6),
        ("num_frames", lambda column: column * 0),
        ("num_chunks", lambda column: column + 1),
        ("longest_chunk", lambda column: column + 1000),
        ("size", lambda column: column * 0),
    ],
)
def test_an_index_that_lies_is_made_again(built, name, change):
    folder, shards = built
    good = record_index.load(str(folder), "train", shards, SHAPE)
    bad = dataclasses.replace(good, **{name: change(getattr(good, name).astype(np.int64)).astype(record_index._COLUMNS[name])})
    record_index.save(bad, str(folder), "train")
    assert equal(record_index.load(str(folder), "train", shards, SHAPE), good)
    assert equal(record_index.load(str(folder), "train", shards, SHAPE), good)  # and stored


def test_headers_that_claim_terabytes(built):
    folder, shards = built
    good = record_index.load(str(folder), "train", shards, SHAPE)
    with zipfile.ZipFile(folder / "record_index-train.npz", "w") as archive:
        for name in ("version", "bytes", *record_index._COLUMNS):
            archive.writestr(f"{name}.npy", npy("(1000000000000,)"))
    assert equal(record_index.load(str(folder), "train", shards, SHAPE), good)


def test_records_that_cannot_be_of_these_chunks(built):
    folder, shards = built
    with pytest.raises(ValueError, match="a record claims [0-9]+ frames, but has [0-9]+ chunks of 2. Build the data set again"):
        record_index.load(str(folder), "train", shards, (4, 4, 1, 2))
    good = record_index.load(str(folder), "train", shards, SHAPE)
    swollen = dataclasses.replace(good, longest_chunk=good.longest_chunk + 500)
    assert "bytes; at most 160 were expected" in record_index._misfits(swollen, SHAPE)


def test_a_million_records_take_28_bytes_each(tmp_path):
    count = 1_000_000
    shard = tmp_path / "x.tfrecord"
    with open(shard, "wb") as file:
        file.truncate(1016 * count)  # a hole, not bytes
    ones = np.ones(count, np.int64)
    columns = 0 * ones, 1016 * np.arange(count), 1000 * ones, 13 * ones, 3 * ones, 90 * ones
    made = record_index.RecordIndex.of([str(shard)], *columns)
    record_index.save(made, str(tmp_path), "train")
    index = record_index.load(str(tmp_path), "train", [str(shard)], SHAPE)
    assert equal(index, made) and sum(getattr(index, name).nbytes for name in record_index._COLUMNS) == 28 * count
    assert (tmp_path / "record_index-train.npz").stat().st_size < 28 * count + 3000
    with pytest.raises(ValueError, match="A record has 2147483648 as its size; at most 2147483647"):
        record_index.RecordIndex.of([str(shard)], [0], [0], [2**31], [1], [1], [1])
