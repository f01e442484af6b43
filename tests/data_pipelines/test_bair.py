"""ExampleGen for BAIR: pixels bit by bit, damaged records."""

import gzip
import os

import clip_files
import numpy as np
import pytest
import tensorflow as tf

import data_pipelines
from data_pipelines.clip_storage import decode_clip
from data_pipelines.example_gen import bair, base


def builder(source, out, camera="aux1", **options):
    options = base.BuildOptions(source=os.fspath(source), **options)
    return bair.Bair(config=camera, data_dir=os.fspath(out), options=options)


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source" / "softmotion30_44k"
    clip_files.write_bair(root / "train" / "traj_0_to_2.tfrecords", range(0, 3))
    clip_files.write_bair(root / "train" / "traj_3_to_4.tfrecords", range(3, 5))
    clip_files.write_bair(root / "test" / "traj_0_to_0.tfrecords", range(5, 6))
    return tmp_path / "source"


@pytest.mark.parametrize("below", [False, True])
def test_pixels_are_those_of_the_source(source, tmp_path, below):
    splits = clip_files.parsed(base.build(builder(source / "softmotion30_44k" if below else source, tmp_path / "out")))
    by_id = {e["clip_id"].decode(): e for split in splits.values() for e in split}
    assert (len(splits["train"]), len(splits["test"])) == (5, 1)
    for key, seed in (
        ("train/traj_0_to_2.tfrecords/1", 1),
        ("train/traj_3_to_4.tfrecords/0", 3),
        ("test/traj_0_to_0.tfrecords/0", 5),
    ):
        np.testing.assert_array_equal(decode_clip(by_id[key]), clip_files.bair_frames(seed))


def test_reads_in_windows(source, tmp_path):
    base.build(builder(source, tmp_path / "out"))
    batch = next(iter(data_pipelines.load("bair", "test", seq_len=4, batch_size=1, data_dir=str(tmp_path / "out"))))
    np.testing.assert_array_equal(np.rint(batch["frames"][0] * 255), clip_files.bair_frames(5)[:4])


def test_actions_and_positions_are_cut_with_the_frames(source, tmp_path):
    base.build(builder(source, tmp_path / "out"))
    arguments = {"batch_size": 2, "data_dir": str(tmp_path / "out"), "seed": 4}
    names = ("actions", "endeffector_positions", "frames")
    for batch in data_pipelines.load("bair", seq_len=3, tensors=names, **arguments).take(4):
        actions, positions, frames = (batch[name].numpy() for name in names)
        assert actions.shape == (2, 3, 4) and positions.shape == (2, 3, 3) and actions.dtype == np.float32
        for row in range(2):
            seed, start = int(actions[row, 0, 0]), int(actions[row, 0, 1])
            expected = [clip_files.bair_numbers(seed, t) for t in range(start, start + 3)]
            np.testing.assert_array_equal(actions[row], [action for action, _ in expected])
            np.testing.assert_array_equal(positions[row], [position for _, position in expected])
            np.testing.assert_array_equal(np.rint(frames[row] * 255), clip_files.bair_frames(seed)[start : start + 3])
    assert list(data_pipelines.load("bair", seq_len=3, **arguments).element_spec) == ["frames"]
    with pytest.raises(ValueError, match="actions are values of successive frames; with frame_stride 2"):
        data_pipelines.load("bair", seq_len=3, frame_stride=2, tensors=names, **arguments)


def first_file(source):
    return source / "softmotion30_44k" / "train" / "traj_0_to_2.tfrecords"


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1000])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) * 5 // 6] ^= 16
    path.write_bytes(content)


def text(path):
    path.write_text("hello " * 100)


@pytest.mark.parametrize("damage, kept", [(truncated, 2), (flipped, 2), (text, 0)])
def test_damaged_records_name_the_file(source, tmp_path, damage, kept):
    damage(first_file(source))
    with pytest.raises(base.ClipError, match=f"(?s)traj_0_to_2.tfrecords, record {kept}: damaged.*Fetch the file again"):
        base.build(builder(source, tmp_path / "out"))
    clip_files.nothing_built(tmp_path / "out")
    path = base.build(builder(source, tmp_path / "out", max_bad_clips=1))
    assert len(clip_files.parsed(path)["train"]) == kept + 2


def record(feature):
    features = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=value)) for key, value in feature.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


@pytest.mark.parametrize(
    "content, message",
    [
        ([], "holds no record"),
        ([b"\xff\xff nonsense"], "record 0 is not a tf.train.Example"),
        ([record({})], r"0 frame\(s\) of 'image_aux1'; expected a trajectory of 30. Is this a BAIR file"),
        ([record({"0/image_aux1/encoded": [bytes(clip_files.RAW)]})], r"1 frame\(s\)"),
        ([record({"0/image_aux1/encoded": [b"short"]})], r"has \[5\] bytes; expected one value of 12288"),
        ([record({f"{t}/image_aux1/encoded": [bytes(clip_files.RAW)] for t in range(9)})], "more than 8 frames"),
        ([record({f"{t}/image_aux1/encoded": [bytes(clip_files.RAW)] for t in range(2)})], "0/action has 0 numbers; expected 4"),
    ],
)
def test_records_of_another_kind(source, tmp_path, content, message):
    with tf.io.TFRecordWriter(str(first_file(source))) as writer:
        for item in content:
            writer.write(item)
    with pytest.raises(base.ClipError, match=f"(?s)traj_0_to_2.tfrecords.*{message}"):
        base.build(builder(source, tmp_path / "out", max_frames=8))
    clip_files.nothing_built(tmp_path / "out")


def test_compressed_records_and_odd_names_are_read(source, tmp_path):
    path = first_file(source)
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    (path.parent / "._traj_0_to_2.tfrecords").write_bytes(b"Mac OS X")
    odd = path.with_name(os.fsdecode(b"traj\xff.tfrecords"))
    clip_files.write_bair(path.with_name("odd.tfrecords"), range(7, 8)).rename(odd)
    build = builder(source, tmp_path / "out")
    by_id = {e["clip_id"].decode(): e for e in clip_files.parsed(base.build(build))["train"]}
    np.testing.assert_array_equal(decode_clip(by_id["train/traj_0_to_2.tfrecords.gz/2"]), clip_files.bair_frames(2))
    np.testing.assert_array_equal(decode_clip(by_id["train/traj\\xff.tfrecords/0"]), clip_files.bair_frames(7))
    assert build.notes[1] == "left out: 1 files of a file manager (e.g. train/._traj_0_to_2.tfrecords)"
    cut = path.with_name(path.name + ".gz")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    with pytest.raises(base.ClipError, match="traj_0_to_2.tfrecords.gz, record .: damaged"):
        base.build(builder(source, tmp_path / "again"))


def test_records_in_another_place_are_named(source, tmp_path):
    root = source / "softmotion30_44k"
    with pytest.raises(ValueError, match="seems to be one of its splits: give the folder above"):
        base.build(builder(root / "train", tmp_path / "out"))
    flat = tmp_path / "flat"
    flat.mkdir()
    first_file(source).rename(flat / "traj_0_to_2.tfrecords")
    with pytest.raises(ValueError, match=r"found 1 files of records elsewhere \(e.g. .*traj_0_to_2.tfrecords\)"):
        base.build(builder(flat, tmp_path / "out"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bair.tar").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"holds no BAIR records; .*found: 1 of the kind .tar \(e.g. bair.tar\)"):
        base.build(builder(tmp_path / "other", tmp_path / "out"))
    clip_files.nothing_built(tmp_path / "out")


def test_folders_and_cameras(source, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no BAIR records; expected softmotion30_44k/train"):
        base.build(builder(tmp_path / "empty", tmp_path / "out"))
    with pytest.raises(base.ClipError, match="of 'image_main'"):
        base.build(builder(source, tmp_path / "out", camera="main"))
    with pytest.raises(ValueError, match="camera must be"):
        bair.BairConfig(name="bad", camera="front")


def test_real_pixels_are_bit_equal(shared_data, tmp_path):
    splits = clip_files.parsed(base.build(builder(shared_data / "bair", tmp_path / "out")))
    assert (len(splits["train"]), len(splits["test"])) == (3, 2)
    for split, examples in splits.items():
        for example in examples:
            file, number = example["clip_id"].decode().rsplit("/", 1)
            path = shared_data / "bair" / "softmotion30_44k" / file
            serialized = list(tf.data.TFRecordDataset(str(path)))[int(number)].numpy()
            feature = tf.train.Example.FromString(serialized).features.feature
            raw = b"".join(feature[f"{t}/image_aux1/encoded"].bytes_list.value[0] for t in range(30))
            assert decode_clip(example).tobytes() == raw and file.startswith(split)
