"""`load`: named tensors of generated and of stored data sets."""

import numpy as np
import pytest
import tiny_data

import data_pipelines

GENERATED = {"seq_len": 5, "batch_size": 4, "canvas": 16, "digits": "uci", "seed": 3}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    jobs = [(f"a{i}", tiny_data.noise(i, frames=6 + i), {}) for i in range(5)]
    tiny_data.build(folder, {"train": jobs, "test": jobs[:3]})
    return {"data_dir": str(folder), "batch_size": 3}, {key: frames for key, frames, _ in jobs}


def first(name, split="train", **arguments):
    return {key: value.numpy() for key, value in next(iter(data_pipelines.load(name, split, **arguments))).items()}


def test_generated_tensors_are_those_that_were_asked_for():
    everything = first("moving_mnist", **GENERATED, with_states=True)
    assert list(everything) == ["frames", "positions", "velocities", "collisions", "digit_ids"]
    assert list(first("moving_mnist", **GENERATED)) == ["frames"]
    for split, rows in (("train", 4), ("test", None)):
        spec = data_pipelines.load("moving_mnist", split, **GENERATED, with_states=True).element_spec
        shapes = {name: tuple(tensor.shape) for name, tensor in spec.items()}
        assert shapes["frames"] == (rows, 5, 16, 16, 1) and shapes["positions"] == shapes["velocities"] == (rows, 5, 2, 2)
        assert shapes["collisions"] == (rows, 5, 2) and shapes["digit_ids"] == (rows, 2)
    some = first("moving_mnist", **GENERATED, tensors=("digit_ids", "positions"))
    assert list(some) == ["digit_ids", "positions"]
    for name, value in some.items():
        np.testing.assert_array_equal(value, everything[name])


def test_stored_tensors_are_cut_as_the_frames_are(stored):
    arguments, videos = stored
    names = ("clip_id", "frames", "actions", "label")
    for batch in data_pipelines.load("tiny", seq_len=3, tensors=names, seed=1, **arguments).take(6):
        assert tuple(batch) == names and batch["actions"].shape == (3, 3, 2) and batch["label"].shape == (3,)
        for key, frames, actions in zip(*(batch[name].numpy() for name in names[:3]), strict=True):
            video = videos[key.decode()]
            starts = [t for t in range(len(video) - 2) if (np.rint(frames * 255) == video[t : t + 3]).all()]
            assert len(starts) == 1
            expected = 2 * (starts[0] + np.arange(3)) + 100.0 * video[starts[0] : starts[0] + 3, 0, 0, 0]
            np.testing.assert_array_equal(actions[:, 0], expected)


def test_without_frames_and_with_a_stride(stored):
    arguments, videos = stored
    alone = first("tiny", "test", seq_len=6, tensors=("actions",), **arguments)
    assert list(alone) == ["actions"] and alone["actions"].dtype == np.float32
    states = first("tiny", "test", seq_len=3, frame_stride=2, with_states=True, tensors=("frames", "clip_id"), **arguments)
    assert list(states) == ["frames", "clip_id", "collisions", "digit_ids"] and states["digit_ids"].shape == (3, 2)
    for key, collisions in zip(states["clip_id"], states["collisions"], strict=True):
        hit = videos[key.decode()][:5, 0, 0, 0] > 127
        assert collisions.tolist() == [hit[0], hit[1] | hit[2], hit[3] | hit[4]]
    with pytest.raises(ValueError, match="actions are values of successive frames; with frame_stride 2"):
        first("tiny", seq_len=3, frame_stride=2, tensors=("actions",), **arguments)


@pytest.mark.parametrize(
    "tensors, message",
    [
        ("frames", "tensors must be one or more different names"),
        ((), "tensors must be one or more"),
        (("frames", "frames"), "different names"),
        ((3,), "different names"),
        (("frames", "depth"), "tiny has no tensor 'depth'; it has: frames, actions, clip_id, collisions"),
        (("frame_chunks",), "tiny has no tensor 'frame_chunks'"),
    ],
)
def test_tensors_that_are_not_there(stored, tensors, message):
    with pytest.raises(ValueError, match=message):
        first("tiny", seq_len=3, tensors=tensors, **stored[0])


def test_generated_data_have_no_actions():
    with pytest.raises(ValueError, match="moving_mnist has no tensor 'actions'; it has: frames, positions"):
        first("moving_mnist", **GENERATED, tensors=("frames", "actions"))
    with pytest.raises(ValueError, match=r"Unknown option\(s\) \['size'\] of moving_mnist; options: num_digits"):
        first("moving_mnist", **GENERATED, size=3)


def test_all_published_digits_may_train():
    from data_pipelines import digits

    usual, everything, held_out = (
        digits.load_digits("uci", split, None, which)
        for split, which in (("train", "split"), ("train", "all"), ("validation", "all"))
    )
    np.testing.assert_array_equal(everything, np.concatenate([usual, held_out]))
    np.testing.assert_array_equal(digits.load_digits("uci", "test", None, "all"), digits.load_digits("uci", "test"))
    a = first("moving_mnist", **GENERATED, with_states=True)
    b = first("moving_mnist", **GENERATED, with_states=True, train_digits="all")
    np.testing.assert_array_equal(a["positions"], b["positions"])
    assert (a["digit_ids"] != b["digit_ids"]).any()
    with pytest.raises(ValueError, match="train_digits must be one of 'split', 'all', got 'most'"):
        first("moving_mnist", **GENERATED, train_digits="most")
