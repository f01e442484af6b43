"""Our Examples artifact, what is judged in it, and the gate."""

import os
import pathlib

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

import data_pipelines
from data_pipelines import artifacts, catalogue
from data_pipelines.tfx import anomalies, examples, fingerprint
from tests.data_pipelines import tiny_data

Info = anomalies_pb2.AnomalyInfo


def artifact(folder, jobs):
    """An Examples artifact of a tiny data set."""

    class Given:
        def made(self, source, data_dir):
            tiny_data.Tiny.jobs, tiny_data.Tiny.channels = jobs, 1
            return tiny_data.Tiny(data_dir=data_dir)

    (folder / "source").mkdir(parents=True)
    splits = examples.write(folder / "examples", Given(), os.fspath(folder / "source"), fingerprint.Hashes())
    return folder / "examples", splits


def places(folder):
    for name in ("statistics", "schema", "anomalies"):
        (folder / name).mkdir(parents=True)
    return anomalies.Places(*(os.fspath(folder / name) for name in ("statistics", "schema", "anomalies")))


def test_training_and_tfx_find_the_same_records(tmp_path):
    uri, splits = artifact(tmp_path, {"train": tiny_data.clips("a", 6), "test": tiny_data.clips("b", 3, first=50)})
    assert set(splits) == {"train", "test"}
    found = examples.data_set(uri)
    batches = data_pipelines.load(found.name, "train", seq_len=4, batch_size=6, data_dir=examples.data_dir(uri))
    assert next(iter(batches))["frames"].shape == (6, 4, 8, 8, 1)
    for split in splits:
        (record,) = examples.split_folder(uri, split).iterdir()
        (shard,) = catalogue.shards(catalogue.open_builder(found.path), split)
        assert record.read_bytes() == pathlib.Path(shard).read_bytes()
    with pytest.raises(ValueError, match="must hold one data set"):
        examples.data_set(tmp_path)
    with pytest.raises(ValueError, match="no list of clips"):
        examples.clips(tmp_path)


def test_leakage_is_an_anomaly_of_the_artifact_which_stays_as_it_is(tmp_path):
    train, test = tiny_data.clips("a", 8), tiny_data.clips("b", 4, first=100)
    test[1] = ("b1", train[3][1].copy(), {})
    uri, _ = artifact(tmp_path, {"train": train, "test": test})
    before = sorted(path.relative_to(uri) for path in uri.rglob("*"))
    found = places(tmp_path)
    lines = anomalies.judge(uri, found)
    assert sorted(path.relative_to(uri) for path in uri.rglob("*")) == before
    assert [line for line in lines if "leakage" in line and "'a3' = 'b1'" in line]
    kind = statistics_pb2.DatasetFeatureStatisticsList
    table = artifacts.read_proto(tmp_path / "statistics" / "Split-train" / "FeatureStats.pb", kind)
    assert {"length", "motion_energy", "brightness"} <= {f.path.step[0] for f in table.datasets[0].features}
    assert anomalies.lines(found.anomalies)[0].startswith("ERROR leakage: test: content: ")
    with pytest.raises(anomalies.AnomaliesError, match="2 anomalies; nothing is trained(.|\n)*leakage"):
        anomalies.require_none([found.anomalies], "error")


def test_a_curated_schema_of_the_measurements(tmp_path):
    uri, _ = artifact(tmp_path, {"train": tiny_data.clips("a", 8), "test": tiny_data.clips("b", 4, first=100)})
    found = places(tmp_path)
    assert anomalies.judge(uri, found) == [] and anomalies.require_none([found.anomalies], "warning") == []
    path = tmp_path / "schema" / "schema.pbtxt"
    schema = text_format.Parse(path.read_text(), schema_pb2.Schema())
    next(f for f in schema.feature if f.name == "length").int_domain.min = 9
    curated = tmp_path / "curated.pbtxt"
    curated.write_text(text_format.MessageToString(schema))
    lines = anomalies.judge(uri, places(tmp_path / "again"), os.fspath(curated))
    assert any("value too small: train: length" in line for line in lines)
    with pytest.raises(ValueError, match="no proto.pbtxt|There is no"):
        anomalies.judge(uri, places(tmp_path / "third"), os.fspath(tmp_path / "proto.pbtxt"))


def test_the_gate_stops_on_what_it_was_told(tmp_path):
    written = anomalies_pb2.Anomalies()
    info = written.anomaly_info["label"]
    info.severity, info.short_description, info.description = Info.WARNING, "skew", "differs"
    artifacts.write_proto(tmp_path / "Split-test" / "SchemaDiff.pb", written)
    assert anomalies.require_none([tmp_path], "error") == ["WARNING skew: test: label: differs"]
    with pytest.raises(anomalies.AnomaliesError, match="1 anomalies"):
        anomalies.require_none([tmp_path], "warning")
    info.severity = Info.ERROR
    written.dataset_anomaly_info.severity = Info.ERROR
    artifacts.write_proto(tmp_path / "Split-test" / "SchemaDiff.pb", written)
    with pytest.raises(anomalies.AnomaliesError, match="2 anomalies(.|\n)*the split"):
        anomalies.require_none([tmp_path], "error")


def test_splits_that_training_and_evaluation_read():
    anomalies.require_splits(["train", "test"], ["train", "test"])
    with pytest.raises(anomalies.AnomaliesError, match="need the splits train, test; the source gives test"):
        anomalies.require_splits(["test"], ["train", "test"])
