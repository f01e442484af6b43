"""Any folder of videos as a data set: video files, GIFs and other animations, folders of numbered pictures.

Splits: folders called train, validation or test (or val, training, Test, ...; see `data_pipelines.clips.sources`) are the splits.
Otherwise a stable hash of each clip's name decides, so that a clip stays in its split when others come or go. Long clips are cut
into records of `segment_frames`; all segments of a clip share its split and its `group`.
"""

import dataclasses
import fnmatch
import hashlib
import math
import re

import tensorflow_datasets as tfds

from data_pipelines import checks, frame_size
from data_pipelines.clip_storage import clip_features
from data_pipelines.clips import Box, Fit, Wanted, kinds, require_av, sources
from data_pipelines.example_gen.base import ClipBuilder, Plan
from data_pipelines.example_gen.jobs.video_folder import VideoJob, read_video_job

MAX_SEGMENT_BYTES = 1 << 28


@dataclasses.dataclass
class VideoFolderConfig(tfds.core.BuilderConfig):
    """How clips become frames.

    size: pixels of a frame, an integer for a square or a pair (height, width). channels: 1 or 3. fps: frame rate wanted, 0 keeps
    each clip's own. fit: "crop" cuts out the center, "squash" scales both sides on their own. test_percent: share of clips that
    the hash puts into the test split. segment_frames: longest record, in frames. box: part of each picture that is taken (left,
    top, right, bottom), None: all. skip: pattern of file names that are left out.
    """

    size: frame_size.Size = 64
    channels: int = 3
    fps: float = 0.0
    fit: Fit = "crop"
    test_percent: float = 10.0
    segment_frames: int = 300
    box: Box | None = None
    skip: str = ""

    def __post_init__(self):
        self.size = frame_size.checked("size", self.size, 8, 512)
        checks.one_of("channels", self.channels, (1, 3))
        checks.number("fps", self.fps, 0, 1000)
        checks.one_of("fit", self.fit, Fit)
        checks.number("test_percent", self.test_percent, 0, 100)
        if self.box is not None:
            right = len(self.box) == 4 and all(isinstance(n, int) for n in self.box)
            right = right and 0 <= self.box[0] < self.box[2] and 0 <= self.box[1] < self.box[3]
            checks.require(right, f"box must be left, top, right, bottom in pixels, left < right, top < bottom; got {self.box}.")
        checks.integer("segment_frames", self.segment_frames, 2, 10_000)
        checks.require(
            self.segment_frames * math.prod(self.frame_shape) <= MAX_SEGMENT_BYTES,
            f"A record of {self.segment_frames} frames of {self.shown} has more than "
            f"{MAX_SEGMENT_BYTES} bytes; take a smaller segment_frames.",
        )
        checks.require(
            re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", self.name) is not None,
            f"The data set's name must be letters, digits, '_' and '-' (at most 64), got {self.name!r}.",
        )

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return *frame_size.pair(self.size), self.channels

    @property
    def shown(self) -> str:
        return "x".join(map(str, self.frame_shape))


def hashed_split(name: str, test_percent: float) -> str:
    """The split of a clip by its name alone: SHA-256, the same on every machine."""
    value = int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big") / 2**64
    return "test" if value < test_percent / 100 else "train"


class VideoFolder(ClipBuilder):
    """TFDS builder of a user's own videos; the configuration's name is the data set's."""

    name = "video_folder"
    BUILDER_CONFIGS = [VideoFolderConfig(name="64", description="64x64 RGB")]
    read_job = staticmethod(read_video_job)

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        return tfds.core.DatasetInfo(
            builder=self,
            features=clip_features(*config.frame_shape),
            description=f"Videos from a folder, {config.shown}, "
            f"{config.fps or 'original'} fps, {config.fit}.",
            citation="The user's own videos.",
            license="That of the source videos.",
        )

    def plan(self) -> Plan:
        source, config = self.source_dir(), self.builder_config
        found = sources.survey(source)
        skipped = [clip for clip in found.clips if config.skip and fnmatch.fnmatchcase(clip.name.rpartition("/")[2], config.skip)]
        found = found._replace(clips=[clip for clip in found.clips if clip not in skipped])
        if any(not clip.is_folder and kinds.suffix(clip.name) in kinds.VIDEO_SUFFIXES for clip in found.clips):
            require_av()
        if not found.clips:
            taken = ", ".join(sorted(kinds.VIDEO_SUFFIXES | kinds.ANIMATION_SUFFIXES))
            pictures = ", ".join(sorted(kinds.PICTURE_SUFFIXES))
            raise ValueError(
                f"{kinds.shown(source)} holds no video; expected {taken}, or folders of {pictures}"
                + (f"; {found.left_out}." if found.left_out else ".")
            )
        splits = [split for split in sources.SPLITS if split in found.spelled]
        by_hash = [clip for clip in found.clips if clip.split is None]
        jobs: dict[str, list[VideoJob]] = {split: [] for split in (splits if "train" in splits else ("train", *splits))}
        if not splits:
            jobs["test"] = []
        wanted = self._wanted()
        for clip in found.clips:
            rest = "train" if splits else hashed_split(clip.name, config.test_percent)
            jobs[clip.split or rest].append(VideoJob(clip.real, clip.name, wanted, config.segment_frames))
        notes = self._notes(jobs, found, by_hash)
        if skipped:
            notes.append(f"skipped by --skip {config.skip}: {len(skipped)} clip(s) (e.g. {skipped[0].name})")
        return Plan(jobs, notes)

    def _wanted(self) -> Wanted:
        config, options = self.builder_config, self.options
        fps, limits = config.fps or None, (options.max_frames, options.max_pixels)
        return Wanted(*config.frame_shape, config.fit, fps, *limits, config.box)

    def _notes(self, jobs: dict[str, list[VideoJob]], found: sources.Survey, outside: list[sources.Clip]) -> list[str]:
        how = f"by hash of the name, {self.builder_config.test_percent:g} % test"
        if found.spelled:
            how = "by folder: " + "; ".join(f"{split} = {', '.join(names)}" for split, names in found.spelled.items())
            how += "; train = all others" if outside else ""
        counts = ", ".join(f"{split} {len(clips)}" for split, clips in jobs.items())
        notes = [f"clips found: {counts} (split {how})", found.left_out]
        pictures = sum(clip.is_folder for clip in found.clips)
        if self.builder_config.fps and pictures:
            notes.append(f"--fps does not change the {pictures} folder(s) of pictures, which have no times")
        return [note for note in notes if note]
