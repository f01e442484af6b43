"""Streaming statistics of bounded size, and their tensorflow_metadata protos."""

import collections
import math

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

MAX_DISTINCT = 10_000
"""Distinct strings counted exactly; beyond, `unique` and the top values are those of the first so many."""
_TOP_VALUES = 20

Kind = statistics_pb2.FeatureNameStatistics


def _common(num_examples: int, per_example: int) -> statistics_pb2.CommonStatistics:
    return statistics_pb2.CommonStatistics(
        num_non_missing=num_examples,
        min_num_values=per_example,
        max_num_values=per_example,
        avg_num_values=per_example,
        tot_num_values=num_examples * per_example,
    )


def _add_histogram(numeric, edges, counts) -> None:
    histogram = numeric.histograms.add(type=statistics_pb2.Histogram.STANDARD)
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        histogram.buckets.add(low_value=float(low), high_value=float(high), sample_count=float(count))


class Levels:
    """Integers in [0, size): an exact histogram, from which every other statistic follows."""

    def __init__(self, size: int, buckets: int = 64):
        self.counts = np.zeros(size, np.int64)
        self._buckets = min(buckets, size)

    def add(self, values: np.ndarray) -> None:
        self.counts += np.bincount(values.ravel(), minlength=len(self.counts))

    def feature(self, name: str, num_examples: int) -> Kind:
        """`num_examples`: the clips that the values came from."""
        feature = Kind(name=name, type=Kind.INT)
        numeric, counts, total = feature.num_stats, self.counts, int(self.counts.sum())
        levels = np.arange(len(counts), dtype=np.float64)
        present = np.flatnonzero(counts)
        numeric.common_stats.CopyFrom(_common(num_examples, 0))
        numeric.common_stats.tot_num_values = total
        if total:
            mean = float((levels * counts).sum() / total)
            numeric.mean, numeric.std_dev = mean, math.sqrt(float(((levels - mean) ** 2 * counts).sum() / total))
            numeric.num_zeros = int(counts[0])
            numeric.min, numeric.max = float(present[0]), float(present[-1])
            numeric.median = float(np.searchsorted(np.cumsum(counts), (total + 1) // 2))
            numeric.common_stats.avg_num_values = total / num_examples
        edges = np.linspace(0, len(counts), self._buckets + 1).astype(np.int64)
        _add_histogram(numeric, edges, np.add.reduceat(counts, edges[:-1]))
        return feature


class Lengths:
    """Positive integers of unknown range (frame counts): a count for each value."""

    def __init__(self):
        self.counts: collections.Counter[int] = collections.Counter()

    def add(self, value: int) -> None:
        self.counts[int(value)] += 1

    def feature(self, name: str) -> Kind:
        feature = Kind(name=name, type=Kind.INT)
        values = np.array(sorted(self.counts), np.float64)
        counts = np.array([self.counts[int(value)] for value in values], np.int64)
        total = int(counts.sum())
        numeric = feature.num_stats
        numeric.common_stats.CopyFrom(_common(total, 1))
        if total:
            numeric.mean = float((values * counts).sum() / total)
            numeric.std_dev = math.sqrt(float(((values - numeric.mean) ** 2 * counts).sum() / total))
            numeric.min, numeric.max, numeric.num_zeros = values[0], values[-1], self.counts.get(0, 0)
            numeric.median = values[np.searchsorted(np.cumsum(counts), (total + 1) // 2)]
            # Octaves, the same for every data set, so that splits and versions can be compared.
            edges = [0.0, *(2.0**power for power in range(0, int(math.log2(max(values[-1], 1))) + 2))]
            _add_histogram(numeric, edges, np.histogram(values, edges, weights=counts)[0])
        return feature


class Reals:
    """Real numbers: moments, extremes, and a histogram over fixed edges (values outside count in the end buckets)."""

    def __init__(self, edges=None):
        self._edges = None if edges is None else np.asarray(edges, np.float64)
        self._histogram = None if edges is None else np.zeros(len(self._edges) - 1, np.int64)
        self._count = self._zeros = self._nan = self._examples = 0
        self._mean = self._squares = 0.0
        self._low, self._high = math.inf, -math.inf

    def add(self, values) -> None:
        """The values of one example."""
        values = np.asarray(values, np.float64).ravel()
        self._examples += 1
        finite = values[~np.isnan(values)]
        self._nan += values.size - finite.size
        if not finite.size:
            return
        # Chan et al. 1979: merging (count, mean, sum of squared deviations) keeps precision over many values.
        mean, count = float(finite.mean()), self._count + finite.size
        delta = mean - self._mean
        self._squares += float(((finite - mean) ** 2).sum()) + delta * delta * self._count * finite.size / count
        self._mean += delta * finite.size / count
        self._count, self._zeros = count, self._zeros + int((finite == 0).sum())
        self._low, self._high = min(self._low, float(finite.min())), max(self._high, float(finite.max()))
        if self._histogram is not None:
            self._histogram += np.histogram(np.clip(finite, self._edges[0], self._edges[-1]), self._edges)[0]

    def feature(self, name: str, kind: int = Kind.FLOAT) -> Kind:
        feature = Kind(name=name, type=kind)
        numeric = feature.num_stats
        numeric.common_stats.CopyFrom(_common(self._examples, 0))
        numeric.common_stats.tot_num_values = self._count + self._nan
        if self._examples:
            numeric.common_stats.avg_num_values = (self._count + self._nan) / self._examples
        if self._count:
            numeric.mean, numeric.std_dev = self._mean, math.sqrt(self._squares / self._count)
            numeric.min, numeric.max, numeric.num_zeros = self._low, self._high, self._zeros
        if self._histogram is not None:
            _add_histogram(numeric, self._edges, self._histogram)
        if self._nan:
            if not numeric.histograms:
                numeric.histograms.add(type=statistics_pb2.Histogram.STANDARD)
            numeric.histograms[0].num_nan = self._nan
        return feature


class Strings:
    """Strings: how many differ, the most frequent ones, mean length."""

    def __init__(self):
        self._counts: collections.Counter[str] = collections.Counter()
        self._examples = self._bytes = 0

    def add(self, value: bytes) -> None:
        self._examples += 1
        self._bytes += len(value)
        text = value.decode("utf-8", "replace")
        if text in self._counts or len(self._counts) < MAX_DISTINCT:
            self._counts[text] += 1

    def feature(self, name: str, unique: int | None = None) -> Kind:
        """`unique`: the exact number of distinct strings, where it is known from elsewhere."""
        feature = Kind(name=name, type=Kind.STRING)
        strings = feature.string_stats
        strings.common_stats.CopyFrom(_common(self._examples, 1))
        strings.unique = len(self._counts) if unique is None else unique
        strings.avg_length = self._bytes / self._examples if self._examples else 0.0
        top = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        for text, count in top[:_TOP_VALUES]:
            strings.top_values.add(value=text, frequency=count)
        if len(top) <= MAX_DISTINCT // 100:  # a small vocabulary is kept whole: the schema's domain comes from it
            for rank, (text, count) in enumerate(top):
                strings.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=text, sample_count=count)
        return feature
