"""Stochastic latent residual video prediction, SRVP (Franceschi et al., ICML 2020).

Generative model, for frames t = 1 ... T (1-based, as in the paper), given content w:
    y_1 ~ N(0, I)
    z_{t+1} ~ N(mu_theta(y_t), sigma_theta(y_t))
    y_{t+dt} = y_t + dt f_theta(y_t, z_{t+1}),   dt = 1 / n_euler, one z for all sub-steps of a frame
    x_t ~ N(g_theta(w, y_t), nu)
All that is random or moves lives in the small state y. No frame is fed back, so that the encoder and the decoder run over
all frames at once, in training and in generation.
Inference:
    y_1 ~ q(y_1 | x_1 ... x_k)         an MLP on k encodings
    z_t ~ q(z_t | x_1 ... x_t)         an LSTM over encodings
    w = content of k frames            whatever their order: random ones in training, the last k conditioning frames at test
Objective per sequence, summed over pixels, frames and dimensions:
    - sum_t log p(x_t) + beta_y KL(q(y_1) || N(0, I)) + beta_z sum_t KL(q(z_t) || p(z_t)) + lambda sum |dt f|_2

What we do differently: batch normalization in generation uses running statistics, as everywhere in this package; samples
follow from a seed for each sequence; the states' arithmetic is float32 whatever the precision.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from data_pipelines.checks import require
from svg_tf import distributions, noise
from svg_tf.families.base import VideoPredictor, dtype_policy
from svg_tf.families.compiled import check_counts
from svg_tf.families.interface import AnyFrameRate, Bound, ForecastsUncertainty, Program, Update
from svg_tf.families.shapes import fold_time, frames_at, length, swap_batch_time, unfold_time
from svg_tf.families.srvp import sampling as srvp_sampling
from svg_tf.families.srvp import transitions
from svg_tf.families.srvp.config import SRVPConfig
from svg_tf.layers import backbones
from svg_tf.layers.mlp import MLP, Linear
from svg_tf.layers.recurrent import LSTMLayer
from svg_tf.skip_terms import HeldOverTime

CONTENT = 1  # stream of a seed: which frames the content comes from


class Encoded(NamedTuple):
    """h [T, B, h_dim] of all frames; content [k, B, h_dim], those of the content's frames; maps of one frame a sequence, for the
    skips, or None."""

    h: Any
    content: Any
    maps: list | None


class Inferred(NamedTuple):
    """q(y_1); q(z_t) over [T-1, B, z_dim], or None without z; states [T, B, y_dim]; residual [B], norms of the steps taken."""

    q_y: Any
    q_z: Any
    states: Any
    residual: Any


@keras.saving.register_keras_serializable(package="svg_tf")
class SRVP(VideoPredictor):
    """The model of `config` with fresh weights. Used like `SVG`; batches are {"frames": [B, T >= k, H, W, C]}."""

    config_class = SRVPConfig
    deterministic = False  # y_1 is a sample also where there are no z_t
    reconstruction = "decoded from states whose first one and latents are the posteriors'"

    def __init__(self, config: SRVPConfig | None = None, **kwargs):
        super().__init__(config, **kwargs)
        c = self.config
        z_dim = c.z_dim if c.stochastic else 0
        with dtype_policy(self.dtype_policy):
            self.encoder, self.decoder = backbones.build_state_space(
                c.backbone, c.image_size, c.channels, c.width, c.h_dim, c.w_dim + c.y_dim, c.skips
            )
            self.first_state = MLP(c.k * c.h_dim, c.inference_size, 2 * c.y_dim, c.inference_layers, name="first_state")
            self.content_hidden = Linear(c.h_dim, c.inference_size, name="content_hidden")
            self.content_head = Linear(c.inference_size, c.w_dim, name="content_head")
            self.transition = transitions.TRANSITIONS[c.transition](c, z_dim, name="transition")
            if c.stochastic:
                self.posterior = LSTMLayer(c.h_dim, c.inference_size, name="posterior")
                self.posterior_head = Linear(c.inference_size, 2 * z_dim, name="posterior_head")
                self.prior = MLP(
                    c.y_dim, c.transition_size, 2 * z_dim, c.transition_layers, name="prior", dtype="float32"
                )  # of the state, which is float32
        self.z_dim, self.n_euler = z_dim, c.n_euler
        self.built = True

    @property
    def lacks(self) -> frozenset:
        uncertainty = set() if self.stochastic else {ForecastsUncertainty}
        rates = set() if self.config.transition == "residual" else {AnyFrameRate}
        return frozenset(uncertainty | rates)

    # ---- training -------------------------------------------------------------------------------------------------

    def make_program(self) -> Program:
        terms = ("loss", "mse", "nll", "kl", "kl_y", "kl_z", "residual", "sigma_posterior", "sigma_prior")
        return Program.of(Update("elbo", self.elbo, terms, lambda: self.trainable_variables))

    def elbo(self, batch, seed, norm="train", step=None) -> dict:
        """The update's loss: `objective` of a batch."""
        return self.objective(batch["frames"], seed, norm, step)

    def objective(self, frames, seed, norm="train", step=None) -> dict:
        """Per-sequence values of the ELBO and what it is made of, each float32 [B]: sums over time (sigmas: means)."""
        c, terms = self.config, self.elbo_terms_of(frames, seed, norm)
        nll, kl_y, kl_z = (tf.reduce_sum(terms[name], axis=0) for name in ("nll", "kl_y", "kl_z"))
        return {
            "loss": nll + c.beta_y * kl_y + c.beta_z * kl_z + c.residual_penalty * terms["residual"],
            "mse": tf.reduce_sum(terms["mse"], axis=0),
            "nll": nll,
            "kl": kl_y + kl_z,
            "kl_y": kl_y,
            "kl_z": kl_z,
            "residual": terms["residual"],
            "sigma_posterior": tf.reduce_mean(terms["sigma_posterior"], axis=[0, 2]),
            "sigma_prior": tf.reduce_mean(terms["sigma_prior"], axis=[0, 2]),
        }

    def elbo_terms_of(self, frames, seed, norm) -> dict:
        """frames float32 [B, T, H, W, C], seed as in `noise.of_sequences` -> mse, nll, kl [T, B], kl_y [1, B], kl_z [T-1, B],
        sigma_* [T-1, B, z_dim], residual [B].

        norm "train" or "batch": content of random frames; "running": of the conditioning frames.
        """
        x = swap_batch_time(frames)
        h, h_content, maps = self.encode(tf.cast(x, self.compute_dtype), seed, norm)
        q_y, q_z, states, residual = self.infer(h, seed)
        steps, batch = length(x), tf.shape(states)[1]
        inputs = tf.concat([tf.repeat(self.content(h_content)[None], steps, 0), tf.cast(states, h.dtype)], -1)
        skips = self.decoder.skip_terms(maps, HeldOverTime(1, steps, batch))
        x_hat = self.decoder(fold_time(inputs), skips=skips, norm=norm, recompute=self._recomputes(norm))
        x_hat = unfold_time(x_hat, steps, batch)
        kl_y = distributions.kl(q_y, distributions.standard_normal_like(q_y))[None]
        kl_z = sigma_q = sigma_p = tf.zeros([steps - 1, batch])
        if self.stochastic:
            p_z = self.prior_z(states[:-1])
            kl_z, sigma_q, sigma_p = distributions.kl(q_z, p_z), q_z.stddev(), p_z.stddev()
        else:
            sigma_q, sigma_p = sigma_q[..., None], sigma_p[..., None]
        return {
            "mse": tf.reduce_mean(tf.square(x - tf.cast(x_hat, tf.float32)), axis=[2, 3, 4]),
            "nll": -distributions.observation(x_hat, self.config.nu).log_prob(x),
            "kl": tf.concat([kl_y, kl_z], axis=0),
            "kl_y": kl_y,
            "kl_z": kl_z,
            "residual": residual,
            "sigma_posterior": sigma_q,
            "sigma_prior": sigma_p,
        }

    def encode(self, x, seed, norm) -> Encoded:
        """x [T, B, H, W, C]. Content and skips: of random frames; with norm "running" of the conditioning frames."""
        steps, batch, c = length(x), tf.shape(x)[1], self.config
        conditioning = self._conditioning(steps)
        if norm == "running":
            return self.encode_context(x, conditioning, norm)
        scores = noise.of_sequences(noise.stream(seed, CONTENT), steps, batch, 2)
        chosen = tf.transpose(tf.math.top_k(tf.transpose(scores[..., 0]), c.k).indices)  # [k, B], none twice
        if not c.skips:
            h, _ = self._encoded(x, norm)
            return Encoded(h, frames_at(h, chosen), None)
        # The frame of the skips changes places with the first one, so that only the first maps have to be kept for them.
        first = tf.argmax(scores[..., 1], axis=0, output_type=tf.int32)[None]
        times = tf.range(steps)[:, None]
        order = tf.where(times == 0, first, tf.where(times == first, 0, times))
        h, maps = self._encoded(frames_at(x, order), norm, head=batch)
        h = frames_at(h, order)
        return Encoded(h, frames_at(h, chosen), maps)

    def _conditioning(self, steps):
        """How many of `steps` frames (int or tensor) are conditioning frames. Raises `ValueError` for too few frames."""
        c = self.config
        if not isinstance(steps, int):
            return tf.minimum(c.n_past, steps)
        if steps < self.least_frames:
            raise ValueError(f"Batches must have at least {self.least_frames} frames (k = {c.k}), got {steps}.")
        return min(c.n_past, steps)

    def encode_context(self, x, conditioning, norm) -> Encoded:
        """As `encode`, with content of the last k of the first `conditioning` frames and the skips of the last of these."""
        batch = tf.shape(x)[1]
        h, maps = self._encoded(x, norm, head=conditioning * batch)
        maps = [skip[(conditioning - 1) * batch :] for skip in maps] if self.config.skips else None
        return Encoded(h, h[conditioning - self.config.k : conditioning], maps)

    def _encoded(self, x, norm, head=None):
        h, maps = self.encoder(fold_time(x), norm=norm, head=head, recompute=self._recomputes(norm))
        return unfold_time(h, tf.shape(x)[0], tf.shape(x)[1]), maps

    def _recomputes(self, norm) -> bool:
        return self.recompute and norm == "train"

    def content(self, h):
        """h [k, B, h_dim] -> w [B, w_dim]."""
        h = tf.ensure_shape(h, [self.config.k, None, None])  # in graphs of any length
        return tf.tanh(self.content_head(tf.reduce_sum(tf.nn.relu(self.content_hidden(h)), axis=0)))

    def infer_y1(self, h):
        """q(y_1 | x_1 ... x_k)."""
        h = tf.ensure_shape(h[: self.config.k], [self.config.k, None, self.config.h_dim])
        return distributions.diagonal_gaussian_of_scale(self.first_state(tf.concat(tf.unstack(h), axis=-1)))

    def posterior_z(self, h):
        """q(z_t | x_1 ... x_t) of t = 2 ... T, as a distribution over [T-1, B, z_dim]."""
        zeros = tf.zeros([tf.shape(h)[1], self.config.inference_size], h.dtype)
        features, _ = self.posterior(h, (zeros, zeros))
        return distributions.diagonal_gaussian_of_scale(self.posterior_head(features[1:]))

    def prior_z(self, states):
        """p(z_{t+1} | y_t)."""
        return distributions.diagonal_gaussian_of_scale(self.prior(states))

    def infer(self, h, seed, use_mean=False) -> Inferred:
        """h [T, B, h_dim]; use_mean: the posteriors' means in place of samples."""
        steps, batch, c = length(h), tf.shape(h)[1], self.config
        q_y = self.infer_y1(h)
        q_z = self.posterior_z(h) if self.stochastic else None
        y = q_y.mean()
        z = q_z.mean() if self.stochastic else tf.zeros([steps - 1, batch, 0])
        if not use_mean:
            draws = noise.of_sequences(seed, steps, batch, max(c.y_dim, c.z_dim))
            y = distributions.sample(q_y, draws[0, :, : c.y_dim])
            z = distributions.sample(q_z, draws[1:, :, : c.z_dim]) if self.stochastic else z
        states, norms = transitions.trajectory(self.transition, y, z, c.n_euler)
        return Inferred(q_y, q_z, states, norms)

    # ---- use ------------------------------------------------------------------------------------------------------

    def call(self, frames, training=False):
        """Reconstruction with the posterior's means: [B, T, H, W, C] -> [B, T, H, W, C]."""
        norm = "batch" if training else "running"
        x = self.time_major(self.frames_of(frames))
        encoded = self.encode_context(x, self._conditioning(length(x)), norm)
        states = self.infer(encoded.h, None, use_mean=True).states
        return swap_batch_time(srvp_sampling.decode(self, states, encoded, norm=norm))

    def reconstruct(self, frames, seed=0, *, closed_loop=False, use_mean=False):
        """Frames with y_1 and z_t from the posteriors: float [B, T >= k, H, W, C] -> float32 [B, T-1, H, W, C], of x_2 ... x_T.

        Nothing is fed back, so that `closed_loop`, which `SVG` knows, makes no difference.
        """
        frames, seeds = self._checked(frames, self.least_frames, seed)
        return self._compiled_methods.run(self.reconstruct_in_graph, frames, seeds, closed_loop=closed_loop, use_mean=use_mean)

    def prior_scale(self, frames):
        """Sigma of the prior of z_t for x_2 ... x_T, given the states that the frames before each lead to (Fig. 6): float
        [B, T >= k, H, W, C] -> float32 [B, T-1, z_dim]. The first state is inferred from k frames: the first k values have seen
        all of these. Raises `ValueError` for a model without z.
        """
        require(self.stochastic, f"prior_scale needs a model with latents; this one is {self.config.summary}.")
        frames, _ = self._checked(frames, self.least_frames)
        return self._compiled_methods.run(self.prior_scale_in_graph, frames)

    def swap_content(self, frames_content, frames_motion, n_future=0, seed=0, *, use_mean=False):
        """The motion of one video with the content of another (paper: content swap).

        frames_content, frames_motion: float [B, >= k, H, W, C] in [0, 1], of which the last k of frames_content give the content
        (and the last one the skips); n_future: frames predicted after those of the motion. Returns float32
        [B, T_motion + n_future, H, W, C].
        """
        if n_future:
            check_counts(n_future=n_future)
        content, _ = self._checked(frames_content, self.config.k, what="frames of the content")
        motion, seeds = self._checked(frames_motion, self.least_frames, seed, "frames of the motion")
        if content.shape[0] != motion.shape[0]:
            raise ValueError(f"Content and motion must be as many sequences, got {content.shape[0]} and {motion.shape[0]}.")
        options = {"n_future": n_future, "use_mean": use_mean}
        return self._compiled_methods.run(self.swap_content_in_graph, content, motion, seeds, **options)

    def interpolate(self, frames_from, frames_to, n_frames):
        """Frames between two states: from the last state of one video to that of another, with the content of the first
        (its last k frames).

        frames_from, frames_to: float [B, >= k, H, W, C]; n_frames >= 2. States are the posteriors' means. Returns float32
        [B, n_frames, H, W, C], at equal distances, both ends included.
        """
        check_counts(n_frames=n_frames)
        if n_frames < 2:
            raise ValueError(f"n_frames must be at least 2 (both ends), got {n_frames}.")
        first, _ = self._checked(frames_from, self.least_frames, what="frames_from")
        last, _ = self._checked(frames_to, self.least_frames, what="frames_to")
        if first.shape[0] != last.shape[0]:
            raise ValueError(f"There must be as many sequences to come from as to go to, got {first.shape[0]}, {last.shape[0]}.")
        return self._compiled_methods.run(self.interpolate_in_graph, first, last, n_frames=n_frames)

    # ---- the mathematics of these on tensors, for compiled functions and exports ---------------------------------------------

    def sample(self, frames, seeds, sampling):
        return srvp_sampling.generate(self, frames, seeds, sampling)

    def bound_in_graph(self, frames, seeds) -> Bound:
        terms = self.elbo_terms_of(frames, seeds, "running")
        of_frames = {name: swap_batch_time(terms[name]) for name in ("mse", "nll", "kl")}
        return Bound(of_frames, tf.reduce_sum(of_frames["nll"] + of_frames["kl"], axis=1))

    def reconstruct_in_graph(self, frames, seeds, closed_loop=False, use_mean=False):
        return srvp_sampling.reconstruct(self, frames, seeds, use_mean)

    def prior_scale_in_graph(self, frames):
        return srvp_sampling.prior_scale(self, frames)

    def swap_content_in_graph(self, content, motion, seeds, n_future=0, use_mean=False):
        return srvp_sampling.swap_content(self, content, motion, seeds, n_future, use_mean)

    def interpolate_in_graph(self, first, last, n_frames):
        return srvp_sampling.interpolate(self, first, last, n_frames)
