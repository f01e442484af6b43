"""What SRVP draws: samples of futures, reconstructions, content swaps, interpolations.

Nothing is fed back: states are followed through all frames first, then all frames are decoded, a bounded number at a time.
Frames are float32 [B, T, H, W, C], seeds int32 [B, 2]; T may be known at run time only (an exported graph).
"""

import tensorflow as tf

from svg_tf import distributions, noise
from svg_tf.families import backbone_cost
from svg_tf.families.interface import Sampling
from svg_tf.families.shapes import fold_time, length, swap_batch_time, unfold_time
from svg_tf.families.srvp import transitions
from svg_tf.skip_terms import SharedBySamples

FRAMES_AT_ONCE = 1024  # decoded together, fewer where their maps are large
BYTES_AT_ONCE = 1 << 30
FUTURE = 2  # stream of a seed: z after the frames of a content swap


def generate(model, frames, seeds, sampling: Sampling):
    """Samples of futures -> float32 [B, S, n_future * frame_rate, H, W, C]."""
    c, n_future, n_samples, norm = model.config, sampling.n_future, sampling.n_samples, sampling.norm
    x = model.time_major(frames)
    encoded = model.encode_context(x, length(x), norm)
    q_y = model.infer_y1(encoded.h)
    q_z = model.posterior_z(encoded.h) if model.stochastic else None
    context = length(x) - 1
    row_seeds = noise.sample_seeds(seeds, sampling.first_sample, n_samples)
    draws = noise.of_sequences(row_seeds, 1 + context + n_future, tf.shape(row_seeds)[0], max(c.y_dim, c.z_dim))
    draws = tf.ensure_shape(draws, [None, None, max(c.y_dim, c.z_dim)])

    def drawn(q, noise_of_q, axis):
        mean, sigma = (tf.repeat(value, n_samples, axis=axis) for value in (q.mean(), q.stddev()))
        return mean if sampling.use_mean else mean + sigma * noise_of_q

    y = drawn(q_y, draws[0, :, : c.y_dim], 0)
    z_noise = draws[1:, :, : model.z_dim]
    z = drawn(q_z, z_noise[:context], 1) if model.stochastic else z_noise[:context]
    # One step size throughout, over the context too.
    states, _ = transitions.trajectory(model.transition, y, z, c.n_euler * sampling.frame_rate)
    future = futures(model, states[-1], z_noise[context:], n_future, sampling.frame_rate)
    x_hat = swap_batch_time(decode(model, future, encoded, n_samples, norm))
    return tf.reshape(x_hat, tf.concat([[-1, n_samples], tf.shape(x_hat)[1:]], 0))


def reconstruct(model, frames, seeds, use_mean):
    """Frames with y_1 and z_t from the posteriors -> float32 [B, T-1, H, W, C]."""
    encoded = model.encode(model.time_major(frames), None, "running")
    states = model.infer(encoded.h, seeds, use_mean).states
    return swap_batch_time(decode(model, states[1:], encoded))


def prior_scale(model, frames):
    """sigma_theta of z_2 ... z_T -> float32 [B, T-1, z_dim]. States are the posteriors' means; those of the first k frames have
    seen all of these."""
    encoded = model.encode(model.time_major(frames), None, "running")
    states = model.infer(encoded.h, None, use_mean=True).states
    return swap_batch_time(model.prior_z(states[:-1]).stddev())


def swap_content(model, content, motion, seeds, n_future, use_mean):
    """States of `motion`, and n_future more, with the content of the last k of all frames of `content`."""
    x = model.time_major(content)
    appearance = model.encode_context(x, length(x), "running")
    moving = model.encode(model.time_major(motion), None, "running")
    states = model.infer(moving.h, seeds, use_mean).states
    if n_future:
        z_noise = noise.of_sequences(noise.stream(seeds, FUTURE), n_future, tf.shape(states)[1], model.z_dim)
        states = tf.concat([states, futures(model, states[-1], z_noise, n_future)], axis=0)
    return swap_batch_time(decode(model, states, appearance))


def interpolate(model, first, last, n_frames):
    """n_frames states on the line from the last one of `first` to the last one of `last`, with the content of `first`."""
    x = model.time_major(first)
    encoded = model.encode_context(x, length(x), "running")
    encoded_last = model.encode(model.time_major(last), None, "running")
    start = model.infer(encoded.h, None, use_mean=True).states[-1]
    end = model.infer(encoded_last.h, None, use_mean=True).states[-1]
    weights = tf.linspace(0.0, 1.0, n_frames)[:, None, None]
    return swap_batch_time(decode(model, start + weights * (end - start), encoded))


def futures(model, y, z_noise, n_future, frame_rate=1):
    """States after y [N, y_dim] with z from the prior: z_noise [n_future, N, z_dim] -> [n_future * frame_rate, N, y_dim]."""

    def next_projected(t, y):
        z = z_noise[t]
        if model.stochastic:
            z = distributions.sample(model.prior_z(y), z)
        return model.transition.project(z)

    return transitions.follow(model.transition, y, next_projected, n_future, model.config.n_euler, frame_rate)[0]


def frames_at_once(decoder) -> int:
    """How many frames the decoder's maps allow: what a convolution reads, writes and works with, and a skip term."""
    largest = max(map_.elements for block in backbone_cost.decoder_blocks(decoder) for map_ in block.maps)
    return max(1, min(FRAMES_AT_ONCE, BYTES_AT_ONCE // (4 * 4 * largest)))


def decode(model, states, encoded, n_samples=1, norm="running"):
    """states [F, B * S, y_dim], with content and skips of `encoded` (model.encode) -> float32 [F, B * S, H, W, C].

    A few frames of all rows at a time."""
    c, steps, rows = model.config, tf.shape(states)[0], tf.shape(states)[1]
    skips = model.decoder.skip_terms(encoded.maps, SharedBySamples(n_samples))
    w = tf.repeat(model.content(encoded.content), n_samples, axis=0)
    at_once = tf.maximum(1, frames_at_once(model.decoder) // tf.maximum(1, rows))

    def body(i, outputs):
        y = states[i * at_once : (i + 1) * at_once]
        inputs = tf.concat([tf.repeat(w[None], tf.shape(y)[0], 0), tf.cast(y, w.dtype)], axis=-1)
        x_hat = model.decoder(fold_time(inputs), skips=skips, norm=norm)
        return i + 1, outputs.write(i, tf.cast(x_hat, tf.float32))

    parts = (steps + at_once - 1) // at_once
    shape = [None, *c.frame_shape]
    outputs = tf.TensorArray(tf.float32, size=parts, infer_shape=False, element_shape=shape)
    _, outputs = tf.while_loop(lambda i, _: i < parts, body, (tf.constant(0), outputs))
    return unfold_time(tf.ensure_shape(outputs.concat(), shape), steps, rows)
