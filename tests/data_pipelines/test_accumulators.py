"""Streaming statistics against direct computation, and against numbers that TFDV 1.21 gave for the same values."""

import numpy as np
import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2

from data_pipelines import accumulators
from data_pipelines.accumulators import Kind, Levels, Numbers, Strings

FIRST_FRAMES = [75, 0, 286, 203, 0, 171, 249, 69]


def buckets(histogram):
    return [(b.low_value, b.high_value, pytest.approx(b.sample_count)) for b in histogram.buckets]


def test_quantiles_are_tfdvs():
    numbers = Numbers(Kind.INT)
    for value in FIRST_FRAMES:
        numbers.add([value])
    stats = numbers.feature("first_frame", 8).num_stats
    assert (stats.mean, stats.median, stats.num_zeros, stats.max) == (131.625, 171, 2, 286)
    assert stats.std_dev == pytest.approx(103.70141934901373)
    ends = [0, 0, 0, 69, 75, 171, 171, 203, 249, 286, 286]
    counts = [1, 1, 1, 1, 0.5, 0.5, 1, 1, 0.5, 0.5]
    assert buckets(stats.histograms[1]) == list(zip(ends[:-1], ends[1:], counts, strict=True))
    assert [b.sample_count for b in stats.histograms[0].buckets] == [2, 0, 2, 0, 0, 1, 0, 1, 1, 1]
    assert buckets(stats.common_stats.num_values_histogram) == [(1, 1, 0.8)] * 10


def test_numbers_of_values_are_tfdvs():
    strings = Strings()
    for count in (5, 6, 6, 6, 13, 14, 14, 22):
        strings.add([b"x"] * count)
    common = strings.feature("frame_chunks", 9).string_stats.common_stats
    assert (common.num_non_missing, common.num_missing, common.tot_num_values, common.avg_num_values) == (8, 1, 86, 10.75)
    ends = [5, 5, 6, 6, 6, 13, 13, 14, 14, 22, 22]
    counts = [1, 1, 1, 1, 0.5, 0.5, 1, 1, 0.5, 0.5]
    assert buckets(common.num_values_histogram) == list(zip(ends[:-1], ends[1:], counts, strict=True))


def test_streaming_numbers_equal_numpy():
    rng = np.random.default_rng(0)
    parts = [rng.normal(1e6, 1, size) for size in (1, 7, 1000)]
    numbers = Numbers(edges=np.linspace(1e6 - 1, 1e6 + 1, 5))
    for part in [*parts, [np.nan]]:
        numbers.add(part)
    stats, values = numbers.feature("x", 4).num_stats, np.concatenate(parts)
    assert stats.mean == pytest.approx(values.mean()) and stats.std_dev == pytest.approx(values.std(), rel=1e-9)
    assert (stats.min, stats.max, stats.median) == (values.min(), values.max(), np.sort(values)[504])
    assert [histogram.num_nan for histogram in stats.histograms] == [1, 1]
    assert sum(bucket.sample_count for bucket in stats.histograms[0].buckets) == len(values)  # the ends hold what is outside


def test_many_numbers_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(accumulators, "_SKETCH", 1000)
    numbers, kept = Numbers(), 0
    values = np.random.default_rng(1).permutation(100_000).astype(float)
    for part in np.split(values, 400):
        numbers.add(part)
        kept = max(kept, sum(len(array) for level in numbers._quantiles._levels for array in level))
    stats = numbers.feature("x", 400).num_stats
    assert kept < 10_000 and stats.mean == pytest.approx(49_999.5)
    assert stats.median == pytest.approx(50_000, abs=1000)
    for number, bucket in enumerate(stats.histograms[1].buckets):
        assert bucket.high_value == pytest.approx(10_000 * (number + 1), abs=1000)
        assert bucket.sample_count == pytest.approx(10_000, rel=0.1)


def test_special_numbers():
    numbers = Numbers()
    numbers.add([np.inf, 1.0, 3.0, -np.inf, np.nan])
    stats = numbers.feature("x", 1).num_stats
    assert (stats.min, stats.max) == (-np.inf, np.inf) and not np.isfinite(stats.mean)
    assert buckets(stats.histograms[0])[-2:] == [(-np.inf, -np.inf, 1), (np.inf, np.inf, 1)]
    only_nan = Numbers()
    only_nan.add([np.nan])
    stats = only_nan.feature("x", 1).num_stats
    assert len(stats.histograms) == 2 and stats.histograms[0].num_nan == 1 and not stats.histograms[0].buckets
    nothing = Numbers().feature("x", 3)
    assert nothing.num_stats.common_stats.num_missing == 3 and not nothing.num_stats.histograms


def test_levels():
    levels = Levels(256)
    values = np.random.default_rng(0).integers(0, 200, 501)
    levels.add_counts(np.bincount(values, minlength=256))
    stats = levels.feature("pixels", 1).num_stats
    assert (stats.min, stats.max, stats.median) == (values.min(), values.max(), np.sort(values)[250])
    assert stats.mean == pytest.approx(values.mean()) and stats.std_dev == pytest.approx(values.std())
    assert len(stats.histograms[0].buckets) == 64 and stats.histograms[1].type == statistics_pb2.Histogram.QUANTILES


def test_strings():
    strings = Strings()
    strings.add([b"b", b"a", b"\xff\xfe", "ü".encode()])
    strings.add([b"a", b"\xff", b"c" * 2000])
    stats = strings.feature("x", 2).string_stats
    assert (stats.unique, stats.invalid_utf8_count) == (6, 2) and stats.avg_length == pytest.approx(2008 / 7)
    shown = [(entry.value, entry.frequency) for entry in stats.top_values]
    assert shown == [("a", 2), ("__BYTES_VALUE__", 2), ("ü", 1), ("b", 1), ("__LARGE_BYTES__", 1)]
    assert [(b.low_rank, b.label) for b in stats.rank_histogram.buckets] == list(enumerate(value for value, _ in shown))


def test_how_many_differ_without_keeping_them(monkeypatch):
    monkeypatch.setattr(accumulators, "_MAX_UNIQUE", 1000)
    monkeypatch.setattr(accumulators, "MAX_DISTINCT", 100)
    strings = Strings()
    for _ in range(2):
        strings.add([str(number).encode() for number in range(30_000)])
    assert strings.unique == pytest.approx(30_000, rel=0.1) and len(strings._hashes) < 2000 and len(strings._counts) == 100
