"""The BAIR robot pushing data set, read from its own `softmotion30_44k` TFRecords (SVG paper, section 5.3).

One `tf.train.Example` per trajectory of 30 frames, 64x64 RGB as raw bytes under "{t}/image_aux1/encoded". The records are
streamed as they are: no picture files in between. The robot's actions and positions are kept beside the frames; the paper's
models take frames alone, which is what `data_pipelines.load` hands out unless asked for more.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Literal

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import checks
from data_pipelines.clip_storage import clip_features, encode_clip
from data_pipelines.clips import ClipError, kinds, sources
from data_pipelines.example_gen.base import ClipBuilder, Plan

SIZE = 64
CHUNK_FRAMES = 3
"""A training window of 12 frames inflates 14; chunks of 3 pack as tightly as chunks of 6 here (measured)."""
_FOLDER = "softmotion30_44k"
_RECORDS = re.compile(r"\.tfrecords?(-\d+-of-\d+)?(\.gz)?$", re.IGNORECASE)
_FRAME_BYTES = SIZE * SIZE * 3
_PER_FRAME = {"actions": ("action", 4), "endeffector_positions": ("endeffector_pos", 3)}
"""Numbers of each frame: the name of the source's entries, and how many. Row t of the actions leads from frame t to t + 1."""
_CITATION = """@inproceedings{ebert2017self,
  title={Self-Supervised Visual Planning with Temporal Skip Connections},
  author={Ebert, Frederik and Finn, Chelsea and Lee, Alex X. and Levine, Sergey},
  booktitle={Conference on Robot Learning (CoRL)}, year={2017}
}"""
_LICENSE = "Published by its authors for research without a stated license; cite the paper. It is not redistributed here."


@dataclasses.dataclass
class BairConfig(tfds.core.BuilderConfig):
    """camera: "image_aux1" (the view used by the papers) or "image_main"."""

    camera: Literal["image_aux1", "image_main"] = "image_aux1"

    def __post_init__(self):
        checks.one_of("camera", self.camera, ("image_aux1", "image_main"))


@dataclasses.dataclass(frozen=True)
class BairJob:
    """One TFRecord file of trajectories, compressed where its name ends in .gz."""

    path: str
    source: str
    camera: str
    max_frames: int


def _trajectory(serialized: bytes, camera: str, where: str, max_frames: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The frames of a record, and the numbers of each."""
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
    numbers = {name: _numbers(feature, len(frames), *entry, where) for name, entry in _PER_FRAME.items()}
    return np.stack(frames), numbers


def _numbers(feature, num_frames: int, name: str, size: int, where: str) -> np.ndarray:
    rows = [list(feature[f"{t}/{name}"].float_list.value) for t in range(num_frames)]
    wrong = next((t for t, row in enumerate(rows) if len(row) != size), None)
    if wrong is not None:
        raise ClipError(f"{where}: {wrong}/{name} has {len(rows[wrong])} numbers; expected {size}. Fetch the file again.")
    return np.array(rows, np.float32)


def read_bair_file(job: BairJob) -> Iterator[tuple[str, dict]]:
    """Streams the trajectories of one file. Raises `ClipError` where the file is damaged; what came before has been yielded."""
    compression = "GZIP" if job.path.lower().endswith(".gz") else ""
    records = iter(tf.data.TFRecordDataset(os.fsencode(job.path), compression).prefetch(1))
    number = 0
    while True:
        where = f"{kinds.shown(job.path)}, record {number}"
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
        frames, numbers = _trajectory(serialized, job.camera, where, job.max_frames)
        names = {"clip_id": key, "source": job.source, "group": job.source}
        yield key, encode_clip(frames, **names, chunk_frames=CHUNK_FRAMES, per_frame=numbers)
        number += 1
    if not number:
        raise ClipError(f"{kinds.shown(job.path)}: holds no record; fetch the file again or remove it.")


class Bair(ClipBuilder):
    """TFDS builder of the BAIR robot pushing data set."""

    name = "bair"
    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = ClipBuilder.RELEASE_NOTES | {"1.1.0": "The robot's actions and positions beside the frames."}
    BUILDER_CONFIGS = [
        BairConfig(name="aux1", description="The view of the papers."),
        BairConfig(name="main", description="The other camera.", camera="image_main"),
    ]
    read_job = staticmethod(read_bair_file)

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            features=clip_features(
                SIZE, SIZE, 3, chunk_frames=CHUNK_FRAMES, per_frame={name: (size,) for name, (_, size) in _PER_FRAME.items()}
            ),
            description="BAIR robot pushing, 64x64 RGB, 30 frames a trajectory, with the robot's actions and positions.",
            homepage="https://sites.google.com/berkeley.edu/robotic-interaction-datasets",
            citation=_CITATION,
            license=_LICENSE,
        )

    def plan(self) -> Plan:
        source, left_out = self.source_dir(), sources.LeftOut()
        root = source / _FOLDER if (source / _FOLDER).is_dir() else source
        jobs: dict[str, list[BairJob]] = {"train": [], "test": []}
        elsewhere: list[pathlib.Path] = []
        for folder in sources.folders(root, left_out):
            for path in folder.files:
                split, name = path.parent.name, kinds.shown(path.relative_to(root))
                if not _RECORDS.search(path.name):
                    left_out.add(sources.of_kind(path), name)
                elif path.parent.parent == root and split in jobs:
                    options = (self.builder_config.camera, self.options.max_frames)
                    jobs[split].append(BairJob(str(path.resolve()), f"{split}/{kinds.shown(path.name)}", *options))
                else:
                    elsewhere.append(path)
                    left_out.add("records outside of train and test", name)
        if not any(jobs.values()):
            raise ValueError(_nothing(source, root, elsewhere, left_out))
        notes = [f"{sum(map(len, jobs.values()))} files of trajectories found", left_out.line()]
        return Plan(jobs, [note for note in notes if note])


def _nothing(source: pathlib.Path, root: pathlib.Path, elsewhere: list[pathlib.Path], left_out: sources.LeftOut) -> str:
    """What was found in the place of records, and what is wanted."""
    text = f"{kinds.shown(source)} holds no BAIR records; expected {_FOLDER}/train/traj_*.tfrecords and .../test/... below it"
    if elsewhere and root.name in ("train", "test"):
        return f"{text}. {kinds.shown(root)} seems to be one of its splits: give the folder above it."
    if elsewhere:
        example = kinds.shown(elsewhere[0])
        return f"{text}; found {len(elsewhere)} files of records elsewhere (e.g. {example}). Put them into train and test."
    return f"{text}{'; ' + left_out.line('found') if left_out.line() else ''}."
