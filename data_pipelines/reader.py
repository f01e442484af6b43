"""Records → windows → batches.

Every position of the endless stream of windows is a pure function of (seed, position): which epoch, which record, which
window. The data set is a range of positions mapped to windows, so that it can begin anywhere (`start_batch`) without reading
what came before, every worker takes its own positions, and the order is a full permutation of the split in each epoch
without a shuffle buffer. A record is read by one seek (`record_index`), and only the chunks that the window touches are
inflated. Nothing is cached: the split may be larger than memory. Each window comes from its own read of a record; two windows
of one record meet in an epoch only with windows_per_clip > 1, and then at independent places of the permutation.

Reading uses a Python function inside tf.data (`tf.numpy_function`): the data set runs in the process that made it, and
the files must be on a mounted file system.
"""

import logging
import os
import threading
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import catalogue, clip_storage, record_index, transform

_LOG = logging.getLogger(__name__)
_FRAME_STATES = ("positions", "velocities", "collisions")
_CLIP_STATES = ("digit_ids",)
_OPTIONS = ("windows_per_clip", "random_windows")


class _Order:
    """Position in the stream → (record, uniform number for the window's start, number of the window in its clip).

    Uses the raw Philox stream, which NumPy keeps bit for bit, keyed by (seed, epoch).
    """

    def __init__(self, num_records: int, *, seed: int, shuffle: bool, windows_per_clip: int, random_windows: int):
        self._num_records, self._seed, self._shuffle = num_records, seed, shuffle
        self._per_clip, self._random_windows = windows_per_clip, random_windows
        self.length = random_windows or num_records * windows_per_clip
        self._epochs: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._lock = threading.Lock()

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        with self._lock:
            if epoch not in self._epochs:
                raw = np.random.Philox(key=np.array([self._seed, epoch], np.uint64)).random_raw(2 * self.length)
                keys, starts = raw[: self.length], raw[self.length :]
                if self._random_windows:
                    order = (keys % np.uint64(self._num_records)).astype(np.int64) * self._per_clip
                else:
                    order = np.argsort(keys, kind="stable")
                for old in [known for known in self._epochs if known < epoch - 1]:
                    del self._epochs[old]
                self._epochs[epoch] = order, starts
            return self._epochs[epoch]

    def __call__(self, position: int) -> tuple[int, int | None, int]:
        epoch, place = divmod(position, self.length)
        if not (self._shuffle or self._random_windows):
            return place // self._per_clip, None, place % self._per_clip
        order, starts = self._epoch(epoch)
        entry = int(order[place])
        return entry // self._per_clip, int(starts[place if self._random_windows else entry]), entry % self._per_clip


class _Records:
    """Reads whole records by seeking. Thread-safe; opens each shard once."""

    def __init__(self, index: record_index.RecordIndex):
        self._index = index
        self._files: dict[int, Any] = {}
        self._lock = threading.Lock()

    def _read(self, record: int, offset: int, size: int) -> bytes:
        shard = int(self._index.shard[record])
        with self._lock:
            file = self._files.get(shard)
            if file is None:
                file = self._files[shard] = open(self._index.paths[shard], "rb", buffering=0)  # noqa: SIM115 (kept open)
        data = os.pread(file.fileno(), size, offset)
        if len(data) != size:
            raise ValueError(f"{self._index.paths[shard]} has become shorter while it was being read; build the data set again.")
        return data

    def record(self, record: int) -> bytes:
        """The serialised `tf.train.Example`."""
        return self._read(record, int(self._index.offset[record]), int(self._index.size[record]))

    def chunks(self, record: int, first: int, last: int) -> np.ndarray:
        """The zlib streams of chunks first to last (inclusive) of a record, object [n] of bytes, by one read."""
        place = slice(int(self._index.first_chunk[record]) + first, int(self._index.first_chunk[record]) + last + 1)
        offsets, sizes = self._index.chunk_offset[place].tolist(), self._index.chunk_size[place].tolist()
        data = self._read(record, offsets[0], offsets[-1] + sizes[-1] - offsets[0])
        parts = [data[offset - offsets[0] : offset - offsets[0] + size] for offset, size in zip(offsets, sizes, strict=True)]
        return np.array(parts, dtype=object)


def evenly_spaced_start(last_start: int, number: int, of: int) -> int:
    """First frame of fixed window `number` of `of`, the last of which may start at `last_start`: the clip's first window
    where there is one, else from the first to the last possible."""
    return 0 if of == 1 else round(number * last_start / (of - 1))


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
    order = _Order(len(index), seed=seed, shuffle=shuffle, windows_per_clip=windows_per_clip, random_windows=random_windows)
    records = _Records(index)
    last_starts = index.num_frames - span

    def read(position):
        record, uniform, number = order(int(position))
        last = int(last_starts[record])
        start = evenly_spaced_start(last, number, windows_per_clip) if uniform is None else uniform % (last + 1)
        chunks = records.chunks(record, start // shape[-1], (start + span - 1) // shape[-1])
        serialized = records.record(record) if states else b""
        return chunks, np.int64(start), np.array(serialized, dtype=object)

    def window(position):
        chunks, start, serialized = tf.numpy_function(read, [position], [tf.string, tf.int64, tf.string], stateful=False)
        chunks.set_shape([None])
        start.set_shape([])
        serialized.set_shape([])
        frames = clip_storage.inflate_window(chunks, start % shape[-1], span, shape)
        result = {"frames": tf.ensure_shape(frames[::frame_stride], [seq_len, *shape[:-1]])}
        if states:
            example = features.deserialize_example(serialized, decoders={"frame_chunks": tfds.decode.SkipDecoding()})
        for state in states:
            values = example[state]
            if state in _FRAME_STATES:
                values = tf.ensure_shape(values[start : start + span : frame_stride], [seq_len, *values.shape[1:]])
            result[state] = values
        return result

    stop = np.iinfo(np.int64).max if repeat else order.length
    if not repeat and drop_remainder:
        stop = order.length // batch_size * batch_size
    first = min(start_batch * batch_size + index_of, stop)
    dataset = tf.data.Dataset.range(first, stop, count).map(window, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
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
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
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
    raise ValueError(f"{name} has no split {split!r}; splits: {', '.join(splits)}.")


def _long_enough(index: record_index.RecordIndex, span: int, what: str) -> record_index.RecordIndex:
    keep = index.num_frames >= span
    short = int(len(index) - keep.sum())
    if not keep.any():
        longest = int(index.num_frames.max(initial=0))
        raise ValueError(f"{what}: no clip has the {span} frames that a window spans; the longest of {len(index)} has {longest}.")
    if short:
        _LOG.warning(
            "%s: %d of %d clips are shorter than the window of %d frames and are skipped.", what, short, len(index), span
        )
    return index.select(keep) if short else index


decode_clip = clip_storage.decode_clip
