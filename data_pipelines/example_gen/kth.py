"""The KTH actions data set: 25 persons, 6 actions, 4 scenarios; 599 clips of 160x120 at 25 fps (SVG paper, section 5.2).

Source: the folder of `.avi` files (sub-folders are searched too) and `00sequences.txt`. Frames are squashed to
the wanted size (64x64 in the papers) and made gray; persons 1 to 20 are the training split, 21 to 25 the test split, as in the
paper.
"""

import dataclasses
import pathlib
import re
from typing import Literal

import tensorflow_datasets as tfds

from data_pipelines import checks, frame_size
from data_pipelines.clip_storage import clip_features
from data_pipelines.clips import kinds, require_av, sources
from data_pipelines.example_gen.base import ClipBuilder, Plan
from data_pipelines.example_gen.jobs.kth import SEQUENCES_FILE, KthJob, read_kth_clip

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
TRAIN_PERSONS = range(1, 21)

_CLIP = re.compile(r"(person(\d\d)_([a-z]+)_(d[1-4]))")
_AVI = re.compile(_CLIP.pattern + r"(_uncomp)?\.avi", re.IGNORECASE)
_RANGE = re.compile(r"(\d{1,6})\s*-\s*(\d{1,6})")

_CITATION = """@inproceedings{schuldt2004recognizing,
  title={Recognizing human actions: a local {SVM} approach},
  author={Schuldt, Christian and Laptev, Ivan and Caputo, Barbara},
  booktitle={International Conference on Pattern Recognition (ICPR)},
  volume={3}, pages={32--36}, year={2004}
}"""
_LICENSE = "The authors grant the use of the database for non-commercial research; cite the paper. It is not redistributed here."


@dataclasses.dataclass
class KthConfig(tfds.core.BuilderConfig):
    """size: pixels of a frame, an integer for a square or a pair (height, width). ranges: "sequences", the 2,391 action
    ranges of `00sequences.txt`, each a record (SVG paper); "all", every clip whole (as in the KTH numbers that SRVP
    published)."""

    size: frame_size.Size = 64
    ranges: Literal["sequences", "all"] = "sequences"

    def __post_init__(self):
        self.size = frame_size.checked("size", self.size, 8, 512)
        checks.one_of("ranges", self.ranges, ("sequences", "all"))

    @classmethod
    def of(cls, size: frame_size.Size = 64, ranges: str = "sequences") -> "KthConfig":
        """The configuration with its usual name: "64", "128", "64_all", "120x160", ..."""
        size = frame_size.checked("size", size, 8, 512)
        text, shown = frame_size.text(size), "x".join(map(str, frame_size.pair(size)))
        name = text if ranges == "sequences" else f"{text}_{ranges}"
        return cls(name=name, description=f"{shown}, ranges: {ranges}", size=size, ranges=ranges)


def read_sequences(path: pathlib.Path) -> dict[str, list[tuple[int, int]]]:
    """Parses `00sequences.txt`.

    Returns one-based, inclusive frame ranges by clip ("person01_boxing_d1"), in file order. A clip marked `*missing*` has none.
    Overlapping ranges and CRLF line ends, which the genuine file has, are kept as they are.
    Raises `ValueError` for a missing file, a line about a clip that cannot be read, or a clip listed twice.
    """
    if not path.is_file():
        raise ValueError(
            f"{path} is missing. Put the data set's own {SEQUENCES_FILE} beside the .avi files, or build with --ranges all."
        )
    text = path.read_bytes()
    if len(text) > 1 << 24:
        raise ValueError(f"{path} has {len(text)} bytes: not the data set's {SEQUENCES_FILE} (about 80 kB).")
    sequences: dict[str, list[tuple[int, int]]] = {}
    for number, line in enumerate(text.decode("latin-1").splitlines(), start=1):
        words = line.split(maxsplit=1)
        clip = _CLIP.fullmatch(words[0]) if words else None
        if clip is None:
            continue  # the explanations at the top of the file
        rest = words[1].strip() if len(words) > 1 else ""
        where = f"{path}, line {number}: {line.strip()!r}"
        if clip[1] in sequences:
            raise ValueError(f"{where}: the clip is listed for the second time; expected once.")
        if rest == "*missing*":
            sequences[clip[1]] = []
            continue
        body = rest.removeprefix("frames").strip().rstrip(",")
        ranges = [_RANGE.fullmatch(part.strip()) for part in body.split(",")]
        if not rest.startswith("frames") or not all(ranges):
            raise ValueError(f"{where}: expected 'frames' and ranges such as '1-95, 96-185', or '*missing*'.")
        pairs = [(int(match[1]), int(match[2])) for match in ranges]
        if any(not 1 <= first <= last for first, last in pairs):
            raise ValueError(f"{where}: expected one-based ranges first-last with first <= last.")
        sequences[clip[1]] = pairs
    if not sequences:
        raise ValueError(
            f"{path} lists no clip; expected lines such as 'person01_boxing_d1  frames  1-95, 96-185'. "
            f"Fetch the data set's own {SEQUENCES_FILE}, or build with --ranges all."
        )
    return sequences


class Kth(ClipBuilder):
    """TFDS builder of the KTH actions data set."""

    name = "kth"
    BUILDER_CONFIGS = [KthConfig.of(size, ranges) for size in (64, 128) for ranges in ("sequences", "all")]
    read_job = staticmethod(read_kth_clip)

    def _info(self) -> tfds.core.DatasetInfo:
        extra = {"action": tfds.features.Text(), "scenario": tfds.features.Text()}
        return tfds.core.DatasetInfo(
            builder=self,
            features=clip_features(*frame_size.pair(self.builder_config.size), 1, extra),
            description="KTH human actions, gray, for video prediction: persons 1-20 train, 21-25 test.",
            homepage="https://www.csc.kth.se/cvap/actions/",
            citation=_CITATION,
            license=_LICENSE,
        )

    def plan(self) -> Plan:
        require_av()
        source, config, left_out = self.source_dir(), self.builder_config, sources.LeftOut()
        clips, lists = _found(source, left_out)
        sequences = None
        notes = [f"{len(clips)} clips found"]
        if config.ranges == "sequences":
            sequences = read_sequences(lists[0] if lists else source / SEQUENCES_FILE)
            missing = [clip for clip, ranges in sequences.items() if not ranges]
            absent = [clip for clip, ranges in sequences.items() if ranges and clip not in clips]
            unlisted = sorted(set(clips) - set(sequences))
            notes = [
                f"{len(clips)} clips found; listed in {SEQUENCES_FILE} but not in the folder: {len(absent)}; "
                f"marked *missing*: {len(missing)}; found but not listed (left out): {len(unlisted)}"
            ]
        notes += [line for line in [left_out.line()] if line]
        jobs: dict[str, list[KthJob]] = {"train": [], "test": []}
        for clip, path in sorted(clips.items()):
            ranges = None if sequences is None else tuple(sequences.get(clip, ()))
            if ranges == ():
                continue
            _, person, action, scenario = _CLIP.fullmatch(clip).groups()
            # An absolute path, so that Beam workers find it wherever they run on this file system.
            options = (*frame_size.pair(config.size), self.options.max_frames, self.options.max_pixels)
            job = KthJob(str(path.resolve()), clip, int(person), action, scenario, ranges, *options)
            jobs["train" if int(person) in TRAIN_PERSONS else "test"].append(job)
        return Plan(jobs, notes)


def _found(source: pathlib.Path, left_out: sources.LeftOut) -> tuple[dict[str, pathlib.Path], list[pathlib.Path]]:
    """The clips below the source by name, and the lists of ranges. Raises `ValueError` where there is no clip, or one twice."""
    clips: dict[str, pathlib.Path] = {}
    lists: list[pathlib.Path] = []
    for path in (path for folder in sources.folders(source, left_out) for path in folder.files):
        if path.name == SEQUENCES_FILE:
            lists.append(path)
            continue
        if kinds.suffix(path.name) != ".avi":
            left_out.add(sources.of_kind(path), kinds.shown(path.relative_to(source)))
            continue
        match = _AVI.fullmatch(path.name)
        if not match or match[3].lower() not in ACTIONS or not 1 <= int(match[2]) <= 25:
            raise ValueError(f"{kinds.shown(path)}: not a KTH clip; expected names such as person01_boxing_d1_uncomp.avi.")
        clip = match[1].lower()
        if clip in clips:
            raise ValueError(f"{kinds.shown(path)}: the same clip is also there as {kinds.shown(clips[clip])}; keep one of them.")
        clips[clip] = path
    if not clips:
        raise ValueError(
            f"{kinds.shown(source)} holds no .avi file; expected the KTH clips as they are published, e.g. "
            f"person01_boxing_d1_uncomp.avi, and {SEQUENCES_FILE}. Fetch them, or build another form of the data set with "
            f"svg-data build video_folder{'; ' + left_out.line('found') if left_out.line() else ''}."
        )
    return clips, lists
