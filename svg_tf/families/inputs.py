"""Checks of what comes into a model: frames of its public methods, and the batches of `fit`."""

import itertools
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf


def check_frames(frames, shape: tuple[int, int, int], least: int, what: str = "frames") -> tf.Tensor:
    """frames: float [B, T >= least, H, W, C] in [0, 1], array or tensor -> float32 tensor. Raises `ValueError`."""
    expected = f"{what} must be float [batch, time >= {least}, {shape[0]}, {shape[1]}, {shape[2]}] in [0, 1]"
    if not tf.is_tensor(frames):
        frames = np.asarray(frames)
    if not (tf.as_dtype(frames.dtype).is_floating):
        raise ValueError(f"{expected}, got dtype {tf.as_dtype(frames.dtype).name}{_scaled(frames)}.")
    found = tuple(frames.shape)
    if len(found) != 5 or found[2:] != tuple(shape):
        raise ValueError(f"{expected}, got shape {found}.")
    if found[0] == 0 or found[1] < least:
        raise ValueError(f"{expected}, got shape {found}: {'no sequence' if found[0] == 0 else 'too few frames'}.")
    frames = tf.cast(frames, tf.float32)
    check_range(frames, what)
    return frames


def check_range(frames, what: str) -> None:
    """Raises `ValueError` for values outside of [0, 1] and for NaN."""
    lowest, highest = (np.min, np.max) if isinstance(frames, np.ndarray) else (tf.reduce_min, tf.reduce_max)
    low, high = float(lowest(frames)), float(highest(frames))
    if not (low >= 0.0 and high <= 1.0):  # also catches NaN
        raise ValueError(f"{what} must be in [0, 1], got values in [{low:g}, {high:g}].")


def tensors_of(data, names: tuple[str, ...]) -> dict:
    """A batch as `fit` gives it -> its named tensors. Raises `ValueError` for targets, weights, and tensors that are missing.

    A model takes tensors {"frames": ...} or, where "frames" is all it wants, the tensor alone.
    """
    batch, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
    for what, value in (("targets y", targets), ("sample weights (sample_weight, class_weight)", weights)):
        if value is not None:
            raise ValueError(f"Frames are their own targets, all of one weight: this model takes no {what}.")
    if not isinstance(batch, Mapping):
        batch = {"frames": batch}
    missing = [name for name in names if name not in batch]
    if missing:
        raise ValueError(f"Batches must hold the tensors {', '.join(names)}; {missing[0]!r} is not among {sorted(batch)}.")
    return {name: batch[name] for name in (*names, *(["row"] if "row" in batch else []))}


def check_batch_shape(frames, shape: tuple[int, int, int]) -> tf.Tensor:
    """Frames of a batch with their static size, also where the data set does not tell it. Raises `ValueError`."""
    if frames.shape.rank not in (None, 5) or not frames.dtype.is_floating or (
        frames.shape.rank == 5 and not frames.shape[2:].is_compatible_with(shape)
    ):  # fmt: skip
        raise ValueError(
            f'Batches must be {{"frames": float32 [batch, time, {shape[0]}, {shape[1]}, {shape[2]}]}}, got shape '
            f"{frames.shape} and dtype {frames.dtype.name}."
        )
    return tf.ensure_shape(frames, [None, None, *shape])


def check_data(data, replicas: int, shape: tuple[int, int, int], least: int, what: str = "the data"):
    """The data of `fit` or `evaluate`, its first batch looked at.

    Raises `ValueError` where a batch does not divide among the replicas, for data of no kind that Keras takes or without a batch,
    and for frames of integers, of another shape, fewer than `least`, or outside of [0, 1]. Data sets of unknown shapes get the
    model's.
    """
    if isinstance(data, tf.data.Dataset):
        for spec in tf.nest.flatten(data.element_spec) if replicas > 1 else ():
            batch = spec.shape[0] if spec.shape.rank else None
            if batch is not None and batch % replicas:
                raise ValueError(f"A batch of {batch} must be divisible by the {replicas} replicas.")
        if any(spec.shape.rank is None for spec in tf.nest.flatten(data.element_spec)):
            data = data.map(lambda *batch: _with_shapes(batch[0] if len(batch) == 1 else batch, shape))
        first = next(iter(data.take(1)), None)
    elif isinstance(data, keras.utils.PyDataset):
        first = data[0] if data.num_batches != 0 else None
    elif hasattr(data, "__next__"):  # a generator can be read once
        first = next(data, None)
        data = iter(()) if first is None else _after(first, data)
    else:
        first = data
    if first is None:
        raise ValueError(f"There is no batch in {what}.")
    frames = first[0] if isinstance(first, tuple) and first else first
    frames = frames.get("frames") if isinstance(frames, Mapping) else frames
    if frames is not None:  # else other tensors, of which the training step tells
        _check_first(frames, shape, least, what)
    return data


def _check_first(frames, shape, least, what):
    expected = f"frames of the first batch must be float [batch, time >= {least}, {shape[0]}, {shape[1]}, {shape[2]}] in [0, 1]"
    if not hasattr(frames, "dtype"):
        raise ValueError(f"In {what} {expected}, got a {type(frames).__name__}; take an array, a dict of them, or a data set.")
    if not tf.as_dtype(frames.dtype).is_floating:
        raise ValueError(f"In {what} {expected}, got {tf.as_dtype(frames.dtype).name}{_scaled(frames)}.")
    found = tuple(frames.shape)
    if len(found) != 5 or found[2:] != tuple(shape):
        raise ValueError(f"In {what} {expected}, got shape {found}.")
    if found[1] < least:
        raise ValueError(f"In {what} {expected}: at least {least} frames, got {found[1]}.")
    if found[0]:
        check_range(frames, "frames of the first batch")


def _scaled(frames) -> str:
    return "; scale uint8 frames with data_pipelines.transform.to_float" if frames.dtype == np.uint8 else ""


def _after(first, rest):
    """A generator of tuples, the only iterator that Keras takes."""
    for batch in itertools.chain([first], rest):
        yield batch if isinstance(batch, tuple) else (batch,)


def _with_shapes(batch, shape):
    if isinstance(batch, Mapping):
        return {name: _with_shapes(value, shape) if name == "frames" else value for name, value in batch.items()}
    if isinstance(batch, tuple):
        return (_with_shapes(batch[0], shape), *batch[1:])
    return tf.ensure_shape(batch, [None, None, *shape]) if batch.shape.rank is None else batch
