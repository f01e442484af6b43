"""One way to every data set: `data_pipelines.load`."""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from data_pipelines import checks, files, moving_mnist
from data_pipelines.window_request import WindowRequest

_GENERATED = "moving_mnist"


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
    service: str | None = None,
    tensors: Sequence[str] = ("frames",),
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
      service: addresses of tf.data services that read in this process's stead, "grpc://host-a:5000,grpc://host-b:5000", each with
        one worker (see `service`); data without end alone (repeat). The batches and their order are the same.
      tensors: names of the tensors of a batch. "frames" has every data set; others are the features of its records
        (`svg-data describe` lists them): those with a value for each frame are cut as the frames are, [B, T, ...], others are
        [B, ...]. BAIR's "actions" float32 [B, T, 4]: row t leads from frame t to frame t + 1; with `frame_stride` above 1
        there is no such action, and a `ValueError`.
      with_states: adds all true states where they are known. For moving_mnist "positions" float32 [B, T, N, 2] (x, y of the
        digit's top left corner in pixels), "velocities" float32 [B, T, N, 2] (with which the digit leaves frame t),
        "collisions" bool [B, T, N] and "digit_ids" int32 [B, N]. Reference variant: collisions[t] marks the frame in which
        a digit is clamped to the wall, which is still predictable; the new velocity first shows in frame t + 1. srvp
        variant: the collision already shows in frame t. With `frame_stride`, a collision in a frame that is left out counts
        for the next one that is kept.
      **options: of the data set; for moving_mnist the fields of `data_pipelines.moving_mnist.Options`.

    Returns: tf.data.Dataset of {"frames": float32 [B, T, H, W, C] in [0, 1], ...}, deterministic in its arguments.
    Raises: ValueError for a value out of range, an unknown option, split, tensor or data set.
    """
    checks.require(isinstance(name, str) and name != "", f"name must be the name of a data set, got {name!r}.")
    if data_dir:
        files.located(data_dir, "data_dir")
    request = WindowRequest(
        split=split,
        seq_len=seq_len,
        batch_size=batch_size,
        seed=seed,
        shuffle=shuffle,
        repeat=repeat,
        frame_stride=frame_stride,
        drop_remainder=drop_remainder,
        start_batch=start_batch,
        shard=shard,
        tensors=tensors,
        with_states=with_states,
    )
    if not service:
        return _load(name, request, options, data_dir)
    from data_pipelines import service as services

    checks.require(request.repeat, "A service reads data without end (repeat); this is read once.")
    return services.read(service, lambda batches: _load(name, dataclasses.replace(request, batches=batches), options, data_dir))


def _load(name: str, request: WindowRequest, options: dict, data_dir: str | None) -> tf.data.Dataset:
    if name == _GENERATED:
        return moving_mnist.load(request, moving_mnist.options(**options))
    from data_pipelines import reader

    return reader.load_records(name, request, reader.options(name, **options), data_dir=data_dir or None)
