"""One way to every data set: `data_pipelines.load`."""

import dataclasses
import numbers

import tensorflow as tf

from data_pipelines import files, moving_mnist

SPLITS = ("train", "validation", "test")
_GENERATED = "moving_mnist"


def _integer(name, value, low):
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < low:
        raise ValueError(f"{name} must be an integer of at least {low}, got {value!r}.")
    return int(value)


def load(
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
    **options,
) -> tf.data.Dataset:
    """Batches of videos.

    Args:
      name: "moving_mnist" (generated on the fly), or the name of a prepared data set ("kth", "bair", ...; with a
        configuration as in "moving_mnist/srvp", the fixed test set).
      split: "train", "validation" or "test".
      seq_len: T, frames in a sequence.
      batch_size: B, sequences in a *global* batch.
      seed: order of the data and, for moving_mnist, its contents.
      shuffle, repeat, drop_remainder: None stands for True in "train" and False elsewhere.
      frame_stride: keep each frame_stride-th frame of the video.
      start_batch: begin where an undisturbed data set stands after so many batches.
      shard: (index, count): worker `index` of `count` gets every count-th row of each global batch.
      data_dir: folder of prepared data sets; None: TFDS's own default.
      with_states: adds true states where they are known. For moving_mnist "positions" float32 [B, T, N, 2] (x, y of the
        digit's top left corner in pixels), "velocities" float32 [B, T, N, 2] (with which the digit leaves frame t),
        "collisions" bool [B, T, N] and "digit_ids" int32 [B, N]. Reference variant: collisions[t] marks the frame in which
        a digit is clamped to the wall, which is still predictable; the new velocity first shows in frame t + 1. srvp
        variant: the collision already shows in frame t.
      **options: of the data set; for moving_mnist the fields of `data_pipelines.moving_mnist.Options`.

    Returns: tf.data.Dataset of {"frames": float32 [B, T, H, W, C] in [0, 1], ...}, deterministic in its arguments.
    Raises: ValueError for a value out of range, an unknown option, split or data set.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"name must be the name of a data set, got {name!r}.")
    if split not in SPLITS:
        raise ValueError(f"split must be one of {SPLITS}, got {split!r}.")
    try:
        index, count = shard
    except (TypeError, ValueError):
        raise ValueError(f"shard must be a pair (index, count), got {shard!r}.") from None
    count = _integer("shard count", count, 1)
    index = _integer("shard index", index, 0)
    if index >= count:
        raise ValueError(f"shard index must be below the shard count {count}, got {index}.")
    batch_size = _integer("batch_size", batch_size, 1)
    if batch_size % count:
        raise ValueError(f"batch_size must be divisible by the shard count {count}, got {batch_size}.")
    if data_dir:
        files.local(data_dir, "data_dir")
    training = split == "train"
    arguments = {
        "split": split,
        "seq_len": _integer("seq_len", seq_len, 1),
        "batch_size": batch_size,
        "seed": _integer("seed", seed, 0),
        "shuffle": training if shuffle is None else bool(shuffle),
        "repeat": training if repeat is None else bool(repeat),
        "frame_stride": _integer("frame_stride", frame_stride, 1),
        "drop_remainder": training if drop_remainder is None else bool(drop_remainder),
        "start_batch": _integer("start_batch", start_batch, 0),
        "shard": (index, count),
        "with_states": with_states,
    }
    if name != _GENERATED:
        from data_pipelines import reader

        return reader.load_records(name=name, data_dir=data_dir or None, **arguments, **options)
    known = [field.name for field in dataclasses.fields(moving_mnist.Options)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"Unknown option(s) {unknown} of moving_mnist; options: {', '.join(known)}.")
    return moving_mnist.load(moving_mnist.Options(**options), **arguments)
