"""Any folder of videos as a data set: avi, mp4, mkv, mov, webm, gif, or folders of numbered pictures.

Splits: where the source has sub-folders called train, test (and validation), they are the splits. Otherwise a stable hash of
each clip's name decides, so that a clip stays in its split when others come or go. Long clips are cut into records of
`segment_frames`; all segments of a clip share its split and its `group`.
"""

import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines.clip_storage import clip_features, encode_clip
from data_pipelines.example_gen.base import ClipBuilder, ClipError, Plan
from data_pipelines.example_gen.video_decoding import (
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
    Fit,
    picture_files,
    read_pictures,
    read_video,
    require_av,
)

SPLITS = ("train", "validation", "test")
MAX_SEGMENT_BYTES = 1 << 28


@dataclasses.dataclass
class VideoFolderConfig(tfds.core.BuilderConfig):
    """How clips become frames.

    size: pixels of a square frame. channels: 1 or 3. fps: frame rate wanted, 0 keeps each clip's own. fit: "crop" cuts out
    the centre, "squash" scales both sides on their own. test_percent: share of clips that the hash puts into the test split.
    segment_frames: longest record, in frames.
    """

    size: int = 64
    channels: int = 3
    fps: float = 0.0
    fit: Fit = "crop"
    test_percent: float = 10.0
    segment_frames: int = 300

    def __post_init__(self):
        _require(8 <= self.size <= 512, f"size must be between 8 and 512 pixels, got {self.size}.")
        _require(self.channels in (1, 3), f"channels must be 1 or 3, got {self.channels}.")
        _require(0 <= self.fps <= 1000, f"fps must be between 0 (as it is) and 1000, got {self.fps}.")
        _require(self.fit in ("crop", "squash"), f"fit must be 'crop' or 'squash', got {self.fit!r}.")
        _require(0 <= self.test_percent <= 100, f"test_percent must be between 0 and 100, got {self.test_percent}.")
        _require(2 <= self.segment_frames <= 10_000, f"segment_frames must be between 2 and 10000, got {self.segment_frames}.")
        _require(
            self.segment_frames * self.size**2 * self.channels <= MAX_SEGMENT_BYTES,
            f"A record of {self.segment_frames} frames of {self.size}x{self.size}x{self.channels} has more than "
            f"{MAX_SEGMENT_BYTES} bytes; take a smaller segment_frames.",
        )
        _require(
            re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", self.name) is not None,
            f"The data set's name must be letters, digits, '_' and '-' (at most 64), got {self.name!r}.",
        )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclasses.dataclass(frozen=True)
class VideoJob:
    """One video file or folder of pictures."""

    path: str
    source: str
    size: int
    channels: int
    fps: float
    fit: str
    segment_frames: int
    max_frames: int
    max_pixels: int


def read_video_job(job: VideoJob) -> Iterator[tuple[str, dict]]:
    """Decodes one clip segment by segment, so that memory does not grow with its length.

    Raises `ClipError`; where a long clip is damaged late, the segments before the damage have been yielded.
    """
    size = (job.size, job.size)
    limits = {"fit": job.fit, "max_frames": job.max_frames, "max_pixels": job.max_pixels}
    if os.path.isdir(job.path):
        frames = read_pictures(job.path, size, job.channels, **limits)
    else:
        frames = read_video(job.path, size, job.channels, fps=job.fps or None, **limits)
    done, segment = 0, []
    for frame in frames:
        # A segment is written when the next one has its first two frames, so that none is left with a single frame.
        if len(segment) > job.segment_frames:
            yield _segment(job, segment[: job.segment_frames], done)
            segment, done = segment[job.segment_frames :], done + job.segment_frames
        segment.append(frame)
    if done + len(segment) < 2:
        raise ClipError(f"{job.path}: has {done + len(segment)} frame(s); a clip needs at least two. Remove it.")
    yield _segment(job, segment, done)


def _segment(job: VideoJob, frames: list[np.ndarray], first: int) -> tuple[str, dict]:
    key = f"{job.source}/{first}"
    return key, encode_clip(np.stack(frames), clip_id=key, source=job.source, group=job.source, first_frame=first)


def hashed_split(name: str, test_percent: float) -> str:
    """The split of a clip by its name alone: SHA-256, the same on every machine."""
    value = int.from_bytes(hashlib.sha256(name.encode("utf-8")).digest()[:8], "big") / 2**64
    return "test" if value < test_percent / 100 else "train"


def find_clips(root: pathlib.Path) -> list[pathlib.Path]:
    """Video files, and folders that hold pictures, below `root`. Links that lead out of it are not followed."""
    inside = root.resolve()
    clips: list[pathlib.Path] = []
    for path in sorted(root.rglob("*")):
        if not path.resolve().is_relative_to(inside) or any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        if path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES or path.is_dir() and picture_files(path):
            clips.append(path)
    return clips


class VideoFolder(ClipBuilder):
    """TFDS builder of a user's own videos; the configuration's name is the data set's."""

    name = "video_folder"
    BUILDER_CONFIGS = [VideoFolderConfig(name="64", description="64x64 RGB")]
    read_job = staticmethod(read_video_job)

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        return tfds.core.DatasetInfo(
            builder=self,
            features=clip_features(config.size, config.size, config.channels),
            description=f"Videos from a folder, {config.size}x{config.size}x{config.channels}, "
            f"{config.fps or 'original'} fps, {config.fit}.",
            citation="The user's own videos.",
            license="That of the source videos.",
        )

    def plan(self) -> Plan:
        require_av()
        source, config = self.source_dir(), self.builder_config
        folders = [split for split in SPLITS if (source / split).is_dir()]
        by_folder = "train" in folders
        jobs: dict[str, list[VideoJob]] = {split: [] for split in (folders if by_folder else ("train", "test"))}
        roots = [source / split for split in folders] if by_folder else [source]
        for root in roots:
            for path in find_clips(root):
                name = path.relative_to(source).as_posix()
                split = root.name if by_folder else hashed_split(name, config.test_percent)
                jobs[split].append(
                    VideoJob(
                        str(path.resolve()),
                        name,
                        config.size,
                        config.channels,
                        config.fps,
                        config.fit,
                        config.segment_frames,
                        self.options.max_frames,
                        self.options.max_pixels,
                    )
                )
        if not any(jobs.values()):
            kinds = ", ".join(sorted(VIDEO_SUFFIXES)) + ", or folders of " + ", ".join(sorted(PICTURE_SUFFIXES))
            raise ValueError(f"{source} holds no video; expected {kinds}.")
        how = "by folder" if by_folder else f"by hash of the name, {config.test_percent:g} % test"
        counts = ", ".join(f"{split} {len(found)}" for split, found in jobs.items())
        return Plan(jobs, [f"clips found: {counts} (split {how})"])
