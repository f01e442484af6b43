"""Distances of histograms."""

import math

import numpy as np
import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from data_pipelines import divergence

MANY = 10**9


def histogram(counts, edges=None):
    result = statistics_pb2.Histogram()
    edges = range(len(counts) + 1) if edges is None else edges
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        result.buckets.add(low_value=low, high_value=high, sample_count=count)
    return result


def distance(a, b, n=MANY, m=MANY):
    return divergence.jensen_shannon(a, b, n, m)


def test_equal_edges():
    assert distance(histogram([5, 5]), histogram([50, 50])) == 0
    assert distance(histogram([1, 0]), histogram([0, 1])) == pytest.approx(1, abs=1e-6)
    expected = 0.5 * math.log2(4 / 3) + 0.25 * math.log2(2 / 3) + 0.25
    assert distance(histogram([1]), histogram([1, 1])) == pytest.approx(expected, abs=1e-6)
    assert distance(histogram([]), histogram([1])) == distance(histogram([0]), histogram([1])) == 0


def test_chance_is_allowed_for():
    rng = np.random.default_rng(0)
    samples = [histogram(np.bincount(rng.integers(0, 16, 60), minlength=16)) for _ in range(40)]
    values = [distance(a, b, 60, 60) for a, b in zip(samples[::2], samples[1::2], strict=True)]
    assert np.mean(values) < 0.03


def test_unequal_edges_are_cut_at_all_ends():
    fine, coarse = histogram([1, 1, 1, 1], np.linspace(0, 1, 5)), histogram([2, 2], [0, 0.5, 1])
    assert distance(fine, coarse) == pytest.approx(0, abs=1e-6)
    apart = histogram([4], [2, 3])
    assert distance(fine, apart) == pytest.approx(1, abs=1e-6)
    point = histogram([4], [64, 64])
    assert distance(point, point) == 0 and distance(point, histogram([3], [65, 65])) == pytest.approx(1, abs=1e-6)
    spread = histogram([4, 0, 0, 1], [64, 64.25, 64.5, 64.75, 65])  # the integers 64 and 65
    assert distance(point, spread) == pytest.approx(distance(histogram([1, 0]), histogram([4, 1])), abs=1e-6)
    infinite = histogram([2, 2, 2], [-math.inf, 0, 1, math.inf])
    assert distance(infinite, infinite) == 0


def test_l_infinity():
    def ranks(**counts):
        result = statistics_pb2.RankHistogram()
        for label, count in counts.items():
            result.buckets.add(label=label, sample_count=count)
        return result

    assert divergence.l_infinity(ranks(a=1, b=1), ranks(a=10, b=10)) == 0
    assert divergence.l_infinity(ranks(a=3, b=1), ranks(a=1, c=1)) == 0.5
    assert divergence.l_infinity(ranks(), ranks(a=4)) == 1 and divergence.l_infinity(ranks(), ranks()) == 0
