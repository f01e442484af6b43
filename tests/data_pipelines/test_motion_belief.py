"""What frames show of the digits' states, against counts over many simulated sequences."""

import math

import numpy as np
import pytest
import tensorflow as tf

import data_pipelines
from data_pipelines import motion, motion_belief, simulator

OPTIONS = {"digits": "uci", "canvas": 32}


def simulated(physics, sequences=400, frames=12, digits=1, seed=3):
    words = motion.draw(physics, seed, "test", tf.range(sequences, dtype=tf.int64), frames, digits)
    return [part.numpy() for part in motion.simulate(physics, words)]


def by_digit(part):
    return part.transpose(0, 2, 1, 3).reshape(-1, part.shape[1], 2)


@pytest.mark.parametrize("variant", ["reference", "srvp"])
@pytest.mark.parametrize("moving", [False, True])
def test_the_truth_is_always_among_the_hypotheses(variant, moving):
    physics = motion.Physics(16, 2, variant, moving=moving)
    positions, velocities, _ = simulated(physics, 150, 7, 2)
    belief, nats = motion_belief.watch(physics, by_digit(positions))
    np.testing.assert_allclose(np.bincount(belief.owner, belief.weight), 1)
    assert (np.diff(belief.owner) >= 0).all() and (nats >= 0).all()
    for number, (at, speed) in enumerate(zip(by_digit(positions)[:, -1], by_digit(velocities)[:, -1], strict=True)):
        own = belief.owner == number
        near = np.abs(belief.position[own] - at).max(axis=1) + np.abs(belief.velocity[own] - speed).max(axis=1)
        assert near.min() < 1e-3


def test_what_is_known_and_what_is_not():
    """Reference: a digit that moves freely has shown its velocity; one just clamped has not, nor has a first frame."""
    physics = motion.Physics(16, 2)
    free = np.array([[[5, 5], [6, 7], [7, 9]]])
    belief, nats = motion_belief.watch(physics, free)
    assert belief.velocity.tolist() == [[1, 2]] and belief.weight.tolist() == [1]
    np.testing.assert_allclose(nats[0], [0, math.log(25), 0], atol=1e-12)
    clamped = np.array([[[3, 5], [1, 5], [0, 5]]])  # x: 1 - 2 is beyond the wall
    belief, _ = motion_belief.watch(physics, clamped)
    assert sorted(map(tuple, belief.velocity)) == [(dx, dy) for dx in (1, 2) for dy in range(-2, 3)]
    np.testing.assert_allclose(belief.weight, 0.1)
    _, nats = motion_belief.watch(physics, np.array([[[3, 5], [1, 5], [0, 5], [1, 6]]]))
    np.testing.assert_allclose(nats[0, 2:], [0, math.log(10)], atol=1e-12)
    belief, _ = motion_belief.watch(physics, free[:, :1])
    assert len(belief.velocity) == 25
    with pytest.raises(ValueError, match="does not follow from the rules"):
        motion_belief.watch(physics, np.array([[[5, 5], [6, 7], [8, 9]]]))


@pytest.mark.parametrize("variant", ["reference", "srvp"])
def test_information_is_the_frequency_of_what_follows(variant):
    """Of sequences that share their start and part at the first collision: each next place is seen as often as it is likely."""
    physics = motion.Physics(16, 2, variant)
    count, frames = 4000, 12
    words = motion.draw(physics, 1, "test", tf.range(count, dtype=tf.int64), frames, 1)
    words = motion.share(words, motion.draw(physics, 1, "test", [2], frames, 1), whole=False)
    positions, _, collisions = (part.numpy() for part in motion.simulate(physics, words))
    paths = np.rint(positions[:, :, 0])
    parts = next(t for t in range(1, frames) if len(np.unique(paths[:, t], axis=0)) > 1)
    probability = np.exp(-motion_belief.watch(physics, positions[:, : parts + 1, 0])[1][:, parts])
    places, which, counts = np.unique(paths[:, parts], axis=0, return_inverse=True, return_counts=True)
    expected = np.array([probability[which.ravel() == i][0] for i in range(len(places))])
    assert len(places) > 5 and expected.sum() == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(counts / count, expected, atol=4 * np.sqrt(0.25 / count))


def test_corners_do_not_multiply_hypotheses_without_end(monkeypatch):
    """srvp: a digit in a corner hits walls several times a frame, and hides where it is. So many stand for all, by weight."""
    physics = motion.Physics(6, 3, "srvp")
    positions = by_digit(simulated(physics, 150, 12)[0])
    exact = motion_belief.watch(physics, positions[:, :3])[1]
    monkeypatch.setattr(motion_belief, "_MOST", 20)
    belief, nats = motion_belief.watch(physics, positions)
    assert np.bincount(belief.owner).max() <= 49 and np.isfinite(nats).all()  # 49: all velocities, where what followed was lost
    np.testing.assert_allclose(np.bincount(belief.owner, belief.weight), 1)
    assert np.abs(nats[:, :3] - exact).mean() < 0.25
    owner, weight, thinned = np.repeat([0, 1], [100, 3]), np.r_[np.arange(100.0), 1, 1, 2], np.zeros(2, bool)
    kept, shares = motion_belief._thin(owner, weight, thinned)
    assert thinned.tolist() == [True, False] and shares[-3:].tolist() == [1, 1, 2]
    assert len(kept) <= 23 and shares[:-3].sum() == pytest.approx(weight[:100].sum())


def test_deterministic_motion_tells_nothing_after_its_start():
    for variant in ("reference", "srvp"):
        physics = motion.Physics(16, 2, variant, deterministic=True)
        belief, nats = motion_belief.watch(physics, by_digit(simulated(physics, frames=10)[0]))
        assert np.abs(nats[:, 4:]).max() < 1e-12 and np.unique(belief.owner).size == belief.owner.size


@pytest.mark.parametrize("options", [{}, {"variant": "srvp", "num_digits": 3}, {"deterministic": True, "num_digits": 1}])
def test_futures_go_on_from_what_is_shown(options):
    options = {"num_digits": 2, **OPTIONS, **options}
    load = {"seq_len": 9, "batch_size": 12, "with_states": True}
    batch = {k: v.numpy() for k, v in next(iter(data_pipelines.load("moving_mnist", "test", **load, **options))).items()}
    rules = simulator.Simulator("test", **options)
    assert rules.why_not(batch) is None
    known = rules.watch(batch["positions"][:, :4], batch["digit_ids"])
    frames, places = rules.futures(known, np.arange(12), 5, 8)
    assert frames.shape == (12, 8, 5, 32, 32, 1) and places.shape == (12, 8, 5, options["num_digits"], 2)
    if options.get("deterministic"):
        np.testing.assert_array_equal(frames, np.repeat(batch["frames"][:, None, 4:], 8, axis=1))
    # Each future, after its context, is one that the rules can make.
    whole = np.concatenate([np.repeat(batch["positions"][:, None, :4], 8, axis=1), places], axis=2)
    assert np.isfinite(rules.information(whole.reshape(-1, 9, options["num_digits"], 2))).all()
    part = rules.futures(known, np.arange(12), 5, 3, first_sample=5)
    np.testing.assert_array_equal(part.frames, frames[:, 5:])
    other = rules.futures(known, np.arange(12), 5, 8, seed=1)
    assert options.get("deterministic") or np.abs(other.frames - frames).max() > 0.5
    images = rules.digit_images(batch["digit_ids"])
    assert images.shape == (12, options["num_digits"], rules.options.size, rules.options.size) and images.max() > 0.9


def test_a_simulator_refuses_what_it_cannot_continue():
    load = {"seq_len": 6, "batch_size": 8, "with_states": True, "num_digits": 1, **OPTIONS}
    batch = {k: v.numpy() for k, v in next(iter(data_pipelines.load("moving_mnist", "test", **load))).items()}
    assert "true positions" in simulator.Simulator("test", num_digits=1, **OPTIONS).why_not({"frames": batch["frames"]})
    assert "does not follow the rules" in simulator.Simulator("test", num_digits=1, max_speed=1, **OPTIONS).why_not(batch)
    other = simulator.Simulator("validation", num_digits=1, **OPTIONS).why_not(batch)
    assert "images" in other
