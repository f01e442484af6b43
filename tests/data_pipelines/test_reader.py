"""Windows from records: order, sharding, resuming, random and fixed windows."""

import logging
import os
import pathlib
import subprocess
import sys

import clip_files
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import data_pipelines
from data_pipelines.window_order import WindowOrder, fixed_starts

LENGTHS = [5, 7, 9, 12, 20, 6, 5, 8, 14, 11]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbered")
    clip_files.build_numbered(folder, {"train": LENGTHS, "test": LENGTHS[:6]}, chunk=4)
    return str(folder)


def windows(data_dir, batches=None, split="train", **arguments):
    """First pixels [number of windows, T] of the windows, which tell clip and time."""
    arguments = {"seq_len": 5, "batch_size": 4} | arguments
    dataset = data_pipelines.load("numbered", split, data_dir=data_dir, **arguments)
    found = [batch["frames"].numpy() for batch in (dataset if batches is None else dataset.take(batches))]
    for frames in found:
        assert frames.dtype == np.float32 and frames.shape[2:] == (4, 4, 1) and (frames == frames[:, :, :1, :1]).all()
    return np.concatenate([np.rint(frames[:, :, 0, 0, 0] * 255).astype(int) for frames in found])


def clip_and_start(rows):
    """Clips are not longer than 20 frames and clip i begins at 16 i: the start is ambiguous by 16, resolved by the length."""
    return [(row[0] // 16, row[0] % 16) for row in rows]


def test_windows_are_consecutive_frames_and_deterministic(data_dir):
    rows = windows(data_dir, 8, seed=3)
    assert (np.diff(rows, axis=1) == 1).all()
    np.testing.assert_array_equal(rows, windows(data_dir, 8, seed=3))
    assert not np.array_equal(rows, windows(data_dir, 8, seed=4))


def test_an_epoch_is_a_permutation_and_random_windows_differ_between_epochs(data_dir):
    rows = windows(data_dir, 10, batch_size=10, seq_len=2, seed=1)
    epochs = rows.reshape(10, 10, 2)
    first = [{tuple(row) for row in epoch} for epoch in epochs]
    assert len({tuple(map(tuple, epoch)) for epoch in epochs}) == 10  # order
    assert len({frozenset(epoch) for epoch in first}) == 10  # windows
    for number in range(10):
        records = WindowOrder(10, 1, True).epoch(tf.constant(number))[0].numpy()
        assert sorted(records) == list(range(10))
    starts = {int(row[0]) for row in rows if 16 * 3 <= row[0] < 16 * 4}  # clip 3 has 12 frames: 11 places
    assert len(starts) > 4


@pytest.mark.parametrize("start", [1, 2, 3, 7])
def test_start_batch_continues_exactly_across_epochs(data_dir, start):
    whole = windows(data_dir, 9, seed=5)
    np.testing.assert_array_equal(windows(data_dir, 9 - start, seed=5, start_batch=start), whole[4 * start :])


def test_start_batch_of_one_pass(data_dir):
    whole = windows(data_dir, split="test", shuffle=False)
    assert len(whole) == 6  # the last batch has two
    np.testing.assert_array_equal(windows(data_dir, split="test", start_batch=1), whole[4:])
    dataset = data_pipelines.load("numbered", "test", seq_len=5, batch_size=4, data_dir=data_dir, start_batch=9)
    assert not list(dataset)


@pytest.mark.parametrize("count", [2, 4])
def test_shards_partition_each_global_batch(data_dir, count):
    whole = windows(data_dir, 7, seed=2).reshape(7, 4, 5)
    for index in range(count):
        part = windows(data_dir, 7, seed=2, shard=(index, count)).reshape(7, 4 // count, 5)
        np.testing.assert_array_equal(part, whole[:, index::count])
    part = windows(data_dir, 3, seed=2, shard=(1, count), start_batch=4).reshape(3, 4 // count, 5)
    np.testing.assert_array_equal(part, whole[4:, 1::count])


def test_more_workers_than_windows(tmp_path):
    clip_files.build_numbered(tmp_path, {"train": [5, 6]})
    whole = windows(tmp_path, 6, batch_size=8).reshape(6, 8, 5)
    for index in (0, 5):
        part = windows(tmp_path, 6, batch_size=8, shard=(index, 8)).reshape(6, 5)
        np.testing.assert_array_equal(part, whole[:, index])


def test_fixed_windows_in_evaluation(data_dir):
    rows = windows(data_dir, split="test")
    assert [start for _, start in clip_and_start(rows)] == [0] * 6
    stored = [int(example["clip_id"][4:]) for example in clip_files.parsed(next_folder(data_dir))["test"]]
    assert [clip for clip, _ in clip_and_start(rows)] == stored
    spread = windows(data_dir, split="test", seq_len=2, windows_per_clip=3).reshape(6, 3, 2)
    for clip, of_clip in zip(stored, spread, strict=True):
        last = LENGTHS[clip] - 2
        assert of_clip[0, 0] == 16 * clip and of_clip[2, 0] == 16 * clip + last
        assert abs(of_clip[1, 0] - 16 * clip - last / 2) <= 0.5
    np.testing.assert_array_equal(fixed_starts(tf.constant([10, 3], tf.int64), tf.constant([1, 0], tf.int64), 1), [0, 0])


def next_folder(data_dir):
    return str(next(pathlib.Path(data_dir).rglob("dataset_info.json")).parent)


def test_several_windows_of_a_clip_are_drawn_apart(data_dir):
    order = WindowOrder(200, 0, True, windows_per_clip=3)
    records, numbers, _ = (column.numpy() for column in order.epoch(tf.constant(4)))
    assert sorted(zip(records, numbers, strict=True)) == [(r, n) for r in range(200) for n in range(3)]
    assert 0.9 < np.abs(np.diff(records)).mean() / (200 / 3) < 1.1  # as far apart as in a perfect shuffle
    assert len(windows(data_dir, 5, windows_per_clip=2, seq_len=3)) == 20


def test_random_windows_are_fixed_by_the_seed(data_dir):
    arguments = {"split": "test", "random_windows": 50, "seq_len": 3}
    rows = windows(data_dir, seed=42, **arguments)
    assert len(rows) == 50 and len({tuple(row) for row in rows}) > 20
    np.testing.assert_array_equal(rows, windows(data_dir, seed=42, **arguments))
    assert not np.array_equal(rows, windows(data_dir, seed=43, **arguments))


def test_stride(data_dir):
    rows = windows(data_dir, 5, frame_stride=3, seq_len=3)
    assert (np.diff(rows, axis=1) == 3).all()
    assert {row[0] // 16 for row in rows} <= {1, 2, 3, 4, 5, 7, 8, 9}  # seven frames are spanned; clip 4 reaches into 5
    rows = windows(data_dir, 30, seq_len=2, seed=8)
    assert {int(row[1]) for row in rows if row[0] >= 16 * 9} >= {16 * 9 + 10}  # the last frame of a clip is reached


def test_short_clips_are_skipped_with_one_line(data_dir, caplog):
    with caplog.at_level(logging.WARNING, "data_pipelines.reader"):
        rows = windows(data_dir, split="test", seq_len=9)
    assert sorted(clip for clip, _ in clip_and_start(rows)) == [2, 3, 4]
    assert [r.getMessage() for r in caplog.records] == [
        "numbered (test): 3 of 6 clips are shorter than the window of 9 frames and are skipped."
    ]
    with pytest.raises(ValueError, match="no clip has the 21 frames that a window spans; the longest of 10 has 20"):
        windows(data_dir, seq_len=21)


def test_nothing_is_cached_and_a_damaged_record_is_an_error_while_reading(tmp_path):
    clip_files.build_numbered(tmp_path, {"train": [6, 6]})
    dataset = iter(data_pipelines.load("numbered", seq_len=5, batch_size=2, data_dir=str(tmp_path)))
    next(dataset)
    shard = next(tmp_path.rglob("*.tfrecord*"))
    with open(shard, "r+b") as file:  # in place: a file that is written anew is empty for a moment
        file.seek(60)
        byte = file.read(1)[0]
        file.seek(60)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(tf.errors.DataLossError, match="corrupted record"):
        for _ in range(200):
            next(dataset)


def test_a_split_that_is_not_there(data_dir, caplog):
    with caplog.at_level(logging.WARNING, "data_pipelines.reader"):
        np.testing.assert_array_equal(windows(data_dir, split="validation"), windows(data_dir, split="test"))
    assert "numbered has no validation split; its test split is read instead." in caplog.text
    with pytest.raises(ValueError, match="numbered holds no true states"):
        windows(data_dir, with_states=True)


def test_without_a_test_split(tmp_path):
    clip_files.build_numbered(tmp_path, {"train": [6, 6]})
    with pytest.raises(ValueError, match="no split 'validation'; splits: train.*--test-percent"):
        windows(tmp_path, split="validation")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"seq_len": 0}, "seq_len must be an integer of at least 1, got 0"),
        ({"windows_per_clip": 0}, "windows_per_clip must be an integer in .1, 2147483648., got 0"),
        ({"random_windows": -1}, "random_windows must be"),
        ({"seed": 2**63}, "seed must be"),
        ({"shard": (2, 2)}, "shard index must be an integer in .0, 1., got 2"),
        ({"shard": (0, 3)}, "batch_size must be divisible by the shard count 3"),
        ({"window": 3}, r"Unknown option\(s\) \['window'\] of numbered; options: windows_per_clip, random_windows"),
        ({"split": "dev"}, "split must be one of"),
    ],
)
def test_bad_arguments(data_dir, arguments, message):
    with pytest.raises(ValueError, match=message):
        windows(data_dir, **arguments)


def test_names(data_dir):
    def load(name):
        return data_pipelines.load(name, "test", seq_len=5, batch_size=4, data_dir=data_dir)

    load("numbered:1.0.0")
    for name in ("../numbered", "numbered/../..", "/etc", "numbered:1.0.0/x"):
        with pytest.raises(ValueError, match="A data set is named|No data set"):
            load(name)
    with pytest.raises(ValueError, match="prepared there: numbered. Build it with"):
        load("absent")


def test_several_configurations(tmp_path):
    class Two(clip_files.Numbered, skip_registration=True):
        name = "two"
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="first"), tfds.core.BuilderConfig(name="second")]

    for config, length in (("second", 6), ("first", 8)):
        Two.jobs = {"train": [(0, length, 6)]}
        clip_files.base.build(Two(config=config, data_dir=os.fspath(tmp_path)))
    load = lambda name, n: data_pipelines.load(name, seq_len=n, batch_size=1, data_dir=str(tmp_path))  # noqa: E731
    load("two", 8)  # "first" is the default
    with pytest.raises(ValueError, match="the longest of 1 has 6"):
        load("two/second", 8)


def test_a_process_with_an_open_stream_ends(data_dir):
    program = (
        "import data_pipelines, sys\n"
        f"stream = iter(data_pipelines.load('numbered', seq_len=5, batch_size=2, data_dir={data_dir!r}))\n"
        "for _ in range(50): next(stream)\n"
        "print('read')\n"
    )
    root = pathlib.Path(data_pipelines.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "read" in done.stdout, done.stderr
