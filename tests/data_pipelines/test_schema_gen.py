"""SchemaGen: what the two schemas say, and that edited ones are kept."""

import pytest
import tiny_data
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from data_pipelines import artifacts, example_validator, schema_gen, statistics_gen


@pytest.fixture
def folder(tmp_path):
    return tiny_data.build(tmp_path, {"train": tiny_data.clips("a", 3), "test": tiny_data.clips("b", 2, frames=9)})


def named(schema):
    return {feature.name: feature for feature in schema.feature}


def test_records(folder):
    schema = schema_gen.run(folder).records
    assert artifacts.read_proto(folder / "schema" / "schema.pbtxt", schema_pb2.Schema) == schema
    features = named(schema)
    chunks = features["frame_chunks"]
    assert chunks.type == schema_pb2.BYTES and chunks.value_count.min == 1 and not chunks.HasField("shape")
    shapes = {name: [dim.size for dim in feature.shape.dim] for name, feature in features.items() if feature.HasField("shape")}
    assert shapes == {
        name: [2] if name == "digit_ids" else [1]
        for name in ("clip_id", "digit_ids", "first_frame", "group", "label", "num_frames", "source")
    }
    assert features["actions"].value_count.min == 16  # 8 frames
    assert list(schema.string_domain[0].value) == ["label0", "label1"] and features["label"].domain == "label"
    assert features["num_frames"].int_domain.min == 8 and features["collisions"].int_domain.max == 1
    serving = {name for name, feature in features.items() if "SERVING" not in feature.not_in_environment}
    assert serving == {"frame_chunks", "num_frames"} and list(schema.default_environment) == ["TRAINING", "SERVING"]


def test_what_tfdv_refuses_is_not_there(folder):
    for schema in schema_gen.run(folder):
        for feature in schema.feature:
            assert not feature.HasField("unique_constraints")
            assert feature.type == schema_pb2.FLOAT or not feature.HasField("float_domain"), feature.name
            assert feature.type == schema_pb2.INT or not feature.HasField("int_domain"), feature.name
            assert feature.presence.min_count == 1


def test_measurements_are_apart(folder):
    schemas = schema_gen.run(folder)
    records, measured = (set(named(schema)) for schema in schemas)
    assert not records & measured and {"length", "motion_energy", "pixels/channel_0", "still_share"} <= measured
    features = named(schemas.measurements)
    assert features["length"].int_domain.min == 8 and features["frame_width"].int_domain.max == 8
    assert features["brightness"].skew_comparator.jensen_shannon_divergence.threshold == schema_gen.SKEW_THRESHOLD
    assert features["black_share"].float_domain.max == pytest.approx(0.01)


def test_edited_schema_is_kept(folder):
    schemas = schema_gen.run(folder)
    named(schemas.records)["num_frames"].int_domain.min = 9
    artifacts.write_proto(artifacts.records(folder).schema, schemas.records)
    assert schema_gen.run(folder) == schemas
    assert "value too small: train: num_frames" in example_validator.run(folder).lines[0]
    assert schema_gen.run(folder, overwrite=True) != schemas
    assert example_validator.run(folder).ok
    artifacts.records(folder).schema.write_text("feature { nam")
    with pytest.raises(ValueError, match="schema.pbtxt is not a Schema"):
        schema_gen.run(folder)


def test_nothing_to_infer_from():
    empty = statistics_pb2.DatasetFeatureStatisticsList()
    with pytest.raises(ValueError, match="at least one split"):
        schema_gen.infer(statistics_gen.Statistics(empty, empty), {})
    empty.datasets.add(name="train")
    with pytest.raises(ValueError, match="all splits are empty"):
        schema_gen.infer(statistics_gen.Statistics(empty, empty), {})
