"""ExampleValidator: what it finds, and what it does not."""

import numpy as np
import pytest
import tiny_data
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tiny_data import build, clips, noise

from data_pipelines import artifacts, example_validator, identities, schema_gen

Info = anomalies_pb2.AnomalyInfo


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return build(tmp_path_factory.mktemp("clean"), {"train": clips("a", 12), "test": clips("b", 6, first=100)})


def test_clean_data_has_no_anomaly(clean):
    validation = example_validator.run(clean)
    assert validation.ok and validation.lines == []
    for root, schema in zip((clean, clean / "measurements"), schema_gen.run(clean), strict=True):
        for split in ("train", "test"):
            anomalies = artifacts.read_proto(root / f"anomalies/Split-{split}/SchemaDiff.pb", anomalies_pb2.Anomalies)
            assert not anomalies.anomaly_info and anomalies.baseline == schema


@pytest.mark.parametrize("field", ["group", "source", "content"])
def test_leakage_is_an_error_that_names_the_clip(tmp_path, field):
    train, test = clips("a", 10), clips("b", 4, first=100)
    if field == "content":
        test[2] = ("b2", train[5][1].copy(), {})
        expected = "'a5' = 'b2'"
    else:
        train[5] = (*train[5][:2], {field: "person21"})
        test[2] = (*test[2][:2], {field: "person21"})
        expected = "'person21'"
    directory = build(tmp_path, {"train": train, "test": test})
    validation = example_validator.run(directory)
    assert not validation.ok and len(validation.lines) == 1
    assert validation.lines[0].startswith("ERROR leakage: train, test") and expected in validation.lines[0]
    for split in ("train", "test"):
        assert validation.measurements[split].anomaly_info[field].severity == Info.ERROR
        path = artifacts.measurements(directory).anomalies(split)
        assert artifacts.read_proto(path, anomalies_pb2.Anomalies) == validation.measurements[split]


def test_duplicates_and_repeated_names(tmp_path):
    train = clips("a", 6)
    train.append(("a6", train[0][1], {"clip_id": "a1"}))
    lines = example_validator.run(build(tmp_path, {"train": train})).lines
    assert len(lines) == 2 and "1 of 7 clips repeat" in lines[1] and lines[1].startswith("WARNING duplicates")
    assert lines[0].startswith("ERROR repeated names: train: clip_id: 1 of 7 clips have the name of another one")


def test_skew_between_splits_and_drift_between_versions(tmp_path, clean):
    dark = build(tmp_path, {"train": clips("a", 12, high=60), "test": clips("b", 6, first=100)})
    lines = example_validator.run(dark).lines
    assert any(line.startswith("WARNING skew: test: pixels/channel_0") for line in lines)
    validation = example_validator.run(dark, previous_dir=clean)
    assert any(line.startswith("WARNING drift: train: pixels/channel_0") for line in validation.lines)
    assert not any("drift: test" in line for line in validation.lines)
    info = next(e for e in validation.measurements["train"].drift_skew_info if e.path.step[0] == "pixels/channel_0")
    assert info.drift_measurements[0].value > info.drift_measurements[0].threshold == schema_gen.DRIFT_THRESHOLD
    assert example_validator.run(clean, previous_dir=clean).ok
    alone = build(tmp_path / "alone", {"train": clips("a", 12)})
    assert any("missing split: test" in line for line in example_validator.run(alone, previous_dir=clean).lines)


def test_another_version_against_the_first_ones_schema(tmp_path, clean):
    """Frames of another kind, shorter clips, new labels, blank clips; then a schema that a person has edited."""
    schemas = schema_gen.Schemas(*(type(schema).FromString(schema.SerializeToString()) for schema in schema_gen.run(clean)))
    jobs = [("a0", noise(0, 3, 3), {}), ("a1", np.zeros((8, 8, 8, 3), np.uint8), {})]
    directory = build(tmp_path, {"train": jobs}, channels=3)

    def lines():
        return "\n".join(example_validator.run(directory, schema=schemas, write=False).lines)

    found = lines()
    assert "value too large: train: frame_channels: 3 is above the greatest allowed value, 1" in found
    assert "new feature: train: pixels/channel_1" in found
    assert "value too small: train: num_frames: 3 is below the least allowed value, 8" in found
    assert "value too small: train: length: 3" in found
    assert "too few values: train: actions: 6 values in a clip; at least 16 expected" in found
    assert "too many clips: train: black_share: 50.0% of the clips; at most 1.0%" in found
    records, measured = ({feature.name: feature for feature in schema.feature} for schema in schemas)
    schemas.records.string_domain[0].value[:] = ["label1"]
    schemas.records.feature.add(name="caption", type=schema_pb2.BYTES).presence.min_count = 1
    records["label"].presence.min_count = 9
    records["digit_ids"].ClearField("shape")
    records["digit_ids"].value_count.min = 3
    records["first_frame"].shape.dim[0].size = 2
    records["frame_chunks"].value_count.max = 1
    records["group"].lifecycle_stage, records["group"].type = schema_pb2.DEPRECATED, schema_pb2.INT
    measured["brightness"].type = schema_pb2.INT
    schemas.records.dataset_constraints.min_examples_count = 3
    found = lines()
    assert "unknown values: train: label: values outside the vocabulary: 'label0'" in found
    assert "missing feature: train: caption" in found and ": group:" not in found
    assert "missing in clips: train: label: in 2 of 2 clips" in found
    assert "too few values: train: digit_ids: 2 values in a clip; at least 3" in found
    assert "wrong shape: train: first_frame: 1 to 1 values a clip; the shape has 2" in found
    assert "too many values: train: frame_chunks: 2 values in a clip; at most 1" in found
    assert "wrong type: train: brightness: float values; integer expected" in found
    assert "too few clips: train: 2 clips; at least 3 expected" in found


def test_a_persons_comparators_of_the_records_own_features(tmp_path):
    jobs = {"train": clips("a", 20), "test": [(f"b{2 * i}", noise(100 + i, frames=9), {}) for i in range(8)]}
    directory = build(tmp_path, jobs)
    schemas = schema_gen.run(directory)
    for feature in schemas.records.feature:
        if feature.name == "label":
            feature.skew_comparator.infinity_norm.threshold = 0.3
        elif feature.name == "num_frames":
            feature.skew_comparator.jensen_shannon_divergence.threshold = 0.5
    lines = example_validator.run(directory, schema=schemas).lines
    assert "WARNING skew: test: label: differs from 'train': L-infinity distance 0.500; at most 0.3 expected." in lines
    assert any(line.startswith("WARNING skew: test: num_frames: differs from 'train': Jensen-Shannon") for line in lines)


def test_identities_that_are_not_of_these_clips(tmp_path):
    directory = build(tmp_path, {"train": clips("a", 3)})
    example_validator.run(directory)
    path = directory / "measurements" / "identities-train.npy"
    for content, message in ((b"nonsense", "no readable header.*Make the statistics again"), (None, "must hold 3 clips, got 2")):
        whole = identities.load(directory, "train", 3)
        path.write_bytes(content) if content else identities.save(directory, "train", whole[:2])
        with pytest.raises(ValueError, match=message):
            example_validator.run(directory)
        identities.save(directory, "train", whole)
    assert example_validator.run(directory).ok


def test_an_empty_split(tmp_path):
    """TFDS writes none; what another program wrote is told as an anomaly, and read no further."""
    directory = tiny_data.build(tmp_path, {"train": clips("a", 3), "test": clips("b", 2, first=50)})
    tiny_data.make_empty(directory, "test")
    lines = example_validator.run(directory).lines
    assert lines == ["ERROR too few clips: test: 0 clips; at least 1 expected."] * 2
