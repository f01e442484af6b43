"""TFRecords and examples without TensorFlow: TensorFlow reads what is written here, and the other way round."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import tf_records

FEATURES = {
    "b": [b"", b"\xff" * 300],
    "f": np.array([[1.5, -0.25], [np.pi, 3e38]], np.float32),
    "i": np.array([-1, 0, 2**62], np.int64),
    "a": np.array(7, np.int64),
}


def test_tensorflow_parses_what_is_serialized():
    data = tf_records.serialize(FEATURES)
    assert data == tf_records.serialize(dict(reversed(FEATURES.items())))
    theirs = tf.train.Example.FromString(data).features.feature
    for feature in (theirs, tf_records.parse(theirs_again(theirs))):
        assert list(feature["b"].bytes_list.value) == FEATURES["b"] and feature["a"].int64_list.value == [7]
        np.testing.assert_array_equal(np.float32(feature["f"].float_list.value), FEATURES["f"].ravel())
        assert list(feature["i"].int64_list.value) == [-1, 0, 2**62]
    with pytest.raises(ValueError, match="not a tf.train.Example"):
        tf_records.parse(b"\xff\xff nonsense")


def theirs_again(feature) -> bytes:
    return tf.train.Example(features=tf.train.Features(feature=dict(feature))).SerializeToString()


def test_tensorflow_reads_what_is_framed(tmp_path):
    contents = [b"", b"x", bytes(range(256)) * 50]
    ours = b"".join(map(tf_records.framed, contents))
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for content in contents:
            writer.write(content)
    assert (tmp_path / "theirs").read_bytes() == ours
    found = list(tf_records.read(io.BytesIO(ours), len(ours)))
    assert [record.data for record in found] == contents
    assert [record.position for record in found] == [0, 16, 33]


def test_damage_has_a_place():
    good = tf_records.framed(b"abc") + tf_records.framed(bytes(1000))
    huge = struct.pack("<Q", 2**40)
    for data, size in (
        (good[:-1], None),
        (good[:25], None),
        (good[:300] + b"\x01" + good[301:], len(good)),
        (good[:20] + b"\x01" + good[21:], len(good)),
        (good[:19] + huge + struct.pack("<I", tf_records._checksum(huge)) + bytes(100), None),
    ):
        read = tf_records.read(io.BytesIO(data), size)
        assert next(read).data == b"abc"
        with pytest.raises(tf_records.Damaged) as raised:
            next(read)
        assert raised.value.position == 19
