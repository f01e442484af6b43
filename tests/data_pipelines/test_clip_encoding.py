"""Examples as bytes, without TFDS: TFDS reads them as what it would have written itself."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines import clip_encoding, clip_storage

EXTRA = {
    "label": tfds.features.Text(),
    "hits": tfds.features.Tensor(shape=(None, 2), dtype=np.bool_),
    "ids": tfds.features.Tensor(shape=(2,), dtype=np.int32),
}
FEATURES = clip_storage.clip_features(4, 6, 3, EXTRA, per_frame={"actions": (2,)})


def example():
    frames = np.random.default_rng(0).integers(0, 256, (9, 4, 6, 3), np.uint8)
    names = {"clip_id": "a", "source": "söurce", "group": ""}
    clip = clip_encoding.encode_clip(frames, **names, first_frame=5, per_frame={"actions": np.arange(18.0).reshape(9, 2)})
    return clip | {"label": b"x", "hits": np.eye(9, 2) > 0, "ids": [3, 4]}


def test_tfds_reads_it_as_its_own():
    stored = clip_encoding.serialize(example(), clip_storage.fields(FEATURES))
    ours = FEATURES.deserialize_example_np(stored.data)
    theirs = FEATURES.deserialize_example_np(FEATURES.serialize_example(example()))
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])
        assert np.asarray(ours[name]).dtype == np.asarray(theirs[name]).dtype
    assert len(stored.data) == len(FEATURES.serialize_example(example()))
    assert (stored.num_frames, stored.num_chunks) == (9, 2) and 0 < stored.longest_chunk < 432 + 64


@pytest.mark.parametrize(
    "change, message",
    [
        ({"more": 1}, "features .*'more'.*declared are"),
        ({"ids": [1, 2, 3]}, r"ids must be int64 \[2\], got int64 \[3\]"),
        ({"ids": [1.5, 2.0]}, r"ids must be int64 \[2\], got float64 \[2\]"),
        ({"actions": np.zeros([9, 3], np.float32)}, r"actions must be float32 \[None, 2\], got float32 \[9, 3\]"),
        ({"frame_chunks": [np.zeros([4, 6, 5, 3], np.uint8)]}, "frame_chunks must be chunks"),
        ({"frame_chunks": [np.zeros([4, 6, 6, 3])]}, "frame_chunks must be chunks"),
    ],
)
def test_what_was_not_declared_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        clip_encoding.serialize(example() | change, clip_storage.fields(FEATURES))


@pytest.mark.parametrize(
    "feature",
    [
        tfds.features.Image(shape=(4, 4, 3)),
        tfds.features.Tensor(shape=(None, None), dtype=np.float32),
        tfds.features.Tensor(shape=(2,), dtype=np.float64),
        tfds.features.Tensor(shape=(2,), dtype=np.float32, encoding="zlib"),
    ],
)
def test_features_that_cannot_be_stored(feature):
    with pytest.raises(ValueError, match="x: .* cannot be stored"):
        clip_storage.fields(clip_storage.clip_features(4, 4, 1, {"x": feature}))
