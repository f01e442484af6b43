"""Reading a user's own video, segment by segment."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from data_pipelines.clip_encoding import encode_clip
from data_pipelines.clips import ClipError, Wanted, kinds, read_clip


@dataclasses.dataclass(frozen=True)
class VideoJob:
    """One video file, animation or folder of pictures."""

    path: str
    source: str
    wanted: Wanted
    segment_frames: int


def read_video_job(job: VideoJob) -> Iterator[tuple[str, dict]]:
    """Decodes one clip segment by segment, so that memory does not grow with its length.

    Raises `ClipError`; where a long clip is damaged late, the segments before the damage have been yielded.
    """
    frames = read_clip(job.path, job.wanted)
    done, segment = 0, []
    for frame in frames:
        # A segment is written when the next one has its first two frames, so that none is left with a single frame.
        if len(segment) > job.segment_frames:
            yield _segment(job, segment[: job.segment_frames], done)
            segment, done = segment[job.segment_frames :], done + job.segment_frames
        segment.append(frame)
    if done + len(segment) < 2:
        raise ClipError(f"{kinds.shown(job.path)}: has {done + len(segment)} frame(s); a clip needs at least two. Remove it.")
    yield _segment(job, segment, done)


def _segment(job: VideoJob, frames: list[np.ndarray], first: int) -> tuple[str, dict]:
    key = f"{job.source}/{first}"
    return key, encode_clip(np.stack(frames), clip_id=key, source=job.source, group=job.source, first_frame=first)
