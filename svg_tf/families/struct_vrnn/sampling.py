"""What Struct-VRNN draws: samples of futures and their keypoints, reconstructions.

Keypoints are followed through all frames first, then all frames are drawn, a bounded number at a time. Frames are float32
[B, T, H, W, C] in [0, 1], seeds int32 [B, 2]; T may be known at run time only (an exported graph).
"""

import tensorflow as tf

from svg_tf import noise
from svg_tf.families.interface import Sampling
from svg_tf.families.shapes import fold_time, length, swap_batch_time, unfold_time
from svg_tf.families.struct_vrnn import dynamics, vision
from svg_tf.skip_terms import SharedBySamples

FRAMES_AT_ONCE = 1024  # drawn together, fewer where their maps are large
BYTES_AT_ONCE = 1 << 29


def generate(model, frames, seeds, sampling: Sampling):
    """Samples of futures -> float32 [B, S, n_future, H, W, C]."""
    seen, codes = _futures(model, frames, seeds, sampling)
    x = swap_batch_time(draw(model, codes, seen.appearance, sampling.n_samples))
    return tf.reshape(x, tf.concat([[-1, sampling.n_samples], tf.shape(x)[1:]], 0))


def predict_keypoints(model, frames, seeds, sampling: Sampling):
    """The codes that `generate` draws from -> float32 [B, S, n_future, K, 3]."""
    _, codes = _futures(model, frames, seeds, sampling)
    return tf.reshape(swap_batch_time(codes), [-1, sampling.n_samples, sampling.n_future, model.n_keypoints, 3])


def keypoints(model, frames):
    """float32 [B, T, H, W, C] -> [B, T, K, 3]."""
    codes = model.detector(tf.cast(fold_time(frames) - 0.5, model.compute_dtype)).code
    return unfold_time(codes, tf.shape(frames)[0], tf.shape(frames)[1])  # rows and times fold alike


def redrawn(model, x):
    """x [T, B, H, W, C] -> (codes [T, B, K, 3], frames drawn from them [T, B, H, W, C])."""
    seen = model.see(x)
    return seen.codes, draw(model, flat(model, seen.codes), seen.appearance)


def redraw(model, frames):
    """Frames from their own codes -> float32 [B, T, H, W, C]."""
    return swap_batch_time(redrawn(model, swap_batch_time(frames))[1])


def reconstruct(model, frames, seeds, use_mean):
    """Frames from codes that are decoded from posterior latents -> float32 [B, T-1, H, W, C]."""
    seen = model.see(swap_batch_time(frames))
    codes = flat(model, seen.codes)
    draws = None
    if model.stochastic and not use_mean:
        draws = noise.of_sequences(seeds, length(codes), tf.shape(codes)[1], model.config.z_dim)[:, :, None]
    decoded = dynamics.observe(model, codes, draws).codes[1:]
    return swap_batch_time(draw(model, decoded, seen.appearance))


def prior_scale(model, frames):
    """Of x_1 ... x_{T-1} -> float32 [B, T-1, z_dim]."""
    codes = flat(model, model.see(swap_batch_time(frames)).codes)
    _, scale = model.prior(dynamics.observe(model, codes, None).states[1:])
    return swap_batch_time(scale)


def flat(model, codes):
    """[T, B, K, 3] -> [T, B, 3 K]"""
    flat = tf.reshape(codes, [*tf.unstack(tf.shape(codes)[:2]), model.config.code_size])
    return tf.ensure_shape(flat, [codes.shape[0], None, model.config.code_size])


def _futures(model, frames, seeds, sampling: Sampling):
    """(what was seen of the context, codes after it [n_future, B * S, 3 K])."""
    c, n_future, n_samples = model.config, sampling.n_future, sampling.n_samples
    seen = model.see(swap_batch_time(frames))
    codes = tf.repeat(flat(model, seen.codes), n_samples, axis=1)
    context, first, second = length(codes), None, None
    if model.stochastic:
        row_seeds = noise.sample_seeds(seeds, sampling.first_sample, n_samples)
        draws = noise.of_sequences(row_seeds, context + n_future, tf.shape(row_seeds)[0], c.z_dim)
        draws = tf.ensure_shape(draws, [None, None, c.z_dim])[:, :, None]
        first, second = None if sampling.use_mean else draws[:context], draws[context:]
    state = dynamics.observe(model, codes, first).state
    return seen, dynamics.predict(model, state, n_future, second)


def frames_at_once(config) -> int:
    """How many frames are drawn together: what a convolution reads, writes and works with."""
    return max(1, min(FRAMES_AT_ONCE, BYTES_AT_ONCE // (3 * 4 * vision.largest_map(config))))


def draw(model, codes, appearance: vision.Appearance, n_samples=1):
    """codes float32 [F, B * S, 3 K] -> float32 [F, B * S, H, W, C] in [0, 1], a few frames of all rows at a time."""
    c, steps, rows = model.config, tf.shape(codes)[0], tf.shape(codes)[1]
    at_once = tf.maximum(1, frames_at_once(c) // tf.maximum(1, rows))

    def body(i, outputs):
        some = tf.reshape(codes[i * at_once : (i + 1) * at_once], [-1, c.n_keypoints, 3])
        drawn = model.renderer(some, appearance, rows=SharedBySamples(n_samples))
        return i + 1, outputs.write(i, tf.clip_by_value(drawn + 0.5, 0.0, 1.0))

    parts, shape = (steps + at_once - 1) // at_once, [None, *c.frame_shape]
    outputs = tf.TensorArray(tf.float32, size=parts, infer_shape=False, element_shape=shape)
    _, outputs = tf.while_loop(lambda i, _: i < parts, body, (tf.constant(0), outputs))
    return unfold_time(tf.ensure_shape(outputs.concat(), shape), steps, rows)
