"""The exported graph: each signature checks its request, scales pixels, and calls the model's in-graph functions.

All checks run in the graph, so that every server answers a bad request with INVALID_ARGUMENT and says what was expected.
Batch, context length, n_future and n_samples are dynamic. Normalization is by running statistics, and noise follows from
each sequence's own seed: an answer does not depend on what else is in the batch.

It would by rounding: products of few rows are summed in another order than those of many, and a model that is fed its own
frames amplifies the last bit. With oneDNN's kernels hardly a bit differs from LEAST_ROWS rows on (docs/serving.md says when), so
that fewer samples are computed as that many.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from data_pipelines import transform
from data_pipelines.checks import require
from svg_tf.families.interface import AddsSignatures, ForecastsUncertainty, Reconstructs, Sampling, ShowsKeypoints
from svg_tf.serving import (
    DEFAULT,
    GENERATE,
    GENERATE_FLOAT,
    KEYPOINTS,
    PREDICT_KEYPOINTS,
    RECONSTRUCT,
    UNCERTAINTY,
    footprint,
)  # fmt: skip
from svg_tf.serving.limits import Limits

LEAST_ROWS = 16


class Variables(tf.Module):
    """The model's plain TensorFlow variables that signatures use: what `tf.saved_model.save` writes beside these.

    (Saved as Keras layers they load in Python, but not in the C++ loader.) Optimizer, metrics, and what only training needs are
    not among them.
    """

    def __init__(self, model, functions):
        super().__init__()
        used = {id(tensor) for function in functions.values() for tensor in function.captured_inputs}
        self.model_variables = [variable.value for variable in model.weights if id(variable.value.handle) in used]


class Signatures(NamedTuple):
    """Concrete functions by name, and the limits that they check: those asked for, within the model's memory."""

    functions: dict[str, Callable]
    limits: Limits


def build(model, n_future: int, n_samples: int, limits: Limits, least_rows: int = LEAST_ROWS) -> Signatures:
    """The signatures of a `VideoPredictor` by name (B, T, and S, F where they are inputs, are dynamic):

    serving_default  frames uint8 [B, T >= n_past, H, W, C], seed int32 [B, 2]
                     -> frames uint8 [B, n_samples, n_future, H, W, C], n_samples and n_future as given here
    generate         frames, seed as above, n_future int32 [], n_samples int32 [] -> frames uint8 [B, S, F, H, W, C]
    generate_float   the same in float32 in [0, 1]
    reconstruct      frames uint8 [B, T >= 2 (SRVP: >= k), H, W, C], seed -> frames uint8 [B, T-1, H, W, C]: z_t from the
                     posterior (SVG: teacher-forced)
    uncertainty      frames uint8 [B, T >= 2 (SRVP: >= k), H, W, C] -> sigma float32 [B, T-1, z_dim]: the prior's sigma_psi
                     for x_1 ... x_{T-1} (paper Fig. 6); absent for a model without a learned prior
    keypoints        frames uint8 [B, T >= 1, H, W, C] -> keypoints float32 [B, T, K, 3], found in each frame; this and the next
                     one of a model that shows keypoints
    predict_keypoints  as generate -> keypoints float32 [B, S, F, K, 3], those that generate draws its frames from
    and those that the model adds (`AddsSignatures`).

    least_rows: samples B * S that are computed where fewer are asked for; 1: as many as are asked for.
    Raises `ValueError` for a model whose frames do not fit into `limits.max_bytes`.
    """
    config = model.config
    size = [*config.frame_shape]
    least = model.least_frames
    pixels = {"frames": tf.TensorSpec([None, None, *size], tf.uint8)}
    floats = {"frames": tf.TensorSpec([None, None, *size], tf.float32)}
    seeds = {"seed": tf.TensorSpec([None, 2], tf.int32)}
    counts = {name: tf.TensorSpec([], tf.int32) for name in ("n_future", "n_samples")}

    def drawn_by(method):
        """One function that several signatures call, so that the file holds its graph once."""

        @tf.function(input_signature=[*floats.values(), *seeds.values(), *counts.values()])
        def drawn(x, seed, n_future, n_samples):
            batch = tf.shape(x)[0]
            computed = tf.maximum(n_samples, (least_rows + batch - 1) // batch)
            return method(x, seed, Sampling(n_future, computed))[:, :n_samples]

        return drawn

    generated = drawn_by(model.sample)
    limits = limits.within(footprint.of(generated.get_concrete_function().graph, config.frame_shape))

    def futures(frames, seed, n_future, n_samples, drawn=generated):
        frames = _checked_frames(frames, size, config.n_past, limits)
        seed = _checked_seed(seed, frames)
        n_future = _checked_count("n_future", n_future, limits.max_steps)
        n_samples = _checked_count("n_samples", n_samples, limits.max_samples)
        n_future, n_samples = _checked_total(frames, n_future, n_samples, limits)
        x = _to_float(frames) if frames.dtype == tf.uint8 else frames
        return drawn(x, seed, n_future, n_samples)

    def serving_default(frames, seed):
        x_hat = futures(frames, seed, tf.constant(n_future), tf.constant(n_samples))
        # A client reads the lengths of an answer from the signature.
        return {"frames": tf.ensure_shape(transform.to_uint8(x_hat), [None, n_samples, n_future, *size])}

    def generate(frames, seed, n_future, n_samples):
        return {"frames": transform.to_uint8(futures(frames, seed, n_future, n_samples))}

    def generate_float(frames, seed, n_future, n_samples):
        return {"frames": futures(frames, seed, n_future, n_samples)}

    def reconstruct(frames, seed):
        frames = _checked_frames(frames, size, least, limits)
        seed = _checked_seed(seed, frames)
        return {"frames": transform.to_uint8(model.reconstruct_in_graph(_to_float(frames), seed))}

    def uncertainty(frames):
        frames = _checked_frames(frames, size, least, limits)
        return {"sigma": model.prior_scale_in_graph(_to_float(frames))}

    def keypoints(frames):
        frames = _checked_frames(frames, size, 1, limits)
        return {"keypoints": model.keypoints_in_graph(_to_float(frames))}

    def predict_keypoints(frames, seed, n_future, n_samples):
        return {"keypoints": futures(frames, seed, n_future, n_samples, drawn_by(model.predict_keypoints_in_graph))}

    functions = {
        DEFAULT: (serving_default, pixels | seeds),
        GENERATE: (generate, pixels | seeds | counts),
        GENERATE_FLOAT: (generate_float, floats | seeds | counts),
    }
    if model.can(Reconstructs):
        functions[RECONSTRUCT] = (reconstruct, pixels | seeds)
    if model.can(ForecastsUncertainty):
        functions[UNCERTAINTY] = (uncertainty, pixels)
    if model.can(ShowsKeypoints):
        functions[KEYPOINTS] = (keypoints, pixels)
        functions[PREDICT_KEYPOINTS] = (predict_keypoints, pixels | seeds | counts)
    if model.can(AddsSignatures):
        for name, (function, specs) in model.extra_signatures().items():
            require(name not in functions, f"{type(model).__name__} adds the signature {name!r}, which all models have.")
            functions[name] = (_checking(function, specs, size, least, limits), specs)
    return Signatures({name: _concrete(function, specs) for name, (function, specs) in functions.items()}, limits)


def _concrete(function, specs: dict[str, tf.TensorSpec]):
    """`function` of tensors by name, which are the inputs of its signature."""
    named = [tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()]

    def by_position(*tensors):
        return function(**dict(zip(specs, tensors, strict=True)))

    return tf.function(by_position, input_signature=named).get_concrete_function()


def _checking(function, specs: dict, size, least: int, limits: Limits):
    """A family's own function, its frames and seeds checked as those of all signatures are."""

    def checked(**tensors):
        if "frames" in specs:
            tensors["frames"] = _checked_frames(tensors["frames"], size, least, limits)
            if "seed" in specs:
                tensors["seed"] = _checked_seed(tensors["seed"], tensors["frames"])
        return function(**tensors)

    return checked


def _to_float(pixels) -> tf.Tensor:
    """As `transform.to_float`, to the last bit also where a graph is optimized: from a division by a constant TensorFlow makes
    a product with its reciprocal, and the answer would differ from that for the same frames as floats."""
    levels = tf.raw_ops.PlaceholderWithDefault(input=255.0, shape=[])
    return tf.cast(pixels, tf.float32) / levels


def _require(condition, message: str, *received) -> tf.Operation:
    """Fails the request with INVALID_ARGUMENT where `condition` is false."""
    return tf.debugging.Assert(condition, [message, *received], summarize=8)


def _shape(x) -> tf.Tensor:
    """The shape of x as the request has it: int32 of unknown length. (From `x.shape`, which the signature promises and a
    server does not enforce, TensorFlow would fold the checks away.)"""
    return tf.shape(tf.raw_ops.PlaceholderWithDefault(input=x, shape=tf.TensorShape(None)))


def _padded(shape, rank: int) -> tf.Tensor:
    """The first rank + 1 dimensions of `shape`, -1 for those that are missing: the last is -1 for x of that rank."""
    padded = tf.concat([shape, tf.fill([rank + 1], -1)], axis=0)[: rank + 1]
    return tf.ensure_shape(padded, [rank + 1])


def _after(checks: list, x, shape=None) -> tf.Tensor:
    """x, once all checks have passed: nothing is computed, or allocated, from what they refuse."""
    with tf.control_dependencies(checks):
        x = tf.identity(x)
    return x if shape is None else tf.ensure_shape(x, shape)


def _checked_frames(frames, size, least, limits: Limits) -> tf.Tensor:
    """frames [B, T, H, W, C] of the expected size and number."""
    kind = "float32 in [0, 1]" if frames.dtype.is_floating else "uint8"
    expected = f"frames must be {kind} [batch >= 1, time >= {least}, {size[0]}, {size[1]}, {size[2]}]; got shape"
    shape = _shape(frames)
    dims = _padded(shape, 5)
    right = tf.reduce_all(tf.equal(dims[2:], [*size, -1])) & (dims[0] >= 1) & (dims[1] >= least)
    given = tf.cast(dims[0], tf.int64) * tf.cast(dims[1], tf.int64)
    checks = [
        _require(right, expected, shape),
        _require(dims[1] <= limits.max_steps, f"frames must have at most {limits.max_steps} time steps; got", dims[1]),
        _require(
            given <= limits.max_given_frames,
            f"A request may hold at most {limits.max_given_frames} frames (batch * time); got",
            given,
        ),
    ]
    frames = _after(checks, frames, [None, None, *size])
    if frames.dtype.is_floating:
        low, high = tf.reduce_min(frames), tf.reduce_max(frames)
        inside = tf.reduce_all((frames >= 0.0) & (frames <= 1.0))  # false for NaN
        frames = _after([_require(inside, "frames must be finite and in [0, 1]; got values from, to", low, high)], frames)
    return frames


def _checked_seed(seed, frames) -> tf.Tensor:
    shape, batch = _shape(seed), tf.shape(frames)[0]
    right = tf.reduce_all(tf.equal(_padded(shape, 2), [batch, 2, -1]))
    message = "seed must be int32 [batch, 2], a pair for each sequence; got batch, and shape of seed"
    return _after([_require(right, message, batch, shape)], seed, [None, 2])


def _checked_count(name: str, value, most: int) -> tf.Tensor:
    shape = _shape(value)
    first = tf.concat([tf.reshape(value, [-1]), [0]], axis=0)[0]
    checks = [
        _require(tf.equal(_padded(shape, 0)[0], -1), f"{name} must be a scalar int32; got shape", shape),
        _require((first >= 1) & (first <= most), f"{name} must be in [1, {most}]; got", first),
    ]
    return _after(checks, first, [])


def _checked_total(frames, n_future, n_samples, limits: Limits) -> tuple[tf.Tensor, tf.Tensor]:
    samples = tf.cast(tf.shape(frames)[0], tf.int64) * tf.cast(n_samples, tf.int64)
    predicted = samples * tf.cast(n_future, tf.int64)
    checks = [
        _require(
            samples <= limits.max_samples,
            f"A request may ask for at most {limits.max_samples} samples (batch * n_samples); got",
            samples,
        ),
        _require(
            predicted <= limits.max_predicted_frames,
            f"A request may ask for at most {limits.max_predicted_frames} predicted frames (batch * n_samples * n_future); got",
            predicted,
        ),
    ]
    return _after(checks, n_future), _after(checks, n_samples)
