"""Metrics over samples and over sequences: best of S, confidence intervals, diversity, Fréchet distance (NumPy, float64)."""

import numpy as np


def _array(name: str, value, rank: int | None = None) -> np.ndarray:
    value = np.asarray(value)
    if value.dtype.kind not in "fiu" or value.size == 0:
        raise ValueError(f"{name} must be a non-empty array of numbers, got {value.dtype} of shape {value.shape}.")
    if rank is not None and value.ndim != rank:
        raise ValueError(f"{name} must have rank {rank}, got shape {value.shape}.")
    return value


def best_of(scores, higher_is_better: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Each sequence's best sample, by its mean over the predicted frames (paper §4: best of 100 samples).

    scores: float [B, S, T]. Returns (best [B, T], index int64 [B]); of equal samples the first.
    """
    scores = _array("scores [B, S, T]", scores, 3)
    means = scores.mean(axis=2, dtype=np.float64)
    index = means.argmax(axis=1) if higher_is_better else means.argmin(axis=1)
    return scores[np.arange(len(scores)), index], index


def mean_interval(values) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the first axis and the half-width of its 95 % confidence interval, 1.96 sd / sqrt(n).

    values: float [N, ...]. Returns two float64 [...]; the half-width of a single value is NaN (unknown, not zero).
    """
    values = _array("values [N, ...]", values).astype(np.float64)
    n = len(values)
    mean = values.mean(axis=0)
    half = 1.96 * values.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full_like(mean, np.nan)
    return mean, half


def diversity(samples) -> np.ndarray:
    """Mean distance between two different samples of a sequence: root mean squared pixel difference, over all pairs.

    samples: float [B, S, ...] in [0, 1], S >= 2. Returns float64 [B]; 0 where all samples are equal.
    """
    samples = _array("samples [B, S, ...]", samples)
    if samples.ndim < 3 or samples.shape[1] < 2:
        raise ValueError(f"samples must be [B, S >= 2, ...], got shape {samples.shape}.")
    flat = samples.reshape(*samples.shape[:2], -1)
    pairs = np.triu_indices(samples.shape[1], 1)
    result = np.empty(len(flat))
    for b, rows in enumerate(flat):
        rows = rows.astype(np.float64)
        # ||u - v||^2 from inner products: S^2 numbers in place of S^2 frames. Centring keeps the cancellation small.
        rows = rows - rows.mean(axis=0)
        gram = rows @ rows.T
        norms = np.diag(gram)
        squared = np.maximum(norms[:, None] + norms[None] - 2 * gram, 0.0)[pairs] / rows.shape[1]
        result[b] = np.sqrt(squared).mean()
    return result


def frechet_distance(mu1, cov1, mu2, cov2) -> float:
    """Fréchet distance between N(mu1, cov1) and N(mu2, cov2): |mu1 - mu2|^2 + tr(cov1 + cov2 - 2 (cov1 cov2)^(1/2)).

    mu: float [D]; cov: float [D, D], symmetric, positive semi-definite (rank-deficient ones included). Computed in
    float64 from eigenvalues of symmetric matrices, so that the result is real and finite. Raises `ValueError` for
    shapes that do not fit, for values that are not finite, and for a covariance that is not symmetric or has a
    clearly negative eigenvalue.
    """
    arrays = [
        np.asarray(_array(name, value, rank), np.float64)
        for name, value, rank in (("mu1", mu1, 1), ("cov1", cov1, 2), ("mu2", mu2, 1), ("cov2", cov2, 2))
    ]
    mu1, cov1, mu2, cov2 = arrays
    d = len(mu1)
    if [a.shape for a in arrays] != [(d,), (d, d), (d,), (d, d)]:
        raise ValueError(f"Expected means [D] and covariances [D, D], got shapes {[a.shape for a in arrays]}.")
    if not all(np.isfinite(a).all() for a in arrays):
        raise ValueError("Means and covariances must be finite.")
    for name, cov in (("cov1", cov1), ("cov2", cov2)):
        _check_symmetric(name, cov)
    values, vectors = np.linalg.eigh(cov1)
    _check_eigenvalues("cov1", values)
    _check_eigenvalues("cov2", np.linalg.eigvalsh(cov2))
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    # The eigenvalues of cov1 cov2 are those of root cov2 root, which is symmetric.
    product = np.linalg.eigvalsh(root @ cov2 @ root)
    cross = np.sqrt(np.maximum(product, 0.0)).sum()
    distance = np.sum((mu1 - mu2) ** 2) + np.trace(cov1) + np.trace(cov2) - 2.0 * cross
    return float(max(distance, 0.0))


def _check_symmetric(name: str, cov: np.ndarray) -> None:
    if np.abs(cov - cov.T).max() > 1e-6 * np.abs(cov).max():
        raise ValueError(f"{name} must be symmetric.")


def _check_eigenvalues(name: str, ascending: np.ndarray) -> None:
    if ascending[0] < -1e-6 * max(ascending[-1], 0.0) - 1e-300:
        raise ValueError(f"{name} must be positive semi-definite, got an eigenvalue of {ascending[0]:g}.")
