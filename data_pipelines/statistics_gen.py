"""StatisticsGen: one streaming pass over a data set of clips -> statistics beside the data.

Two tables (places: `artifacts`), each a tensorflow_metadata `DatasetFeatureStatisticsList` with one entry a split:

* of the *records*: their own features, with what TFDV's `generate_statistics_from_tfrecord` computes of them;
* of the *measurements*: what the videos in them look like (`measurements`).

Memory: some frames, a bounded sketch a feature, and 40 bytes a clip (`identities`). TFDV itself does not install beside every
TensorFlow that this package runs on, hence this module on its protos.
"""

import json
from collections.abc import Callable
from typing import NamedTuple

from tensorflow_metadata.proto.v0 import statistics_pb2

from data_pipelines import accumulators, artifacts, catalogue, clip_records, clip_storage, identities
from data_pipelines.measurements import SHARES, Measurements

_KINDS = {
    "bytes_list": accumulators.Strings,
    "int64_list": lambda: accumulators.Numbers(accumulators.Kind.INT),
    "float_list": lambda: accumulators.Numbers(accumulators.Kind.FLOAT),
}
_List = statistics_pb2.DatasetFeatureStatisticsList


class Statistics(NamedTuple):
    """Of the records' own features, and of what was measured in their videos; the same splits in both."""

    records: statistics_pb2.DatasetFeatureStatisticsList
    measurements: statistics_pb2.DatasetFeatureStatisticsList


class _Records:
    """Accumulators of the records' own features."""

    def __init__(self):
        self._features: dict[str, accumulators.Strings | accumulators.Numbers] = {}
        self._kinds: dict[str, str] = {}
        self.num_records = 0

    def add(self, features, where: str) -> None:
        for name, feature in features.items():
            kind = feature.WhichOneof("kind")
            if kind is None:
                continue
            if self._kinds.setdefault(name, kind) != kind:
                raise ValueError(f"{where}: {name} is a {kind}; before it was a {self._kinds[name]}. Build the data set again.")
            if name not in self._features:
                self._features[name] = _KINDS[kind]()
            self._features[name].add(list(getattr(feature, kind).value))
        self.num_records += 1

    def statistics(self, split: str) -> statistics_pb2.DatasetFeatureStatistics:
        result = statistics_pb2.DatasetFeatureStatistics(name=split, num_examples=self.num_records)
        result.features.extend(self._features[name].feature(name, self.num_records) for name in sorted(self._features))
        return result


def _split(paths: list[str], shape, on_record: Callable[[int], None]) -> tuple[_Records, Measurements]:
    own, measured = _Records(), Measurements(shape[2])
    for record in clip_records.read(paths):
        names = {name: record.text(name) for name in identities.NAMES if name in record.features}
        measured.add(record.blocks(shape), record.num_frames, names)
        own.add(record.features, record.where)
        on_record(own.num_records)
    return own, measured


def run(builder_dir, *, write: bool = True, on_progress: Callable[[str, int, int], None] | None = None) -> Statistics:
    """Computes the statistics of a prepared data set.

    Args:
      builder_dir: its folder, DATA_DIR/name/config/version.
      write: also write them and `identities-SPLIT.npy` there.
      on_progress: called with (split, clips done, clips in all).

    Raises: ValueError where the folder holds no data set of clips, or a record is damaged.
    """
    folder = artifacts.require_data_set(builder_dir)
    builder = catalogue.open_builder(folder)
    shape = clip_storage.frame_shape(builder.info.features)
    result = Statistics(_List(), _List())
    known = {}
    for split, info in builder.info.splits.items():

        def tell(done, split=split, total=info.num_examples):
            if on_progress:
                on_progress(split, done, total)

        own, measured = _split(catalogue.shards(builder, split), shape, tell)
        if own.num_records != info.num_examples:
            raise ValueError(
                f"Split {split!r} of {folder} has {own.num_records} clips, its description says {info.num_examples}; "
                "build the data set again."
            )
        known[split] = measured.identities()
        result.records.datasets.append(own.statistics(split))
        result.measurements.datasets.append(measured.statistics(split))
    if write:
        for split, array in known.items():
            identities.save(folder, split, array)
        _write(folder, result)
    return result


def _write(folder, statistics: Statistics) -> None:
    """The records' last: where they are, the rest is."""
    for place, table in (
        (artifacts.measurements(folder), statistics.measurements),
        (artifacts.records(folder), statistics.records),
    ):
        for split in table.datasets:
            artifacts.write_proto(place.statistics(split.name), _List(datasets=[split]))


def load(builder_dir) -> Statistics:
    """The statistics beside the data, computed first where they are absent or older than the data set's description."""
    folder = artifacts.require_data_set(builder_dir)
    splits = list(catalogue.open_builder(folder).info.splits)
    places = artifacts.records(folder), artifacts.measurements(folder)
    since = (folder / "dataset_info.json").stat().st_mtime
    paths = [place.statistics(split) for place in places for split in splits]
    if any(not path.is_file() or path.stat().st_mtime < since for path in paths):
        return run(folder)
    tables = []
    for place in places:
        table = _List()
        for split in splits:
            table.datasets.extend(artifacts.read_proto(place.statistics(split), _List).datasets)
        if [split.name for split in table.datasets] != splits:
            raise ValueError(f"The statistics in {place.folder} are not those of {', '.join(splits)}. Make them again.")
        tables.append(table)
    return Statistics(*tables)


def describe(statistics: Statistics) -> list[str]:
    """Readable lines, one per split and feature."""
    lines = []
    for own, measured in zip(statistics.records.datasets, statistics.measurements.datasets, strict=True):
        lines.append(f"{own.name}: {own.num_examples} clips")
        for title, features in (("records", own.features), ("measured", measured.features)):
            lines.append(f"  {title}:")
            lines += [f"    {feature.path.step[0]}: {_line(feature)}" for feature in features]
    return lines


def _line(feature) -> str:
    if feature.path.step[0] in SHARES:
        return f"{feature.num_stats.mean:.1%} of the clips"
    text = feature.HasField("string_stats")
    common = feature.string_stats.common_stats if text else feature.num_stats.common_stats
    low, high = common.min_num_values, common.max_num_values
    values = "" if low == high == 1 else f"{low} values a clip; " if low == high else f"{low} to {high} values a clip; "
    missing = f"; missing in {common.num_missing}" if common.num_missing else ""
    if text:
        strings = feature.string_stats
        if strings.invalid_utf8_count:
            return f"{values}{strings.unique} distinct, {strings.avg_length:.0f} bytes on average{missing}"
        top = [entry.value for entry in strings.top_values[:3]]
        return f"{values}{strings.unique} distinct, e.g. {json.dumps(top, ensure_ascii=False)}{missing}"
    stats = feature.num_stats
    spread = f"mean {stats.mean:.6g}, sd {stats.std_dev:.6g}, median {stats.median:.6g}"
    return f"{values}{spread}, from {stats.min:.6g} to {stats.max:.6g}{missing}"
