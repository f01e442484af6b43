"""Stochastic variational video prediction, SV2P (Babaeizadeh et al., ICLR 2018); without latents CDNA (Finn et al. 2016).

Generative model, for t = 1 ... T-1 (0-based; x_0 ... x_{n_past-1} are given):
    z ~ N(0, I)                              a map of H/8 x W/8: one of the video, or one for each step
    x_t ~ N(G(u_0 ... u_{t-1}, z), .)        u: true frames within the context, then the model's own
Posterior in training:
    z ~ q(z | x_0 ... x_{T-1})               a convolutional tower over all frames, those to be predicted too
Objective, minimized per sequence, in three phases that keep the generator from ignoring z:
    mean over frames and pixels of (x_hat_t - x_t)^2 + beta K,   K = KL(q || N(0, I)) of the video
    1. z ~ N(0, I): the generator alone    2. z ~ q, beta = 0    3. beta rises

What we do differently: heads of the posterior without normalization, as many masks as images, the squared error of all
predictions, examples that draw truth or prediction each by itself; see docs/deviations.md for the options that restore these.
"""

import math

import keras
import tensorflow as tf

from svg_tf import distributions, losses, noise
from svg_tf.families.base import VideoPredictor, dtype_policy
from svg_tf.families.interface import Bound, Phase, Program, Update
from svg_tf.families.shapes import length, swap_batch_time
from svg_tf.families.sv2p import rollout
from svg_tf.families.sv2p.config import SV2PConfig
from svg_tf.families.sv2p.generator import Generator
from svg_tf.families.sv2p.tower import Tower

TERMS = ("loss", "mse", "kl", "beta_kl", "sigma_posterior", "sigma_prior", "true_frames")


@keras.saving.register_keras_serializable(package="svg_tf")
class SV2P(VideoPredictor):
    """The model of `config` with fresh weights. Used like `SVG`; batches are {"frames": [B, n_frames, H, W, C]}."""

    config_class = SV2PConfig
    reconstruction = "each frame from the true one before it, latents from the posterior over all frames"

    def __init__(self, config: SV2PConfig | None = None, **kwargs):
        super().__init__(config, **kwargs)
        with dtype_policy(self.dtype_policy):
            self.generator = Generator(self.config, name="generator")
            if self.stochastic:
                self.tower = Tower(self.config, name="tower")
        self.built = True

    @property
    def varies(self) -> bool:
        """Whether each step has a z of its own."""
        return self.config.latents == "time_variant"

    @property
    def z_size(self) -> int:
        return math.prod(self.config.latent_shape)

    @property
    def least_frames(self) -> int:
        """Frames of a training sequence: all that the posterior reads."""
        return self.config.n_frames if self.stochastic else 2

    @property
    def bound_frames(self) -> int | None:
        return self.config.n_frames if self.stochastic else None

    # ---- training -------------------------------------------------------------------------------------------------

    def make_program(self) -> Program:
        c = self.config
        everything = lambda: self.trainable_variables  # noqa: E731
        last = Update("elbo", self.elbo, TERMS, everything)
        if not self.stochastic:
            return Program.of(last)
        alone = Update("elbo", self.generator_alone, TERMS, lambda: self.generator.trainable_variables)
        free = Update("elbo", self.without_kl, TERMS, everything)
        ends = (c.generator_steps, alone), (c.generator_steps + c.latent_steps, free)
        phases = [Phase((update,), until=until) for until, update in ends]
        lengths = c.generator_steps, c.latent_steps
        return Program((*(phase for phase, length in zip(phases, lengths, strict=True) if length), Phase((last,))))

    def generator_alone(self, batch, seed, norm="train", step=0) -> dict:
        """Phase 1's loss: z from N(0, I)."""
        return self.objective(batch["frames"], seed, norm, step, 0.0, from_prior=True)

    def without_kl(self, batch, seed, norm="train", step=0) -> dict:
        """Phase 2's loss: z from the posterior at no cost."""
        return self.objective(batch["frames"], seed, norm, step, 0.0)

    def elbo(self, batch, seed, norm="train", step=2**31 - 1) -> dict:
        """Phase 3's loss. Held-out data are measured by the loss of the run's end, beta whole, so that any two steps compare."""
        return self.objective(batch["frames"], seed, norm, step, self.beta_at(step) if norm == "train" else None)

    @property
    def _beta(self) -> float:
        return self.config.kl_coefficient if self.stochastic else 0.0

    def beta_at(self, step) -> tf.Tensor:
        """The weight of a video's KL at training step `step` of phase 3."""
        since = tf.maximum(tf.cast(step, tf.float32) - float(self.config.generator_steps + self.config.latent_steps), 0.0)
        return losses.warmed_up(self._beta, self.config.beta_warmup_steps, since)

    def objective(self, frames, seed, norm="train", step=2**31 - 1, beta=None, from_prior=False) -> dict:
        """Values of each sequence, float32 [B]: mse (mean over frames), kl (nats of the video), sigmas (over z), true_frames
        (share of the steps after the context that saw a true frame). beta: the weight of kl; None: that of a run's end.

        norm "train": scheduled sampling; "running": the model sees its own frames after the context.
        """
        c, x = self.config, self._time_major_of_known_length(frames)
        steps, batch = x.shape[0] - 1, tf.shape(x)[1]
        context, truth, shown = min(c.n_past, steps), None, tf.zeros([batch])
        if norm == "train" and steps > context:
            truth = rollout.truth_shown(c, seed, steps - context, batch, step)
            shown = tf.reduce_mean(tf.cast(truth, tf.float32), axis=0)
        z, kl, sigma = self._latents(x, seed, steps, from_prior)
        x_hat = rollout.fed_back(self.generator, x, z, context, truth, self.recompute and norm == "train")
        first = context - 1 if c.loss_frames == "future" else 0
        mse = tf.reduce_mean(losses.frame_mse(x[1 + first :], x_hat[first:]), axis=0)
        beta_kl = (self._beta if beta is None else beta) * kl
        values = (mse + beta_kl, mse, kl, beta_kl, sigma, tf.fill([batch], 1.0 if self.stochastic else 0.0), shown)
        return dict(zip(TERMS, values, strict=True))

    def _time_major_of_known_length(self, frames):
        """float32 [B, T, H, W, C] -> [T, B, H, W, C], T that of the training windows where the graph does not know it."""
        if frames.shape[1] is None:
            frames = tf.ensure_shape(frames, [None, self.config.n_frames, None, None, None])
        return swap_batch_time(frames)

    def _latents(self, x, seed, steps, from_prior=False, use_mean=False):
        """(z [1 or steps, B, h, w, z_channels] or None, KL of the video in nats [B], mean sigma [B]) of frames x [T, B, ...]."""
        batch = tf.shape(x)[1]
        if not self.stochastic:
            return None, tf.zeros([batch]), tf.zeros([batch])
        draws = None if use_mean else noise.of_sequences(seed, steps if self.varies else 1, batch, self.z_size)
        if from_prior:
            self.tower.check(x.shape[0])
            return self.latent_maps(draws), tf.zeros([batch]), tf.ones([batch])
        q = self.posterior(x)
        z = q.mean()[None] if use_mean else distributions.sample(q, draws)
        kl = distributions.kl(q, distributions.standard_normal_like(q))
        return self.latent_maps(z), kl, tf.reduce_mean(q.stddev(), axis=-1)

    def posterior(self, x):
        """q(z | x_0 ... x_{T-1}) over [B, h * w * z_channels]: x float32 [T, B, H, W, C], T = n_frames."""
        return self.tower(tf.cast(x, self.compute_dtype)).distribution

    def latent_maps(self, z):
        """[..., h * w * z_channels] -> [..., h, w, z_channels]"""
        return tf.reshape(z, tf.concat([tf.shape(z)[:-1], self.config.latent_shape], 0)) if None in z.shape else tf.reshape(
            z, [*z.shape[:-1], *self.config.latent_shape]
        )  # fmt: skip

    # ---- use ------------------------------------------------------------------------------------------------------

    def call(self, frames, training=False):
        """Each frame from the true one before it, with the posterior's mean: [B, T, H, W, C] -> [B, T-1, H, W, C]."""
        return self.reconstruct_in_graph(self.frames_of(frames), noise.seed_pair(0), use_mean=True)

    def reconstruct(self, frames, seed=0, *, closed_loop=False, use_mean=False):
        """Predictions with z from the posterior over all frames: float [B, T = n_frames, H, W, C] -> float32 [B, T-1, H, W, C].

        closed_loop=False: each prediction sees the true frame before it; True: after the first n_past frames, its own. Without
        latents T >= 2 is free. Raises `ValueError` for another T.
        """
        least = max(self.least_frames, self.config.n_past + 1 if closed_loop else 2)
        frames, seeds = self._checked(frames, least, seed)
        self._check_length(frames)
        return self._compiled_methods.run(self.reconstruct_in_graph, frames, seeds, closed_loop=closed_loop, use_mean=use_mean)

    def bound(self, frames, seed=0) -> Bound:
        """As of every model, of exactly n_frames frames. Raises `ValueError` for another number."""
        self._check_length(frames)
        return super().bound(frames, seed)

    def _check_length(self, frames):
        if self.stochastic:
            self.tower.check(int(frames.shape[1]) if len(frames.shape) == 5 else None)

    # ---- the mathematics of these on tensors, for compiled functions and exports --------------------------------------------

    def sample(self, frames, seeds, sampling):
        return rollout.generate(self, frames, seeds, sampling)

    def reconstruct_in_graph(self, frames, seeds, closed_loop=False, use_mean=False):
        x = self._time_major_of_known_length(frames) if self.stochastic or closed_loop else swap_batch_time(frames)
        z, *_ = self._latents(x, seeds, length(x) - 1, use_mean=use_mean)
        if closed_loop:
            return swap_batch_time(rollout.fed_back(self.generator, x, z, self.config.n_past))
        return swap_batch_time(rollout.teacher_forced(self.generator, x, z))

    def bound_in_graph(self, frames, seeds) -> Bound:
        """After the context the model sees its own frames. The KL of a video stands in equal parts at its predictions; where
        each step has a z of its own, each costs it whole, though the objective counts it once."""
        c, x = self.config, self._time_major_of_known_length(frames)
        steps = x.shape[0] - 1
        z, kl, _ = self._latents(x, seeds, steps)
        mse = swap_batch_time(losses.frame_mse(x[1:], rollout.fed_back(self.generator, x, z, c.n_past)))
        of_steps = tf.repeat((kl if self.varies else kl / steps)[:, None], steps, axis=1)
        nats = None
        if self._beta:
            # The mean of n frames' mse + beta K is, up to a factor and a constant, the negative ELBO of x ~ N(x_hat, v) with
            # variance v = beta n H W C / 2.
            size = math.prod(c.frame_shape)
            counted = steps if c.loss_frames == "all" else steps - c.n_past + 1
            nats = tf.reduce_sum(losses.gaussian_nll(mse, self._beta * counted * size / 2, size) + of_steps, axis=1)
        return Bound({"mse": mse, "kl": of_steps}, nats)
