"""Protos beside the data."""

import pytest
from tensorflow_metadata.proto.v0 import schema_pb2

from data_pipelines import artifacts


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "dataset_info.json").write_text("{}")
    return tmp_path


def test_places(folder):
    places = artifacts.records(folder), artifacts.measurements(folder)
    for place, root in zip(places, (folder, folder / "measurements"), strict=True):
        assert place.statistics("train") == root / "statistics" / "Split-train" / "FeatureStats.pb"
        assert place.anomalies("test") == root / "anomalies" / "Split-test" / "SchemaDiff.pb"
        assert place.schema == root / "schema" / "schema.pbtxt"
    with pytest.raises(ValueError, match="not the folder of a prepared data set"):
        artifacts.records(folder / "nowhere")


@pytest.mark.parametrize("name", ["new/a.pbtxt", "new/a.pb"])
def test_round_trip(folder, name):
    schema = schema_pb2.Schema()
    schema.feature.add(name="ü", type=schema_pb2.INT)
    artifacts.write_proto(folder / name, schema)
    assert artifacts.read_proto(folder / name, schema_pb2.Schema) == schema
    assert [path.name for path in (folder / "new").iterdir()] == [name[4:]]
    with pytest.raises(ValueError, match="There is no b.pb"):
        artifacts.read_proto(folder / "b.pb", schema_pb2.Schema)


@pytest.mark.parametrize(
    "name, content", [("a.pbtxt", b"feature { nam"), ("a.pbtxt", b"\xff"), ("a.pb", b"\xff"), ("a.pbtxt", b"no_field: 3")]
)
def test_malformed(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is not a Schema proto"):
        artifacts.read_proto(folder / name, schema_pb2.Schema)


def test_too_large(folder, monkeypatch):
    monkeypatch.setattr(artifacts, "MAX_TEXT_BYTES", 10)
    monkeypatch.setattr(artifacts, "MAX_BYTES", 20)
    for name, limit in (("a.pbtxt", 10), ("a.pb", 20)):
        (folder / name).write_bytes(b" " * 21)
        with pytest.raises(ValueError, match=f"has 21 bytes; a Schema of at most {limit}"):
            artifacts.read_proto(folder / name, schema_pb2.Schema)
