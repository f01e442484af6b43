"""Streaming statistics of bounded size, as the tensorflow_metadata protos that TFDV makes of the same values.

Counts, means, extremes, medians and quantile histograms equal TFDV's (below `_SKETCH` values exactly, above as closely as its
own sketch). Histograms of equal width are exact where TFDV interpolates between quantiles.
"""

import collections
import hashlib
import math

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

NOT_UTF8, TOO_LONG = "__BYTES_VALUE__", "__LARGE_BYTES__"
"""TFDV's words for values that it does not show."""
MAX_DISTINCT = 10_000
"""Distinct strings counted exactly; beyond, top values are those of the first so many."""
MAX_VOCABULARY = 1000
"""Values in a rank histogram, as TFDV."""
_TOP_VALUES, _LONGEST_TEXT, _MAX_UNIQUE = 20, 1024, 1 << 16
_BUCKETS = 10
_SKETCH = 1 << 18

Kind = statistics_pb2.FeatureNameStatistics
Histogram = statistics_pb2.Histogram


class Quantiles:
    """The distribution of many numbers in bounded memory (Manku, Rajagopalan & Lindsay 1998): where a level is full, every
    second of its sorted values goes on to the next level with twice the weight."""

    def __init__(self):
        self._levels: list[list[np.ndarray]] = [[]]
        self._sizes = [0]
        self._odd = False

    def add(self, values: np.ndarray) -> None:
        self._put(0, np.asarray(values, np.float64).ravel())
        level = 0
        while self._sizes[level] >= _SKETCH:
            full = np.sort(np.concatenate(self._levels[level]))
            even = len(full) // 2 * 2
            self._levels[level], self._sizes[level] = [], 0
            self._put(level, full[even:])
            self._put(level + 1, full[int(self._odd) : even : 2])
            self._odd, level = not self._odd, level + 1

    def _put(self, level: int, values: np.ndarray) -> None:
        if level == len(self._levels):
            self._levels.append([])
            self._sizes.append(0)
        self._levels[level].append(values)
        self._sizes[level] += len(values)

    def weighted(self) -> tuple[np.ndarray, np.ndarray]:
        """Sorted values, and the weight of each."""
        values = np.concatenate([part for level in self._levels for part in level] or [np.zeros(0)])
        weights = [np.full(len(part), 2.0**number) for number, level in enumerate(self._levels) for part in level]
        order = np.argsort(values, kind="stable")
        return values[order], np.concatenate(weights or [np.zeros(0)])[order]


def _quantile_histogram(values: np.ndarray, weights: np.ndarray) -> Histogram:
    """Buckets that hold about the same number of the sorted `values`. Counts of equal upper ends are shared evenly, as are those
    of the least value among the buckets that hold nothing else."""
    cumulated = np.cumsum(weights)
    ranks = np.arange(_BUCKETS + 1) * cumulated[-1] / _BUCKETS
    ends = values[np.minimum(np.searchsorted(cumulated, ranks, side="right"), len(values) - 1)]
    up_to = cumulated[np.searchsorted(values, ends, side="right") - 1]
    counts = np.diff(up_to)
    for end in np.unique(ends[1:]):
        same = ends[1:] == end
        counts[same] = counts[same].mean()
    first = (ends[:-1] == ends[0]) & (ends[1:] == ends[1])
    counts[first] += up_to[0] / first.sum()
    result = Histogram(type=Histogram.QUANTILES)
    for low, high, count in zip(ends[:-1], ends[1:], counts, strict=True):
        result.buckets.add(low_value=low, high_value=high, sample_count=count)
    return result


def _standard_histogram(edges: np.ndarray, counts: np.ndarray) -> Histogram:
    result = Histogram(type=Histogram.STANDARD)
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        result.buckets.add(low_value=float(low), high_value=float(high), sample_count=float(count))
    return result


def _equal_width(values: np.ndarray, weights: np.ndarray) -> Histogram:
    """Buckets of equal width, each with its upper end; infinite values in buckets of their own."""
    finite = np.isfinite(values)
    result = Histogram(type=Histogram.STANDARD)
    if finite.any():
        low, high = values[finite][0], values[finite][-1]
        edges = np.linspace(low, high, _BUCKETS + 1) if low < high else np.array([low, high])
        place = np.searchsorted(edges[1:-1], values[finite], side="left")
        result = _standard_histogram(edges, np.bincount(place, weights[finite], minlength=len(edges) - 1))
    for end in (-math.inf, math.inf):
        if (count := weights[values == end].sum()) > 0:
            result.buckets.add(low_value=end, high_value=end, sample_count=count)
    return result


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    cumulated = np.cumsum(weights)
    return float(values[min(np.searchsorted(cumulated, cumulated[-1] / 2, side="right"), len(values) - 1)])


class _Valency:
    """How many values the examples have."""

    def __init__(self):
        self._counts: collections.Counter[int] = collections.Counter()

    def add(self, count: int) -> None:
        self._counts[count] += 1

    def proto(self, num_examples: int) -> statistics_pb2.CommonStatistics:
        present = sum(self._counts.values())
        result = statistics_pb2.CommonStatistics(num_non_missing=present, num_missing=num_examples - present)
        if present:
            values = np.array(sorted(self._counts), np.float64)
            weights = np.array([self._counts[int(value)] for value in values], np.float64)
            result.min_num_values, result.max_num_values = int(values[0]), int(values[-1])
            result.tot_num_values = int((values * weights).sum())
            result.avg_num_values = result.tot_num_values / present
            result.num_values_histogram.CopyFrom(_quantile_histogram(values, weights))
        return result


class Numbers:
    """Numbers of any range. With `edges`, the standard histogram has these (values outside count in the end buckets), so that
    splits and versions can be compared; else ten buckets from the least value to the greatest."""

    def __init__(self, kind: int = Kind.FLOAT, edges=None):
        self.kind = kind
        self._edges = None if edges is None else np.asarray(edges, np.float64)
        self._counts = None if edges is None else np.zeros(len(self._edges) - 1)
        self._valency, self._quantiles = _Valency(), Quantiles()
        self._count = self._zeros = self._nan = 0
        self._mean = self._squares = 0.0
        self._low, self._high = math.inf, -math.inf

    def add(self, values) -> None:
        """The values of one example."""
        values = np.asarray(values, np.float64).ravel()
        self._valency.add(values.size)
        known = values[~np.isnan(values)]
        self._nan += values.size - known.size
        if not known.size:
            return
        with np.errstate(invalid="ignore"):  # infinite values: the mean is infinite or NaN, and says so
            # Chan et al. 1979: merging (count, mean, sum of squared deviations) keeps precision over many values.
            mean, count = float(known.mean()), self._count + known.size
            delta = mean - self._mean
            self._squares += float(((known - mean) ** 2).sum()) + delta * delta * self._count * known.size / count
            self._mean += delta * known.size / count
        self._count, self._zeros = count, self._zeros + int((known == 0).sum())
        self._low, self._high = min(self._low, float(known.min())), max(self._high, float(known.max()))
        self._quantiles.add(known)
        if self._edges is not None:
            self._counts += np.histogram(np.clip(known, self._edges[0], self._edges[-1]), self._edges)[0]

    def feature(self, name: str, num_examples: int) -> Kind:
        """The statistics; `num_examples` counts those without the feature, too."""
        feature = _named(name, self.kind)
        numeric = feature.num_stats
        numeric.common_stats.CopyFrom(self._valency.proto(num_examples))
        if self._count:
            numeric.mean, numeric.std_dev = self._mean, math.sqrt(self._squares / self._count)
            numeric.min, numeric.max, numeric.num_zeros = self._low, self._high, self._zeros
            values, weights = self._quantiles.weighted()
            numeric.median = _median(values, weights)
            fixed = self._edges is not None
            standard = _standard_histogram(self._edges, self._counts) if fixed else _equal_width(values, weights)
            numeric.histograms.extend([standard, _quantile_histogram(values, weights)])
        elif self._nan:
            numeric.histograms.add(type=Histogram.STANDARD)
            numeric.histograms.add(type=Histogram.QUANTILES)
        for histogram in numeric.histograms:
            histogram.num_nan = self._nan
        return feature


class Levels:
    """Integers in [0, size), many to an example: an exact count of each, from which every other statistic follows."""

    def __init__(self, size: int, buckets: int = 64):
        self.counts = np.zeros(size, np.int64)
        self._buckets = min(buckets, size)
        self._valency = _Valency()

    def add_counts(self, counts: np.ndarray) -> None:
        """How often one example has each value, int64 [size]."""
        self.counts += counts
        self._valency.add(int(counts.sum()))

    def feature(self, name: str, num_examples: int) -> Kind:
        feature = _named(name, Kind.INT)
        numeric, counts, total = feature.num_stats, self.counts, int(self.counts.sum())
        numeric.common_stats.CopyFrom(self._valency.proto(num_examples))
        if total:
            levels = np.flatnonzero(counts).astype(np.float64)
            weights = counts[counts > 0].astype(np.float64)
            mean = float((levels * weights).sum() / total)
            numeric.mean, numeric.std_dev = mean, math.sqrt(float(((levels - mean) ** 2 * weights).sum() / total))
            numeric.num_zeros = int(counts[0])
            numeric.min, numeric.max, numeric.median = levels[0], levels[-1], _median(levels, weights)
            edges = np.linspace(0, len(counts), self._buckets + 1).astype(np.int64)
            standard = _standard_histogram(edges, np.add.reduceat(counts, edges[:-1]))
            numeric.histograms.extend([standard, _quantile_histogram(levels, weights)])
        return feature


class Strings:
    """Byte strings: how many differ, the most frequent ones, mean length.

    What is no UTF-8, or longer than a kilobyte, is counted under TFDV's words for such values.
    """

    kind = Kind.STRING

    def __init__(self):
        self._counts: collections.Counter[str] = collections.Counter()
        self._valency = _Valency()
        self._bytes = self._not_utf8 = 0
        self._hashes: set[int] = set()
        self._limit = 1 << 64

    def add(self, values: list[bytes]) -> None:
        """The values of one example."""
        self._valency.add(len(values))
        for value in values:
            self._bytes += len(value)
            self._note_hash(int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "little"))
            try:
                text = value.decode("utf-8")
            except UnicodeDecodeError:
                self._not_utf8, text = self._not_utf8 + 1, NOT_UTF8
            text = text if len(value) <= _LONGEST_TEXT or text == NOT_UTF8 else TOO_LONG
            if text in self._counts or len(self._counts) < MAX_DISTINCT:
                self._counts[text] += 1

    def _note_hash(self, number: int) -> None:
        """Keeps the least hashes only (Bar-Yossef et al. 2002): their density tells how many there are."""
        if number < self._limit:
            self._hashes.add(number)
            if len(self._hashes) == 2 * _MAX_UNIQUE:
                self._hashes = set(sorted(self._hashes)[:_MAX_UNIQUE])
                self._limit = max(self._hashes)

    @property
    def unique(self) -> int:
        """How many differ; exact for few (65,536), else within 1 %."""
        if self._limit == 1 << 64:
            return len(self._hashes)
        return round(len(self._hashes) / (self._limit / 2.0**64))

    def feature(self, name: str, num_examples: int) -> Kind:
        feature = _named(name, Kind.STRING)
        strings = feature.string_stats
        strings.common_stats.CopyFrom(self._valency.proto(num_examples))
        total = strings.common_stats.tot_num_values
        strings.unique, strings.invalid_utf8_count = self.unique, self._not_utf8
        strings.avg_length = self._bytes / total if total else 0.0
        top = sorted(self._counts.items(), key=lambda item: (item[1], item[0].encode()), reverse=True)  # TFDV's order
        for text, count in top[:_TOP_VALUES]:
            strings.top_values.add(value=text, frequency=count)
        for rank, (text, count) in enumerate(top[:MAX_VOCABULARY]):
            strings.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=text, sample_count=count)
        return feature


def _named(name: str, kind: int) -> Kind:
    feature = Kind(type=kind)
    feature.path.step.append(name)
    return feature
