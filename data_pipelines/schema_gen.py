"""SchemaGen: statistics -> two schemas that a person may then edit.

Both are tensorflow_metadata `Schema`s, inferred from the statistics of *all* splits (places: `artifacts`).

* That of the *records* is what parses and validates them: type, presence, shape or number of values, and domain of each feature,
  `frame_chunks` included. TFX and TFDV take it as it is. Only the frames are wanted in the environment SERVING.
* That of the *measurements* bounds what the videos look like, and by how much the distribution of a measurement may differ
  between splits (`skew_comparator`) and between versions (`drift_comparator`): Jensen-Shannon divergence in bits, 0 for equal, 1
  for disjoint histograms.

An existing schema is kept, because it may have been edited, unless told otherwise.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from data_pipelines import artifacts, catalogue, checks, clip_storage, identities, statistics_gen

SKEW_THRESHOLD, DRIFT_THRESHOLD = 0.15, 0.1
MAX_VOCABULARY = 50
"""Largest number of distinct strings that become a closed domain (such as KTH's actions)."""
MAX_SHARES = {"still_share": 0.5, "black_share": 0.01, "duplicate_share": 1.0}
"""Of the clips of a split, unless the data show more; repeated clips are told however few."""
TRAINING, SERVING = "TRAINING", "SERVING"
_COMPARED = ("length", "motion_energy", "brightness", "pixels/")
_Kind = statistics_pb2.FeatureNameStatistics
_TYPES = {_Kind.STRING: schema_pb2.BYTES, _Kind.INT: schema_pb2.INT, _Kind.FLOAT: schema_pb2.FLOAT}


class Schemas(NamedTuple):
    """Of the records' own features, and of the measurements."""

    records: schema_pb2.Schema
    measurements: schema_pb2.Schema


def infer(statistics: statistics_gen.Statistics, features: tfds.features.FeaturesDict) -> Schemas:
    """The schemas that `statistics` fulfil, from all of their splits.

    Args:
      features: those of the data set, for the shapes of what its records hold.
    Raises: ValueError where the statistics have no split, or none with a clip.
    """
    checks.require(len(statistics.records.datasets) > 0, "A schema needs statistics of at least one split, got none.")
    filled = any(split.num_examples for split in statistics.records.datasets)
    checks.require(filled, "A schema needs statistics of at least one clip; all splits are empty.")
    return Schemas(_of_records(statistics.records, features), _of_measurements(statistics.measurements))


def _by_feature(table) -> dict[str, list]:
    """Statistics of each feature, of the splits that have it."""
    found: dict[str, list] = {}
    for split in table.datasets:
        for feature in split.features:
            found.setdefault(feature.path.step[0], []).append(feature)
    return found


def _empty() -> schema_pb2.Schema:
    schema = schema_pb2.Schema()
    schema.dataset_constraints.min_examples_count = 1
    return schema


def _of_records(table, features: tfds.features.FeaturesDict) -> schema_pb2.Schema:
    schema = _empty()
    schema.default_environment.extend([TRAINING, SERVING])
    for name, seen in _by_feature(table).items():
        feature = schema.feature.add(name=name, type=_TYPES[seen[0].type])
        feature.presence.min_count = 1
        if not any(_common(entry).num_missing for entry in seen):
            feature.presence.min_fraction = 1.0
        _set_size(feature, seen, features)
        _set_domain(schema, feature, seen, features)
        if name not in (clip_storage.STORED, "num_frames"):
            feature.not_in_environment.append(SERVING)
    return schema


def _common(feature):
    return feature.string_stats.common_stats if feature.HasField("string_stats") else feature.num_stats.common_stats


def _set_size(feature, seen, features) -> None:
    """A shape where it is the same for clips of any length, else the least number of values."""
    low = min(_common(entry).min_num_values for entry in seen)
    high = max(_common(entry).max_num_values for entry in seen)
    shape = features[feature.name].shape if feature.name in features else (low,)
    if None in shape or low != high or not low or feature.presence.min_fraction < 1:
        feature.value_count.min = 1 if feature.name == clip_storage.STORED else low
        return
    for size in shape if math.prod(shape) == low and shape else (low,):
        feature.shape.dim.add(size=size)


def _set_domain(schema, feature, seen, features) -> None:
    if feature.type == schema_pb2.BYTES:
        _set_vocabulary(schema, feature, seen)
    elif feature.type == schema_pb2.FLOAT:
        feature.float_domain.disallow_nan = feature.float_domain.disallow_inf = True
    elif feature.name == "num_frames":
        feature.int_domain.min = int(min(entry.num_stats.min for entry in seen))
    elif feature.name == "first_frame":
        feature.int_domain.min = 0
    elif feature.name in features and np.issubdtype(features[feature.name].np_dtype, np.bool_):
        feature.int_domain.min, feature.int_domain.max = 0, 1


def _set_vocabulary(schema, feature, seen) -> None:
    if feature.name in (*identities.NAMES, clip_storage.STORED) or any(entry.string_stats.invalid_utf8_count for entry in seen):
        return
    vocabulary = {bucket.label for entry in seen for bucket in entry.string_stats.rank_histogram.buckets}
    if vocabulary and max(entry.string_stats.unique for entry in seen) <= MAX_VOCABULARY:
        feature.domain = feature.name
        schema.string_domain.add(name=feature.name, value=sorted(vocabulary))


def _of_measurements(table) -> schema_pb2.Schema:
    schema = _empty()
    for name, seen in _by_feature(table).items():
        feature = schema.feature.add(name=name, type=_TYPES[seen[0].type])
        feature.presence.min_count = 1
        stats = [entry.num_stats for entry in seen if entry.num_stats.common_stats.tot_num_values]
        low, high = min(entry.min for entry in stats), max(entry.max for entry in stats)
        if name in MAX_SHARES:
            feature.float_domain.min, feature.float_domain.max = 0.0, max(MAX_SHARES[name], high)
            continue
        feature.presence.min_fraction = 1.0
        if name.startswith("pixels/"):
            feature.int_domain.min, feature.int_domain.max = 0, 255
        elif name == "length":
            feature.int_domain.min = int(low)
        elif name.startswith("frame_"):
            feature.int_domain.min, feature.int_domain.max = int(low), int(high)
        else:
            feature.float_domain.min, feature.float_domain.max = 0.0, 1.0
            feature.float_domain.disallow_nan = True
        if name.startswith(_COMPARED):
            feature.skew_comparator.jensen_shannon_divergence.threshold = SKEW_THRESHOLD
            feature.drift_comparator.jensen_shannon_divergence.threshold = DRIFT_THRESHOLD
    return schema


def run(
    builder_dir, *, statistics: statistics_gen.Statistics | None = None, write: bool = True, overwrite: bool = False
) -> Schemas:
    """The schemas of a prepared data set: those beside it, else inferred from its statistics (made first if absent).

    Args:
      builder_dir: its folder, DATA_DIR/name/config/version.
      statistics: as `statistics_gen.run` returned them; None: those beside the data.
      write: also write the inferred ones there.
      overwrite: infer anew where a schema exists.

    Raises: ValueError for a folder without a data set, or a malformed schema or statistics file.
    """
    places = artifacts.records(builder_dir), artifacts.measurements(builder_dir)
    missing = [overwrite or not place.schema.is_file() for place in places]
    inferred = None
    if any(missing):
        statistics = statistics_gen.load(builder_dir) if statistics is None else statistics
        inferred = infer(statistics, catalogue.open_builder(builder_dir).info.features)
    found = []
    for number, (place, absent) in enumerate(zip(places, missing, strict=True)):
        schema = inferred[number] if absent else artifacts.read_proto(place.schema, schema_pb2.Schema)
        if absent and write:
            artifacts.write_proto(place.schema, schema)
        found.append(schema)
    return Schemas(*found)
