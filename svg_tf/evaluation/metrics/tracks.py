"""How much of true positions is in the keypoints that were found: a linear map, fitted on some sequences, judged on others."""

from typing import NamedTuple

import numpy as np

from data_pipelines.checks import require


class LinearFit(NamedTuple):
    """r2: 1 - squared error / variance of the true positions, over all coordinates together, 1 at best; rms: the root mean square
    of the error over coordinates, in the unit of the positions; n_sequences: judged."""

    r2: float
    rms: float
    n_sequences: int


def linear_fit(points, positions) -> LinearFit:
    """Best affine map from keypoints to positions, by least squares on the first half of the sequences, on the second half.

    points: float [N, T, ...], features of each frame; positions: float [N, T, ...]; N >= 2.
    Raises `ValueError` for other shapes, and where the first half has no more frames than a frame has features.
    """
    points, positions = np.asarray(points, np.float64), np.asarray(positions, np.float64)
    right = points.ndim >= 3 and positions.ndim >= 3 and points.shape[:2] == positions.shape[:2] and len(points) >= 2
    require(right, f"points and positions must be [N >= 2, T, ...], got shapes {points.shape} and {positions.shape}.")
    features = points.reshape(*points.shape[:2], -1)
    features = np.concatenate([features, np.ones((*features.shape[:2], 1))], axis=-1)
    targets, half = positions.reshape(*positions.shape[:2], -1), len(points) // 2
    given, size = half * points.shape[1], features.shape[-1]
    require(given > size, f"A map of {size} coefficients needs more frames than the {given} of {half} sequences.")
    fitted, *_ = np.linalg.lstsq(_rows(features[:half]), _rows(targets[:half]), rcond=1e-6)
    truth = _rows(targets[half:])
    squared = np.square(truth - _rows(features[half:]) @ fitted)
    variance = np.square(truth - truth.mean(axis=0)).sum()
    require(variance > 0, "The positions do not differ: there is nothing to explain.")
    return LinearFit(float(1 - squared.sum() / variance), float(np.sqrt(squared.mean())), len(points) - half)


def _rows(values: np.ndarray) -> np.ndarray:
    return values.reshape(-1, values.shape[-1])
