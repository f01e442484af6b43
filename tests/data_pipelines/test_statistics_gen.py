"""StatisticsGen: both tables against direct computation."""

import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds
import tiny_data
from tensorflow_metadata.proto.v0 import statistics_pb2
from tiny_data import feature, noise

from data_pipelines import artifacts, identities, statistics_gen

Kind = statistics_pb2.FeatureNameStatistics


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    still = np.full((5, 8, 8, 3), 40, np.uint8)
    black = noise(3, frames=130, channels=3, high=10)  # longer than a block
    videos = [still, black, still.copy(), noise(7, 9, 3), noise(8, 1, 3)]
    jobs = [(f"a{i}", video, {}) for i, video in enumerate(videos)]
    folder = tiny_data.build(tmp_path_factory.mktemp("made"), {"train": jobs}, channels=3)
    return folder, videos, statistics_gen.run(folder)


def test_records_have_what_tfdv_computes(made):
    _, videos, statistics = made
    split = statistics.records.datasets[0]
    names = ["actions", "clip_id", "collisions", "digit_ids", "first_frame", "frame_chunks", "group", "label", "num_frames"]
    assert [f.path.step[0] for f in split.features] == [*names, "source"] and (split.name, split.num_examples) == ("train", 5)
    lengths = feature(split, "num_frames")
    stats, counts = lengths.num_stats, [len(video) for video in videos]
    assert lengths.type == Kind.INT and (stats.min, stats.max, stats.median) == (1, 130, 5)
    assert stats.mean == pytest.approx(np.mean(counts)) and stats.std_dev == pytest.approx(np.std(counts))
    assert [h.type for h in stats.histograms] == [statistics_pb2.Histogram.STANDARD, statistics_pb2.Histogram.QUANTILES]
    for histogram in stats.histograms:
        assert sum(bucket.sample_count for bucket in histogram.buckets) == pytest.approx(5)
    chunks = feature(split, "frame_chunks").string_stats
    numbers = [-(-count // 4) for count in counts]
    common = chunks.common_stats
    assert (common.min_num_values, common.max_num_values, common.tot_num_values) == (1, 33, sum(numbers))
    assert common.avg_num_values == pytest.approx(np.mean(numbers)) and len(common.num_values_histogram.buckets) == 10
    assert chunks.invalid_utf8_count == common.tot_num_values and chunks.unique == common.tot_num_values - 3  # the still clips
    actions = feature(split, "actions")
    assert actions.type == Kind.FLOAT and actions.num_stats.common_stats.tot_num_values == 2 * sum(counts)
    labels = feature(split, "label").string_stats
    assert [(v.value, v.frequency) for v in labels.top_values] == [("label0", 3), ("label1", 2)] and labels.unique == 2


def test_measurements_equal_direct_computation(made):
    _, videos, statistics = made
    split = statistics.measurements.datasets[0]
    for channel in range(3):
        pixels = np.concatenate([video[..., channel].ravel() for video in videos])
        stats = feature(split, f"pixels/channel_{channel}").num_stats
        assert stats.mean == pytest.approx(pixels.mean()) and stats.std_dev == pytest.approx(pixels.std())
        assert (stats.min, stats.max, stats.num_zeros) == (pixels.min(), pixels.max(), (pixels == 0).sum())
        assert stats.median == np.sort(pixels)[len(pixels) // 2]
        assert [b.sample_count for b in stats.histograms[0].buckets] == np.histogram(pixels, 64, (0, 256))[0].tolist()
        assert stats.common_stats.tot_num_values == pixels.size
    energy = [np.mean(np.diff(v / 255.0, axis=0) ** 2) if len(v) > 1 else 0.0 for v in videos]
    assert feature(split, "motion_energy").num_stats.mean == pytest.approx(np.mean(energy))
    assert feature(split, "brightness").num_stats.mean == pytest.approx(np.mean([v.mean() / 255 for v in videos]))
    assert feature(split, "still_share").num_stats.mean == pytest.approx(3 / 5)  # a single frame has no motion either
    assert feature(split, "black_share").num_stats.mean == pytest.approx(1 / 5)
    assert feature(split, "duplicate_share").num_stats.mean == pytest.approx(1 / 5)
    assert feature(split, "length").num_stats.max == 130
    assert [feature(split, f"frame_{s}").num_stats.max for s in ("height", "width", "channels")] == [8, 8, 3]


def test_places_and_reading_back(made):
    folder, _, statistics = made
    place = "statistics/Split-train/FeatureStats.pb"
    for table, root in ((statistics.records, folder), (statistics.measurements, folder / "measurements")):
        assert artifacts.read_proto(root / place, statistics_pb2.DatasetFeatureStatisticsList) == table
    assert statistics_gen.load(folder) == statistics
    known = identities.load(folder, "train", 5)
    assert len(np.unique(identities.keys(known, "content"))) == 4 and len(np.unique(known["clip_id"])) == 5
    lines = "\n".join(statistics_gen.describe(statistics))
    assert "still_share: 60.0% of the clips" in lines and "frame_chunks: 1 to 33 values a clip" in lines
    assert len(list(tfds.builder_from_directory(folder).as_dataset(split="train"))) == 5  # still an ordinary TFDS data set


def test_damage(made, tmp_path):
    folder = tmp_path / "tiny" / "1.0.0"
    shutil.copytree(made[0], folder)
    path = folder / "statistics" / "Split-train" / "FeatureStats.pb"
    path.write_bytes(b"\xff\xff\xff")
    with pytest.raises(ValueError, match="is not a DatasetFeatureStatisticsList"):
        statistics_gen.load(folder)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="are not those of train"):
        statistics_gen.load(folder)
    path.unlink()
    assert statistics_gen.load(folder) == made[2] and path.is_file()
    shard = next(folder.glob("*.tfrecord*"))
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(ValueError, match=f"{shard.name} is damaged at byte"):
        statistics_gen.run(folder)
    with pytest.raises(ValueError, match="not the folder of a prepared data set"):
        statistics_gen.run(tmp_path)
