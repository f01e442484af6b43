"""Stochastic Video Generation (Denton & Fergus, ICML 2018), §3: learned prior, fixed prior, deterministic baseline.

Generative model, for t = 1 ... T-1 (0-based; x_0 ... x_{n_past-1} are given):
    z_t ~ p_psi(z_t | x_{0:t-1})            learned prior: an LSTM over h_0 ... h_{t-1}; fixed prior: N(0, I)
    g_t = LSTM_theta(h_{t-1}, z_t),         h_t = Enc(x_t)
    x_t ~ N(mu_theta(t), .),                mu_theta(t) = Dec(g_t, skips of x_{min(t-1, n_past-1)})
Posterior in training:
    z_t ~ q_phi(z_t | x_{1:t})              an LSTM over h_1 ... h_t
Objective (eq. 2), minimized per sequence, teacher-forced:
    sum_t mean_pixels (mu_theta(t) - x_t)^2 + beta * sum_t KL(q_phi || p_psi)

With latents="map" h, z and the LSTMs' states are maps (`code`).

What we do differently: time is folded into the batch (encoder, LSTM layers and decoder each run over all time steps at
once, batch normalization included); the skip is the last true frame, as the paper says, not the second-last, as the
reference does; generation normalizes by running statistics. See the README's table of deviations.
"""

import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from data_pipelines.checks import require
from svg_tf import distributions, losses, noise
from svg_tf.families.base import VideoPredictor, dtype_policy
from svg_tf.families.interface import Bound, ForecastsUncertainty, Program, Update
from svg_tf.families.shapes import fold_time, length, swap_batch_time, unfold_time
from svg_tf.families.svg import sampling as svg_sampling
from svg_tf.families.svg.code import CODES
from svg_tf.families.svg.config import SVGConfig
from svg_tf.families.svg.latent import LATENTS, Inferred
from svg_tf.skip_terms import HeldOverTime

_ENCODING_NOISE = 1 << 20  # its stream of the step's seed


class Forced(NamedTuple):
    """Teacher-forced predictions [T-1, B, H, W, C], and what was inferred for them (None without latents)."""

    x_hat: Any
    inferred: Inferred | None


@keras.saving.register_keras_serializable(package="svg_tf")
class SVG(VideoPredictor):
    """The model of `config` with fresh weights. Used like any Keras model; batches are {"frames": [B, T, H, W, C]}."""

    config_class = SVGConfig
    reconstruction = "each frame from the true one before it, latents from the posterior"

    def __init__(self, config: SVGConfig | None = None, **kwargs):
        super().__init__(config, **kwargs)
        c = self.config
        with dtype_policy(self.dtype_policy):
            self.code = CODES[c.latents](c)
            self.encoder, self.decoder = self.code.backbones()
            self.latent = LATENTS[c.prior](self.code, name="latent")
            inputs = c.g_dim + (c.z_dim if self.stochastic else 0)
            self.frame_predictor = self.code.predictor(inputs, name="frame_predictor")
        self.built = True

    @property
    def lacks(self) -> frozenset:
        return frozenset() if self.config.prior == "learned" else frozenset({ForecastsUncertainty})

    # ---- training -------------------------------------------------------------------------------------------------

    def make_program(self) -> Program:
        terms = ("loss", "mse", "kl", "beta_kl", "sigma_posterior", "sigma_prior")
        return Program.of(Update("elbo", self.elbo, terms, lambda: self.trainable_variables))

    def elbo(self, batch, seed, norm="train", step=2**31 - 1) -> dict:
        """The update's loss: `objective` of a batch."""
        return self.objective(batch["frames"], seed, norm, step)

    def objective(self, frames, seed, norm="train", step=2**31 - 1) -> dict:
        """Per-sequence values of the ELBO and what it is made of, each float32 [B] (sigmas: means over t and z)."""
        terms = self.elbo_terms_of(frames, seed, norm)
        beta = losses.warmed_up(self.config.kl_coefficient, self.config.beta_warmup_steps, step)
        kl = tf.reduce_sum(terms["kl"], axis=0)
        return {
            "loss": losses.elbo_loss(terms["mse"], terms["kl"], beta),
            "mse": tf.reduce_sum(terms["mse"], axis=0),
            "kl": kl,
            "beta_kl": beta * kl,
            "sigma_posterior": tf.reduce_mean(terms["sigma_posterior"], axis=[0, 2]),
            "sigma_prior": tf.reduce_mean(terms["sigma_prior"], axis=[0, 2]),
        }

    def elbo_terms_of(self, frames, seed, norm) -> dict:
        """frames float32 [B, T, H, W, C], seed [2] or [B, 2] -> mse, kl [T-1, B], sigma_* [T-1, B, z_size]; in-graph."""
        frames = self.time_major(frames)
        x_hat, inferred = self.teacher_forced(frames, seed, norm)
        mse = losses.frame_mse(frames[1:], x_hat)
        if not self.stochastic:
            zeros = tf.zeros_like(mse)
            return {"mse": mse, "kl": zeros, "sigma_posterior": zeros[..., None], "sigma_prior": zeros[..., None]}
        q, p = inferred.q, inferred.p
        return {"mse": mse, "kl": distributions.kl(q, p), "sigma_posterior": q.stddev(), "sigma_prior": p.stddev()}

    def teacher_forced(self, x, seed, norm, use_mean=False) -> Forced:
        """x: [T, B, H, W, C]. All time steps go through as one batch."""
        steps, batch = length(x), tf.shape(x)[1]
        distinct = self.skip_frames(steps)
        h, maps = self.encode(x if self.stochastic else x[:-1], norm, distinct * batch)
        inferred, z = None, tf.zeros([steps - 1, batch, 0], h.dtype)
        if self.stochastic:
            inferred = self.latent.infer(h)
            z = inferred.q.mean()
            if not use_mean:
                z = distributions.sample(inferred.q, noise.of_sequences(seed, steps - 1, batch, self.latent.z_size))
        seen = self._blurred(h[: steps - 1], seed) if norm == "train" else h[: steps - 1]
        g, _ = self.frame_predictor(self.code.joined(seen, z), self.frame_predictor.initial_state(batch))
        skips = self.decoder.skip_terms(maps, HeldOverTime(distinct, steps - 1, batch))
        return Forced(self.decode(g, skips, norm), inferred)

    def _blurred(self, h, seed):
        """h [T, B, *place, g_dim] with the noise of `encoding_noise`."""
        if not self.config.encoding_noise:
            return h
        drawn = noise.of_sequences(noise.stream(seed, _ENCODING_NOISE), tf.shape(h)[0], tf.shape(h)[1], math.prod(h.shape[2:]))
        return h + self.code.noise_like(h, self.config.encoding_noise * drawn)

    def skip_frames(self, steps):
        """How many of the first frames the decoder uses the maps of, k: prediction t takes frame min(t-1, k-1)."""
        k = {"last_context": self.config.n_past, "second_last_context": self.config.n_past - 1}.get(self.config.skips)
        if k is None:
            return steps - 1
        return min(k, steps - 1) if isinstance(steps, int) else tf.minimum(k, steps - 1)

    def encode(self, x, norm="running", head=None):
        """x: [T, B, H, W, C] -> (h [T, B, *place, g_dim], maps: a list of [head or T * B, h, w, c], time-major, finest first)."""
        time, batch = tf.shape(x)[0], tf.shape(x)[1]
        settings = self._settings(x.shape[0], norm)
        h, maps = self.encoder(fold_time(x), head=head, **settings)
        return unfold_time(h, time, batch), maps

    def decode(self, g, skips, norm="running"):
        """g: [T, B, *place, g_dim], skips: `SkipTerms` -> x_hat [T, B, H, W, C]."""
        time, batch = tf.shape(g)[0], tf.shape(g)[1]
        x_hat = self.decoder(fold_time(g), skips=skips, **self._settings(g.shape[0], norm))
        return unfold_time(x_hat, time, batch)

    def _settings(self, steps, norm) -> dict:
        """How the backbones run over `steps` time steps."""
        by_step = norm != "running" and self.config.batch_statistics == "per_step"
        return {"norm": norm, "groups": steps if by_step else 1, "recompute": self.recompute and norm == "train"}

    # ---- use ------------------------------------------------------------------------------------------------------

    def call(self, frames, training=False):
        """Teacher-forced reconstruction with the posterior's mean: [B, T, H, W, C] -> [B, T-1, H, W, C]."""
        x = self.time_major(self.frames_of(frames))
        x_hat, _ = self.teacher_forced(x, noise.seed_pair(0), "batch" if training else "running", use_mean=True)
        return swap_batch_time(x_hat)

    def reconstruct(self, frames, seed=0, *, closed_loop=False, use_mean=False):
        """Predictions with z_t from the posterior, which has seen x_t: float [B, T, H, W, C] -> float32 [B, T-1, H, W, C].

        closed_loop=False: each prediction sees the true x_{t-1}; True: after the first n_past frames, its own.
        """
        least = self.config.n_past + 1 if closed_loop else 2
        frames, seeds = self._checked(frames, least, seed)
        return self._compiled_methods.run(self.reconstruct_in_graph, frames, seeds, closed_loop=closed_loop, use_mean=use_mean)

    def prior_scale(self, frames):
        """Sigma of the prior of z_t for x_1 ... x_{T-1}, given the true frames before each: the model's own forecast of
        uncertainty (Fig. 6). float [B, T >= 2, H, W, C] -> float32 [B, T-1, z_size], of a map row by row; ones for a fixed prior.
        Raises `ValueError` for a model without latents.
        """
        require(self.stochastic, f"prior_scale needs a model with latents; this one is {self.config.summary}.")
        frames, _ = self._checked(frames, self.least_frames)
        return self._compiled_methods.run(self.prior_scale_in_graph, frames)

    # ---- the mathematics of these on tensors, for compiled functions and exports --------------------------------------------

    def sample(self, frames, seeds, sampling):
        return svg_sampling.generate(self, frames, seeds, sampling)

    def reconstruct_in_graph(self, frames, seeds, closed_loop=False, use_mean=False):
        return svg_sampling.reconstruct(self, frames, seeds, closed_loop, use_mean)

    def prior_scale_in_graph(self, frames):
        return svg_sampling.prior_scale(self, frames)

    def bound_in_graph(self, frames, seeds) -> Bound:
        terms = self.elbo_terms_of(frames, seeds, "running")
        mse, kl = swap_batch_time(terms["mse"]), swap_batch_time(terms["kl"])
        beta, nats = self.config.kl_coefficient if self.stochastic else 0.0, None
        if beta:
            # mse + beta KL is, up to a factor and a constant, the negative ELBO of x ~ N(x_hat, beta H W C / 2).
            size = math.prod(self.config.frame_shape)
            nll = losses.gaussian_nll(mse, beta * size / 2, size)
            nats = tf.reduce_sum(nll + kl, axis=1)
        return Bound({"mse": mse, "kl": kl, "objective": mse + beta * kl}, nats)
