"""SV2P's frames one after the other: in training, in reconstruction and in generation.

Step t takes u_t and gives frame t + 1. u_t is the true frame within the context; after it the model's own prediction, or, in
training, for some examples still the true frame (scheduled sampling, Bengio et al. 2015).
"""

import tensorflow as tf

from svg_tf import noise
from svg_tf.families.interface import Sampling
from svg_tf.families.scheduled_sampling import truth_chance
from svg_tf.families.shapes import fold_time, length, swap_batch_time, unfold_time
from svg_tf.layers import recomputation

TRUTH = 1  # stream of a seed: which examples see true frames


def truth_shown(config, seed, steps: int, batch, step) -> tf.Tensor:
    """Which examples see the true frame at the `steps` steps after the context: bool [steps, B].

    A function of seed, training step and row of the global batch; of "count", the share of the global batch is fixed.
    """
    chance = truth_chance(step, config.sampling_k)
    if not isinstance(seed, noise.BatchSeed):
        seed = noise.BatchSeed(seed, tf.range(batch), batch)
    seed = noise.stream(seed, TRUTH)
    draws = noise.uniform(seed.seed, [steps, seed.total])
    if config.scheduled_sampling == "count":
        places = tf.argsort(tf.argsort(draws))  # of a fresh permutation for each step
        shown = places < tf.cast(tf.round(chance * tf.cast(seed.total, tf.float32)), tf.int32)
    else:
        shown = draws < chance
    return tf.gather(shown, seed.rows, axis=1)


def teacher_forced(generator, x, z):
    """Frames 1 ... T-1 given those before each: x float32 [T, B, H, W, C], T of any kind, z [1 or T-1, B, ...] or None."""
    steps, batch = length(x) - 1, tf.shape(x)[1]
    frames, _ = generator.step(fold_time(x[:-1]), _of_steps(z, steps), generator.initial_states(batch), steps)
    return unfold_time(frames, steps, batch)


def fed_back(generator, x, z, context: int, truth=None, recompute: bool = False):
    """Frames 1 ... T-1, of which those after `context` true frames follow from predictions: x float32 [T, B, H, W, C], T static.

    z: float [1 or T-1, B, h, w, z_channels], or None. truth: bool [T - 1 - context, B], which examples see the true frame after
    the context; None: none. recompute: of each step after the context its inputs alone are kept for the backward pass.
    """
    steps, context, batch = x.shape[0] - 1, min(context, x.shape[0] - 1), tf.shape(x)[1]
    states = generator.initial_states(batch)
    frames, states = generator.step(fold_time(x[:context]), _of_steps(z, context), states, context)
    predictions, last = [unfold_time(frames, context, batch)], frames[(context - 1) * batch :]
    run = recomputation.maybe_recompute(recompute)

    def one(u, *tensors):
        z_now, flat = (None, tensors) if z is None else (tensors[0], tensors[1:])
        frame, after = generator.step(u, z_now, tf.nest.pack_sequence_as(states, flat))
        return frame, *tf.nest.flatten(after)

    flat = tf.nest.flatten(states)
    for t in range(context, steps):
        u = last if truth is None else tf.where(truth[t - context][:, None, None, None], x[t], last)
        own_z = () if z is None else (z[t if z.shape[0] != 1 else 0],)
        last, *flat = run([generator], one, u, *own_z, *flat)
        predictions.append(last[None])
    return tf.concat(predictions, axis=0)


def _of_steps(z, steps):
    """z [1, B, ...] for each of `steps` steps, or the first ones of [T, B, ...] -> [steps * B, ...]; None as it is."""
    if z is None:
        return None
    return fold_time(tf.repeat(z, steps, axis=0) if z.shape[0] == 1 else z[:steps])


def generate(model, frames, seeds, sampling: Sampling):
    """Samples of futures, all latents from N(0, I), those over the context too: frames float32 [B, P, H, W, C], seeds int32
    [B, 2] -> float32 [B, S, n_future, H, W, C].

    The levels below z see the context once for each sequence; what z reaches, for each sample. Without latents all is computed
    once for each sequence.
    """
    g, n_future = model.generator, sampling.n_future
    n_samples = sampling.n_samples if model.stochastic else 1
    x = swap_batch_time(frames)
    context, rows = length(x), tf.shape(x)[1] * n_samples
    z_at = _prior_draws(model, seeds, sampling, context - 1 + n_future)

    def per_sample(maps):
        return tf.nest.map_structure(lambda y: tf.repeat(y, n_samples, axis=0), maps)

    def seen(t, states):
        """Step t over the context: (what the frame after it is painted from, states)."""
        below, first = g.below(tf.cast(x[t], g.compute_dtype), states[0])
        above, second = g.above(per_sample(below), z_at(t), states[1])
        return above, (first, second)

    def condition(t, states):
        return t + 1, seen(t, states)[1]

    states = g.initial_states(tf.shape(x)[1])[0], g.initial_states(rows)[1]
    _, states = tf.while_loop(lambda t, _: t < context - 1, condition, (tf.constant(0), states))
    above, states = seen(context - 1, states)
    states = per_sample(states[0]), states[1]
    last = g.paint(above, per_sample(x[-1]))
    outputs = tf.TensorArray(tf.float32, size=n_future, element_shape=last.shape).write(0, last)

    def predict(i, last, states, outputs):
        last, states = g.step(last, z_at(context - 1 + i), states)
        return i + 1, last, states, outputs.write(i, last)

    *_, outputs = tf.while_loop(lambda i, *_: i < n_future, predict, (tf.constant(1), last, states, outputs))
    made = swap_batch_time(outputs.stack())
    made = tf.reshape(made, tf.concat([[-1, n_samples, n_future], tf.shape(made)[2:]], 0))
    return made if model.stochastic else tf.repeat(made, sampling.n_samples, axis=1)


def _prior_draws(model, seeds, sampling: Sampling, steps):
    """t -> z_t ~ N(0, I) [B * S, h, w, z_channels] of each sample, or None without latents."""
    if not model.stochastic:
        return lambda t: None
    row_seeds = noise.sample_seeds(seeds, sampling.first_sample, sampling.n_samples)
    draws = model.latent_maps(noise.of_sequences(row_seeds, steps if model.varies else 1, tf.shape(row_seeds)[0], model.z_size))
    return lambda t: draws[t] if model.varies else draws[0]
