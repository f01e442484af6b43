"""SVG's generation loop: context frames in, samples out; and the compiled functions behind the model's public methods.

The conditioning frames are encoded, and the posterior and prior run over them, once for each sequence; the decoder's
skip halves are computed once for each sequence; only what differs between samples is computed for each sample.
"""

import numpy as np
import tensorflow as tf

from svg_tf import distributions, noise

ROWS_AT_ONCE = 256  # samples that one call of the graph carries; more are drawn in parts (64 px: about 1.2 GB)


def fold_time(x):
    """[T, B, ...] -> [T * B, ...]"""
    return tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], 0)) if None in x.shape[2:] else tf.reshape(x, [-1, *x.shape[2:]])


def unfold_time(x, time, batch):
    """[T * B, ...] -> [T, B, ...]; time, batch: int tensors."""
    return tf.reshape(x, tf.concat([[time, batch], tf.shape(x)[1:]], 0))


def length(x) -> int | tf.Tensor:
    """The first dimension of x: an int where it is known when the graph is built, else an int32 tensor."""
    return x.shape[0] if x.shape[0] is not None else tf.shape(x)[0]


def hold_last(distinct, steps, batch):
    """How skip terms of `distinct` frames [distinct * B, ...] add to predictions y [steps * B, ...]: the last one is held.

    distinct <= steps: ints, or int32 tensors in a graph for any length.
    """
    known = isinstance(distinct, int) and isinstance(steps, int)

    def combine(y, term):
        if not known or distinct < steps:
            last = term[(distinct - 1) * batch :]
            term = tf.concat([term, tf.tile(last, [steps - distinct, 1, 1, 1])], axis=0)
        return y + term

    return combine


def spread(n_samples):
    """How skip terms of B sequences [B, ...] add to predictions y [B * S, ...]."""

    def combine(y, term):
        shape = tf.shape(y)
        y = tf.reshape(y, tf.concat([[-1, n_samples], shape[1:]], 0))
        return tf.reshape(y + term[:, None], shape)

    return combine


def check_counts(**counts):
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")


def sequence_seeds(seed, batch: int) -> tf.Tensor:
    """int -> int32 [B, 2] of pairs (seed, b); int32 [B, 2] as it is. Raises `ValueError`."""
    seed = np.asarray(seed)
    if seed.shape not in ((), (batch, 2)) or seed.dtype.kind not in "iu":
        raise ValueError(f"seed must be an integer or int32 [{batch}, 2], got {seed.dtype} of shape {seed.shape}.")
    if seed.shape == ():
        seed = np.stack([np.full(batch, seed), np.arange(batch)], axis=1)
    return tf.constant(seed.astype(np.int64).astype(np.int32))


def rollout(model, start, n_future, next_z, norm):
    """Feeds predictions back for `n_future` steps.

    start: (h [N, g_dim] of the last true frame, predictor state, prior state, skip terms, combine); next_z(i, h, state)
    -> (z [N, z_dim], state) for the i-th predicted frame. Returns x_hat [n_future, N, H, W, C].
    """
    h, predictor_state, latent_state, terms, combine = start
    c = model.config
    frame_shape = [None, c.image_size, c.image_size, c.channels]
    previous_skips = c.skips == "previous"

    def predict(i, h, predictor_state, latent_state, terms):
        z, latent_state = next_z(i, h, latent_state)
        g, predictor_state = model.frame_predictor(tf.concat([h, tf.cast(z, h.dtype)], -1)[None], predictor_state)
        # From the second prediction on, "previous" skips come from each sample's own frames.
        x_hat = model.decoder(g[0], terms, combine=combine, norm=norm)
        return x_hat, predictor_state, latent_state

    x_hat, predictor_state, latent_state = predict(0, h, predictor_state, latent_state, terms)
    outputs = tf.TensorArray(x_hat.dtype, size=n_future, element_shape=frame_shape).write(0, x_hat)
    if previous_skips:
        combine = tf.add

    def body(i, x_hat, predictor_state, latent_state, outputs):
        h, skips = model.encoder(x_hat, norm=norm)
        now = model.decoder.skip_terms(skips) if previous_skips else terms
        x_hat, predictor_state, latent_state = predict(i, h, predictor_state, latent_state, now)
        x_hat = tf.ensure_shape(x_hat, frame_shape)
        return i + 1, x_hat, predictor_state, latent_state, outputs.write(i, x_hat)

    loop = (tf.constant(1), x_hat, predictor_state, latent_state, outputs)
    *_, outputs = tf.while_loop(lambda i, *_: i < n_future, body, loop)
    return outputs.stack()


def conditioned(model, frames, z_noise, n_samples, use_mean, norm):
    """Runs over the context frames [P, B, H, W, C]: -> the `start` of a rollout with B * S rows.

    z_noise: [P-1, B * S, z_dim] for the posterior over the context.
    """
    context = length(frames)
    batch = tf.shape(frames)[1]
    h, skips = model.encode(frames, norm)
    latent_state = model.latent.initial_prior_state(batch)
    state = model.frame_predictor.initial_state(batch * n_samples)

    def per_sample(x, axis=0):
        return tf.repeat(x, n_samples, axis=axis)

    if not isinstance(context, int) or context > 1:  # of unknown length: the layers run over context - 1 >= 0 steps
        z = tf.zeros([context - 1, batch * n_samples, 0], h.dtype)
        if model.stochastic:
            inferred = model.latent.infer(h)
            latent_state = inferred.prior_state
            mean, sigma = per_sample(inferred.q.mean(), 1), per_sample(inferred.q.stddev(), 1)
            z = mean if use_mean else mean + sigma * z_noise
        _, state = model.frame_predictor(tf.concat([per_sample(h[:-1], 1), tf.cast(z, h.dtype)], -1), state)
    latent_state = tf.nest.map_structure(per_sample, latent_state)
    index = context - 2 if model.config.skips == "second_last_context" else context - 1
    terms = model.decoder.skip_terms([skip[index * batch : (index + 1) * batch] for skip in skips])
    return per_sample(h[-1]), state, latent_state, terms, spread(n_samples)


def generate(model, frames, seeds, n_future, n_samples, first_sample, use_mean, norm):
    """In-graph generation. frames float32 [B, P, H, W, C]; seeds int32 [B, 2]; int32 scalars may be tensors.

    P known when the graph is built: the LSTMs are unrolled over it; unknown (an exported graph): they run in loops.
    Returns float32 [B, S, n_future, H, W, C].
    """
    frames = tf.cast(tf.transpose(frames, [1, 0, 2, 3, 4]), model.compute_dtype)
    context = length(frames) - 1
    z_noise = tf.zeros([context + n_future, tf.shape(seeds)[0] * n_samples, 0])
    if model.stochastic:
        row_seeds = noise.sample_seeds(seeds, first_sample, n_samples)
        z_noise = tf.transpose(noise.normal_per_seed(row_seeds, [context + n_future, model.latent.z_dim]), [1, 0, 2])
        z_noise = tf.ensure_shape(z_noise, [None, None, model.latent.z_dim])
    start = conditioned(model, frames, z_noise[:context], n_samples, use_mean, norm)

    def next_z(i, h, state):
        return model.latent.prior_step(h, state, z_noise[context + i])

    x_hat = tf.transpose(tf.cast(rollout(model, start, n_future, next_z, norm), tf.float32), [1, 0, 2, 3, 4])
    return tf.reshape(x_hat, tf.concat([[-1, n_samples, n_future], tf.shape(x_hat)[2:]], 0))


def reconstruct(model, frames, seeds, closed_loop, use_mean):
    """In-graph `SVG.reconstruct`: frames float32 [B, T, H, W, C], seeds int32 [B, 2] -> float32 [B, T-1, H, W, C]."""
    x = tf.cast(tf.transpose(frames, [1, 0, 2, 3, 4]), model.compute_dtype)
    x_hat, inferred = model._teacher_forced(x, seeds, "running", use_mean)
    if closed_loop:
        n_past, steps, batch = model.config.n_past, x.shape[0], tf.shape(x)[1]
        z = tf.zeros([steps - 1, batch, 0])
        if model.stochastic:
            z = inferred.q.mean()
            if not use_mean:
                z = distributions.sample(inferred.q, model._noise(seeds, steps - 1, batch))
        # The rollout's context must carry the same z as the predictions do: noise (z - mean) / sigma gives it back.
        z_noise = (z - inferred.q.mean())[: n_past - 1] / inferred.q.stddev()[: n_past - 1] if model.stochastic else z
        start = conditioned(model, x[:n_past], z_noise, 1, False, "running")
        own = rollout(model, start, steps - n_past, lambda i, h, state: (z[n_past - 1 + i], state), "running")
        x_hat = tf.concat([x_hat[: n_past - 1], own], axis=0)
    return tf.cast(tf.transpose(x_hat, [1, 0, 2, 3, 4]), tf.float32)


def reconstruct_any_length(model, frames, seeds):
    """In-graph `SVG.reconstruct(frames, seeds)` for a T >= 2 that is known at run time only (an exported graph)."""
    x = tf.cast(tf.transpose(frames, [1, 0, 2, 3, 4]), model.compute_dtype)
    steps, batch = tf.shape(x)[0] - 1, tf.shape(x)[1]
    held = {"last_context": model.config.n_past, "second_last_context": model.config.n_past - 1}.get(model.config.skips)
    distinct = steps if held is None else tf.minimum(held, steps)
    h, skips = model.encode(x, "running", distinct * batch)
    z = tf.zeros([steps, batch, 0], h.dtype)
    if model.stochastic:
        z = distributions.sample(model.latent.infer(h).q, model._noise(seeds, steps, batch))
    g, _ = model.frame_predictor(tf.concat([h[:-1], tf.cast(z, h.dtype)], -1), model.frame_predictor.initial_state(batch))
    x_hat = model.decode(g, model.decoder.skip_terms(skips), hold_last(distinct, steps, batch))
    return tf.cast(tf.transpose(x_hat, [1, 0, 2, 3, 4]), tf.float32)


def prior_scale(model, frames):
    """In-graph `SVG.prior_scale`: frames float32 [B, T >= 2, H, W, C], any length -> float32 [B, T-1, z_dim]."""
    h, _ = model.encode(tf.cast(tf.transpose(frames[:, :-1], [1, 0, 2, 3, 4]), model.compute_dtype))
    p, _ = model.latent.priors(h)
    if p is None:
        return tf.ones([tf.shape(h)[1], tf.shape(h)[0], model.latent.z_dim])
    return tf.transpose(p.stddev(), [1, 0, 2])


class Functions:
    """The compiled functions of one model: traced once for each context length and option, any batch and counts."""

    def __init__(self, model):
        self._model = model
        self._cache = {}

    def _compiled(self, name, python_function, *key):
        key = (name, *key)
        if key not in self._cache:
            self._cache[key] = tf.function(python_function, reduce_retracing=True)
        return self._cache[key]

    def generate(self, frames, seeds, n_future, n_samples, first_sample, use_mean, norm):
        model, context = self._model, int(frames.shape[1])

        def run(frames, seeds, n_future, n_samples, first_sample):
            frames = tf.ensure_shape(frames, [None, context, *frames.shape[2:]])
            return generate(model, frames, seeds, n_future, n_samples, first_sample, use_mean, norm)

        compiled = self._compiled("generate", run, context, use_mean, norm)
        sequences = max(1, ROWS_AT_ONCE // n_samples)
        samples = min(n_samples, ROWS_AT_ONCE)
        parts = []
        for b in range(0, int(frames.shape[0]), sequences):
            row = [
                compiled(
                    frames[b : b + sequences],
                    seeds[b : b + sequences],
                    tf.constant(n_future),
                    tf.constant(min(samples, n_samples - s)),
                    tf.constant(first_sample + s),
                )
                for s in range(0, n_samples, samples)
            ]
            parts.append(row[0] if len(row) == 1 else tf.concat(row, axis=1))
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)

    def reconstruct(self, frames, seeds, closed_loop, use_mean):
        model = self._model

        def run(frames, seeds):
            return reconstruct(model, frames, seeds, closed_loop, use_mean)

        return self._compiled("reconstruct", run, frames.shape[1], closed_loop, use_mean)(frames, seeds)

    def prior_scale(self, frames):
        model = self._model

        def run(frames):
            return prior_scale(model, frames)

        return self._compiled("prior_scale", run, frames.shape[1])(frames)

    def elbo_terms(self, frames, seeds):
        model = self._model

        def run(frames, seeds):
            terms = model.elbo_terms_of(frames, seeds, "running")
            return {name: tf.transpose(terms[name]) for name in ("mse", "kl")}

        return self._compiled("elbo_terms", run, frames.shape[1])(frames, seeds)
