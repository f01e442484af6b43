"""ExampleValidator: statistics against schema, split against split, version against version -> anomalies.

Errors: a feature that is missing, new, of another type or outside its domain; repeated names of clips; **leakage** (a
group, such as a KTH person, a source file, or a clip of identical pixels in two splits). Warnings: clips that repeat
within a split, and distributions that differ between splits (skew) or from another version (drift).
`anomalies.pbtxt` is a tensorflow_metadata `Anomalies` proto.
"""

import math
import os
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from data_pipelines import artifacts, catalogue, schema_gen, statistics_gen

Info = anomalies_pb2.AnomalyInfo
_LEAKAGE = {"content": "identical clip", "source": "source file", "group": "group"}
_KINDS = {schema_pb2.BYTES: "string", schema_pb2.INT: "integer", schema_pb2.FLOAT: "float"}
_MAX_NAMED = 5


class Validation(NamedTuple):
    """What was found; `ok` when nothing was."""

    anomalies: anomalies_pb2.Anomalies
    lines: list[str]  # "ERROR kind: ..." or "WARNING kind: ...", errors first

    @property
    def ok(self) -> bool:
        return not self.lines


class _Findings:
    def __init__(self, schema: schema_pb2.Schema):
        self.anomalies = anomalies_pb2.Anomalies(baseline=schema, anomaly_name_format=anomalies_pb2.Anomalies.SERIALIZED_PATH)
        self._lines: list[tuple[int, str]] = []

    def add(self, split: str, feature: str, kind: str, text: str, *, reason: int, severity: int = Info.ERROR) -> None:
        key = f"{split}: {feature}"
        info = self.anomalies.anomaly_info[key]
        info.path.step[:] = [split, feature]
        info.severity = max(info.severity, severity)
        info.reason.add(type=reason, short_description=kind, description=text)
        info.short_description = kind if len(info.reason) == 1 else "Multiple reasons"
        info.description = " ".join(entry.description for entry in info.reason)
        self._lines.append((0 if severity == Info.ERROR else 1, f"{Info.Severity.Name(severity)} {kind}: {key}: {text}"))

    def measure(self, feature: str, field: str, value: float, threshold: float) -> None:
        entry = next((entry for entry in self.anomalies.drift_skew_info if entry.path.step[0] == feature), None)
        if entry is None:
            entry = self.anomalies.drift_skew_info.add()
            entry.path.step.append(feature)
        measurement = getattr(entry, field).add()
        measurement.type = anomalies_pb2.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE
        measurement.value, measurement.threshold = value, threshold

    @property
    def lines(self) -> list[str]:
        return [line for _, line in sorted(self._lines, key=lambda entry: entry[0])]


def _by_name(split: statistics_pb2.DatasetFeatureStatistics) -> dict:
    return {feature.path.step[0]: feature for feature in split.features}


def _kind(feature) -> int:
    if feature.HasField("string_stats"):
        return schema_pb2.BYTES
    return schema_pb2.INT if feature.type == statistics_pb2.FeatureNameStatistics.INT else schema_pb2.FLOAT


def _check_schema(findings: _Findings, split, schema: schema_pb2.Schema) -> None:
    name, features = split.name, _by_name(split)
    expected = {feature.name: feature for feature in schema.feature}
    if split.num_examples < schema.dataset_constraints.min_examples_count:
        text = f"{split.num_examples} clips; at least {schema.dataset_constraints.min_examples_count} expected."
        findings.add(name, "clips", "too few clips", text, reason=Info.DATASET_LOW_NUM_EXAMPLES)
    for feature in sorted(set(features) - set(expected)):
        findings.add(name, feature, "new feature", "not in the schema.", reason=Info.SCHEMA_NEW_COLUMN)
    domains = {domain.name: set(domain.value) for domain in schema.string_domain}
    for feature, wanted in expected.items():
        if wanted.lifecycle_stage == schema_pb2.DEPRECATED:
            continue
        if feature not in features:
            if wanted.presence.min_count > 0:
                findings.add(name, feature, "missing feature", "in the schema only.", reason=Info.SCHEMA_MISSING_COLUMN)
            continue
        seen = features[feature]
        if _kind(seen) != wanted.type:
            text = f"{_KINDS[_kind(seen)]} values; {_KINDS.get(wanted.type, 'other')} expected."
            findings.add(name, feature, "wrong type", text, reason=Info.UNEXPECTED_DATA_TYPE)
        elif wanted.type == schema_pb2.BYTES:
            _check_strings(findings, name, split.num_examples, seen, wanted, domains)
        else:
            _check_numbers(findings, name, seen.num_stats, wanted)


def _check_strings(findings, split, num_clips, seen, wanted, domains) -> None:
    strings = seen.string_stats
    if wanted.HasField("unique_constraints") and strings.unique < num_clips:
        text = f"{num_clips} clips have {strings.unique} distinct values; each must have its own."
        findings.add(split, wanted.name, "repeated names", text, reason=Info.FEATURE_TYPE_LOW_UNIQUE)
    if wanted.domain:
        labels = {bucket.label for bucket in strings.rank_histogram.buckets} or {entry.value for entry in strings.top_values}
        unknown = sorted(labels - domains.get(wanted.domain, set()))
        if unknown:
            text = f"values outside the vocabulary: {', '.join(map(repr, unknown[:_MAX_NAMED]))} ({len(unknown)} in all)."
            findings.add(split, wanted.name, "unknown values", text, reason=Info.ENUM_TYPE_UNEXPECTED_STRING_VALUES)


def _check_numbers(findings, split, stats, wanted) -> None:
    if wanted.name in schema_gen.MAX_SHARES:
        if np.float32(stats.mean) > wanted.float_domain.max:  # the proto keeps the bound in float32
            text = f"{stats.mean:.1%} of the clips; at most {wanted.float_domain.max:.1%} expected."
            findings.add(split, wanted.name, "too many clips", text, reason=Info.CUSTOM_VALIDATION)
        return
    nan = sum(histogram.num_nan for histogram in stats.histograms)
    if wanted.float_domain.disallow_nan and nan:
        findings.add(split, wanted.name, "NaN", f"{nan} values are not numbers.", reason=Info.FLOAT_TYPE_HAS_NAN)
    for field, small, big in (
        ("int_domain", Info.INT_TYPE_SMALL_INT, Info.INT_TYPE_BIG_INT),
        ("float_domain", Info.FLOAT_TYPE_SMALL_FLOAT, Info.FLOAT_TYPE_BIG_FLOAT),
    ):
        if not wanted.HasField(field):
            continue
        domain = getattr(wanted, field)
        if domain.HasField("min") and stats.min < domain.min:
            text = f"{stats.min:g} is below the least allowed value, {domain.min:g}."
            findings.add(split, wanted.name, "value too small", text, reason=small)
        if domain.HasField("max") and stats.max > domain.max:
            text = f"{stats.max:g} is above the greatest allowed value, {domain.max:g}."
            findings.add(split, wanted.name, "value too large", text, reason=big)


def divergence(a, b, values_a: int, values_b: int) -> float:
    """Jensen-Shannon divergence, in bits, of two histograms, less what chance alone makes of samples of these sizes.

    Buckets of unequal number (octaves of frame counts) are filled up with zeros; equal edges are presumed. With K buckets
    in use, n and m independent values from one distribution differ by about (K - 1) (1/n + 1/m) / (8 ln 2).
    """
    size = max(len(a.buckets), len(b.buckets))
    p, q = np.zeros(size), np.zeros(size)
    p[: len(a.buckets)] = [bucket.sample_count for bucket in a.buckets]
    q[: len(b.buckets)] = [bucket.sample_count for bucket in b.buckets]
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


def _compare(findings, schema, first, second, *, comparator: str, label: str) -> None:
    """Distributions of `second` against those of `first`, a split of the same or of another version."""
    features_a, features_b = _by_name(first), _by_name(second)
    for wanted in schema.feature:
        if not wanted.HasField(comparator) or wanted.name not in features_a or wanted.name not in features_b:
            continue
        stats = [features[wanted.name].num_stats for features in (features_a, features_b)]
        if not all(entry.histograms for entry in stats):
            continue
        threshold = getattr(wanted, comparator).jensen_shannon_divergence.threshold
        totals = [max(entry.common_stats.tot_num_values, 1) for entry in stats]
        value = divergence(stats[0].histograms[0], stats[1].histograms[0], *totals)
        skew = comparator == "skew_comparator"
        findings.measure(wanted.name, "skew_measurements" if skew else "drift_measurements", value, threshold)
        if value > threshold:
            text = f"differs from {label} by a Jensen-Shannon divergence of {value:.3f} bits; at most {threshold:g} expected."
            reason = Info.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH
            kind = "skew" if skew else "drift"
            findings.add(second.name, wanted.name, kind, text, reason=reason, severity=Info.WARNING)


def _named_clips(builder, split: str, wanted: np.ndarray, values: np.ndarray, field: str) -> dict:
    """Identity -> (name, first clip's id) for the identities `wanted`; one more pass, without inflating videos."""
    rows = np.flatnonzero(np.isin(values, wanted))
    first = {}
    for row in rows:
        first.setdefault(values[row], row)
    rows_wanted, named = {row: value for value, row in first.items()}, {}
    for row, example in enumerate(statistics_gen.examples(builder, split, frames=False)):
        if row in rows_wanted:
            clip = example["clip_id"].decode("utf-8", "replace")
            name = clip if field == "content" else example[field].decode("utf-8", "replace")
            named[rows_wanted[row]] = (name, clip)
            if len(named) == len(rows_wanted):
                break
    return named


def _check_leakage(findings, builder: tfds.core.DatasetBuilder, identities: dict[str, np.ndarray]) -> None:
    splits = sorted(identities, key=lambda split: (split != "train", split))
    for number, first in enumerate(splits):
        for second in splits[number + 1 :]:
            for field, what in _LEAKAGE.items():
                a, b = (_keys(identities[split], field) for split in (first, second))
                shared = np.intersect1d(a, b)
                if field != "content":
                    shared = shared[(shared != statistics_gen.hash_text(b"")) & (shared != 0)]  # 0: no such feature
                if not shared.size:
                    continue
                names_a, names_b = (
                    _named_clips(builder, split, shared[:_MAX_NAMED], values, field)
                    for split, values in ((first, a), (second, b))
                )
                examples = []
                for key in shared[:_MAX_NAMED]:
                    (name, clip_a), (_, clip_b) = names_a[key], names_b[key]
                    examples.append(f"{name!r}" if field != "content" else f"{clip_a!r} = {clip_b!r}")
                more = f" and {shared.size - _MAX_NAMED} more" if shared.size > _MAX_NAMED else ""
                clips = int(np.isin(a, shared).sum()), int(np.isin(b, shared).sum())
                text = (
                    f"the same {what} is in {first!r} ({clips[0]} clips) and in {second!r} ({clips[1]} clips): "
                    f"{', '.join(examples)}{more}. A test on such clips says nothing about new videos."
                )
                findings.add(f"{first}, {second}", field, "leakage", text, reason=Info.CUSTOM_VALIDATION)


def _keys(identities: np.ndarray, field: str) -> np.ndarray:
    # NumPy compares fixed-width bytes, but not void values, and pads them with the zeros that it strips: exact.
    return np.ascontiguousarray(identities[field]).view("S16") if field == "content" else identities[field]


def _check_duplicates(findings, split) -> None:
    for feature in split.features:
        for custom in feature.custom_stats:
            if custom.name == "duplicate_clips" and custom.num:
                text = f"{custom.num:g} of {split.num_examples} clips repeat the pixels of another clip."
                findings.add(
                    split.name, feature.path.step[0], "duplicates", text, reason=Info.CUSTOM_VALIDATION, severity=Info.WARNING
                )


def run(builder_dir, *, schema: schema_pb2.Schema | None = None, previous_dir=None, write: bool = True) -> Validation:
    """Validates a prepared data set.

    Args:
      builder_dir: its folder, DATA_DIR/name/config/version.
      schema: what to validate against; None: the one beside the data, inferred first if absent. To hold a new version to
        an older one's standard, pass that one's schema.
      previous_dir: folder of another version, whose statistics drift is measured from.
      write: also write `anomalies.pbtxt` beside the data.

    Raises: ValueError for a folder without a data set, or malformed artifacts beside it.
    """
    folder = artifacts.require_data_set(builder_dir)
    statistics = statistics_gen.load(folder)
    schema = schema_gen.run(folder, statistics=statistics, write=write) if schema is None else schema
    findings = _Findings(schema)
    for split in statistics.datasets:
        _check_schema(findings, split, schema)
        _check_duplicates(findings, split)
    identities = {split.name: statistics_gen.load_identities(folder, split) for split in statistics.datasets}
    _check_leakage(findings, catalogue.open_builder(os.fspath(folder)), identities)
    by_split = {split.name: split for split in statistics.datasets}
    if "train" in by_split:
        for name, split in by_split.items():
            if name != "train":
                _compare(findings, schema, by_split["train"], split, comparator="skew_comparator", label="'train'")
    if previous_dir is not None:
        for split in statistics_gen.load(previous_dir).datasets:
            if split.name in by_split:
                label = f"that of {previous_dir}"
                _compare(findings, schema, split, by_split[split.name], comparator="drift_comparator", label=label)
            else:
                text = f"in {previous_dir} only."
                findings.add(split.name, "clips", "missing split", text, reason=Info.NO_DATA_IN_SPAN)
    if write:
        artifacts.write_proto(folder / artifacts.ANOMALIES, findings.anomalies)
    return Validation(findings.anomalies, findings.lines)
