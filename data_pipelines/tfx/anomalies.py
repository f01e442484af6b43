"""Anomalies as artifacts, and whether they stop the pipeline. Needs no TFX."""

import os
import pathlib
import tempfile
from typing import NamedTuple

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from data_pipelines import artifacts, catalogue, example_validator, schema_gen, statistics_gen
from data_pipelines.tfx import examples

LINES, SCHEMA = "anomalies.txt", "schema.pbtxt"
MAX_LINES = 20
_Info = anomalies_pb2.AnomalyInfo


class AnomaliesError(ValueError):
    """The data have anomalies: nothing is trained on them."""


class Places(NamedTuple):
    """Folders of artifacts, for what is measured in the videos."""

    statistics: str
    schema: str
    anomalies: str


def judge(uri: str | os.PathLike, places: Places, measurements_schema: str = "") -> list[str]:
    """What TFX's own components do not know of an Examples artifact: statistics, schema and anomalies of what is measured in its
    videos, repeated names and leakage. Written as `Split-*/FeatureStats.pb`, `schema.pbtxt`, `Split-*/SchemaDiff.pb`.

    Returns the lines of the anomalies, one each. Raises `ValueError` for an artifact or a schema that cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = examples.shadow(uri, folder)
        statistics = statistics_gen.run(data)
        inferred = schema_gen.infer(statistics, catalogue.open_builder(data).info.features)
        if measurements_schema:
            given = artifacts.read_proto(measurements_schema, schema_pb2.Schema)
            inferred = inferred._replace(measurements=given)
        found = example_validator.run(data, schema=inferred)
    _write(places, statistics, inferred.measurements, found)
    return found.lines


def _write(places: Places, statistics, schema, found: example_validator.Validation) -> None:
    for split in statistics.measurements.datasets:
        table = type(statistics.measurements)(datasets=[split])
        artifacts.write_proto(pathlib.Path(places.statistics) / f"Split-{split.name}" / "FeatureStats.pb", table)
    artifacts.write_proto(pathlib.Path(places.schema) / SCHEMA, schema)
    for split, anomalies in found.measurements.items():
        both = anomalies_pb2.Anomalies.FromString(anomalies.SerializeToString())
        for feature, info in found.records.get(split, anomalies_pb2.Anomalies()).anomaly_info.items():
            if feature not in both.anomaly_info:
                both.anomaly_info[feature].CopyFrom(info)
        artifacts.write_proto(pathlib.Path(places.anomalies) / f"Split-{split}" / "SchemaDiff.pb", both)
    (pathlib.Path(places.anomalies) / LINES).write_text("".join(f"{line}\n" for line in found.lines), encoding="utf-8")


def lines(uri: str | os.PathLike) -> list[str]:
    """The anomalies of an ExampleAnomalies artifact, ours or of TFX's ExampleValidator, one a line, errors first."""
    found = []
    for path in sorted(pathlib.Path(uri).glob("Split-*/SchemaDiff.pb")):
        split, anomalies = path.parent.name.removeprefix("Split-"), artifacts.read_proto(path, anomalies_pb2.Anomalies)
        infos = list(anomalies.anomaly_info.items())
        if anomalies.HasField("dataset_anomaly_info"):
            infos.append(("the split", anomalies.dataset_anomaly_info))
        for feature, info in infos:
            found.append(f"{_Info.Severity.Name(info.severity)} {info.short_description}: {split}: {feature}: {info.description}")
    return sorted(found, key=lambda line: not line.startswith("ERROR"))


def require_none(uris: list[str], stop_on: str) -> list[str]:
    """Raises `AnomaliesError` that lists them where an anomaly is as severe as `stop_on` ("warning" or "error"). Returns the
    lines of those that are not."""
    found = list(dict.fromkeys(line for uri in uris for line in lines(uri)))
    stopping = [line for line in found if stop_on == "warning" or not line.startswith("WARNING")]
    if stopping:
        more = f"\n  and {len(stopping) - MAX_LINES} more" if len(stopping) > MAX_LINES else ""
        listing = "\n  ".join(stopping[:MAX_LINES])
        raise AnomaliesError(f"{len(stopping)} anomalies; nothing is trained on these data:\n  {listing}{more}")
    return found


def require_splits(splits: list[str], wanted: list[str]) -> None:
    """Raises `AnomaliesError` where a split that training or evaluation reads has no clip."""
    absent = [split for split in wanted if split not in splits]
    if absent:
        there = ", ".join(splits)
        raise AnomaliesError(f"Training and evaluation need the splits {', '.join(wanted)}; the source gives {there}.")

