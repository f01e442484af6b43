"""What a prepared data set holds, as lines and as a preview GIF."""

import os
import pathlib
import tempfile

import numpy as np
from PIL import Image

from data_pipelines import catalogue, clip_storage, record_index


def describe(entry: catalogue.Prepared) -> list[str]:
    """Readable lines: frames, splits, clips, lengths, size on disk, clips that were skipped, citation and licence."""
    builder = catalogue.open_builder(entry.path)
    height, width, channels, chunk = clip_storage.frame_shape(builder.info.features)
    folder = pathlib.Path(entry.path)
    total = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    lines = [
        f"{entry.name} {entry.version}: {builder.info.description}",
        f"folder: {entry.path} ({total / 1e6:.1f} MB)",
        f"frames: {height}x{width}x{channels} uint8, in zlib chunks of {chunk}",
    ]
    for split, info in builder.info.splits.items():
        index = record_index.load(entry.path, split, [os.fspath(path) for path in info.filepaths])
        lengths, size = index.num_frames, int(index.size.sum())
        frames = int(lengths.sum())
        lines.append(
            f"{split}: {len(index)} clips, {frames} frames; lengths {lengths.min()} to {lengths.max()}, median "
            f"{int(np.median(lengths))}; {len(index.paths)} shard(s), {size / 1e6:.1f} MB, {size / frames:.0f} bytes a frame"
        )
        skipped = folder / f"skipped-{split}.json"
        if skipped.is_file():
            lines.append(f"{split}: some clips of the source were skipped, see {skipped}")
    lines.append(f"citation: {' '.join(builder.info.citation.split())}")
    lines.append(f"licence: {' '.join(builder.info.redistribution_info.license.split())}")
    return lines


def preview(entry: catalogue.Prepared, path: pathlib.Path, *, clips: int = 8, max_frames: int = 50, scale: int = 2) -> None:
    """Writes an animated GIF of the first clips of the first split, side by side; shorter clips hold their last frame.

    Raises `ValueError` for a name that is not .gif or a number out of range.
    """
    if path.suffix.lower() != ".gif":
        raise ValueError(f"The preview must be a .gif file, got {str(path)!r}.")
    if not (1 <= clips <= 64 and 1 <= max_frames <= 1000 and 1 <= scale <= 8):
        raise ValueError(f"A preview has 1-64 clips, 1-1000 frames and scale 1-8, got {clips}, {max_frames} and {scale}.")
    dataset = catalogue.open_builder(entry.path)
    split = next(iter(dataset.info.splits))
    shown = [clip_storage.decode_clip(example)[:max_frames] for example in dataset.as_dataset(split=split).take(clips)]
    length = max(map(len, shown))
    shown = [np.concatenate([clip, np.repeat(clip[-1:], length - len(clip), axis=0)]) for clip in shown]
    row = np.concatenate(shown, axis=2).repeat(scale, axis=1).repeat(scale, axis=2)
    pictures = [Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame) for frame in row]
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".gif")
    try:
        with os.fdopen(handle, "wb") as file:
            pictures[0].save(file, format="GIF", save_all=True, append_images=pictures[1:], duration=100, loop=0)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise
