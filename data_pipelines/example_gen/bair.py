"""The BAIR robot pushing data set, read from its own `softmotion30_44k` TFRecords (SVG paper, section 5.3).

One `tf.train.Example` per trajectory of 30 frames, 64x64 RGB as raw bytes under "{t}/image_aux1/encoded". The records are
streamed as they are: no picture files in between. The robot's actions and positions are kept beside the frames; the paper's
models take frames alone, which is what `data_pipelines.load` hands out unless asked for more.
"""

import dataclasses
import pathlib
import re
from typing import Literal

import tensorflow_datasets as tfds

from data_pipelines import checks
from data_pipelines.clip_storage import clip_features
from data_pipelines.clips import kinds, sources
from data_pipelines.example_gen.base import ClipBuilder, Plan
from data_pipelines.example_gen.jobs.bair import CHUNK_FRAMES, PER_FRAME, SIZE, BairJob, read_bair_file

_FOLDER = "softmotion30_44k"
_RECORDS = re.compile(r"\.tfrecords?(-\d+-of-\d+)?(\.gz)?$", re.IGNORECASE)
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
                SIZE, SIZE, 3, chunk_frames=CHUNK_FRAMES, per_frame={name: (size,) for name, (_, size) in PER_FRAME.items()}
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
