"""Small source files and data sets for the tests of the data layer."""

import os
import pathlib

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import clip_encoding, clip_storage
from data_pipelines.example_gen import base
from tests.data_pipelines import media

RAW = 64 * 64 * 3


def write_kth(folder: pathlib.Path, clips: dict[str, np.ndarray], sequences: str | None = None) -> pathlib.Path:
    """A KTH source: lossless gray clips by name ("person01_boxing_d1"), and `sequences` (default: one range per clip)."""
    for name, frames in clips.items():
        media.write_video(folder / f"{name}_uncomp.avi", frames, "ffv1", "gray")
    if sequences is None:
        sequences = "".join(f"{name}\t\tframes\t1-{len(frames)}\r\n" for name, frames in clips.items())
    (folder / "00sequences.txt").write_bytes(sequences.encode())
    return folder


def write_bair(path: pathlib.Path, seeds: range, frames: int = 6, camera: str = "image_aux1") -> pathlib.Path:
    """A file of trajectories as BAIR publishes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for seed in seeds:
            feature = {}
            for t, frame in enumerate(bair_frames(seed, frames)):
                value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[frame.tobytes()]))
                feature |= {f"{t}/{camera}/encoded": value}
                for name, values in zip(("action", "endeffector_pos"), bair_numbers(seed, t), strict=True):
                    feature |= {f"{t}/{name}": tf.train.Feature(float_list=tf.train.FloatList(value=values))}
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    return path


def bair_numbers(seed: int, t: int) -> tuple[list[float], list[float]]:
    """The action and the position in a frame."""
    return [seed + 0.5, float(t), -1.25, 0.0], [t / 4, float(seed), 2.0]


def bair_frames(seed: int, frames: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, 64, 64, 3), np.uint8)


def parsed(path: str) -> dict[str, list[dict]]:
    """All examples of a built data set as plain TFDS yields them, by split, in stored order."""
    builder = tfds.builder_from_directory(path)
    config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
    return {split: list(tfds.as_numpy(builder.as_dataset(split=split, read_config=config))) for split in builder.info.splits}


def same_records(first: str, second: str) -> None:
    """Asserts equal parsed records in equal order."""
    a, b = parsed(first), parsed(second)
    assert a.keys() == b.keys()
    for split in a:
        assert [example["clip_id"] for example in a[split]] == [example["clip_id"] for example in b[split]]
        for left, right in zip(a[split], b[split], strict=True):
            assert left.keys() == right.keys()
            for key in left:
                np.testing.assert_array_equal(left[key], right[key])


def nothing_built(data_dir: pathlib.Path) -> None:
    """Asserts that no data set, whole or half, can be read below the folder."""
    assert not [path for path in data_dir.rglob("*") if path.name == "dataset_info.json" or ".tfrecord" in path.name]


def read_numbered(job):
    """Module-level, so that Beam can send it. Frame t of clip i is filled with the value (16 i + t) % 256."""
    number, frames, chunk = job
    values = (16 * number + np.arange(frames)) % 256
    video = np.broadcast_to(values[:, None, None, None], (frames, 4, 4, 1)).astype(np.uint8)
    key = f"clip{number:03d}"
    yield key, clip_encoding.encode_clip(video, clip_id=key, source=key, group=key, chunk_frames=chunk)


class Numbered(base.ClipBuilder, skip_registration=True):
    """Clips whose frames tell clip and time: jobs are (number, frames, frames in a chunk)."""

    name = "numbered"
    pkg_dir_path = None  # no CITATIONS file beside a test
    read_job = staticmethod(read_numbered)
    jobs: dict = {}

    def _info(self):
        chunk = next(iter(self.jobs.values()))[0][2]
        return tfds.core.DatasetInfo(builder=self, features=clip_storage.clip_features(4, 4, 1, chunk_frames=chunk))

    def plan(self):
        return base.Plan(self.jobs)


def build_numbered(data_dir, lengths: dict[str, list[int]], chunk: int = 6, **arguments) -> str:
    """`lengths`: frames of the clips of each split, which are numbered from 0 in each."""
    Numbered.jobs = {split: [(i, n, chunk) for i, n in enumerate(counts)] for split, counts in lengths.items()}
    return base.build(Numbered(data_dir=os.fspath(data_dir)), **arguments)
