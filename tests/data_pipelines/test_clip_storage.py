"""Frames in chunks: there and back, and windows of them."""

import zlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import data_pipelines
from data_pipelines import clip_encoding, clip_storage


def stored_chunks(example, features):
    """The zlib streams as they lie in a record."""
    serialized = features.serialize_example(example)
    return tf.train.Example.FromString(serialized).features.feature["frame_chunks"].bytes_list.value


@pytest.mark.parametrize("length, chunk, channels", [(1, 6, 1), (6, 6, 3), (13, 4, 3), (7, 1, 1)])
def test_round_trip_and_every_window(length, chunk, channels):
    frames = np.random.default_rng(length).integers(0, 256, (length, 4, 6, channels), np.uint8)
    features = clip_storage.clip_features(4, 6, channels, chunk_frames=chunk)
    example = clip_encoding.encode_clip(frames, clip_id="a", source="s", group="g", first_frame=5, chunk_frames=chunk)
    np.testing.assert_array_equal(clip_storage.decode_clip(example), frames)
    assert (example["num_frames"], example["first_frame"]) == (length, 5)
    shape = clip_storage.frame_shape(features)
    assert shape == (4, 6, channels, chunk)
    streams = stored_chunks(example, features)
    assert len(streams) == -(-length // chunk)
    for start in range(length):
        for size in {1, length - start}:
            touched = streams[start // chunk : (start + size - 1) // chunk + 1]
            window = clip_storage.inflate_window(tf.constant(list(touched)), start % chunk, size, shape)
            np.testing.assert_array_equal(window, frames[start : start + size])


def test_a_still_clip_is_smaller_than_its_pixels_and_extra_features_are_kept():
    features = clip_storage.clip_features(16, 16, 1, {"action": tfds.features.Text()})
    frames = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 16, 16, 1), np.uint8), 60, axis=0)
    example = clip_encoding.encode_clip(frames, clip_id="a", source="", group="") | {"action": "boxing"}
    assert sum(map(len, stored_chunks(example, features))) < frames.size / 3
    assert "action" in features


@pytest.mark.parametrize("frames", [np.zeros((2, 4, 4, 1)), np.zeros((2, 4, 4), np.uint8), np.zeros((0, 4, 4, 1), np.uint8)])
def test_bad_frames(frames):
    with pytest.raises(ValueError, match=r"clip7: frames must be uint8 \[T >= 1, H, W, C\], got"):
        clip_encoding.encode_clip(frames, clip_id="clip7", source="", group="")


def test_other_data_sets_are_told():
    with pytest.raises(ValueError, match="Not a data set of clips.*found .*'label'"):
        clip_storage.frame_shape(tfds.features.FeaturesDict({"label": tfds.features.Text()}))
    for dtype, shape in ((np.float32, (4, 4, 6, 1)), (np.uint8, (None, 4, 6, 1)), (np.uint8, (10**5, 10**5, 6, 1))):
        chunks = tfds.features.Sequence(tfds.features.Tensor(shape=shape, dtype=dtype, encoding="zlib"))
        with pytest.raises(ValueError, match="Not a data set of clips|must have a fixed size"):
            clip_storage.frame_shape(tfds.features.FeaturesDict({"frame_chunks": chunks}))


def test_values_of_each_frame():
    features = clip_storage.clip_features(4, 4, 1, {"positions": tfds.features.Tensor(shape=(7, 2, 2), dtype=np.float32)},
                                          per_frame={"actions": (4,), "speed": ()})  # fmt: skip
    assert sorted(clip_storage.per_frame_names(features)) == ["actions", "positions", "speed"]
    frames, names = np.zeros((7, 4, 4, 1), np.uint8), {"clip_id": "a", "source": "s", "group": "g"}
    actions = np.arange(28.0).reshape(7, 4)
    example = clip_encoding.encode_clip(frames, **names, per_frame={"actions": actions, "speed": range(7)})
    example |= {"positions": np.zeros((7, 2, 2), np.float32)}
    back = features.deserialize_example(features.serialize_example(example))
    assert back["actions"].dtype == tf.float32 and back["speed"].numpy().tolist() == list(range(7))
    np.testing.assert_array_equal(back["actions"], actions)
    for bad, message in ((actions[:6], r"of 7 frames, got \[6, 4\]"), (actions * np.nan, "some that are not finite")):
        with pytest.raises(ValueError, match=f"a: actions must be finite numbers.*{message}"):
            clip_encoding.encode_clip(frames, **names, per_frame={"actions": bad})


def test_decode_is_for_examples_and_for_data_sets():
    frames = np.random.default_rng(0).integers(0, 256, (9, 4, 6, 3), np.uint8)
    features = clip_storage.clip_features(4, 6, 3)
    example = clip_encoding.encode_clip(frames, clip_id="a", source="s", group="g", first_frame=5)
    single = data_pipelines.decode(features.deserialize_example(features.serialize_example(example)))
    assert sorted(single) == ["clip_id", "first_frame", "frames", "group", "source"]
    np.testing.assert_array_equal(single["frames"], frames)
    np.testing.assert_array_equal(data_pipelines.decode(example)["frames"], frames)
    dataset = tf.data.Dataset.from_tensors(features.serialize_example(example)).map(features.deserialize_example)
    dataset = dataset.map(data_pipelines.decode)
    assert dataset.element_spec["frames"] == tf.TensorSpec([None, 4, 6, 3], tf.uint8)
    np.testing.assert_array_equal(next(iter(dataset))["frames"], frames)
    with pytest.raises(ValueError, match="expected a feature frame_chunks, found .'image'."):
        data_pipelines.decode({"image": frames})


def test_inflating_takes_no_more_than_the_frames():
    frames = np.random.default_rng(0).integers(0, 256, (9, 4, 6, 3), np.uint8)
    example = clip_encoding.encode_clip(frames, clip_id="a", source="s", group="g")
    streams = stored_chunks(example, clip_storage.clip_features(4, 6, 3))
    np.testing.assert_array_equal(clip_encoding.inflate_chunks(streams, (4, 6, 3, 6))[:9], frames)
    for chunk, message in (
        (zlib.compress(bytes(10**8)), "more than 432"),
        (b"nonsense", "damaged"),
        (zlib.compress(b"x"), "got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            clip_encoding.inflate_chunks([chunk], (4, 6, 3, 6))
