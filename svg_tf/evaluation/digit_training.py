"""Training of the network behind the digit-motion distance, on Moving MNIST of several kinds, whose labels are free."""

import datetime
import hashlib
import io
import pathlib
from collections.abc import Callable
from typing import get_args

import keras
import numpy as np
import tensorflow as tf

import data_pipelines
from data_pipelines import digits as digit_images
from data_pipelines import files, moving_mnist
from data_pipelines.checks import integer
from svg_tf import protocols
from svg_tf.evaluation.metrics import digit_network
from svg_tf.evaluation.metrics.digit_network import CELL, CLASSES, GRID, SIDE

KINDS = tuple(
    {"canvas": canvas, "num_digits": count, "variant": variant}
    for canvas in (32, 64)
    for count in (1, 2)
    for variant in get_args(protocols.Motion)
)
"""Moving MNIST that the network knows; batches of all take turns."""
_FRAMES = 7


def _batches(split: str, kinds, batch_size: int, seed: int, **options):
    """One batch of each kind after the other: (kind, batch)."""
    common = {"seq_len": _FRAMES, "batch_size": batch_size, "seed": seed, "repeat": True, "with_states": True, **options}
    sets = [data_pipelines.load("moving_mnist", split, **kind, **common) for kind in kinds]
    for batches in zip(*sets, strict=True):
        yield from zip(kinds, batches, strict=True)


def targets(kind: dict, batch, classes) -> np.ndarray:
    """What the network should answer: float32 [B * (T - 1), GRID, GRID, OUTPUTS], with one-hot classes in place of logits.

    Of two digits whose centers share a cell the last one counts.
    """
    scale = SIDE / kind["canvas"]
    size = moving_mnist.options(**kind).size
    places = np.rint(batch["positions"]) * scale  # [B, T, N, 2]
    centers = np.clip((places[:, 1:] + size * scale / 2) / CELL, 0, GRID - 1e-3)
    moved = np.diff(places, axis=1) / CELL
    count, frames, number = centers.shape[:3]
    out = np.zeros((count, frames, GRID, GRID, digit_network.OUTPUTS), np.float32)
    rows, times = np.indices((count, frames))
    for n in range(number):
        cells = centers[:, :, n].astype(int)
        shown = np.eye(CLASSES)[classes[batch["digit_ids"][:, n]]][:, None].repeat(frames, axis=1)
        values = np.concatenate([np.ones((count, frames, 1)), centers[:, :, n] - cells, moved[:, :, n], shown], axis=-1)
        out[rows, times, cells[..., 1], cells[..., 0]] = values
    return out.reshape(-1, GRID, GRID, digit_network.OUTPUTS)


def _loss(outputs, wanted):
    present = wanted[..., 0]
    number = tf.maximum(tf.reduce_sum(present), 1.0)
    found = tf.nn.sigmoid_cross_entropy_with_logits(present, outputs[..., 0])
    place = tf.reduce_sum(tf.square(outputs[..., 1:5] - wanted[..., 1:5]), axis=-1) * present
    kind = tf.nn.softmax_cross_entropy_with_logits(wanted[..., 5:], outputs[..., 5:]) * present
    return tf.reduce_sum(found + 5 * place + kind) / number


def accuracy(outputs: Callable, batches) -> dict[str, float]:
    """outputs: `DigitNetwork.outputs`; batches: of (pairs, targets). Of true digits' cells: class, place and motion."""
    hits, centers, motions, found, false = [], [], [], [], []
    for x, wanted in batches:
        answer, here = np.asarray(outputs(x)), wanted[..., 0] > 0
        hits.append(answer[here][:, 5:].argmax(axis=1) == wanted[here][:, 5:].argmax(axis=1))
        centers.append(CELL * np.linalg.norm(answer[here][:, 1:3] - wanted[here][:, 1:3], axis=1))
        motions.append(CELL * np.linalg.norm(answer[here][:, 3:5] - wanted[here][:, 3:5], axis=1))
        found.append(answer[here][:, 0] > 0)
        false.append(answer[~here][:, 0] > 0)
    names = ("class_accuracy", "position_error_px", "velocity_error_px", "cells_found", "cells_false")
    return {name: float(np.concatenate(v).mean()) for name, v in zip(names, (hits, centers, motions, found, false), strict=True)}


def train(
    out, *, digits="mnist", digits_dir=None, steps: int = 4000, batch_size: int = 16, seed: int = 0, progress=print
) -> dict:
    """Trains a network, measures it on test digits, and writes `out` (.npz) and its card beside it (.json). Returns the card.

    Raises `ValueError` for wrong values, missing digits, or files that are there already.
    """
    integer("steps", steps, 1), integer("batch_size", batch_size, 1), integer("seed", seed, 0, 2**31 - 1)
    out = files.located(out, "--out")
    if out.suffix != ".npz":
        raise ValueError(f"--out must be an .npz file, got {out.name!r}.")
    for path in (out, out.with_suffix(".json")):
        if path.exists():
            raise ValueError(f"{path} exists. Choose another --out, or remove it.")
    kinds, options = KINDS, {"digits": digits, "digits_dir": digits_dir}
    classes = {split: digit_images.load_classes(digits, split, digits_dir) for split in ("train", "test")}
    keras.utils.set_random_seed(seed)
    network = digit_network.build()
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, steps))
    optimizer.build(network.trainable_variables)

    @tf.function(reduce_retracing=True)
    def step(x, wanted):
        with tf.GradientTape() as tape:
            loss = _loss(network(x, training=True)[1], wanted)
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    def examples(split, amount, seed, size=batch_size):
        stream = _batches(split, kinds, size, seed, **options)
        for _, (kind, batch) in zip(range(amount), stream, strict=False):
            arrays = {name: value.numpy() for name, value in batch.items()}
            yield digit_network.pairs(batch["frames"]), targets(kind, arrays, classes[split])

    for number, (x, wanted) in enumerate(examples("train", steps, seed), 1):
        loss = step(x, wanted)
        if number % 500 == 0 or number == steps:
            progress(f"step {number}/{steps}: loss {float(loss):.3f}")
    maps = tf.function(lambda x: tf.reduce_mean(network(x)[0], axis=[1, 2]), reduce_retracing=True)
    stream = zip(range(32), _batches("train", kinds, 64, seed + 1, **options), strict=False)
    known = np.concatenate([digit_network.pooled(maps, batch["frames"]) for _, (_, batch) in stream])
    outputs = tf.function(lambda x: network(x)[1], reduce_retracing=True)
    names = [f"{kind['canvas']} px, {kind['num_digits']} digit(s), {kind['variant']}" for kind in kinds]
    measured = {n: accuracy(outputs, _of(kind, classes, options, seed)) for n, kind in zip(names, kinds, strict=True)}
    return _write(out, network, known, {"digits": digits, "steps": steps, "batch_size": batch_size, "seed": seed}, measured)


def _of(kind: dict, classes, options, seed):
    """Test batches of one kind."""
    for _, (_, batch) in zip(range(4), _batches("test", (kind,), 64, seed, **options), strict=False):
        arrays = {name: value.numpy() for name, value in batch.items()}
        yield digit_network.pairs(batch["frames"]), targets(kind, arrays, classes["test"])


def _write(out: pathlib.Path, network, known: np.ndarray, settings: dict, measured: dict) -> dict:
    arrays = {f"weight_{i}": weight for i, weight in enumerate(network.get_weights())}
    spread = np.maximum(known.std(axis=0), 1e-3 * known.std(axis=0).max())  # a dead unit weighs nothing
    stream = io.BytesIO()
    np.savez(stream, **arrays, mean=known.mean(axis=0), spread=spread)
    content = stream.getvalue()
    card = {
        "what": "network of the digit-motion distance (not FVD): classes, places and motions of digits in Moving MNIST",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "command": "svg-tf train-digit-network",
        "settings": settings,
        "date": datetime.date.today().isoformat(),
        "dimensions": known.shape[1],
        "accuracy on test digits": measured,
        "license": "Apache-2.0; trained on MNIST digits (Yann LeCun, Corinna Cortes; CC BY-SA 3.0)"
        if settings["digits"] == "mnist"
        else "Apache-2.0; trained on UCI digits of scikit-learn (CC BY 4.0)",
    }
    files.write(out, content)
    files.write_json(out.with_suffix(".json"), card, indent=1)
    return card
