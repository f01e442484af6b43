"""StatisticsGen: one streaming pass over a data set of clips -> statistics beside the data.

`statistics.pb` is a tensorflow_metadata `DatasetFeatureStatisticsList`, one entry per split, with the features

* `num_frames`; `frame_height`, `frame_width`, `frame_channels`;
* `pixels/channel_C`: moments and histogram over all pixels of a channel, in levels 0 ... 255;
* `motion_energy`: per clip, the mean over pixels and steps of (x_t - x_{t-1})^2, pixels in [0, 1];
* `brightness`: per clip, the mean pixel in [0, 1];
* `is_still` (no pixel changes by more than 2 levels in any step), `is_black` (no pixel above level 16): 0 or 1 per clip,
  so that the mean is the share of such clips;
* `clip_id` (with the custom statistic `duplicate_clips`: clips whose pixels equal those of an earlier one), `source`,
  `group`, and whatever else the records hold.

`identities-SPLIT.npy` holds, per clip in stored order, hashes of its pixels, name, source and group: 40 bytes a clip, by which
`example_validator` finds leakage without reading the videos again. Memory: one clip, and these 40 bytes a clip.

TFDV computes such statistics in TFX; it does not install beside current TensorFlow, hence this module on its protos.
"""

import hashlib
import json
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_metadata.proto.v0 import statistics_pb2

from data_pipelines import accumulators, artifacts, catalogue, clip_storage

IDENTITY = np.dtype([("content", "V16"), ("clip_id", "<u8"), ("source", "<u8"), ("group", "<u8")])
NAMES = ("clip_id", "source", "group")
STILL_LEVELS, BLACK_LEVEL = 2, 16
MOTION_EDGES = (0.0, *np.logspace(-6, 0, 25))
BRIGHTNESS_EDGES = np.linspace(0, 1, 33)
_BLOCK_FRAMES = 64  # frames measured at once; a long clip needs no more working memory than a short one
_CLIP_FEATURES = ("frame_chunks", "num_frames", *NAMES)


def hash_text(value: bytes) -> int:
    """The 64 bits by which `identities-SPLIT.npy` knows a name."""
    return int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "little")


class _Split:
    """Accumulators of one split."""

    def __init__(self, features: tfds.features.FeaturesDict):
        _, _, channels = self._shape = clip_storage.frame_shape(features)[:3]
        self._pixels = [accumulators.Levels(256) for _ in range(channels)]
        self._lengths = accumulators.Lengths()
        self._motion, self._brightness = accumulators.Reals(MOTION_EDGES), accumulators.Reals(BRIGHTNESS_EDGES)
        self._still, self._black = accumulators.Levels(2), accumulators.Levels(2)
        self._strings = {name: accumulators.Strings() for name in NAMES if name in features}
        self._others, self._other_kinds = {}, {}
        for name, feature in features.items():
            if name in _CLIP_FEATURES:
                continue
            dtype = tf.as_dtype(feature.dtype) if not isinstance(feature.dtype, dict) else None
            if dtype == tf.string and feature.shape == ():
                self._others[name] = accumulators.Strings()
            elif dtype is not None and (dtype.is_integer or dtype.is_floating or dtype.is_bool):
                self._others[name] = accumulators.Reals()
                self._other_kinds[name] = accumulators.Kind.FLOAT if dtype.is_floating else accumulators.Kind.INT
        self._identities = bytearray()
        self.num_clips = 0

    def add(self, example: dict) -> None:
        frames = clip_storage.decode_clip(example)
        content = hashlib.blake2b(repr(frames.shape).encode(), digest_size=16)
        squares, largest_step, brightest, total = 0, 0, 0, 0
        for first in range(0, len(frames), _BLOCK_FRAMES):
            block = np.ascontiguousarray(frames[first : first + _BLOCK_FRAMES])
            content.update(block)
            for channel, levels in enumerate(self._pixels):
                levels.add(block[..., channel])
            brightest, total = max(brightest, int(block.max())), total + int(block.sum(dtype=np.int64))
            steps = np.diff(frames[max(first - 1, 0) : first + _BLOCK_FRAMES].astype(np.int16), axis=0)
            if steps.size:
                largest_step = max(largest_step, int(np.abs(steps).max()))
                squares += int((steps.astype(np.int32) ** 2).sum(dtype=np.int64))
        num_steps = max(frames[0].size * (len(frames) - 1), 1)
        self._lengths.add(len(frames))
        self._motion.add(squares / num_steps / 255.0**2)
        self._brightness.add(total / frames.size / 255.0)
        self._still.add(np.array([int(largest_step <= STILL_LEVELS)]))
        self._black.add(np.array([int(brightest <= BLACK_LEVEL)]))
        for name, strings in self._strings.items():
            strings.add(bytes(example[name]))
        for name, values in self._others.items():
            values.add(bytes(example[name]) if isinstance(values, accumulators.Strings) else example[name])
        identity = np.zeros((), IDENTITY)
        identity["content"] = np.void(content.digest())
        for name in NAMES:
            identity[name] = hash_text(bytes(example[name])) if name in example else 0
        self._identities += identity.tobytes()
        self.num_clips += 1

    def identities(self) -> np.ndarray:
        return np.frombuffer(bytes(self._identities), IDENTITY)

    def statistics(self, name: str) -> statistics_pb2.DatasetFeatureStatistics:
        result = statistics_pb2.DatasetFeatureStatistics(name=name, num_examples=self.num_clips)
        identities = self.identities()
        features = [self._lengths.feature("num_frames")]
        for label, size in zip(("height", "width", "channels"), self._shape, strict=True):
            constant = accumulators.Lengths()
            constant.counts[size] = self.num_clips
            features.append(constant.feature(f"frame_{label}"))
        features += [levels.feature(f"pixels/channel_{c}", self.num_clips) for c, levels in enumerate(self._pixels)]
        features += [self._motion.feature("motion_energy"), self._brightness.feature("brightness")]
        features += [self._still.feature("is_still", self.num_clips), self._black.feature("is_black", self.num_clips)]
        for field, strings in self._strings.items():
            features.append(strings.feature(field, len(np.unique(identities[field]))))
        duplicates = self.num_clips - len(np.unique(identities["content"].view("S16")) if self.num_clips else ())
        for feature in features:
            if feature.name == "clip_id":
                feature.custom_stats.add(name="duplicate_clips", num=duplicates)
        for field, values in self._others.items():
            kind = self._other_kinds.get(field)
            features.append(values.feature(field) if kind is None else values.feature(field, kind))
        result.features.extend(features)
        for feature in result.features:
            feature.path.step.append(feature.name)
            feature.ClearField("name")  # a oneof: a feature has a path or a name
        return result


def examples(builder: tfds.core.DatasetBuilder, split: str, *, frames: bool = True):
    """The records of a split in stored order, as NumPy dicts; without `frames` the videos are not inflated.

    Raises `ValueError` naming the split where a record is damaged."""
    decoders = None if frames else {"frame_chunks": tfds.decode.SkipDecoding()}
    config = tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1)
    dataset = builder.as_dataset(split=split, shuffle_files=False, decoders=decoders, read_config=config)
    try:
        yield from tfds.as_numpy(dataset.prefetch(1))
    except tf.errors.OpError as error:
        raise ValueError(
            f"Split {split!r} of {builder.data_path} is damaged ({error.message}). Build the data set again."
        ) from error


def run(
    builder_dir, *, write: bool = True, on_progress: Callable[[str, int, int], None] | None = None
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Computes the statistics of a prepared data set.

    Args:
      builder_dir: its folder, DATA_DIR/name/config/version.
      write: also write `statistics.pb` and `identities-SPLIT.npy` there.
      on_progress: called with (split, clips done, clips in all).

    Raises: ValueError where the folder holds no data set of clips, or a record is damaged.
    """
    folder = artifacts.require_data_set(builder_dir)
    builder = catalogue.open_builder(os.fspath(folder))
    result, identities = statistics_pb2.DatasetFeatureStatisticsList(), {}
    for split, info in builder.info.splits.items():
        accumulated = _Split(builder.info.features)
        for example in examples(builder, split):
            accumulated.add(example)
            if on_progress:
                on_progress(split, accumulated.num_clips, info.num_examples)
        if accumulated.num_clips != info.num_examples:
            raise ValueError(
                f"Split {split!r} of {folder} has {accumulated.num_clips} clips, its description says {info.num_examples}; "
                "build the data set again."
            )
        identities[split] = accumulated.identities()
        result.datasets.append(accumulated.statistics(split))
    if write:
        for split, array in identities.items():
            artifacts.write_array(folder / f"identities-{split}.npy", array)
        artifacts.write_proto(folder / artifacts.STATISTICS, result)  # last: where it is, the rest is
    return result


def load(builder_dir) -> statistics_pb2.DatasetFeatureStatisticsList:
    """The statistics beside the data, computed first where they are absent or older than the data set's description."""
    folder = artifacts.require_data_set(builder_dir)
    path = folder / artifacts.STATISTICS
    if not path.is_file() or path.stat().st_mtime < (folder / "dataset_info.json").stat().st_mtime:
        return run(folder)
    return artifacts.read_proto(path, statistics_pb2.DatasetFeatureStatisticsList)


def load_identities(builder_dir, split: statistics_pb2.DatasetFeatureStatistics) -> np.ndarray:
    """`IDENTITY` [N] of a split, in stored order. Raises `ValueError` where they do not belong to these statistics."""
    path = artifacts.require_data_set(builder_dir) / f"identities-{split.name}.npy"
    identities = artifacts.read_array(path, IDENTITY)
    if len(identities) != split.num_examples:
        raise ValueError(f"{path} must hold {split.num_examples} clips, got {len(identities)}. Make the statistics again.")
    return identities


def describe(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> list[str]:
    """Readable lines, one per split and feature."""
    lines = []
    for split in statistics.datasets:
        lines.append(f"{split.name}: {split.num_examples} clips")
        for feature in split.features:
            name = feature.path.step[0]
            if feature.HasField("string_stats"):
                top = [entry.value for entry in feature.string_stats.top_values[:3]]
                line = f"{feature.string_stats.unique} distinct, e.g. {json.dumps(top, ensure_ascii=False)}"
                for custom in feature.custom_stats:
                    line += f"; {custom.name} {custom.num:g}"
            else:
                stats = feature.num_stats
                line = f"mean {stats.mean:.6g}, sd {stats.std_dev:.6g}, from {stats.min:.6g} to {stats.max:.6g}"
            lines.append(f"  {name}: {line}")
    return lines
