"""Frames in chunks: there and back, and windows of them."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import clip_storage


def stored_chunks(example, features):
    """The zlib streams as they lie in a record."""
    serialized = features.serialize_example(example)
    return tf.train.Example.FromString(serialized).features.feature["frame_chunks"].bytes_list.value


@pytest.mark.parametrize("length, chunk, channels", [(1, 6, 1), (6, 6, 3), (13, 4, 3), (7, 1, 1)])
def test_round_trip_and_every_window(length, chunk, channels):
    frames = np.random.default_rng(length).integers(0, 256, (length, 4, 6, channels), np.uint8)
    features = clip_storage.clip_features(4, 6, channels, chunk_frames=chunk)
    example = clip_storage.encode_clip(frames, clip_id="a", source="s", group="g", first_frame=5, chunk_frames=chunk)
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
    example = clip_storage.encode_clip(frames, clip_id="a", source="", group="") | {"action": "boxing"}
    assert sum(map(len, stored_chunks(example, features))) < frames.size / 3
    assert "action" in features


@pytest.mark.parametrize("frames", [np.zeros((2, 4, 4, 1)), np.zeros((2, 4, 4), np.uint8), np.zeros((0, 4, 4, 1), np.uint8)])
def test_bad_frames(frames):
    with pytest.raises(ValueError, match=r"clip7: frames must be uint8 \[T >= 1, H, W, C\], got"):
        clip_storage.encode_clip(frames, clip_id="clip7", source="", group="")


def test_other_data_sets_are_told():
    with pytest.raises(ValueError, match="Not a data set of clips.*'label'"):
        clip_storage.frame_shape(tfds.features.FeaturesDict({"label": tfds.features.Text()}))
