"""Records one by one: lengths that lie, chunks that swell, frames that are not there."""

import pathlib
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
import tiny_data

from data_pipelines import clip_records

SHAPE = (8, 8, 1, 4)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    videos = [tiny_data.noise(0, 5), tiny_data.noise(1, 140)]
    folder = tiny_data.build(tmp_path_factory.mktemp("tiny"), {"train": [(f"a{i}", v, {}) for i, v in enumerate(videos)]})
    return str(next(folder.glob("*.tfrecord*"))), videos


def write(path, **changes):
    """A shard of one record, as `tf.train.Example` with other values."""
    features = {"num_frames": [4], "frame_chunks": [zlib.compress(bytes(256))]} | changes
    example = tf.train.Example()
    for name, values in features.items():
        kind = "bytes_list" if isinstance(values[0], bytes) else "int64_list"
        getattr(example.features.feature[name], kind).value.extend(values)
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
    return [str(path)]


def frames(paths):
    return [np.concatenate(list(record.blocks(SHAPE))) for record in clip_records.read(paths)]


def test_all_frames_block_by_block(built):
    path, videos = built
    by_name = {record.text("clip_id").decode(): record for record in clip_records.read([path])}
    for number, video in enumerate(videos):
        blocks = list(by_name[f"a{number}"].blocks(SHAPE))
        np.testing.assert_array_equal(np.concatenate(blocks), video)
        assert max(map(len, blocks)) <= 64
    record = by_name["a1"]
    again = clip_records.read_at(record.path, record.position, len(record.data))
    assert again.data == record.data and again.text("nothing") == b""


def test_lengths_that_lie(built, tmp_path):
    content = pathlib.Path(built[0]).read_bytes()
    path = tmp_path / "a.tfrecord"
    for length in (2**62, len(content)):
        path.write_bytes(struct.pack("<Q", length) + content[8:])
        with pytest.raises(ValueError, match="damaged at byte 0 .a record that ends behind the end of the file"):
            frames([str(path)])
    path.write_bytes(content[:7])
    with pytest.raises(ValueError, match="damaged at byte 0"):
        frames([str(path)])
    path.write_bytes(b"")
    assert not frames([str(path)])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"frame_chunks": [zlib.compress(bytes(50_000_000))]}, "must hold 256 bytes, got more than 256"),
        ({"frame_chunks": [zlib.compress(bytes(255))]}, "must hold 256 bytes, got 255"),
        ({"frame_chunks": [b"nonsense"]}, "A chunk of frames is damaged"),
        ({"num_frames": [5]}, "1 of its frames are not there"),
        ({"num_frames": [0]}, "is not a clip"),
        ({"num_frames": [4, 4]}, "is not a clip"),
        ({"num_frames": [b"4"]}, "is not a clip"),
        ({"frame_chunks": [7]}, "is not a clip"),
    ],
)
def test_bad_records(tmp_path, changes, message):
    assert len(frames(write(tmp_path / "good"))[0]) == 4
    with pytest.raises(ValueError, match=f"bad: the record at byte 0.*{message}"):
        frames(write(tmp_path / "bad", **changes))
