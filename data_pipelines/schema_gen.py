"""SchemaGen: statistics -> a schema that a person may then edit.

`schema.pbtxt` is a tensorflow_metadata `Schema`: each feature's type and domain, as the statistics of *all* splits show
them, and by how much its distribution may differ between splits (`skew_comparator`) and between versions
(`drift_comparator`): Jensen-Shannon divergence in bits, 0 for equal, 1 for disjoint histograms. An existing schema is
kept, because it may have been edited, unless told otherwise.
"""

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from data_pipelines import artifacts, statistics_gen

SKEW_THRESHOLD, DRIFT_THRESHOLD = 0.15, 0.1
MAX_VOCABULARY = 50
"""Largest number of distinct strings that become a closed domain (such as KTH's actions)."""
MAX_BLACK_SHARE, MAX_STILL_SHARE = 0.01, 0.5
_COMPARED = ("num_frames", "motion_energy", "brightness", "pixels/")
MAX_SHARES = {"is_black": MAX_BLACK_SHARE, "is_still": MAX_STILL_SHARE}
"""The mean of a 0-or-1 feature is the share of such clips; its float domain in the schema bounds this mean."""
_Statistics = statistics_pb2.DatasetFeatureStatisticsList


def infer(statistics: _Statistics) -> schema_pb2.Schema:
    """The schema that `statistics` fulfils, from all of its splits.

    Frame sizes are fixed, frame counts have the least one seen as their minimum, pixels lie in 0 ... 255, the shares of
    black and still clips have ceilings (a float domain on the feature's mean: 1 % and 50 %, or what the data show),
    `clip_id` is unique.
    Raises: ValueError where the statistics have no split.
    """
    if not statistics.datasets:
        raise ValueError("A schema needs statistics of at least one split, got none.")
    features: dict[str, list] = {}
    for split in statistics.datasets:
        for feature in split.features:
            features.setdefault(feature.path.step[0], []).append(feature)
    schema = schema_pb2.Schema()
    schema.dataset_constraints.min_examples_count = 1
    for name, seen in features.items():
        feature = schema.feature.add(name=name)
        feature.presence.min_count = 1
        feature.presence.min_fraction = 1.0
        if seen[0].HasField("string_stats"):
            feature.type = schema_pb2.BYTES
            _string_domain(schema, feature, seen)
            continue
        feature.type = schema_pb2.INT if seen[0].type == statistics_pb2.FeatureNameStatistics.INT else schema_pb2.FLOAT
        low, high = min(entry.num_stats.min for entry in seen), max(entry.num_stats.max for entry in seen)
        if name.startswith("pixels/"):
            feature.int_domain.min, feature.int_domain.max = 0, 255
        elif name == "num_frames":
            feature.int_domain.min = int(low)
        elif name.startswith("frame_"):
            feature.int_domain.min, feature.int_domain.max = int(low), int(high)
        elif name in MAX_SHARES:
            share = max(entry.num_stats.mean for entry in seen)
            feature.float_domain.min, feature.float_domain.max = 0.0, max(MAX_SHARES[name], share)
        elif feature.type == schema_pb2.FLOAT:
            feature.float_domain.disallow_nan = True
        if name.startswith(_COMPARED):
            feature.skew_comparator.jensen_shannon_divergence.threshold = SKEW_THRESHOLD
            feature.drift_comparator.jensen_shannon_divergence.threshold = DRIFT_THRESHOLD
    return schema


def _string_domain(schema, feature, seen) -> None:
    if feature.name == "clip_id":
        feature.unique_constraints.min = 1
        return
    if feature.name in statistics_gen.NAMES:
        return
    vocabulary = {bucket.label for entry in seen for bucket in entry.string_stats.rank_histogram.buckets}
    if vocabulary and max(entry.string_stats.unique for entry in seen) <= MAX_VOCABULARY:
        feature.domain = feature.name
        schema.string_domain.add(name=feature.name, value=sorted(vocabulary))


def run(builder_dir, *, statistics: _Statistics | None = None, write: bool = True, overwrite: bool = False) -> schema_pb2.Schema:
    """The schema of a prepared data set: the one beside it, else inferred from its statistics (made first if absent).

    Args:
      builder_dir: its folder, DATA_DIR/name/config/version.
      statistics: as `statistics_gen.run` returned them; None: those beside the data.
      write: also write `schema.pbtxt` there.
      overwrite: infer anew where a schema exists.

    Raises: ValueError for a folder without a data set, or a malformed schema or statistics file.
    """
    folder = artifacts.require_data_set(builder_dir)
    path = folder / artifacts.SCHEMA
    if path.is_file() and not overwrite:
        return artifacts.read_proto(path, schema_pb2.Schema)
    schema = infer(statistics_gen.load(folder) if statistics is None else statistics)
    if write:
        artifacts.write_proto(path, schema)
    return schema
