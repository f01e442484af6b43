"""The BAIR robot pushing data set, read from its own `softmotion30_44k` TFRecords (SVG paper §5.3).

One `tf.train.Example` per trajectory of 30 frames, 64x64 RGB as raw bytes under "{t}/image_aux1/encoded". The records are
streamed as they are: no picture files in between. Actions are dropped, as in the paper.
"""

import dataclasses
import os
from collections.abc import Iterator
from typing import Literal

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines.clip_storage import clip_features, encode_clip
from data_pipelines.example_gen.base import ClipBuilder, ClipError, Plan

SIZE = 64
CHUNK_FRAMES = 3
"""A training window of 12 frames inflates 14; chunks of 3 pack as tightly as chunks of 6 here (measured)."""
_FRAME_BYTES = SIZE * SIZE * 3
_CITATION = """@inproceedings{ebert2017self,
  title={Self-Supervised Visual Planning with Temporal Skip Connections},
  author={Ebert, Frederik and Finn, Chelsea and Lee, Alex X. and Levine, Sergey},
  booktitle={Conference on Robot Learning (CoRL)}, year={2017}
}"""
_LICENSE = "Published by its authors for research without a stated licence; cite the paper. It is not redistributed here."


@dataclasses.dataclass
class BairConfig(tfds.core.BuilderConfig):
    """camera: "image_aux1" (the view used by the papers) or "image_main"."""

    camera: Literal["image_aux1", "image_main"] = "image_aux1"

    def __post_init__(self):
        if self.camera not in ("image_aux1", "image_main"):
            raise ValueError(f"camera must be 'image_aux1' or 'image_main', got {self.camera!r}.")


@dataclasses.dataclass(frozen=True)
class BairJob:
    """One TFRecord file of trajectories."""

    path: str
    source: str
    camera: str
    max_frames: int


def _trajectory(serialized: bytes, camera: str, where: str, max_frames: int) -> np.ndarray:
    try:
        feature = tf.train.Example.FromString(serialized).features.feature
    except Exception as error:  # protobuf's DecodeError differs between its implementations
        raise ClipError(f"{where} is not a tf.train.Example ({error}). Fetch the file again.") from error
    frames = []
    while (name := f"{len(frames)}/{camera}/encoded") in feature:
        values = feature[name].bytes_list.value
        if len(values) != 1 or len(values[0]) != _FRAME_BYTES:
            sizes = [len(value) for value in values]
            raise ClipError(f"{where}: {name} has {sizes} bytes; expected one value of {_FRAME_BYTES} (64x64x3, raw).")
        frames.append(np.frombuffer(values[0], np.uint8).reshape(SIZE, SIZE, 3))
        if len(frames) > max_frames:
            raise ClipError(f"{where}: more than {max_frames} frames (option --max-frames).")
    if len(frames) < 2:
        raise ClipError(f"{where}: {len(frames)} frame(s) of {camera!r}; expected a trajectory of 30. Is this a BAIR file?")
    return np.stack(frames)


def read_bair_file(job: BairJob) -> Iterator[tuple[str, dict]]:
    """Streams the trajectories of one file. Raises `ClipError` where the file is damaged; what came before has been yielded."""
    records = iter(tf.data.TFRecordDataset(job.path).prefetch(1))
    number = 0
    while True:
        where = f"{job.path}, record {number}"
        try:
            serialized = next(records).numpy()
        except StopIteration:
            break
        except (tf.errors.DataLossError, tf.errors.OutOfRangeError) as error:
            raise ClipError(
                f"{where}: damaged (truncated or bits flipped: {error.message}). Fetch the file again; if it is left out, "
                f"its first {number} trajectories are kept."
            ) from error
        key = f"{job.source}/{number}"
        frames = _trajectory(serialized, job.camera, where, job.max_frames)
        yield key, encode_clip(frames, clip_id=key, source=job.source, group=job.source, chunk_frames=CHUNK_FRAMES)
        number += 1
    if not number:
        raise ClipError(f"{job.path}: holds no record; fetch the file again or remove it.")


class Bair(ClipBuilder):
    """TFDS builder of the BAIR robot pushing data set."""

    name = "bair"
    BUILDER_CONFIGS = [
        BairConfig(name="aux1", description="The view of the papers."),
        BairConfig(name="main", description="The other camera.", camera="image_main"),
    ]
    read_job = staticmethod(read_bair_file)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            features=clip_features(SIZE, SIZE, 3, chunk_frames=CHUNK_FRAMES),
            description="BAIR robot pushing, 64x64 RGB, 30 frames a trajectory, without actions.",
            homepage="https://sites.google.com/berkeley.edu/robotic-interaction-datasets",
            citation=_CITATION,
            license=_LICENSE,
        )

    def plan(self) -> Plan:
        source = self.source_dir()
        root = source / "softmotion30_44k" if (source / "softmotion30_44k").is_dir() else source
        jobs: dict[str, list[BairJob]] = {}
        for split in ("train", "test"):
            files = sorted((root / split).glob("*.tfrecord*")) if (root / split).is_dir() else []
            jobs[split] = [
                BairJob(os.fspath(path.resolve()), f"{split}/{path.name}", self.builder_config.camera, self.options.max_frames)
                for path in files
                if path.is_file()
            ]
        if not any(jobs.values()):
            raise ValueError(
                f"{source} holds no BAIR records; expected softmotion30_44k/train/traj_*.tfrecords and .../test/... below it."
            )
        return Plan(jobs, [f"{sum(map(len, jobs.values()))} files of trajectories found"])
