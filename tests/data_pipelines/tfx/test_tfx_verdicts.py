"""Our verdicts beside TFDV's, feature by feature, on clean, damaged, drifted and skewed data sets (the table of docs/tfx.md).

Only features that both judge: those of the records. Names, leakage and what is measured in the videos are ours alone.
"""

import pathlib

import numpy as np
import pytest
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from data_pipelines import artifacts, catalogue, example_validator, schema_gen, statistics_gen
from data_pipelines.example_gen import base
from data_pipelines.tfx.settings import Build
from tests.data_pipelines import clip_files, media, tiny_data

SPLIT = "the split"
LONG = [(f"b{2 * i}", tiny_data.noise(100 + i, frames=9), {}) for i in range(8)]
CLEAN = {"train": tiny_data.clips("a", 20), "test": tiny_data.clips("b", 8, first=100)}
DATA = {
    "clean": (CLEAN, 1),
    "more": ({"train": tiny_data.clips("a", 40, first=300), "test": tiny_data.clips("b", 20, first=400)}, 1),
    "short": ({"train": tiny_data.clips("a", 8, frames=3), "test": tiny_data.clips("b", 6, first=50)}, 1),
    "color": ({"train": tiny_data.clips("a", 8, channels=3)}, 3),
    "skewed": ({"train": tiny_data.clips("a", 20), "test": LONG}, 1),
    "drifted": ({"train": [(f"a{2 * i}", tiny_data.noise(i, frames=9), {}) for i in range(20)]}, 1),
}


def _feature(schema, name):
    return next(feature for feature in schema.feature if feature.name == name)


def _closed(schema):
    schema.string_domain[0].value[:] = ["label1"]


def _caption(schema):
    schema.feature.add(name="caption", type=schema_pb2.BYTES).presence.min_count = 1


def _unknown(schema):
    schema.feature.remove(_feature(schema, "label"))


def _presence(schema):
    _feature(schema, "label").presence.min_count = 99


def _least_values(schema):
    feature = _feature(schema, "digit_ids")
    feature.ClearField("shape")
    feature.value_count.min = 3


def _shape(schema):
    _feature(schema, "first_frame").shape.dim[0].size = 2


def _most_values(schema):
    _feature(schema, "frame_chunks").value_count.max = 1


def _type(schema):
    _feature(schema, "num_frames").type = schema_pb2.FLOAT
    _feature(schema, "num_frames").ClearField("int_domain")


def _least_clips(schema):
    schema.dataset_constraints.min_examples_count = 1000


def _largest(schema):
    _feature(schema, "num_frames").int_domain.max = 7


def _float_bound(schema):
    _feature(schema, "actions").float_domain.max = 5.0


def _deprecated(schema):
    _feature(schema, "group").lifecycle_stage = schema_pb2.DEPRECATED
    _feature(schema, "group").type = schema_pb2.INT


def _comparators(schema):
    label, frames = _feature(schema, "label"), _feature(schema, "num_frames")
    frames.ClearField("int_domain")
    for name in ("skew_comparator", "drift_comparator"):
        getattr(label, name).infinity_norm.threshold = 0.3
        getattr(frames, name).jensen_shannon_divergence.threshold = 0.5


def _nothing(schema):
    pass


# What is wrong: (data set, edit of the clean one's schema, data set before it, flagged features of the records).
CASES = {
    "nothing": ("clean", _nothing, None, set()),
    "nothing, other clips": ("more", _nothing, None, set()),
    "three frames in place of eight": ("short", _nothing, None, {"num_frames", "actions", "collisions"}),
    "color in place of gray (the measurements tell)": ("color", _nothing, None, set()),
    "a string outside the vocabulary": ("clean", _closed, None, {"label"}),
    "a feature is missing": ("clean", _caption, None, {"caption"}),
    "a feature is new": ("clean", _unknown, None, {"label"}),
    "in too few clips": ("clean", _presence, None, {"label"}),
    "too few values": ("clean", _least_values, None, {"digit_ids"}),
    "another shape": ("clean", _shape, None, {"first_frame"}),
    "too many values": ("clean", _most_values, None, {"frame_chunks"}),
    "another type": ("clean", _type, None, {"num_frames"}),
    "too few clips": ("clean", _least_clips, None, {SPLIT}),
    "an integer too large": ("clean", _largest, None, {"num_frames"}),
    "a float too large": ("clean", _float_bound, None, {"actions"}),
    "a deprecated feature": ("clean", _deprecated, None, set()),
    "comparators, no skew": ("clean", _comparators, None, set()),
    "skew of strings and numbers": ("skewed", _comparators, None, {"label", "num_frames"}),
    "drift of strings and numbers": ("drifted", _comparators, "clean", {"label", "num_frames"}),
    "comparators, no drift": ("more", _comparators, "clean", set()),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verdicts")
    return {name: tiny_data.build(folder / name, jobs, channels) for name, (jobs, channels) in DATA.items()}


def _schemas(built, edit):
    schemas = schema_gen.run(built["clean"])
    copied = schema_gen.Schemas(*(schema_pb2.Schema.FromString(schema.SerializeToString()) for schema in schemas))
    edit(copied.records)
    return copied


@pytest.mark.parametrize("name", CASES)
def test_what_we_flag(built, name):
    data, edit, before, expected = CASES[name]
    previous = None if before is None else built[before]
    found = example_validator.run(built[data], schema=_schemas(built, edit), previous_dir=previous, write=False)
    flagged = {feature for anomalies in found.records.values() for feature in anomalies.anomaly_info}
    if any(anomalies.HasField("dataset_anomaly_info") for anomalies in found.records.values()):
        gone = before is not None and set(DATA[before][0]) - set(DATA[data][0])  # a split that is missing: ours alone
        flagged |= set() if gone else {SPLIT}
    assert flagged == expected


@pytest.mark.parametrize("name", CASES)
def test_tfdv_flags_the_same(built, name):
    tfdv = pytest.importorskip("tensorflow_data_validation", reason="TFDV is not installed here; tools/tfx_check.sh runs this")
    data, edit, before, expected = CASES[name]
    schema, flagged = _schemas(built, edit).records, set()

    def statistics(of, split):
        pattern = f"{built[of]}/tiny-{split}.tfrecord-*"
        return tfdv.generate_statistics_from_tfrecord(pattern)

    splits = list(DATA[data][0])
    for split in splits:
        more = {}
        if before is not None and split in DATA[before][0]:
            more["previous_statistics"] = statistics(before, split)
        if split == "train" and "test" in splits:
            more["serving_statistics"] = statistics(data, "test")
        anomalies = tfdv.validate_statistics(statistics(data, split), schema, environment="TRAINING", **more)
        flagged |= set(anomalies.anomaly_info)
        if anomalies.HasField("dataset_anomaly_info"):
            flagged.add(SPLIT)
    assert flagged == expected


def _quantiles(feature):
    (found,) = [h for h in feature.num_stats.histograms if h.type == statistics_pb2.Histogram.QUANTILES]
    return [(bucket.low_value, bucket.high_value, bucket.sample_count) for bucket in found.buckets]


def test_the_table_of_the_docs_holds_every_case():
    page = pathlib.Path(__file__).parents[3].joinpath("docs", "tfx.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    told = {row[0]: (set(row[1].split(", ")) - {""}, row[2]) for row in rows if row[0] in CASES}
    assert told == {name: (case[3], "the same" if case[3] else "") for name, case in CASES.items()}


def test_tfdv_counts_the_same(built):
    """Counts, ranges, means, medians and quantile histograms of the records' own features."""
    tfdv = pytest.importorskip("tensorflow_data_validation", reason="TFDV is not installed here; tools/tfx_check.sh runs this")
    ours = {f.path.step[0]: f for f in statistics_gen.load(built["clean"]).records.datasets[0].features}
    theirs = tfdv.generate_statistics_from_tfrecord(f"{built['clean']}/tiny-train.tfrecord-*").datasets[0]
    assert {feature.path.step[0] for feature in theirs.features} == set(ours)
    for feature in theirs.features:
        own, name = ours[feature.path.step[0]], feature.path.step[0]
        assert own.type == feature.type, name
        if feature.HasField("num_stats"):
            for value in ("mean", "std_dev", "median", "min", "max"):
                pair = getattr(own.num_stats, value), getattr(feature.num_stats, value)
                np.testing.assert_allclose(*pair, rtol=1e-5, err_msg=f"{value} of {name}")
            np.testing.assert_allclose(_quantiles(own), _quantiles(feature), rtol=1e-5, err_msg=f"quantiles of {name}")
        kind = "num_stats" if feature.HasField("num_stats") else "string_stats"
        for value in ("num_non_missing", "min_num_values", "max_num_values", "tot_num_values"):
            assert getattr(getattr(own, kind).common_stats, value) == getattr(getattr(feature, kind).common_stats, value), name


def test_the_calls_of_the_docs_load_each_artifact(built):
    tfdv = pytest.importorskip("tensorflow_data_validation", reason="TFDV is not installed here; tools/tfx_check.sh runs this")
    import tensorflow as tf
    from tensorflow_metadata.proto.v0 import anomalies_pb2
    from tfx_bsl.public import tfxio

    folder = built["clean"]
    example_validator.run(folder)
    for root, environment in ((folder, "TRAINING"), (folder / "measurements", None)):
        schema = tfdv.load_schema_text(str(root / "schema" / "schema.pbtxt"))
        statistics = tfdv.load_stats_binary(str(root / "statistics" / "Split-train" / "FeatureStats.pb"))
        assert not tfdv.validate_statistics(statistics, schema, environment=environment).anomaly_info
        path = root / "anomalies" / "Split-train" / "SchemaDiff.pb"
        assert not artifacts.read_proto(path, anomalies_pb2.Anomalies).anomaly_info
        html = tfdv.utils.display_util.get_statistics_html(statistics)  # what tfdv.visualize_statistics shows
        assert "facets-overview" in html
    schema = tfdv.load_schema_text(str(folder / "schema" / "schema.pbtxt"))
    reader = tfxio.TFExampleRecord(f"{folder}/tiny-train.tfrecord-*", schema=schema)
    options = tfxio.TensorFlowDatasetOptions(batch_size=4, shuffle=False, num_epochs=1)
    batch = next(iter(reader.TensorFlowDataset(options)))
    assert {"frame_chunks", "num_frames", "label"} <= set(batch)
    parsed = schema_gen.run(folder).records
    assert {feature.name for feature in parsed.feature} == set(batch) and isinstance(batch["num_frames"], tf.Tensor)


@pytest.mark.parametrize("kind", ["kth", "bair", "video_folder"])
def test_tfdv_finds_nothing_in_what_our_builders_write(tmp_path, kind):
    tfdv = pytest.importorskip("tensorflow_data_validation", reason="TFDV is not installed here; tools/tfx_check.sh runs this")
    source, options = tmp_path / "source", {}
    if kind == "kth":
        clips = {f"person{person:02d}_boxing_d1": media.moving(person, 12, 32, 32, 1) for person in (1, 2, 3, 21, 22)}
        source.mkdir()
        clip_files.write_kth(source, clips)
    elif kind == "bair":
        for split, seeds in (("train", range(6)), ("test", range(10, 14))):
            clip_files.write_bair(source / "softmotion30_44k" / split / "traj_0_to_5.tfrecords", seeds)
    else:
        options = {"size": 32}
        for number in range(12):
            split = "test" if number > 8 else "train"
            media.write_video(source / split / f"{number}.avi", media.moving(number, 5 + number), "ffv1", "gray")
    builder = Build(kind, options).made(str(source), str(tmp_path / "data"))
    folder = pathlib.Path(base.build(builder))
    schema = schema_gen.run(folder).records
    for split in catalogue.open_builder(folder).info.splits:
        statistics = tfdv.generate_statistics_from_tfrecord(f"{folder}/{builder.name}-{split}.tfrecord-*")
        for environment in ("TRAINING", "SERVING"):
            used = schema_pb2.Schema.FromString(schema.SerializeToString())
            if environment == "SERVING":  # records without what training alone has
                kept = {f.name for f in schema.feature if "SERVING" not in f.not_in_environment}
                entries = [f for f in statistics.datasets[0].features if f.path.step[0] in kept]
                del statistics.datasets[0].features[:]
                statistics.datasets[0].features.extend(entries)
            found = tfdv.validate_statistics(statistics, used, environment=environment)
            assert not found.anomaly_info, (kind, split, environment)
