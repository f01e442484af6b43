"""Best of S, intervals, diversity and Fréchet distance against closed forms and direct computation."""

import numpy as np
import pytest

from svg_tf.evaluation.metrics import best_of, diversity, frechet_distance, mean_interval


def test_best_of_takes_one_whole_sample_by_its_mean():
    scores = np.array([[[1.0, 9.0], [6.0, 5.0]], [[3.0, 3.0], [2.0, 1.0]]])  # a frame-wise maximum would be (6, 9)
    best, index = best_of(scores)
    np.testing.assert_array_equal(best, [[6.0, 5.0], [3.0, 3.0]])
    np.testing.assert_array_equal(index, [1, 0])
    best, index = best_of(scores, higher_is_better=False)
    np.testing.assert_array_equal(best, [[1.0, 9.0], [2.0, 1.0]])
    np.testing.assert_array_equal(index, [0, 1])
    with pytest.raises(ValueError, match="rank 3"):
        best_of(scores[0])


def test_mean_interval():
    mean, half = mean_interval([[1.0, 2.0], [3.0, 2.0], [5.0, 2.0]])
    np.testing.assert_allclose(mean, [3.0, 2.0])
    np.testing.assert_allclose(half, [1.96 * 2 / np.sqrt(3), 0.0])
    mean, half = mean_interval([[4.0]])
    assert mean == 4.0
    assert np.isnan(half).all()
    with pytest.raises(ValueError, match="non-empty"):
        mean_interval(np.zeros((0, 3)))


def test_mean_interval_covers_the_truth_95_times_in_100():
    values = np.random.default_rng(0).normal(2.0, 3.0, (200, 4000))
    mean, half = mean_interval(values)
    assert 0.935 < np.mean(np.abs(mean - 2.0) <= half) < 0.965


def test_diversity_is_the_mean_over_pairs():
    samples = np.random.default_rng(1).random((3, 5, 4, 6, 6, 1)).astype(np.float32)
    expected = [
        np.mean([np.sqrt(np.mean((s[i] - s[j]) ** 2)) for i in range(5) for j in range(i)]) for s in samples.astype(np.float64)
    ]
    np.testing.assert_allclose(diversity(samples), expected, rtol=1e-6)
    np.testing.assert_allclose(diversity(np.repeat(samples[:, :1], 4, axis=1)), 0.0, atol=1e-7)
    with pytest.raises(ValueError, match="S >= 2"):
        diversity(samples[:, :1])


def test_frechet_distance_equals_closed_forms():
    r = np.random.default_rng(2)
    mu1, mu2, s1, s2 = r.normal(size=6), r.normal(size=6), r.random(6) + 0.1, r.random(6) + 0.1
    diagonal = np.sum((mu1 - mu2) ** 2) + np.sum((np.sqrt(s1) - np.sqrt(s2)) ** 2)
    assert frechet_distance(mu1, np.diag(s1), mu2, np.diag(s2)) == pytest.approx(diagonal, rel=1e-12)
    q, _ = np.linalg.qr(r.normal(size=(6, 6)))  # a rotation changes no distance
    rotated = frechet_distance(q @ mu1, q @ np.diag(s1) @ q.T, q @ mu2, q @ np.diag(s2) @ q.T)
    assert rotated == pytest.approx(diagonal, rel=1e-10)
    assert frechet_distance([1.0], [[4.0]], [3.0], [[9.0]]) == pytest.approx(4.0 + 1.0)
    # Covariances that do not commute, 2 x 2: tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt(det AB)).
    a, b = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, -0.3], [-0.3, 3.0]])
    cross = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    assert frechet_distance([0, 0], a, [0, 0], b) == pytest.approx(np.trace(a) + np.trace(b) - 2 * cross, rel=1e-12)


def test_frechet_distance_of_rank_deficient_covariances():
    features = np.random.default_rng(3).normal(size=(10, 40))
    cov = np.cov(features, rowvar=False)
    assert frechet_distance(features.mean(0), cov, features.mean(0), cov) == pytest.approx(0.0, abs=1e-6)
    shifted = frechet_distance(features.mean(0), cov, features.mean(0) + 0.5, cov)
    assert shifted == pytest.approx(10.0, rel=1e-6)  # 31 eigenvalues of round-off size under a root


def test_frechet_distance_refuses_what_is_no_gaussian():
    with pytest.raises(ValueError, match="shapes"):
        frechet_distance([0.0, 0.0], np.eye(2), [0.0], np.eye(1))
    with pytest.raises(ValueError, match="symmetric"):
        frechet_distance([0.0, 0.0], [[1.0, 1.0], [0.0, 1.0]], [0.0, 0.0], np.eye(2))
    with pytest.raises(ValueError, match="semi-definite"):
        frechet_distance([0.0, 0.0], np.diag([1.0, -1.0]), [0.0, 0.0], np.eye(2))
    with pytest.raises(ValueError, match="finite"):
        frechet_distance([np.nan], [[1.0]], [0.0], [[1.0]])
