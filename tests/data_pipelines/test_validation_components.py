"""StatisticsGen, SchemaGen, ExampleValidator on small data sets with known contents."""

import math

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from data_pipelines import accumulators, artifacts, clip_storage, example_validator, schema_gen, statistics_gen
from data_pipelines.example_gen import base


def read_job(job):
    key, frames, extra = job
    yield (
        key,
        clip_storage.encode_clip(frames, clip_id=key, **{"source": key, "group": key} | extra) | {"label": extra_label(key)},
    )


def extra_label(key):
    return f"action{int(key[1:]) % 2}"


class Tiny(base.ClipBuilder, skip_registration=True):
    """Jobs are given; frames are 8x8."""

    name = "tiny"
    pkg_dir_path = None  # no CITATIONS file beside a test
    read_job = staticmethod(read_job)
    jobs: dict = {}
    channels = 1

    def _info(self):
        features = clip_storage.clip_features(8, 8, self.channels, {"label": tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, features=features, description="For tests.")

    def plan(self):
        return base.Plan(self.jobs)


def noise(seed, frames=8, channels=1, high=256):
    return np.random.default_rng(seed).integers(0, high, (frames, 8, 8, channels), np.uint8)


def build(folder, jobs, channels=1):
    Tiny.jobs, Tiny.channels = jobs, channels
    return base.build(Tiny(data_dir=folder))


def clips(prefix, count, first=0, **options):
    return [(f"{prefix}{i}", noise(first + i, **options), {}) for i in range(count)]


def feature(split, name):
    return next(f for f in split.features if f.path.step[0] == name)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return build(tmp_path_factory.mktemp("clean"), {"train": clips("a", 12), "test": clips("b", 6, first=100)})


def test_statistics_equal_direct_computation(tmp_path):
    still = np.full((5, 8, 8, 3), 40, np.uint8)
    black = noise(3, frames=130, channels=3, high=10)  # longer than a block
    jobs = [
        ("a0", still, {}),
        ("a1", black, {}),
        ("a2", still.copy(), {}),
        ("a3", noise(7, 9, 3), {}),
        ("a4", noise(8, 1, 3), {}),
    ]
    directory = build(tmp_path, {"train": jobs}, channels=3)
    split = statistics_gen.run(directory).datasets[0]
    videos = [job[1] for job in jobs]
    assert (split.name, split.num_examples) == ("train", 5)
    lengths = feature(split, "num_frames").num_stats
    assert (lengths.min, lengths.max, lengths.median) == (1, 130, 5)
    assert lengths.mean == pytest.approx(150 / 5) and lengths.std_dev == pytest.approx(np.std([5, 130, 5, 9, 1]))
    assert sum(bucket.sample_count for bucket in lengths.histograms[0].buckets) == 5
    for channel in range(3):
        pixels = np.concatenate([video[..., channel].ravel() for video in videos])
        stats = feature(split, f"pixels/channel_{channel}").num_stats
        assert stats.mean == pytest.approx(pixels.mean()) and stats.std_dev == pytest.approx(pixels.std())
        assert (stats.min, stats.max, stats.num_zeros) == (pixels.min(), pixels.max(), (pixels == 0).sum())
        assert stats.median == np.sort(pixels)[(len(pixels) - 1) // 2]
        assert [b.sample_count for b in stats.histograms[0].buckets] == np.histogram(pixels, 64, (0, 256))[0].tolist()
    energy = [np.mean(np.diff(v / 255.0, axis=0) ** 2) if len(v) > 1 else 0.0 for v in videos]
    assert feature(split, "motion_energy").num_stats.mean == pytest.approx(np.mean(energy))
    assert feature(split, "brightness").num_stats.mean == pytest.approx(np.mean([v.mean() / 255 for v in videos]))
    assert feature(split, "is_still").num_stats.mean == pytest.approx(3 / 5)  # a single frame has no motion either
    assert feature(split, "is_black").num_stats.mean == pytest.approx(1 / 5)
    assert feature(split, "clip_id").custom_stats[0].num == 1
    assert feature(split, "clip_id").string_stats.unique == 5
    assert {(v.value, v.frequency) for v in feature(split, "label").string_stats.top_values} == {("action0", 3), ("action1", 2)}
    assert [feature(split, f"frame_{s}").num_stats.max for s in ("height", "width", "channels")] == [8, 8, 3]


def test_clean_data_has_no_anomaly(clean):
    validation = example_validator.run(clean)
    assert validation.ok and validation.lines == []
    statistics = artifacts.read_proto(f"{clean}/statistics.pb", statistics_pb2.DatasetFeatureStatisticsList)
    assert statistics == statistics_gen.run(clean, write=False)
    schema = artifacts.read_proto(f"{clean}/schema.pbtxt", schema_pb2.Schema)
    assert {f.name for f in schema.feature} == {f.path.step[0] for f in statistics.datasets[0].features}
    assert list(schema.string_domain[0].value) == ["action0", "action1"]
    anomalies = artifacts.read_proto(f"{clean}/anomalies.pbtxt", anomalies_pb2.Anomalies)
    assert not anomalies.anomaly_info and anomalies.baseline == schema
    assert len(list(tfds.builder_from_directory(clean).as_dataset(split="test"))) == 6  # still an ordinary TFDS data set
    assert any("pixels/channel_0" in line for line in statistics_gen.describe(statistics))


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
    assert validation.lines[0].startswith("ERROR leakage") and expected in validation.lines[0]
    info = validation.anomalies.anomaly_info[f"train, test: {field}"]
    assert info.severity == anomalies_pb2.AnomalyInfo.ERROR
    assert artifacts.read_proto(f"{directory}/anomalies.pbtxt", anomalies_pb2.Anomalies) == validation.anomalies


def test_duplicates_and_repeated_names(tmp_path):
    train = clips("a", 6)
    train.append(("a6", train[0][1], {}))
    validation = example_validator.run(build(tmp_path, {"train": train}))
    assert len(validation.lines) == 1 and "1 of 7 clips repeat" in validation.lines[0]
    assert validation.lines[0].startswith("WARNING duplicates")


def test_skew_between_splits_and_drift_between_versions(tmp_path, clean):
    dark = build(tmp_path, {"train": clips("a", 12, high=60), "test": clips("b", 6, first=100)})
    lines = example_validator.run(dark).lines
    assert any(line.startswith("WARNING skew: test: pixels/channel_0") for line in lines)
    lines = example_validator.run(dark, previous_dir=clean).lines
    assert any(line.startswith("WARNING drift: train: pixels/channel_0") for line in lines)
    assert not any("drift: test" in line for line in lines)
    assert example_validator.run(clean, previous_dir=clean).ok


def test_another_version_against_the_first_ones_schema(tmp_path, clean):
    """Frames of another kind, shorter clips, new labels, blank clips."""
    schema = schema_gen.run(clean)
    jobs = [("a0", noise(0, 3, 3), {}), ("a1", np.zeros((8, 8, 8, 3), np.uint8), {})]
    directory = build(tmp_path, {"train": jobs}, channels=3)
    lines = "\n".join(example_validator.run(directory, schema=schema).lines)
    assert "value too large: train: frame_channels: 3 is above the greatest allowed value, 1" in lines
    assert "new feature: train: pixels/channel_1" in lines
    assert "value too small: train: num_frames: 3 is below the least allowed value, 8" in lines
    assert "too many clips: train: is_black: 50.0%" in lines
    schema.string_domain[0].value[:] = ["action1"]
    schema.feature.add(name="caption", type=schema_pb2.BYTES).presence.min_count = 1
    next(f for f in schema.feature if f.name == "brightness").type = schema_pb2.INT
    lines = "\n".join(example_validator.run(directory, schema=schema, write=False).lines)
    assert "unknown values: train: label: values outside the vocabulary: 'action0'" in lines
    assert "missing feature: train: caption" in lines
    assert "wrong type: train: brightness: float values; integer expected" in lines


def test_edited_schema_is_kept(tmp_path):
    directory = build(tmp_path, {"train": clips("a", 3)})
    schema = schema_gen.run(directory)
    next(f for f in schema.feature if f.name == "num_frames").int_domain.min = 9
    artifacts.write_proto(f"{directory}/schema.pbtxt", schema)
    assert schema_gen.run(directory) == schema
    assert "value too small: train: num_frames" in example_validator.run(directory).lines[0]
    assert schema_gen.run(directory, overwrite=True) != schema
    assert example_validator.run(directory).ok


def test_bad_inputs(tmp_path):
    with pytest.raises(ValueError, match="not the folder of a prepared data set"):
        statistics_gen.run(tmp_path)
    with pytest.raises(ValueError, match="at least one split"):
        schema_gen.infer(statistics_pb2.DatasetFeatureStatisticsList())
    directory = build(tmp_path / "d", {"train": clips("a", 3)})
    example_validator.run(directory)
    for name, content, message in (
        ("schema.pbtxt", b"feature { nam", "schema.pbtxt is not a Schema"),
        ("identities-train.npy", b"nonsense", "cannot be read as an array"),
        ("statistics.pb", b"\xff\xff\xff", "is not a DatasetFeatureStatisticsList"),
    ):
        path = artifacts.require_data_set(directory) / name
        whole = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            example_validator.run(directory)
        path.write_bytes(whole)
    assert example_validator.run(directory).ok
    shard = next(artifacts.require_data_set(directory).glob("*.tfrecord*"))
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(ValueError, match="'train'.*damaged"):
        statistics_gen.run(directory)


def test_divergence():
    def histogram(counts):
        result = statistics_pb2.Histogram()
        for count in counts:
            result.buckets.add(sample_count=count)
        return result

    many = 10**9
    assert example_validator.divergence(histogram([5, 5]), histogram([50, 50]), many, many) == 0
    assert example_validator.divergence(histogram([1, 0]), histogram([0, 1]), many, many) == pytest.approx(1, abs=1e-6)
    assert example_validator.divergence(histogram([1]), histogram([1, 1]), many, many) == pytest.approx(
        0.5 * math.log2(4 / 3) + 0.25 * math.log2(2 / 3) + 0.25, abs=1e-6
    )
    rng = np.random.default_rng(0)
    samples = [histogram(np.bincount(rng.integers(0, 16, 60), minlength=16)) for _ in range(40)]
    values = [example_validator.divergence(a, b, 60, 60) for a, b in zip(samples[::2], samples[1::2], strict=True)]
    assert np.mean(values) < 0.03  # equal distributions: what is left after the allowance for chance is small


def test_streaming_reals_equal_numpy():
    rng = np.random.default_rng(0)
    parts = [rng.normal(1e6, 1, size) for size in (1, 7, 1000)]
    reals = accumulators.Reals(np.linspace(1e6 - 1, 1e6 + 1, 5))
    for part in parts:
        reals.add(part)
    reals.add([np.nan])
    stats, values = reals.feature("x").num_stats, np.concatenate(parts)
    assert stats.mean == pytest.approx(values.mean()) and stats.std_dev == pytest.approx(values.std(), rel=1e-9)
    assert (stats.min, stats.max) == (values.min(), values.max())
    assert stats.histograms[0].num_nan == 1
    assert sum(bucket.sample_count for bucket in stats.histograms[0].buckets) == len(values)
