"""How far two distributions are apart, from their histograms, less what chance alone makes of samples of their sizes."""

import math

import numpy as np


def _masses(histogram, edges: np.ndarray) -> np.ndarray:
    """The histogram's mass between each two edges, spread evenly inside a bucket. A single value counts with what ends there
    (the least one with what begins there), infinite ends count in the end buckets."""
    masses = np.zeros(len(edges) - 1)
    for bucket in histogram.buckets:
        low, high = np.clip([bucket.low_value, bucket.high_value], edges[0], edges[-1])
        if high > low:
            inside = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None)
            masses += bucket.sample_count * inside / (high - low)
        else:
            masses[min(max(np.searchsorted(edges, low, side="left") - 1, 0), len(masses) - 1)] += bucket.sample_count
    return masses


def _edges(*histograms) -> np.ndarray:
    ends = [end for histogram in histograms for bucket in histogram.buckets for end in (bucket.low_value, bucket.high_value)]
    edges = np.unique([end for end in ends if math.isfinite(end)])
    if len(edges) == 1:
        return np.append(edges, edges[-1] + 1.0)
    return np.array([edges[0], edges.mean(), edges[1]]) if len(edges) == 2 else edges  # two single values are told apart


def jensen_shannon(a, b, values_a: int, values_b: int) -> float:
    """Jensen-Shannon divergence, in bits, of two standard histograms, less the allowance for chance.

    Buckets are cut at the ends of both. With K of them in use, n and m independent values from one distribution differ by about
    (K - 1) (1/n + 1/m) / (8 ln 2), which is taken off; TFDV takes nothing off.
    """
    if not a.buckets or not b.buckets:
        return 0.0
    edges = _edges(a, b)
    if not len(edges):
        return 0.0
    p, q = _masses(a, edges), _masses(b, edges)
    if not p.sum() or not q.sum():
        return 0.0
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    used = middle > 0

    def relative_entropy(x):
        inside = x > 0
        return float((x[inside] * np.log2(x[inside] / middle[inside])).sum())

    chance = (int(used.sum()) - 1) * (1 / values_a + 1 / values_b) / (8 * math.log(2))
    return max(0.0, (relative_entropy(p) + relative_entropy(q)) / 2 - chance)


def l_infinity(a, b) -> float:
    """The largest difference of the shares of one value, of two rank histograms of strings (TFDV's `infinity_norm`)."""
    shares = []
    for histogram in (a, b):
        total = sum(bucket.sample_count for bucket in histogram.buckets)
        shares.append({bucket.label: bucket.sample_count / total for bucket in histogram.buckets} if total else {})
    labels = set(shares[0]) | set(shares[1])
    return max((abs(shares[0].get(label, 0.0) - shares[1].get(label, 0.0)) for label in labels), default=0.0)
