"""Moving MNIST against an independent, plain-Python Philox and per-digit loop."""

import math

import numpy as np
import pytest
import tensorflow as tf
from test_philox import KNOWN

import data_pipelines
from data_pipelines import digits, motion, moving_mnist

MASK = 2**32 - 1


def python_philox(key, counter):
    (k0, k1), (c0, c1, c2, c3) = key, counter
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK, (p0 >> 32) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return [c0, c1, c2, c3]


def uniform(word, low, high):
    return low + ((word * (high - low + 1)) >> 32)


def draws(seed, split, index, digit, slot):
    return python_philox((seed, motion._SPLIT_CODES[split]), (index & MASK, index >> 32, digit, slot))


def simulate(physics, seed, split, indices, num_frames, num_digits):
    return motion.simulate(physics, motion.draw(physics, seed, split, indices, num_frames, num_digits))


def reference_loop(seed, split, index, digit, frames, limit, speed, deterministic=False):
    """METHOD: y is checked first, then x; drawn, then moved."""
    words = draws(seed, split, index, digit, 0)
    x, y = (uniform(w, 0, limit - 1) for w in words[:2])
    dx, dy = (uniform(w, -speed, speed) for w in words[2:])
    states = []
    for t in range(frames):
        words = draws(seed, split, index, digit, 2 + t)
        hit = False
        if y < 0 or y >= limit:
            hit, sign = True, 1 if y < 0 else -1
            y = 0 if y < 0 else limit - 1
            if deterministic:
                dy = -dy
            else:
                dy, dx = sign * uniform(words[0], 1, speed), uniform(words[1], -speed, speed)
        if x < 0 or x >= limit:
            hit, sign = True, 1 if x < 0 else -1
            x = 0 if x < 0 else limit - 1
            if deterministic:
                dx = -dx
            else:
                dx, dy = sign * uniform(words[2], 1, speed), uniform(words[3], -speed, speed)
        states.append((x, y, dx, dy, hit))
        x, y = x + dx, y + dy
    return states


def srvp_loop(seed, split, index, digit, frames, limit, speed, deterministic=False):
    words = draws(seed, split, index, digit, 0)
    position = [float(uniform(w, 0, limit)) for w in words[:2]]
    velocity = [uniform(w, -speed, speed) for w in words[2:]]
    states = [(*position, *velocity, False)]
    for t in range(1, frames):
        rest, hit = 1.0, False
        for k in range(motion.SUB_STEPS):
            times = [math.inf if v == 0 else ((limit if v > 0 else 0) - p) / v for p, v in zip(position, velocity, strict=True)]
            first = min(times)
            if first >= rest:
                position = [p + v * rest for p, v in zip(position, velocity, strict=True)]
                rest = 0.0
                break
            hit = True
            rest -= first
            new = [uniform(w, -speed, speed) for w in draws(seed, split, index, digit, 2 + t * motion.SUB_STEPS + k)[:2]]
            for axis in (0, 1):
                if times[axis] <= first:
                    high = velocity[axis] > 0
                    position[axis] = float(limit if high else 0)
                    new[axis] = -velocity[axis] if deterministic else (-abs(new[axis]) if high else abs(new[axis]))
                else:
                    position[axis] += velocity[axis] * first
                    if deterministic:
                        new[axis] = velocity[axis]
            velocity = new
        states.append((*position, *velocity, hit))
    return states


@pytest.fixture
def plain():
    return {"seq_len": 6, "batch_size": 4, "digits": "uci", "canvas": 32, "with_states": True}


def first_batches(count, **arguments):
    return [{k: v.numpy() for k, v in batch.items()} for batch in data_pipelines.load("moving_mnist", **arguments).take(count)]


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def test_plain_philox():
    for key, counter, expected in KNOWN:
        assert tuple(python_philox(key, counter)) == expected


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("limit, speed", [(32, 4), (16, 2), (5, 4)])
def test_reference_motion_equals_plain_loop(limit, speed, deterministic):
    physics = motion.Physics(limit, speed, "reference", deterministic)
    indices = [0, 1, 2, 77, 2**33 + 5]
    states = simulate(physics, 3, "test", tf.constant(indices, tf.int64), 60, 2)
    for row, index in enumerate(indices):
        for digit in range(2):
            expected = np.array(reference_loop(3, "test", index, digit, 60, limit, speed, deterministic))
            np.testing.assert_array_equal(states.positions[row, :, digit], expected[:, :2])
            np.testing.assert_array_equal(states.velocities[row, :, digit], expected[:, 2:4])
            np.testing.assert_array_equal(states.collisions[row, :, digit], expected[:, 4].astype(bool))
    assert states.collisions.numpy().any()


@pytest.mark.parametrize("deterministic", [False, True])
def test_srvp_motion_equals_plain_loop(deterministic):
    physics = motion.Physics(36, 4, "srvp", deterministic)
    indices = list(range(40))
    states = simulate(physics, 1, "train", tf.constant(indices, tf.int64), 20, 1)
    for row, index in enumerate(indices):
        expected = np.array(srvp_loop(1, "train", index, 0, 20, 36, 4, deterministic))
        np.testing.assert_allclose(states.positions[row, :, 0], expected[:, :2], atol=1e-3)
        np.testing.assert_array_equal(states.velocities[row, :, 0], expected[:, 2:4])
        np.testing.assert_array_equal(states.collisions[row, :, 0], expected[:, 4].astype(bool))
    assert states.collisions.numpy().sum() > 20


def test_reference_timing_and_corner():
    """A clamped frame lies where the old velocity led; the new velocity shows one frame later. An x hit redraws dy freely."""
    physics = motion.Physics(32, 4)
    states = simulate(physics, 0, "train", tf.range(400), 60, 1)
    x, v, hit = (part.numpy()[:, :, 0] for part in states)
    predicted = np.clip(x[:, :-1] + v[:, :-1], 0, 31)
    np.testing.assert_array_equal(x[:, 1:], predicted)
    np.testing.assert_array_equal(hit[:, 1:], ((x[:, :-1] + v[:, :-1]) != predicted).any(-1))
    changed = (v[:, 1:] != v[:, :-1]).any(-1)
    assert not changed[~hit[:, 1:]].any()
    corner = hit & np.isin(x, (0, 31)).all(-1)
    assert corner.sum() > 5
    back = ((x[..., 1] == 0) & (v[..., 1] < 0)) | ((x[..., 1] == 31) & (v[..., 1] > 0))
    assert (back & corner).any()


def test_srvp_collision_shows_in_its_frame():
    states = simulate(motion.Physics(36, 4, "srvp"), 0, "train", tf.range(100), 30, 1)
    x, v, hit = (part.numpy()[:, :, 0] for part in states)
    straight = np.abs(x[:, :-1] + v[:, :-1] - x[:, 1:]).max(-1) < 1e-3
    np.testing.assert_array_equal(straight[~hit[:, 1:]], True)
    assert (~straight[hit[:, 1:]]).mean() > 0.8  # all but those that happen to land where they were headed
    assert x.min() >= 0 and x.max() <= 36


@pytest.mark.parametrize("variant", ["reference", "srvp"])
def test_moving_never_stands_still(variant):
    still = {}
    for moving in (False, True):
        states = simulate(motion.Physics(16, 2, variant, moving=moving), 0, "test", tf.range(300), 10, 1)
        still[moving] = (states.velocities.numpy() == 0).all(-1).any()
        assert set(np.unique(states.velocities)) == {-2, -1, 0, 1, 2}
    assert still == {False: True, True: False}


def test_start_is_uniform():
    states = simulate(motion.Physics(32, 4), 5, "train", tf.range(4096), 1, 2)
    counts = np.bincount(states.positions.numpy().astype(int).ravel(), minlength=32)
    assert len(counts) == 32 and abs(counts - 512).max() < 6 * np.sqrt(512)
    counts = np.bincount(states.velocities.numpy().astype(int).ravel() + 4, minlength=9)
    assert len(counts) == 9 and abs(counts - 16384 / 9).max() < 6 * np.sqrt(16384 / 9)


@pytest.mark.parametrize("variant, size", [("reference", 16), ("srvp", 14)])
def test_pixels_equal_a_plain_drawing(plain, variant, size):
    batch = first_batches(1, **plain, variant=variant, num_digits=3)[0]
    images = tf.image.resize(digits.load_digits("uci", "train")[..., None] * 1.0, [size, size], method="bicubic")
    images = np.round(np.clip(images.numpy()[..., 0], 0, 255))
    expected = np.zeros((4, 6, 32, 32))
    for b, t, n in np.ndindex(4, 6, 3):
        x, y = np.rint(batch["positions"][b, t, n]).astype(int)
        expected[b, t, y : y + size, x : x + size] += images[batch["digit_ids"][b, n]]
    np.testing.assert_array_equal(batch["frames"][..., 0], (np.minimum(expected, 255).astype(np.float32) / np.float32(255)))
    assert expected.max() > 255  # digits overlap somewhere, so clipping was seen


def test_same_sequence_in_any_batch_shard_and_position(plain):
    whole = {k: np.concatenate([b[k] for b in first_batches(3, **plain)]) for k in first_batches(1, **plain)[0]}
    other = first_batches(1, **plain | {"batch_size": 12})[0]
    assert_equal(whole, other)
    shards = [first_batches(3, **plain, shard=(i, 2)) for i in range(2)]
    for k in whole:
        joined = np.stack([np.concatenate([b[k] for b in shard]) for shard in shards], 1).reshape(whole[k].shape)
        np.testing.assert_array_equal(joined, whole[k])
    resumed = first_batches(1, **plain, start_batch=2)[0]
    assert_equal(resumed, {k: v[8:] for k, v in whole.items()})
    assert not np.array_equal(whole["frames"], first_batches(1, **plain | {"batch_size": 12, "seed": 1})[0]["frames"])
    longer = first_batches(1, **plain | {"seq_len": 11})[0]
    np.testing.assert_array_equal(longer["frames"][:, :6], whole["frames"][:4])


def test_frame_stride(plain):
    fine = first_batches(1, **plain | {"seq_len": 16})[0]
    coarse = first_batches(1, **plain, frame_stride=3)[0]
    np.testing.assert_array_equal(coarse["frames"], fine["frames"][:, ::3])
    np.testing.assert_array_equal(coarse["velocities"], fine["velocities"][:, ::3])
    for t in range(1, 6):
        np.testing.assert_array_equal(coarse["collisions"][:, t], fine["collisions"][:, 3 * t - 2 : 3 * t + 1].any(1))


def test_finite_splits(plain):
    plain |= {"split": "test", "num_sequences": 10}
    batches = first_batches(9, **plain)
    assert [len(b["frames"]) for b in batches] == [4, 4, 2]
    assert [len(b["frames"]) for b in first_batches(9, **plain, drop_remainder=True)] == [4, 4]
    assert [len(b["frames"]) for b in first_batches(9, **plain, shard=(1, 2))] == [2, 2, 1]
    assert data_pipelines.load("moving_mnist", **plain).cardinality() == 3
    everything = np.concatenate([b["frames"] for b in batches])
    shuffled = np.concatenate([b["frames"] for b in first_batches(5, **plain, shuffle=True, repeat=True)])
    keys = [frames.tobytes() for frames in everything]
    order = [[keys.index(f.tobytes()) for f in part] for part in (shuffled[:10], shuffled[10:])]
    assert sorted(order[0]) == sorted(order[1]) == list(range(10))
    assert order[0] != order[1] and order[0] != list(range(10))


def test_splits_share_no_digit(plain):
    parts = {split: digits.load_digits("uci", split) for split in digits.SPLITS}
    assert {split: len(part) for split, part in parts.items()} == {"train": 1200, "validation": 240, "test": 357}
    joined = np.concatenate(list(parts.values()))
    from sklearn.datasets import load_digits

    np.testing.assert_array_equal(joined, np.round(load_digits().images * 255 / 16))  # disjoint ranges of the whole
    contents = [first_batches(1, **plain, split=split)[0]["positions"].tobytes() for split in digits.SPLITS]
    assert len(set(contents)) == 3  # nor do they share trajectories


def test_real_mnist(shared_data):
    folder = str(shared_data / "mnist")
    parts = {split: digits.load_digits("mnist", split, folder) for split in digits.SPLITS}
    assert {split: part.shape for split, part in parts.items()} == {
        "train": (55_000, 28, 28),
        "validation": (5_000, 28, 28),
        "test": (10_000, 28, 28),
    }
    seen = {image.tobytes() for image in parts["train"]}
    assert not any(image.tobytes() in seen for part in ("validation", "test") for image in parts[part])
    batch = first_batches(1, seq_len=5, batch_size=2, split="test", digits_dir=folder)[0]["frames"]
    assert batch.shape == (2, 5, 64, 64, 1) and batch.dtype == np.float32 and batch.max() == 1.0
    assert 0.02 < batch.mean() < 0.15


@pytest.mark.parametrize(
    "change, message",
    [
        ({"num_digit": 2}, "Unknown option.*num_digits"),
        ({"num_digits": 0}, "num_digits must be an integer in \\[1, 16\\], got 0"),
        ({"canvas": 8}, "canvas must be"),
        ({"digit_size": 31}, "digit_size must be"),
        ({"variant": "other"}, "variant must be"),
        ({"digits": "emnist"}, "digits must be one of"),
        ({"digits": "mnist", "digits_dir": "/nonexistent"}, "digits_dir must be a folder"),
        ({"split": "dev"}, "split must be one of"),
        ({"seq_len": 0}, "seq_len must be"),
        ({"seq_len": 20_000}, "may span at most 10000 frames"),
        ({"batch_size": 2.5}, "batch_size must be"),
        ({"shard": (2, 2)}, "shard index must be an integer in \\[0, 1\\]"),
        ({"shard": (0, 3)}, "divisible by the shard count"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 2**32}, "seed must be"),
        ({"start_batch": -1}, "start_batch must be"),
        ({"moving": "yes"}, "moving must be"),
    ],
)
def test_bad_arguments(plain, change, message):
    with pytest.raises(ValueError, match=message):
        data_pipelines.load("moving_mnist", **plain | change)


def test_options_defaults():
    options = moving_mnist.Options()
    assert (options.size, options.physics.max_speed, options.physics.limit) == (32, 4, 32)
    options = moving_mnist.Options(canvas=32)
    assert (options.size, options.physics.max_speed) == (16, 2)
    options = moving_mnist.Options(variant="srvp")
    assert (options.size, options.physics.limit) == (28, 36)


def test_shared_starts_and_motions():
    def load(shared):
        arguments = {"num_digits": 1, "canvas": 32, "digits": "uci", "num_sequences": 32, "shared": shared, "trajectory": 3}
        data = data_pipelines.load("moving_mnist", "test", seq_len=40, batch_size=32, seed=7, with_states=True, **arguments)
        return {name: value.numpy() for name, value in next(iter(data)).items()}

    free, start, motion = load("nothing"), load("start"), load("motion")
    assert (motion["positions"] == free["positions"][3:4]).all()
    assert (motion["collisions"] == free["collisions"][3:4]).all()
    for states in (start, motion):
        assert (states["digit_ids"] == free["digit_ids"]).all()
        assert len(np.unique(states["frames"][:, 0].reshape(32, -1), axis=0)) > 20
    (first, *_) = np.flatnonzero(free["collisions"][3, :, 0])
    assert (start["positions"][:, : first + 1] == free["positions"][3:4, : first + 1]).all()
    assert len(np.unique(start["positions"][:, first + 1].reshape(32, -1), axis=0)) > 5
    with pytest.raises(ValueError, match="shared must be"):
        load("everything")
