"""Records → windows → batches.

Every position of the endless stream of windows is a pure function of (seed, position) (`window_order`), so that the data set
can begin anywhere (`start_batch`), every worker takes its own positions, and each epoch is a full permutation of the split.
A window is one read of its clip's record at a known place (`record_index`), with its checksum verified; of that only the
chunks that the window touches are inflated. Nothing is cached: the split may be larger than memory. Two windows of one record
meet in an epoch only with windows_per_clip > 1, and then at independent places of the permutation.

The whole pipeline is TensorFlow's own: no Python runs while it reads.
"""

import logging
import os
import re

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import catalogue, clip_storage, record_index, transform
from data_pipelines.window_order import WindowOrder, fixed_starts

_LOG = logging.getLogger(__name__)
_FRAME_STATES = ("positions", "velocities", "collisions")
_CLIP_STATES = ("digit_ids",)
_OPTIONS = ("windows_per_clip", "random_windows")


class ClipsTooShort(ValueError):
    """No clip of a data set has as many frames as a window spans."""


class _Records:
    """Reads single records at known places, as TensorFlow operations."""

    def __init__(self, index: record_index.RecordIndex):
        self._paths = tf.constant(index.paths)
        self._shard, self._offset = tf.constant(index.shard), tf.constant(index.offset)
        self._first_chunk = tf.constant(index.first_chunk)
        self._chunks = tf.constant(np.stack([index.chunk_offset, index.chunk_size], axis=1), tf.int32)

    def record(self, record: tf.Tensor) -> tf.Tensor:
        """The serialised `tf.train.Example`, a string. Its checksum is verified: a damaged one raises DataLossError."""
        shard = self._shard[record]
        # tf.data.TFRecordDataset does not offer the operation's byte_offsets. No buffer: what is read is what is used.
        variant = tf.raw_ops.TFRecordDatasetV2(
            filenames=self._paths[shard, None],
            compression_type="",
            buffer_size=0,
            byte_offsets=self._offset[record, None],
        )
        dataset = tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
        return dataset.take(1).get_single_element()

    def chunks(self, serialized: tf.Tensor, record: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        """The zlib streams of chunks first to last (inclusive) of a serialised record, string [n]."""
        place = self._first_chunk[record]
        offsets, sizes = tf.unstack(self._chunks[place + first : place + last + 1], axis=1)
        return tf.strings.substr(serialized, offsets, sizes)


def load_records(
    name: str,
    split: str = "train",
    *,
    seq_len: int,
    batch_size: int,
    seed: int = 0,
    shuffle: bool | None = None,
    repeat: bool | None = None,
    frame_stride: int = 1,
    drop_remainder: bool | None = None,
    start_batch: int = 0,
    shard: tuple[int, int] = (0, 1),
    data_dir: str | None = None,
    with_states: bool = False,
    windows_per_clip: int = 1,
    random_windows: int = 0,
    **unknown,
) -> tf.data.Dataset:
    """Batches of windows from a prepared data set (see `data_pipelines.load`, which calls this).

    Args:
      name: "kth", "kth/64_all", "video_folder/mine:1.0.0", ... in `data_dir`.
      split: a split of the data set. "validation" of one that has none reads "test", with a line in the log.
      seq_len, frame_stride: T frames, each `frame_stride`-th of the video.
      batch_size: B, windows in a global batch.
      seed: order and windows.
      shuffle: a new order and new random windows in each epoch; else stored order and fixed windows (the first of each clip,
        or `windows_per_clip` evenly spaced ones). None: True in "train" only, as are repeat and drop_remainder.
      start_batch: begin where an undisturbed data set stands after so many batches, at no cost.
      shard: (index, count): rows index, index + count, ... of each global batch.
      with_states: adds the true states of a data set that has them (moving_mnist).
      windows_per_clip: windows of each clip in an epoch.
      random_windows: where > 0, the data set is so many random windows, drawn with replacement by `seed` alone (SRVP's KTH
        test: 1,000 excerpts of whole clips, seed 42); with repeat, new ones in each epoch.

    Returns: tf.data.Dataset of {"frames": float32 [B / count, T, H, W, C] in [0, 1]}.
    Raises: ValueError for an unknown data set, split or option, a value out of range, or no clip long enough.
    Clips shorter than the window are left out, with one line in the log.
    """
    if unknown:
        raise ValueError(f"Unknown option(s) {sorted(unknown)} of {name}; options: {', '.join(_OPTIONS)}.")
    index_of, count = _checked(seq_len, batch_size, frame_stride, start_batch, seed, shard, windows_per_clip, random_windows)
    training = split == "train"
    shuffle, repeat = (training if value is None else value for value in (shuffle, repeat))
    drop_remainder = training if drop_remainder is None else drop_remainder

    entry = catalogue.find(name, data_dir)
    builder = catalogue.open_builder(entry.path)
    split = _existing_split(entry.name, builder, split)
    features = builder.info.features
    shape = clip_storage.frame_shape(features)
    states = [state for state in _FRAME_STATES + _CLIP_STATES if state in features] if with_states else []
    if with_states and not states:
        raise ValueError(f"{entry.name} holds no true states; it has the features {sorted(features)}.")

    span = (seq_len - 1) * frame_stride + 1
    paths = [os.fspath(path) for path in builder.info.splits[split].filepaths]
    index = _long_enough(record_index.load(entry.path, split, paths), span, f"{entry.name} ({split})")
    order = WindowOrder(len(index), seed, bool(shuffle), windows_per_clip, random_windows)
    records = _Records(index)
    last_starts = tf.constant(index.num_frames - span)
    scope = re.sub(r"[^A-Za-z0-9_.]", "_", f"{entry.name}_{split}")  # an error of a damaged shard shows it

    def window(record, number, bits):
        last = last_starts[record]
        start = bits % (last + 1) if order.random_starts else fixed_starts(last, number, windows_per_clip)
        with tf.name_scope(scope):
            serialized = records.record(record)
            chunks = records.chunks(serialized, record, start // shape[-1], (start + span - 1) // shape[-1])
            frames = clip_storage.inflate_window(chunks, start % shape[-1], span, shape)
        result = {"frames": tf.ensure_shape(frames[::frame_stride], [seq_len, *shape[:-1]])}
        if states:
            skip = {"frame_chunks": tfds.decode.SkipDecoding()}
            example = features.deserialize_example(serialized, decoders=skip)
        for state in states:
            values = example[state]
            if state in _FRAME_STATES:
                values = tf.ensure_shape(values[start : start + span : frame_stride], [seq_len, *values.shape[1:]])
            result[state] = values
        return result

    first, windows = start_batch * batch_size + index_of, None
    if not repeat:
        stop = order.length // batch_size * batch_size if drop_remainder else order.length
        windows = len(range(first, stop, count))
    dataset = order.dataset(first, count, windows).map(window, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.batch(batch_size // count, drop_remainder=repeat or drop_remainder)
    dataset = dataset.map(
        lambda batch: batch | {"frames": transform.to_float(batch["frames"])},
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    settings = tf.data.Options()
    settings.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF  # sharded above
    return dataset.prefetch(2).with_options(settings)


def _checked(seq_len, batch_size, frame_stride, start_batch, seed, shard, windows_per_clip, random_windows) -> tuple[int, int]:
    limits = {
        "seq_len": (seq_len, 1),
        "batch_size": (batch_size, 1),
        "frame_stride": (frame_stride, 1),
        "start_batch": (start_batch, 0),
        "seed": (seed, 0),
        "windows_per_clip": (windows_per_clip, 1),
        "random_windows": (random_windows, 0),
    }
    for option, (value, least) in limits.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value < 2**63:
            raise ValueError(f"{option} must be an integer of at least {least}, got {value!r}.")
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f"shard must be (index, count) with 0 <= index < count, got {shard!r}.")
    if batch_size % count:
        raise ValueError(f"batch_size must be divisible by the {count} shards, got {batch_size}.")
    return index, count


def _existing_split(name: str, builder: tfds.core.DatasetBuilder, split: str) -> str:
    splits = list(builder.info.splits)
    if split in splits:
        return split
    if split == "validation" and "test" in splits:
        _LOG.warning("%s has no validation split; its test split is read instead.", name)
        return "test"
    raise ValueError(
        f"{name} has no split {split!r}; splits: {', '.join(splits)}. For your own videos: put some into a folder called "
        "'test' beside 'train', or build with a larger --test-percent."
    )


def _long_enough(index: record_index.RecordIndex, span: int, what: str) -> record_index.RecordIndex:
    keep = index.num_frames >= span
    short = int(len(index) - keep.sum())
    if not keep.any():
        longest = int(index.num_frames.max(initial=0))
        raise ClipsTooShort(
            f"{what}: no clip has the {span} frames that a window spans; the longest of {len(index)} has {longest}."
        )
    if short:
        _LOG.warning(
            "%s: %d of %d clips are shorter than the window of %d frames and are skipped.", what, short, len(index), span
        )
    return index.select(keep) if short else index
