"""SAVP's frames one after the other: in training, in reconstruction and in generation.

Step t takes u_t and gives frame t + 1. u_t is the true frame within the context; after it the model's own prediction, or, in
training, for some examples still the true frame.
"""

from typing import NamedTuple

import tensorflow as tf

from svg_tf import noise
from svg_tf.families.interface import Sampling
from svg_tf.families.scheduled_sampling import truth_chance
from svg_tf.families.shapes import fold_time, length, swap_batch_time, unfold_time
from svg_tf.layers import recomputation

LEAST_CHANCE = 1e-3  # of a true frame; below it none is shown


class Rolled(NamedTuple):
    """frames: float32 [T - 1, N, H, W, C]; roughness: float32 [T - 1, N], see `Generator.paint`."""

    frames: tf.Tensor
    roughness: tf.Tensor


def truth_shown(k: float, seed, steps: int, batch, step) -> tf.Tensor:
    """Which examples see the true frame at the `steps` steps after the context: bool [steps, B]."""
    chance = truth_chance(step, k)
    return noise.uniform_of_sequences(seed, steps, batch) < tf.where(chance < LEAST_CHANCE, 0.0, chance)


def teacher_forced(generator, x, r) -> Rolled:
    """Frames 1 ... T-1 given those before each: x float32 [T, B, H, W, C], T of any kind, r [T-1, B, z] or None."""
    batch, kernels = tf.shape(x)[1], generator.prepared()
    first = generator.of_first(x[0], kernels)
    return _known(generator, kernels, x[:-1], x[0], first, r, generator.initial_states(batch))[0]


def fed_back(generator, x, rs, context: int, shared: int = 0, truth=None, recompute: bool = False) -> Rolled:
    """Frames 1 ... T-1 of `len(rs)` futures of each sequence, of which those after `context` true frames follow from predictions.

    x: float32 [T, B, H, W, C], T static. rs: one [T-1, B, z] or None for each future; results have the first future's rows first.
    shared: steps at the start for which all futures have the same latents. truth: bool [T-1-context, len(rs) * B], which rows see
    the true frame after the context; None: none. recompute: of each step after the context its inputs alone are kept.
    """
    steps, copies, batch = x.shape[0] - 1, len(rs), tf.shape(x)[1]
    context = min(context, steps)
    shared = 0 if copies == 1 else min(shared, context - 1)
    kernels, parts = generator.prepared(), []
    first = generator.of_first(x[0], kernels)
    states = generator.initial_states(batch * (1 if shared else copies))
    if shared:
        rolled, states = _known(generator, kernels, x[:shared], x[0], first, _until(rs[0], shared), states)
        parts.append(Rolled(*(_copied(value, copies, 1) for value in rolled)))
        states = tf.nest.map_structure(lambda s: _copied(s, copies, 0), states)
    r = None if rs[0] is None else tf.concat(rs, axis=1)
    x_0, first = _copied(x[0], copies, 0), _copied(first, copies, 0)
    known = x[shared:context]
    seen = _copied(unfold_time(generator.of_frame(fold_time(known), kernels), context - shared, batch), copies, 1)
    of_known = None if r is None else r[shared:context]
    rolled, states = _known(generator, kernels, _copied(known, copies, 1), x_0, first, of_known, states, seen)
    parts.append(rolled)
    last, run = rolled.frames[-1], recomputation.maybe_recompute(recompute)

    def one(u, *tensors):
        """A step of tensors alone, as recomputation takes it."""
        x_0, first, r_now, states, kernels = tf.nest.pack_sequence_as(given, tensors)
        frame, roughness, after = generator.step(u, x_0, first, None if r is None else r_now, states, kernels)
        return frame, roughness, *tf.nest.flatten(after)

    for t in range(context, steps):
        u = last if truth is None else tf.where(truth[t - context][:, None, None, None], _copied(x[t], copies, 0), last)
        given = (x_0, first, () if r is None else r[t], states, kernels)
        last, roughness, *flat = run([generator], one, u, *tf.nest.flatten(given))
        states = tf.nest.pack_sequence_as(states, flat)
        parts.append(Rolled(last[None], roughness[None]))
    return Rolled(*(tf.concat(values, axis=0) for values in zip(*parts, strict=True)))


def _known(generator, kernels, u, x_0, first, r, states, seen=None) -> tuple[Rolled, tuple]:
    """Steps whose frames u [n, N, H, W, C] are all known. seen: their parts of the first layer [n, N, H/2, W/2, width]."""
    n, batch = length(u), tf.shape(u)[1]
    seen = unfold_time(generator.of_frame(fold_time(u), kernels), n, batch) if seen is None else seen
    folded = None if r is None else fold_time(r)
    maps, states = generator.advance(fold_time(seen + first), folded, states, kernels, n)
    frames, roughness = generator.paint(maps, folded, fold_time(u), tf.tile(x_0, [n, 1, 1, 1]), kernels)
    return Rolled(unfold_time(frames, n, batch), tf.reshape(roughness, [n, batch])), states


def _copied(value, copies: int, axis: int):
    return value if copies == 1 else tf.concat([value] * copies, axis=axis)


def _until(r, steps):
    return None if r is None else r[:steps]


def generate(model, frames, seeds, sampling: Sampling):
    """Samples of futures: frames float32 [B, P, H, W, C], seeds int32 [B, 2] -> float32 [B, S, n_future, H, W, C].

    Latents reach all layers, so that of the context only the first layer's part of the frames is the same for all samples.
    Without latents all is computed once for each sequence.
    """
    g, n_future = model.generator, sampling.n_future
    n_samples = sampling.n_samples if model.config.stochastic else 1
    x = swap_batch_time(frames)
    context, batch = length(x), tf.shape(x)[1]
    r = g.latents(prior_latents(model, x, seeds, sampling, context - 1 + n_future))

    def of_samples(value):
        return tf.repeat(value, n_samples, axis=0)

    def r_at(t):
        return None if r is None else r[t]

    kernels = g.prepared()
    first, x_0 = g.of_first(x[0], kernels), of_samples(x[0])
    seen = unfold_time(g.of_frame(fold_time(x), kernels), context, batch) + first
    first = of_samples(first)

    def condition(t, states):
        return t + 1, g.advance(of_samples(seen[t]), r_at(t), states, kernels)[1]

    states = g.initial_states(batch * n_samples)
    _, states = tf.while_loop(lambda t, _: t < context - 1, condition, (tf.constant(0), states))
    maps, states = g.advance(of_samples(seen[context - 1]), r_at(context - 1), states, kernels)
    last, _ = g.paint(maps, r_at(context - 1), of_samples(x[-1]), x_0, kernels)
    outputs = tf.TensorArray(tf.float32, size=n_future, element_shape=last.shape).write(0, last)

    def predict(i, last, states, outputs):
        last, _, states = g.step(last, x_0, first, r_at(context - 1 + i), states, kernels)
        return i + 1, last, states, outputs.write(i, last)

    *_, outputs = tf.while_loop(lambda i, *_: i < n_future, predict, (tf.constant(1), last, states, outputs))
    made = swap_batch_time(outputs.stack())
    made = tf.reshape(made, tf.concat([[-1, n_samples, n_future], tf.shape(made)[2:]], 0))
    return made if model.config.stochastic else tf.repeat(made, sampling.n_samples, axis=1)


def prior_latents(model, x, seeds, sampling: Sampling, steps):
    """z_0 ... z_{steps - 1} float32 [steps, B * S, z_dim] of each sample of contexts x [P, B, H, W, C]; None without latents.

    Within the context from the posterior of its frames, where the configuration says so; `sampling.use_mean`: its mean.
    """
    c = model.config
    if not c.stochastic:
        return None
    row_seeds = noise.sample_seeds(seeds, sampling.first_sample, sampling.n_samples)
    draws = noise.of_sequences(row_seeds, steps, tf.shape(row_seeds)[0], c.z_dim)
    draws = tf.ensure_shape(draws, [None, None, c.z_dim])

    def of_samples(value):
        return tf.repeat(value, sampling.n_samples, axis=1)

    if c.learned_prior:
        p = model.prior_net.prior(x, steps)
        return of_samples(p.mean()) + of_samples(p.stddev()) * draws
    if not c.infers_context:
        return draws
    q, known = model.posterior_net.posterior(x), length(x) - 1
    scale = 0.0 if sampling.use_mean else of_samples(q.stddev())
    return tf.concat([of_samples(q.mean()) + scale * draws[:known], draws[known:]], axis=0)
