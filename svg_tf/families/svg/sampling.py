"""SVG's generation loop: context frames in, samples out.

The conditioning frames are encoded, and the posterior and prior run over them, once for each sequence; the decoder's
skip halves are computed once for each sequence; only what differs between samples is computed for each sample.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from svg_tf import distributions, noise
from svg_tf.families.interface import Sampling
from svg_tf.families.shapes import length, swap_batch_time
from svg_tf.skip_terms import OwnRows, SharedBySamples, SkipTerms


class Start(NamedTuple):
    """Where a rollout of N rows starts: h [N, *place, g_dim] of the last true frame, states of predictor and prior, the skips."""

    h: Any
    predictor_state: tuple
    latent_state: tuple
    skips: SkipTerms


def rollout(model, start: Start, n_future, next_z, norm):
    """Feeds predictions back for `n_future` steps.

    next_z(i, h, state) -> (z [N, z_size], state) for the i-th predicted frame. Returns x_hat [n_future, N, H, W, C].
    """
    c = model.config
    frame_shape = [None, *c.frame_shape]
    previous_skips = c.skips == "previous"

    def predict(i, h, predictor_state, latent_state, skips):
        z, latent_state = next_z(i, h, latent_state)
        g, predictor_state = model.frame_predictor(model.code.joined(h, z)[None], predictor_state)
        x_hat = model.decoder(g[0], skips=skips, norm=norm)
        return x_hat, predictor_state, latent_state

    x_hat, predictor_state, latent_state = predict(0, *start)
    outputs = tf.TensorArray(x_hat.dtype, size=n_future, element_shape=frame_shape).write(0, x_hat)

    def body(i, x_hat, predictor_state, latent_state, outputs):
        h, maps = model.encoder(x_hat, norm=norm)
        # From the second prediction on, "previous" skips come from each sample's own frames.
        now = model.decoder.skip_terms(maps, OwnRows()) if previous_skips else start.skips
        x_hat, predictor_state, latent_state = predict(i, h, predictor_state, latent_state, now)
        x_hat = tf.ensure_shape(x_hat, frame_shape)
        return i + 1, x_hat, predictor_state, latent_state, outputs.write(i, x_hat)

    loop = (tf.constant(1), x_hat, predictor_state, latent_state, outputs)
    *_, outputs = tf.while_loop(lambda i, *_: i < n_future, body, loop)
    return outputs.stack()


def conditioned(model, frames, z_noise, n_samples, use_mean, norm) -> Start:
    """Runs over the context frames [P, B, H, W, C]: -> the start of a rollout with B * S rows.

    z_noise: [P-1, B * S, z_size] for the posterior over the context.
    """
    context = length(frames)
    batch = tf.shape(frames)[1]
    h, maps = model.encode(frames, norm)
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
        _, state = model.frame_predictor(model.code.joined(per_sample(h[:-1], 1), z), state)
    latent_state = tf.nest.map_structure(per_sample, latent_state)
    index = context - 2 if model.config.skips == "second_last_context" else context - 1
    maps = [skip[index * batch : (index + 1) * batch] for skip in maps]
    return Start(per_sample(h[-1]), state, latent_state, model.decoder.skip_terms(maps, SharedBySamples(n_samples)))


def generate(model, frames, seeds, sampling: Sampling):
    """Samples of futures. frames float32 [B, P, H, W, C]; seeds int32 [B, 2].

    P known when the graph is built: the LSTMs are unrolled over it; unknown (an exported graph): they run in loops.
    Returns float32 [B, S, n_future, H, W, C].
    """
    n_future, n_samples, norm = sampling.n_future, sampling.n_samples, sampling.norm
    frames = model.time_major(frames)
    context = length(frames) - 1
    z_noise = tf.zeros([context + n_future, tf.shape(seeds)[0] * n_samples, 0])
    if model.stochastic:
        row_seeds = noise.sample_seeds(seeds, sampling.first_sample, n_samples)
        z_noise = swap_batch_time(noise.normal_per_seed(row_seeds, [context + n_future, model.latent.z_size]))
        z_noise = tf.ensure_shape(z_noise, [None, None, model.latent.z_size])
    start = conditioned(model, frames, z_noise[:context], n_samples, sampling.use_mean, norm)

    def next_z(i, h, state):
        return model.latent.prior_step(h, state, z_noise[context + i])

    x_hat = swap_batch_time(tf.cast(rollout(model, start, n_future, next_z, norm), tf.float32))
    return tf.reshape(x_hat, tf.concat([[-1, n_samples, n_future], tf.shape(x_hat)[2:]], 0))


def reconstruct(model, frames, seeds, closed_loop, use_mean):
    """Predictions with posterior latents: frames float32 [B, T, H, W, C], seeds int32 [B, 2] -> float32 [B, T-1, H, W, C].

    T may be known at run time only (an exported graph), unless `closed_loop`.
    """
    x = model.time_major(frames)
    x_hat, inferred = model.teacher_forced(x, seeds, "running", use_mean)
    if closed_loop:
        n_past, steps, batch = model.config.n_past, x.shape[0], tf.shape(x)[1]
        z = tf.zeros([steps - 1, batch, 0])
        if model.stochastic:
            z = inferred.q.mean()
            if not use_mean:
                z = distributions.sample(inferred.q, noise.of_sequences(seeds, steps - 1, batch, model.latent.z_size))
        # The rollout's context must carry the same z as the predictions do: noise (z - mean) / sigma gives it back.
        z_noise = (z - inferred.q.mean())[: n_past - 1] / inferred.q.stddev()[: n_past - 1] if model.stochastic else z
        start = conditioned(model, x[:n_past], z_noise, 1, False, "running")
        own = rollout(model, start, steps - n_past, lambda i, h, state: (z[n_past - 1 + i], state), "running")
        x_hat = tf.concat([x_hat[: n_past - 1], own], axis=0)
    return tf.cast(swap_batch_time(x_hat), tf.float32)


def prior_scale(model, frames):
    """sigma_psi of x_1 ... x_{T-1}: frames float32 [B, T >= 2, H, W, C], any length -> float32 [B, T-1, z_size]."""
    h, _ = model.encode(model.time_major(frames[:, :-1]))
    p, _ = model.latent.prior_z(h)
    if p is None:
        return tf.ones([tf.shape(h)[1], tf.shape(h)[0], model.latent.z_size])
    return swap_batch_time(p.stddev())
