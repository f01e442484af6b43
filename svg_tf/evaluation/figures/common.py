"""What the figures share: checks, drawing many samples in parts, files, TensorBoard."""

import csv
import io
import pathlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from data_pipelines import files
from svg_tf import summaries
from svg_tf.evaluation import devices

SEQUENCES_AT_ONCE, SAMPLES_AT_ONCE = 8, 20


def check_frames(model, frames, least: int, what: str = "frames") -> np.ndarray:
    """float [N, T >= least, H, W, C] in [0, 1] of the model's size -> float32. Raises `ValueError`."""
    frames = np.asarray(frames)
    shape = model.config.frame_shape
    if frames.ndim != 5 or frames.shape[2:] != shape or len(frames) < 1 or frames.shape[1] < least:
        wanted = ", ".join(map(str, shape))
        raise ValueError(f"{what} must be [N >= 1, T >= {least}, {wanted}], got shape {frames.shape}.")
    if frames.dtype.kind != "f" or not (frames.min() >= 0 and frames.max() <= 1):
        raise ValueError(f"{what} must be floats in [0, 1], got {frames.dtype} in [{frames.min():g}, {frames.max():g}].")
    return frames.astype(np.float32, copy=False)


def draw(model, frames, n_past: int, n_samples: int, seed: int) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Samples of all futures, in parts of bounded size: (sequences, samples, float32 [b, s, T - n_past, H, W, C]).

    Sample s of sequence n depends on (seed, n, s) and its frames alone, as in evaluation. All devices of this machine draw; the
    parts come in order.
    """
    seeds = np.stack([np.full(len(frames), seed), np.arange(len(frames))], axis=1).astype(np.int32)
    parts = [
        (slice(first, min(first + SEQUENCES_AT_ONCE, len(frames))), slice(s, min(s + SAMPLES_AT_ONCE, n_samples)))
        for first in range(0, len(frames), SEQUENCES_AT_ONCE)
        for s in range(0, n_samples, SAMPLES_AT_ONCE)
    ]

    def samples(own, number):
        rows, of_rows = parts[number]
        future, n = frames.shape[1] - n_past, of_rows.stop - of_rows.start
        return np.asarray(own.generate(frames[rows, :n_past], future, n, seeds[rows], first_sample=of_rows.start))

    copies = devices.copies(model, len(parts))
    functions = [devices.on(device, lambda number, own=own: samples(own, number)) for device, own in copies]
    done, following = {}, 0
    for number, drawn in devices.spread(functions, range(len(parts))):
        done[number] = drawn
        while following in done:
            yield *parts[following], done.pop(following)
            following += 1


def write_csv(path, columns: tuple[str, ...], rows: Iterable[tuple]) -> pathlib.Path:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return files.write(path, stream.getvalue())


def write_json(path, values: dict) -> pathlib.Path:
    return files.write_json(path, values, indent=1)


def publish(log_dir, pictures: Mapping[str, str | pathlib.Path], step: int) -> None:
    """Shows figures in TensorBoard's Images tab: tag -> PNG or GIF file (GIFs animate)."""
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(files.located(log_dir) / "figures"))
    with writer.as_default():
        for tag, path in pictures.items():
            summaries.picture(tag, files.located(path), step)
    writer.close()
