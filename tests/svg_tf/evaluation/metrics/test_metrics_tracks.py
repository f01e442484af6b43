"""How much of true positions is in keypoints."""

import numpy as np
import pytest

from svg_tf.evaluation.metrics import tracks


def positions_and_points(noise=0.0, seed=0):
    random = np.random.default_rng(seed)
    positions = random.uniform(0, 20, (12, 9, 1, 2))
    mixed = np.einsum("ntdc,ck->ntk", positions, random.normal(size=(2, 6))) + random.normal(size=6)
    return positions, mixed.reshape(12, 9, 2, 3) + noise * random.normal(size=(12, 9, 2, 3))


def test_an_affine_map_explains_all_and_noise_nothing():
    positions, points = positions_and_points()
    found = tracks.linear_fit(points, positions)
    assert found.r2 == pytest.approx(1.0, abs=1e-9) and found.rms < 1e-6 and found.n_sequences == 6
    nothing = tracks.linear_fit(np.random.default_rng(1).normal(size=points.shape), positions)
    assert nothing.r2 < 0.1 and nothing.rms == pytest.approx(20 / 12**0.5, rel=0.15)  # of a uniform distribution


def test_it_is_judged_on_sequences_that_it_was_not_fitted_on():
    positions, points = positions_and_points(noise=3.0)
    found = tracks.linear_fit(points, positions)
    features = np.concatenate([points.reshape(12, 9, 6), np.ones((12, 9, 1))], -1)
    fitted = np.linalg.pinv(features[:6].reshape(-1, 7)) @ positions[:6].reshape(-1, 2)
    error = positions[6:].reshape(-1, 2) - features[6:].reshape(-1, 7) @ fitted
    about = positions[6:].reshape(-1, 2) - positions[6:].reshape(-1, 2).mean(0)
    assert found.r2 == pytest.approx(1 - (error**2).sum() / (about**2).sum(), rel=1e-6) and 0 < found.r2 < 1
    assert found.rms == pytest.approx((error**2).mean() ** 0.5, rel=1e-6)


def test_what_cannot_be_fitted_is_refused():
    positions, points = positions_and_points()
    for wrong, message in (
        ((points[:1], positions[:1]), r"\[N >= 2, T, ...\], got shapes"),
        ((points, positions[:, :5]), "got shapes"),
        ((points[:2, :7], positions[:2, :7]), "A map of 7 coefficients needs more frames than the 7 of 1 sequences"),
        ((points, np.ones_like(positions)), "do not differ"),
    ):
        with pytest.raises(ValueError, match=message):
            tracks.linear_fit(*wrong)
