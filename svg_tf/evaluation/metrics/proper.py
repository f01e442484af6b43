"""Proper scores of samples, and ranks by which calibration becomes a number.

The energy score (Gneiting & Raftery 2007, eq. 21) of samples X with truth y is E|X - y| - E|X - X'| / 2, smaller is better: its
mean is least for the true distribution, which the best of S samples does not reward. The fair estimator takes pairs of different
samples only, and its mean does not depend on how many there are. Distances are root mean squares over the last axis.

A rank counts the samples that are nearer than the truth to the mean of samples and truth together: where the truth is as one
more sample, every rank is equally likely (the pre-rank of Thorarinsdottir et al. 2016, by distance). Samples that scatter too
little have high ranks, those that scatter too much low ones.

Both work on groups of samples: pairs and ranks are those within a group, so that samples can be scored as they are drawn.
"""

import numpy as np


def _moments(truth, samples) -> tuple[np.ndarray, np.ndarray]:
    """truth [..., D], samples [n, ..., D] -> (distances to the truth [..., n]; inner products [..., n, n] of the differences)."""
    difference = np.asarray(samples, np.float32) - np.asarray(truth, np.float32)
    difference = np.ascontiguousarray(np.moveaxis(difference, 0, -2))  # else the products are slow
    gram = np.matmul(difference, np.swapaxes(difference, -1, -2)).astype(np.float64) / difference.shape[-1]
    return np.sqrt(np.maximum(np.diagonal(gram, axis1=-2, axis2=-1), 0.0)), gram


class Group:
    """One group of samples: truth float [..., D], samples float [n, ..., D].

    error [...]: the mean distance to the truth. spread [...]: that of pairs of different samples, NaN where there is one alone.
    """

    def __init__(self, truth, samples):
        distances, self._gram = _moments(truth, samples)
        self.size = distances.shape[-1]
        self.error = distances.mean(axis=-1)
        self.pairs = self.size * (self.size - 1) // 2
        if self.pairs:
            squares = np.diagonal(self._gram, axis1=-2, axis2=-1)
            i, j = np.triu_indices(self.size, 1)
            between = squares[..., i] + squares[..., j] - 2 * self._gram[..., i, j]
            self.spread = np.sqrt(np.maximum(between, 0.0)).mean(axis=-1)
        else:
            self.spread = np.full(self.error.shape, np.nan)

    def rank(self, chance) -> np.ndarray:
        """Of the truth among n + 1, int64 [...] in [0, n]. chance: float [...] in [0, 1), which place it takes among equals."""
        n = self.size + 1
        # With the truth as origin, |x_i - m|^2 = G_ii - 2 mean_j G_ij + mean G, where the truth's own row of G is 0.
        own = np.diagonal(self._gram, axis1=-2, axis2=-1) - 2 * self._gram.sum(axis=-1) / n
        tie = 1e-9 + 1e-6 * np.abs(np.diagonal(self._gram, axis1=-2, axis2=-1)).max(axis=-1)[..., None]
        below, equal = (own < -tie).sum(axis=-1), (np.abs(own) <= tie).sum(axis=-1)
        return below + np.floor(np.asarray(chance) * (equal + 1)).astype(np.int64)


def energy(groups: list[Group]) -> np.ndarray:
    """The fair energy score of the samples of all groups, float64 [...]; of a single sample in all, a point, its distance."""
    sizes, pairs = [group.size for group in groups], [group.pairs for group in groups]
    error = np.average([group.error for group in groups], axis=0, weights=sizes)
    if not sum(pairs):
        return error
    kept = [group for group in groups if group.pairs]
    return error - 0.5 * np.average([group.spread for group in kept], axis=0, weights=[group.pairs for group in kept])


def histogram(ranks, size: int) -> np.ndarray:
    """Shares of the ranks 0 ... size: ranks int [...] -> float64 [size + 1]."""
    return np.bincount(np.asarray(ranks).ravel(), minlength=size + 1) / np.asarray(ranks).size


def calibration_error(shares) -> float:
    """Expected calibration error: the mean distance of the ranks' cumulative shares from uniform ones, over the size of the
    samples' group; 0 where each rank is as frequent, at most 0.5."""
    shares = np.asarray(shares, np.float64)
    levels = np.arange(1, len(shares)) / len(shares)
    return float(np.abs(np.cumsum(shares)[:-1] - levels).mean())
