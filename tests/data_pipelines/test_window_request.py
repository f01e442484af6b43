"""The request that every data set fulfils."""

import dataclasses

import numpy as np
import pytest

from data_pipelines.window_request import WindowRequest

GOOD = {"split": "train", "seq_len": 5, "batch_size": 8}


@pytest.mark.parametrize("split, training", [("train", True), ("validation", False), ("test", False)])
def test_what_is_not_said_follows_the_split(split, training):
    request = WindowRequest(**GOOD | {"split": split})
    assert (request.shuffle, request.repeat, request.drop_remainder, request.with_states) == (training,) * 3 + (False,)
    request = WindowRequest(**GOOD | {"split": split}, shuffle=not training, drop_remainder=True)
    assert request.shuffle is not training and request.whole_batches


def test_sizes():
    request = WindowRequest(**GOOD, frame_stride=3, shard=[1, np.int64(4)], seed=np.int64(7))
    assert (request.span, request.rows, request.shard, request.tensors) == (13, 2, (1, 4), ("frames",))
    assert type(request.seed) is int
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.seed = 3


@pytest.mark.parametrize(
    "change, message",
    [
        ({"split": "dev"}, "split must be one of 'train', 'validation', 'test', got 'dev'"),
        ({"seq_len": True}, "seq_len must be an integer of at least 1, got True"),
        ({"batch_size": 2.0}, "batch_size must be an integer"),
        ({"seed": 2**63}, "seed must be an integer in"),
        ({"start_batch": -1}, "start_batch must be an integer of at least 0"),
        ({"shard": 3}, "shard must be a pair"),
        ({"shard": (0, 0)}, "shard count must be"),
        ({"shard": (-1, 2)}, "shard index must be"),
        ({"shard": (0, 3)}, "divisible by the shard count 3, got 8"),
        ({"repeat": "no"}, "repeat must be True or False, got 'no'"),
        ({"with_states": None}, "with_states must be True or False, got None"),
        ({"tensors": None}, "tensors must be one or more different names"),
    ],
)
def test_bad_values(change, message):
    with pytest.raises(ValueError, match=message):
        WindowRequest(**GOOD | change)


def test_wanted():
    request = WindowRequest(**GOOD, tensors=["actions", "frames"], with_states=True)
    assert request.wanted(("frames", "actions", "x"), ("x", "actions"), "data") == ("actions", "frames", "x")
    with pytest.raises(ValueError, match="data has no tensor 'actions'; it has: frames, x"):
        request.wanted(("frames", "x"), ("x",), "data")
    with pytest.raises(ValueError, match="data holds no true states; it has: frames, actions"):
        request.wanted(("frames", "actions"), (), "data")
