"""What TensorBoard shows beside scalars: animated GIFs and pictures, a layout of the charts, and what a run is.

TensorBoard has no video plugin; its images plugin serves the stored bytes as they are, and browsers animate a GIF. The
bytes therefore go into a summary with the images plugin's metadata, where `tf.summary.image` would re-encode them as PNG.
"""

import contextlib
import io
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image, UnidentifiedImageError
from tensorboard.compat.proto import event_pb2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as layout_metadata
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.image import metadata as image_metadata

from data_pipelines import files
from svg_tf import visualization


def gif(name: str, frames, step: int, fps: float = 6.0, description: str = "") -> bool:
    """Writes an animation to the current default summary writer (`writer.as_default()`).

    Args:
      name: tag in TensorBoard, not empty.
      frames: uint8 [T, H, W, 3] (or as `visualization.to_uint8` takes).
      step: training step, >= 0.
      fps: frames a second, in (0, 50].

    Returns whether it was written (False without a default writer or where recording is off).
    Raises `ValueError` for frames of another shape or dtype.
    """
    frames = np.asarray(frames)
    encoded = visualization.encode_gif(frames, fps)
    return _write(name, encoded, frames.shape[2], frames.shape[1], step, description)


def picture(name: str, image, step: int, description: str = "") -> bool:
    """Writes a still picture [H, W, 1 or 3], or the PNG or GIF file at a path as it is, to the current default writer."""
    if isinstance(image, str | os.PathLike):
        content = files.located(image).read_bytes()
        try:
            with Image.open(io.BytesIO(content), formats=("PNG", "GIF")) as opened:
                width, height = opened.size
        except UnidentifiedImageError:
            raise ValueError(f"{image} is neither a PNG nor a GIF file.") from None
        return _write(name, content, width, height, step, description)
    image = visualization.to_uint8(image, "image")
    if image.ndim != 3:
        raise ValueError(f"image must be [H, W, 1 or 3], got shape {image.shape}.")
    return _write(name, tf.io.encode_png(image).numpy(), image.shape[1], image.shape[0], step, description)


def _write(name, encoded, width, height, step, description) -> bool:
    if not name:
        raise ValueError("A summary needs a name.")
    if step is None or int(step) < 0:
        raise ValueError(f"step must be a training step of at least 0, got {step!r}.")
    metadata = image_metadata.create_summary_metadata(display_name=None, description=description)
    # The images plugin's format: width and height as decimal strings, then the encoded images.
    tensor = tf.constant([str(width).encode(), str(height).encode(), encoded])
    return bool(tf.summary.write(name, tensor, step=int(step), metadata=metadata))


def layout(charts: Mapping[str, Mapping[str, Sequence[str]]]) -> bool:
    """Writes the layout of the Custom Scalars tab to the current default writer.

    charts: category -> title of a chart -> the tags in it; curves of all runs (training, validation) share a chart.
    """
    categories = [
        layout_pb2.Category(
            title=category,
            chart=[
                layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=[f"^{re.escape(t)}$" for t in tags]))
                for title, tags in of_category.items()
            ],
        )
        for category, of_category in charts.items()
    ]
    content = layout_pb2.Layout(category=categories).SerializeToString()
    metadata = layout_metadata.create_summary_metadata()
    return bool(tf.summary.write(layout_metadata.CONFIG_SUMMARY_TAG, tf.constant(content), step=0, metadata=metadata))


def hyperparameters(values: Mapping[str, Any], name: str, metrics: Mapping[str, tuple[str, str]]) -> None:
    """Writes a run's hyper-parameters to the current default writer, so that runs compare in the HParams tab.

    values: numbers, booleans and strings by name; None is written as "none". name: of the run. metrics: title -> (subfolder of
    the run's logs, tag) of the scalars that are shown beside them.
    """
    written = {key: "none" if value is None else value for key, value in values.items()}
    shown = [hparams.Metric(tag, group=group, display_name=title) for title, (group, tag) in metrics.items()]
    hparams.hparams_config([hparams.HParam(key) for key in written], shown)
    hparams.hparams(written, trial_id=name)


@contextlib.contextmanager
def once(log_dir, suffix: str):
    """The default writer, within the block, of the one event file of `log_dir` with this suffix; earlier ones are replaced.

    For what a run says of itself at step 0: a run that continues says it anew, and nothing stands there twice.
    """
    log_dir = files.located(log_dir)
    before = list(log_dir.glob(f"events.out.tfevents.*{suffix}"))
    writer = tf.summary.create_file_writer(str(log_dir), filename_suffix=suffix)
    with writer.as_default(step=0):
        yield writer
    writer.close()
    for path in before:
        path.unlink(missing_ok=True)


def purge(log_dir, step: int) -> int:
    """Removes all events after `step` from the event files below `log_dir`, and what a kill left half-written at their ends.

    A run that continues from a checkpoint writes those events again. Files without later events stay as they are; the others
    are replaced at once. Returns the number of events removed.
    """
    removed = 0
    for path in sorted(files.located(log_dir).glob("**/events.out.tfevents.*")):
        kept, dropped = [], 0
        try:
            for record in tf.data.TFRecordDataset(str(path)):
                event = event_pb2.Event.FromString(record.numpy())
                if event.step > step:
                    dropped += 1
                else:
                    kept.append(record.numpy())
        except tf.errors.DataLossError:
            dropped += 1
        if dropped:
            _replace(path, kept)
        removed += dropped
    return removed


def _replace(path: pathlib.Path, records: list[bytes]) -> None:
    """The file with these records, whole. Its temporary name is not one that TensorBoard reads."""
    with files.whole(path, "purged.tmp") as temporary, tf.io.TFRecordWriter(str(temporary)) as writer:
        for record in records:
            writer.write(record)
