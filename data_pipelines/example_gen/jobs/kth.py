"""Reading a clip of KTH: decoded whole, then cut into its ranges."""

import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np

from data_pipelines.clip_encoding import encode_clip
from data_pipelines.clips import ClipError, Wanted, kinds, read_clip

SEQUENCES_FILE = "00sequences.txt"
MAX_CLIP_BYTES = 1 << 28
"""A clip is decoded whole before its ranges are cut; this bounds the memory (65,536 frames at 64 px)."""


@dataclasses.dataclass(frozen=True)
class KthJob:
    """One .avi file and what to cut from it."""

    path: str
    clip: str
    person: int
    action: str
    scenario: str
    ranges: tuple[tuple[int, int], ...] | None
    height: int
    width: int
    max_frames: int
    max_pixels: int


def read_kth_clip(job: KthJob) -> Iterator[tuple[str, dict]]:
    """Decodes one clip and yields an example for each range. Raises `ClipError` before the first example, or not at all."""
    max_frames = min(job.max_frames, MAX_CLIP_BYTES // (job.height * job.width))
    wanted = Wanted(job.height, job.width, 1, fit="squash", max_frames=max_frames, max_pixels=job.max_pixels)
    frames = np.stack(list(read_clip(job.path, wanted)))
    ranges = ((1, len(frames)),) if job.ranges is None else job.ranges
    for first, last in ranges:
        if last > len(frames):
            raise ClipError(
                f"{kinds.shown(job.path)}: {SEQUENCES_FILE} asks for frames {first}-{last}, the clip has {len(frames)}. "
                "Copy the clip again (it may be cut short), or correct the range."
            )
        if last == first:
            raise ClipError(f"{kinds.shown(job.path)}: frames {first}-{last} are a single frame; a clip needs at least two.")
    for first, last in ranges:
        key = f"{job.clip}/{first}-{last}"
        example = encode_clip(
            frames[first - 1 : last],
            clip_id=key,
            source=pathlib.Path(job.path).name,
            group=f"person{job.person:02d}",
            first_frame=first - 1,
        )
        yield key, example | {"action": job.action, "scenario": job.scenario}
