"""Records → windows → batches.

Every position of the endless stream of windows is a pure function of (seed, position) (`window_order`), so that the data set
can begin anywhere (`start_batch`), every worker takes its own positions, and each epoch is a full permutation of the split.
A window is one read of its clip's record at a known place (`record_index`), with its checksum verified; of that only the
chunks that the window touches are inflated. Nothing is cached: the split may be larger than memory. Two windows of one record
meet in an epoch only with windows_per_clip > 1, and then at independent places of the permutation.

The whole pipeline is TensorFlow's own: no Python runs while it reads.
"""

import dataclasses
import functools
import logging
import re
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import catalogue, checks, clip_storage, motion, record_index, transform
from data_pipelines.window_order import WindowOrder, fixed_starts
from data_pipelines.window_request import FRAMES, WindowRequest

_LOG = logging.getLogger(__name__)


class ClipsTooShort(ValueError):
    """No clip of a data set has as many frames as a window spans."""


class _Records:
    """Reads single records at known places, as TensorFlow operations."""

    def __init__(self, index: record_index.RecordIndex, shape: Sequence[int]):
        self._paths = tf.constant(index.paths)
        self._shard, self._offset = tf.constant(index.shard), tf.constant(index.offset)
        self._longest = record_index.longest_chunk(shape)

    def record(self, record: tf.Tensor) -> tf.Tensor:
        """The serialized `tf.train.Example`, a string. Its checksum is verified: a damaged one raises DataLossError."""
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

    def chunks(self, serialized: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
        """The zlib streams of chunks first to last (inclusive) of a serialized record, string [n]."""
        entry = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
        chunks = tf.io.parse_single_example(serialized, {clip_storage.STORED: entry})[clip_storage.STORED]
        return tf.strings.substr(chunks[first : last + 1], 0, self._longest)  # one that lies about its size is not inflated


@dataclasses.dataclass(frozen=True)
class Options:
    """Which windows of the clips make an epoch."""

    windows_per_clip: int = 1
    """Windows of each clip in an epoch."""
    random_windows: int = 0
    """Where > 0, the data set is so many random windows, drawn with replacement by `seed` alone (SRVP's KTH test: 1,000
    excerpts of whole clips, seed 42); with repeat, new ones in each epoch."""

    def __post_init__(self):
        checks.integer("windows_per_clip", self.windows_per_clip, 1, 2**31)
        checks.integer("random_windows", self.random_windows, 0, 2**31)


def options(name: str, **given) -> Options:
    """Options of the data set `name`. Raises `ValueError` for an unknown one."""
    known = [field.name for field in dataclasses.fields(Options)]
    unknown = sorted(set(given) - set(known))
    checks.require(not unknown, f"Unknown option(s) {unknown} of {name}; options: {', '.join(known)}.")
    return Options(**given)


class _Windows:
    """Cuts the wanted tensors of a window out of a record."""

    def __init__(self, request: WindowRequest, features: tfds.features.FeaturesDict, records: _Records, what: str):
        self._request, self._records = request, records
        self._shape = clip_storage.frame_shape(features)
        stored = sorted(name for name in features if name != clip_storage.STORED)
        states = [name for name in (*clip_storage.FRAME_STATES, *clip_storage.CLIP_STATES) if name in stored]
        self._names = request.wanted((FRAMES, *stored), states, what)
        self._per_frame = clip_storage.per_frame_names(features)
        self._features = tfds.features.FeaturesDict({name: features[name] for name in self._names if name != FRAMES})
        for name in self._names:
            if name in self._per_frame and name not in clip_storage.FRAME_STATES and request.frame_stride > 1:
                raise ValueError(
                    f"{what}: {name} are values of successive frames; with frame_stride {request.frame_stride} there are none "
                    "that lead from one kept frame to the next. Take frame_stride 1, or leave them out of tensors."
                )

    def read(self, record: tf.Tensor, start: tf.Tensor) -> dict[str, tf.Tensor]:
        """The window of `record` that begins with frame `start`; frames are uint8 [T, H, W, C]."""
        serialized = self._records.record(record)
        example = self._features.deserialize_example(serialized) if len(self._features) else {}
        result = {}
        for name in self._names:
            if name == FRAMES:
                result[name] = self._frames(serialized, start)
            else:
                result[name] = self._cut(example[name], start) if name in self._per_frame else example[name]
        return result

    def _frames(self, serialized, start):
        request, chunk = self._request, self._shape[-1]
        chunks = self._records.chunks(serialized, start // chunk, (start + request.span - 1) // chunk)
        frames = clip_storage.inflate_window(chunks, start % chunk, request.span, self._shape)
        return tf.ensure_shape(frames[:: request.frame_stride], [request.seq_len, *self._shape[:-1]])

    def _cut(self, values, start):
        request = self._request
        window = tf.ensure_shape(values[start : start + request.span], [request.span, *values.shape[1:]])
        if window.dtype == tf.bool:
            return motion.any_since_kept(window, request.frame_stride)
        return tf.ensure_shape(window[:: request.frame_stride], [request.seq_len, *values.shape[1:]])


def load_records(name: str, request: WindowRequest, options: Options, *, data_dir: str | None = None) -> tf.data.Dataset:
    """Batches of windows from a prepared data set (see `data_pipelines.load`, which calls this).

    With shuffle, a new order and new random windows in each epoch; else stored order and fixed windows: the first of each clip,
    or `windows_per_clip` evenly spaced ones. "validation" of a data set that has none reads "test", with a line in the log. To
    begin at `start_batch` costs nothing.

    Args:
      name: "kth", "kth/64_all", "video_folder/mine:1.0.0", ... in `data_dir`.

    Returns: tf.data.Dataset of {"frames": float32 [B / count, T, H, W, C] in [0, 1], ...}.
    Raises: ValueError for an unknown data set, split or tensor, a value out of range, or no clip long enough.
    Clips shorter than the window are left out, with one line in the log.
    """
    entry = catalogue.find(name, data_dir)
    builder = catalogue.open_builder(entry.path)
    split = _existing_split(entry.name, builder, request.split)
    features = builder.info.features
    shape = clip_storage.frame_shape(features)
    index = record_index.load(entry.path, split, catalogue.shards(builder, split), shape)
    index = _long_enough(index, request.span, f"{entry.name} ({split})")
    windows = _Windows(request, features, _Records(index, shape), entry.name)
    order = WindowOrder(len(index), request.seed, request.shuffle, options.windows_per_clip, options.random_windows)
    last_starts = tf.constant(index.num_frames - request.span)  # int32, as in the index
    scope = re.sub(r"[^A-Za-z0-9_.]", "_", f"{entry.name}_{split}")  # an error of a damaged shard shows it

    def window(record, number, bits):
        last = tf.cast(last_starts[record], tf.int64)
        start = bits % (last + 1) if order.random_starts else fixed_starts(last, number, options.windows_per_clip)
        with tf.name_scope(scope):
            return windows.read(record, start)

    dataset = _positions(order, request).map(window, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.batch(request.rows, drop_remainder=request.whole_batches)
    if FRAMES in dataset.element_spec:
        dataset = dataset.map(
            lambda batch: batch | {FRAMES: transform.to_float(batch[FRAMES])},
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    settings = tf.data.Options()
    settings.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF  # sharded above
    return dataset.prefetch(2).with_options(settings)


def _positions(order: WindowOrder, request: WindowRequest) -> tf.data.Dataset:
    """This worker's windows in order, as (record, number, random bits)."""
    index, count = request.shard
    first, windows = request.start_batch * request.batch_size + index, None
    if not request.repeat:
        whole = order.length // request.batch_size * request.batch_size
        windows = len(range(first, whole if request.drop_remainder else order.length, count))
    positions = order.dataset(first, count, windows)
    if request.batches == (0, 1):
        return positions
    return positions.batch(request.rows).shard(request.batches[1], request.batches[0]).unbatch()


@functools.cache
def _note(text: str) -> None:
    """One line in the log, once in a process: every validation opens the data set anew."""
    _LOG.warning("%s", text)


def _existing_split(name: str, builder: tfds.core.DatasetBuilder, split: str) -> str:
    splits = list(builder.info.splits)
    if split in splits:
        return split
    if split == "validation" and "test" in splits:
        _note(f"{name} has no validation split; its test split is read instead.")
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
        _note(f"{what}: {short} of {len(index)} clips are shorter than the window of {span} frames and are skipped.")
    return index.select(keep) if short else index
