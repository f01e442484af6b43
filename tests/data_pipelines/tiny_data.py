"""A data set of 8x8 clips with known contents, for the tests of what looks at whole data sets."""

import json
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import clip_encoding, clip_storage
from data_pipelines.example_gen import base


def read_job(job):
    """Module-level, as a builder wants it. Jobs are (key, frames, names that differ from the key)."""
    key, frames, names = job
    actions = np.arange(2.0 * len(frames), dtype=np.float32).reshape(-1, 2) + 100.0 * frames[:, 0, 0, :1]
    clip = clip_encoding.encode_clip(
        frames, **{"clip_id": key, "source": key, "group": key} | names, chunk_frames=4, per_frame={"actions": actions}
    )
    yield (
        key,
        clip | {"label": f"label{int(key[1:]) % 2}", "collisions": frames[:, 0, 0, 0] > 127, "digit_ids": [int(key[1:]), 7]},
    )


class Tiny(base.ClipBuilder, skip_registration=True):
    """The jobs are given before the builder is made."""

    name = "tiny"
    pkg_dir_path = None  # no CITATIONS file beside a test
    read_job = staticmethod(read_job)
    jobs: dict = {}
    channels = 1

    def _info(self):
        extra = {
            "label": tfds.features.Text(),
            "collisions": tfds.features.Tensor(shape=(None,), dtype=np.bool_),
            "digit_ids": tfds.features.Tensor(shape=(2,), dtype=np.int32),
        }
        features = clip_storage.clip_features(8, 8, self.channels, extra, chunk_frames=4, per_frame={"actions": (2,)})
        return tfds.core.DatasetInfo(builder=self, features=features, description="For tests.", license="None.")

    def plan(self):
        return base.Plan(self.jobs)


def noise(seed, frames=8, channels=1, high=256):
    return np.random.default_rng(seed).integers(0, high, (frames, 8, 8, channels), np.uint8)


def clips(prefix, count, first=0, **options):
    return [(f"{prefix}{i}", noise(first + i, **options), {}) for i in range(count)]


def build(folder, jobs, channels=1) -> pathlib.Path:
    Tiny.jobs, Tiny.channels = jobs, channels
    return pathlib.Path(base.build(Tiny(data_dir=str(folder))))


def feature(split, name):
    return next(f for f in split.features if f.path.step[0] == name)


def make_empty(folder: pathlib.Path, split: str) -> None:
    """Takes all records of a split away."""
    for shard in folder.glob(f"*-{split}.tfrecord*"):
        shard.write_bytes(b"")
    content = json.loads((folder / "dataset_info.json").read_text())
    for entry in content["splits"]:
        if entry["name"] == split:
            entry["shardLengths"] = ["0" for _ in entry["shardLengths"]]
    (folder / "dataset_info.json").write_text(json.dumps(content))
