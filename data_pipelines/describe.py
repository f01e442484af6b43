"""What a prepared data set holds, as lines and as a preview GIF."""

import itertools
import math
import os
import pathlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

from data_pipelines import catalogue, checks, clip_records, clip_storage, files, record_index

MAX_CLIPS, MAX_FRAMES, MAX_SCALE = 64, 1000, 8
_MAX_PREVIEW_BYTES = 1 << 29


def describe(entry: catalogue.Prepared) -> list[str]:
    """Readable lines: frames, splits, clips, lengths, size on disk, clips that were skipped, citation and license."""
    builder = catalogue.open_builder(entry.path)
    features = builder.info.features
    height, width, channels, chunk = shape = clip_storage.frame_shape(features)
    folder = files.located(entry.path)
    per_frame = clip_storage.per_frame_names(features)
    others = sorted(name for name in features if name not in (clip_storage.STORED, *per_frame))
    lines = [
        f"{entry.name} {entry.version}: {builder.info.description}",
        f"folder: {entry.path} ({size_on_disk(folder) / 1e6:.1f} MB)",
        f"frames: {height}x{width}x{channels} uint8, in zlib chunks of {chunk}",
        *([f"of each frame: {', '.join(sorted(per_frame))}"] if per_frame else []),
        f"of each clip: {', '.join(others)}",
    ]
    for split in builder.info.splits:
        lines.append(f"{split}: {_clips(record_index.load(entry.path, split, catalogue.shards(builder, split), shape))}")
        skipped = folder / f"skipped-{split}.json"
        if skipped.is_file():
            lines.append(f"{split}: some clips of the source were skipped, see {skipped}")
    lines.append(f"citation: {' '.join(builder.info.citation.split())}")
    lines.append(f"license: {' '.join(builder.info.redistribution_info.license.split())}")
    return lines


def _clips(index: record_index.RecordIndex) -> str:
    if not len(index):
        return "no clips"
    lengths, size = index.num_frames, int(index.size.sum())
    frames = int(lengths.sum())
    return (
        f"{len(index)} clips, {frames} frames; lengths {lengths.min()} to {lengths.max()}, median {int(np.median(lengths))}; "
        f"{len(index.paths)} shard(s), {size / 1e6:.1f} MB, {size / max(frames, 1):.0f} bytes a frame"
    )


def size_on_disk(folder: pathlib.Path) -> int:
    """Bytes of all files of a data set."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _first_frames(blocks: Iterable[np.ndarray], count: int) -> np.ndarray:
    taken, frames = [], 0
    for block in blocks:
        taken.append(block[: count - frames])
        frames += len(taken[-1])
        if frames == count:
            break
    return np.concatenate(taken)


def preview(entry: catalogue.Prepared, path: str | os.PathLike, *, clips: int = 8, max_frames: int = 50, scale: int = 2) -> None:
    """Writes an animated GIF of the first clips of the first split that has some, side by side; shorter clips hold their last
    frame.

    Raises `ValueError` for a name that is not .gif, a number out of range, a picture too large, or a data set without clips.
    """
    path = files.located(path)
    checks.require(path.suffix.lower() == ".gif", f"The preview must be a .gif file, got {str(path)!r}.")
    clips = checks.integer("clips", clips, 1, MAX_CLIPS)
    max_frames = checks.integer("max_frames", max_frames, 1, MAX_FRAMES)
    scale = checks.integer("scale", scale, 1, MAX_SCALE)
    dataset = catalogue.open_builder(entry.path)
    shape = clip_storage.frame_shape(dataset.info.features)
    checks.require(shape[2] in (1, 3), f"A preview shows frames of 1 or 3 channels, got {shape[2]}.")
    size = clips * max_frames * math.prod(shape[:3]) * scale**2
    fits = size <= _MAX_PREVIEW_BYTES
    checks.require(fits, f"A preview of {clips} clips would take {size / 1e9:.1f} GB; take fewer clips or a smaller scale.")
    split = next((name for name, info in dataset.info.splits.items() if info.num_examples), None)
    checks.require(split is not None, f"{entry.name} has no clips to show.")
    records = itertools.islice(clip_records.read(catalogue.shards(dataset, split)), clips)
    shown = [_first_frames(record.blocks(shape), max_frames) for record in records]
    length = max(map(len, shown))
    shown = [np.concatenate([clip, np.repeat(clip[-1:], length - len(clip), axis=0)]) for clip in shown]
    row = np.concatenate(shown, axis=2).repeat(scale, axis=1).repeat(scale, axis=2)
    pictures = [Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame) for frame in row]
    with files.whole(path) as temporary:
        pictures[0].save(temporary, format="GIF", save_all=True, append_images=pictures[1:], duration=100, loop=0)
