"""ExampleValidator: statistics against schema, split against split, version against version -> anomalies.

Errors: a feature that is missing, new, of another type, size or outside its domain; repeated names of clips; **leakage**
(`leakage`). Warnings: clips that repeat within a split, and distributions that differ between splits (skew) or from another
version (drift). Both tables are checked, that of the records and that of the measurements, each by its own schema; the anomalies
are tensorflow_metadata `Anomalies`, one a table and split, keyed by feature (places: `artifacts`).
"""

from typing import NamedTuple

import numpy as np
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from data_pipelines import artifacts, catalogue, divergence, identities, leakage, schema_gen, statistics_gen

Info = anomalies_pb2.AnomalyInfo
_KINDS = {schema_pb2.BYTES: "string", schema_pb2.INT: "integer", schema_pb2.FLOAT: "float"}
_TYPES = {
    statistics_pb2.FeatureNameStatistics.STRING: schema_pb2.BYTES,
    statistics_pb2.FeatureNameStatistics.INT: schema_pb2.INT,
    statistics_pb2.FeatureNameStatistics.FLOAT: schema_pb2.FLOAT,
}
_MAX_NAMED = 5


class Validation(NamedTuple):
    """What was found; `ok` when nothing was."""

    records: dict[str, anomalies_pb2.Anomalies]  # by split
    measurements: dict[str, anomalies_pb2.Anomalies]
    lines: list[str]  # "ERROR kind: ..." or "WARNING kind: ...", errors first

    @property
    def ok(self) -> bool:
        return not self.lines


class _Findings:
    """The anomalies of one table, and the lines that tell them."""

    def __init__(self, schema: schema_pb2.Schema, lines: list[str]):
        self.schema, self.by_split, self._lines = schema, {}, lines

    def of(self, split: str) -> anomalies_pb2.Anomalies:
        if split not in self.by_split:
            kind = anomalies_pb2.Anomalies.SERIALIZED_PATH
            self.by_split[split] = anomalies_pb2.Anomalies(baseline=self.schema, anomaly_name_format=kind)
        return self.by_split[split]

    def add(self, splits: str | list[str], feature: str, kind: str, text: str, *, reason: int, severity=Info.ERROR) -> None:
        """One line, and an anomaly in each of `splits`."""
        splits = [splits] if isinstance(splits, str) else splits
        for split in splits:
            info = self.of(split).anomaly_info[feature]
            info.path.step[:] = [feature]
            _describe(info, kind, text, reason, severity)
        self._lines.append(f"{Info.Severity.Name(severity)} {kind}: {', '.join(splits)}: {feature}: {text}")

    def add_to_split(self, split: str, kind: str, text: str, *, reason: int) -> None:
        """Of the split as a whole."""
        _describe(self.of(split).dataset_anomaly_info, kind, text, reason, Info.ERROR)
        self._lines.append(f"ERROR {kind}: {split}: {text}")

    def measure(self, split: str, feature: str, field: str, kind: int, value: float, threshold: float) -> None:
        anomalies = self.of(split)
        entry = next((entry for entry in anomalies.drift_skew_info if entry.path.step[0] == feature), None)
        if entry is None:
            entry = anomalies.drift_skew_info.add()
            entry.path.step.append(feature)
        getattr(entry, field).add(type=kind, value=value, threshold=threshold)


def _describe(info: Info, kind: str, text: str, reason: int, severity: int) -> None:
    info.severity = max(info.severity, severity)
    info.reason.add(type=reason, short_description=kind, description=text)
    info.short_description = kind if len(info.reason) == 1 else "Multiple reasons"
    info.description = " ".join(entry.description for entry in info.reason)


def _by_name(split: statistics_pb2.DatasetFeatureStatistics) -> dict:
    return {feature.path.step[0]: feature for feature in split.features}


def _check_schema(findings: _Findings, split: statistics_pb2.DatasetFeatureStatistics) -> None:
    schema, features = findings.schema, _by_name(split)
    findings.of(split.name)
    least = schema.dataset_constraints.min_examples_count
    if split.num_examples < least:
        text = f"{split.num_examples} clips; at least {least} expected."
        findings.add_to_split(split.name, "too few clips", text, reason=Info.DATASET_LOW_NUM_EXAMPLES)
    expected = {feature.name: feature for feature in schema.feature}
    for feature in sorted(set(features) - set(expected)):
        findings.add(split.name, feature, "new feature", "not in the schema.", reason=Info.SCHEMA_NEW_COLUMN)
    domains = {domain.name: set(domain.value) for domain in schema.string_domain}
    for name, wanted in expected.items():
        if wanted.lifecycle_stage == schema_pb2.DEPRECATED or not split.num_examples:
            continue
        seen = features.get(name)
        if seen is None:
            if wanted.presence.min_count > 0:
                findings.add(split.name, name, "missing feature", "in the schema only.", reason=Info.SCHEMA_MISSING_COLUMN)
        elif _TYPES.get(seen.type) != wanted.type:
            text = f"{_KINDS.get(_TYPES.get(seen.type), 'other')} values; {_KINDS.get(wanted.type, 'other')} expected."
            findings.add(split.name, name, "wrong type", text, reason=Info.UNEXPECTED_DATA_TYPE)
        else:
            _check_size(findings, split, seen, wanted)
            if wanted.type == schema_pb2.BYTES:
                _check_strings(findings, split.name, seen, wanted, domains)
            else:
                _check_numbers(findings, split.name, seen.num_stats, wanted)


def _check_size(findings, split, seen, wanted) -> None:
    common = seen.string_stats.common_stats if wanted.type == schema_pb2.BYTES else seen.num_stats.common_stats
    low, high, there = common.min_num_values, common.max_num_values, common.num_non_missing
    if there < wanted.presence.min_count or there < wanted.presence.min_fraction * split.num_examples:
        text = f"in {there} of {split.num_examples} clips; more expected."
        findings.add(split.name, wanted.name, "missing in clips", text, reason=Info.FEATURE_TYPE_LOW_FRACTION_PRESENT)
    if not there:
        return
    if wanted.HasField("shape"):
        size = int(np.prod([dim.size for dim in wanted.shape.dim], dtype=np.int64))
        if (low, high) != (size, size):
            text = f"{low} to {high} values a clip; the shape has {size}."
            findings.add(split.name, wanted.name, "wrong shape", text, reason=Info.INVALID_FEATURE_SHAPE)
    if wanted.HasField("value_count"):
        if low < wanted.value_count.min:
            text = f"{low} values in a clip; at least {wanted.value_count.min} expected."
            findings.add(split.name, wanted.name, "too few values", text, reason=Info.FEATURE_TYPE_LOW_NUMBER_VALUES)
        if 0 < wanted.value_count.max < high:
            text = f"{high} values in a clip; at most {wanted.value_count.max} expected."
            findings.add(split.name, wanted.name, "too many values", text, reason=Info.FEATURE_TYPE_HIGH_NUMBER_VALUES)


def _check_strings(findings, split, seen, wanted, domains) -> None:
    if wanted.domain:
        strings = seen.string_stats
        labels = {bucket.label for bucket in strings.rank_histogram.buckets} or {entry.value for entry in strings.top_values}
        unknown = sorted(labels - domains.get(wanted.domain, set()))
        if unknown:
            text = f"values outside the vocabulary: {', '.join(map(repr, unknown[:_MAX_NAMED]))} ({len(unknown)} in all)."
            findings.add(split, wanted.name, "unknown values", text, reason=Info.ENUM_TYPE_UNEXPECTED_STRING_VALUES)


def _check_numbers(findings, split, stats, wanted) -> None:
    nan = max((histogram.num_nan for histogram in stats.histograms), default=0)
    if wanted.float_domain.disallow_nan and nan:
        findings.add(split, wanted.name, "NaN", f"{nan:g} values are not numbers.", reason=Info.FLOAT_TYPE_HAS_NAN)
    if wanted.float_domain.disallow_inf and not np.isfinite([stats.min, stats.max]).all():
        findings.add(split, wanted.name, "infinite", "some values are infinite.", reason=Info.FLOAT_TYPE_HAS_INF)
    if not stats.histograms:  # no value
        return
    is_share = wanted.name in schema_gen.MAX_SHARES
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
        # The proto keeps a float's bound in 32 bits.
        if domain.HasField("max") and (np.float32(stats.max) if field == "float_domain" else stats.max) > domain.max:
            if is_share:
                text = f"{stats.max:.1%} of the clips; at most {domain.max:.1%} expected."
            else:
                text = f"{stats.max:g} is above the greatest allowed value, {domain.max:g}."
            findings.add(split, wanted.name, "too many clips" if is_share else "value too large", text, reason=big)


def _distance(wanted, comparator: str, first, second) -> tuple[int, str, float, float] | None:
    """(kind, its name, value, threshold) of what the comparator compares; None where one of the two has no values."""
    compared, kinds = getattr(wanted, comparator), anomalies_pb2.DriftSkewInfo.Measurement
    if compared.HasField("infinity_norm") and first.HasField("string_stats"):
        value = divergence.l_infinity(first.string_stats.rank_histogram, second.string_stats.rank_histogram)
        return kinds.L_INFTY, "L-infinity distance", value, compared.infinity_norm.threshold
    stats = first.num_stats, second.num_stats
    if compared.HasField("jensen_shannon_divergence") and all(entry.histograms for entry in stats):
        totals = [max(entry.common_stats.tot_num_values, 1) for entry in stats]
        value = divergence.jensen_shannon(stats[0].histograms[0], stats[1].histograms[0], *totals)
        threshold = compared.jensen_shannon_divergence.threshold
        return kinds.JENSEN_SHANNON_DIVERGENCE, "Jensen-Shannon divergence in bits", value, threshold
    return None


def _compare(findings, first, second, *, comparator: str, label: str) -> None:
    """Distributions of `second` against those of `first`, a split of the same or of another version."""
    features_a, features_b = _by_name(first), _by_name(second)
    for wanted in findings.schema.feature:
        if not wanted.HasField(comparator) or wanted.name not in features_a or wanted.name not in features_b:
            continue
        found = _distance(wanted, comparator, features_a[wanted.name], features_b[wanted.name])
        if found is None:
            continue
        kind, what, value, threshold = found
        skew = comparator == "skew_comparator"
        field = "skew_measurements" if skew else "drift_measurements"
        findings.measure(second.name, wanted.name, field, kind, value, threshold)
        if value > threshold:
            text = f"differs from {label}: {what} {value:.3f}; at most {threshold:g} expected."
            strings = kind == anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY
            reason = Info.COMPARATOR_L_INFTY_HIGH if strings else Info.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH
            name = "skew" if skew else "drift"
            findings.add(second.name, wanted.name, name, text, reason=reason, severity=Info.WARNING)


def _check_clips(records: _Findings, measured: _Findings, builder, known: dict[str, np.ndarray]) -> None:
    """Leakage between splits, and names and pixels that repeat in one."""
    for shared in leakage.between_splits(builder, known):
        measured.add([shared.first, shared.second], shared.field, "leakage", shared.text, reason=Info.CUSTOM_VALIDATION)
    for split, clips in known.items():
        if names := leakage.repeated_names(clips):
            text = f"{names} of {len(clips)} clips have the name of another one; each must have its own."
            records.add(split, "clip_id", "repeated names", text, reason=Info.FEATURE_TYPE_LOW_UNIQUE)
        if pixels := len(clips) - len(np.unique(identities.keys(clips, "content"))):
            text = f"{pixels} of {len(clips)} clips repeat the pixels of another clip."
            reason, severity = Info.CUSTOM_VALIDATION, Info.WARNING
            measured.add(split, "duplicate_share", "duplicates", text, reason=reason, severity=severity)


def run(builder_dir, *, schema: schema_gen.Schemas | None = None, previous_dir=None, write: bool = True) -> Validation:
    """Validates a prepared data set.

    Args:
      builder_dir: its folder, DATA_DIR/name/config/version.
      schema: what to validate against; None: those beside the data, inferred first if absent. To hold a new version to an
        older one's standard, pass that one's schemas.
      previous_dir: folder of another version, whose statistics drift is measured from.
      write: also write the anomalies beside the data.

    Raises: ValueError for a folder without a data set, or malformed artifacts beside it.
    """
    folder = artifacts.require_data_set(builder_dir)
    statistics = statistics_gen.load(folder)
    schemas = schema_gen.run(folder, statistics=statistics, write=write) if schema is None else schema
    before = None if previous_dir is None else statistics_gen.load(previous_dir)
    lines: list[str] = []
    tables = [_Findings(part, lines) for part in schemas]
    for number, (findings, table) in enumerate(zip(tables, statistics, strict=True)):
        for split in table.datasets:
            _check_schema(findings, split)
        _compare_splits(findings, table, None if before is None else before[number], previous_dir)
    known = {split.name: identities.load(folder, split.name, split.num_examples) for split in statistics.records.datasets}
    _check_clips(*tables, catalogue.open_builder(folder), known)
    if before is not None:
        for split in sorted({split.name for split in before.records.datasets} - set(known)):
            tables[0].add_to_split(split, "missing split", f"in {previous_dir} only.", reason=Info.NO_DATA_IN_SPAN)
    if write:
        for findings, place in zip(tables, (artifacts.records(folder), artifacts.measurements(folder)), strict=True):
            for split, anomalies in findings.by_split.items():
                artifacts.write_proto(place.anomalies(split), anomalies)
    lines.sort(key=lambda line: not line.startswith("ERROR"))
    return Validation(tables[0].by_split, tables[1].by_split, lines)


def _compare_splits(findings: _Findings, table, before, previous_dir) -> None:
    by_name = {split.name: split for split in table.datasets}
    for name, split in by_name.items():
        if name != "train" and "train" in by_name:
            _compare(findings, by_name["train"], split, comparator="skew_comparator", label="'train'")
    for split in before.datasets if before is not None else ():
        if split.name in by_name:
            label = f"that of {previous_dir}"
            _compare(findings, split, by_name[split.name], comparator="drift_comparator", label=label)
