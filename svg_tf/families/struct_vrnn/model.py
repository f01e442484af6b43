"""Struct-VRNN: keypoints without labels, and their dynamics (Minderer et al., NeurIPS 2019).

Three parts, trained at once:
    detector  k_t = (x, y, mu) of K keypoints of frame v_t      centers of mass of heat maps
    renderer  v_hat_t = v_1 + f(k_t, v_1, k_1)                  all that is seen of frame t is k_t
    VRNN      z_t ~ p(z | h_{t-1}),  k_hat_t = g(h_{t-1}, z_t)  keypoints of the next frame, see `dynamics`
Objective, minimized per sequence of T frames, of which P = n_past are observed:
    1/T sum_t |v_t - v_hat_t|^2 / 2                             drawn from the detected keypoints of all frames
    + separation (tracks of observed frames differ) + sparsity (few heat maps are active) + L2 of the convolutions
    + 1/T sum_t |k_t - k_hat_t|^2 / 2 + beta 1/P sum_{t <= P} KL(q(z_t) || p(z_t))
In the last line k_t is a constant: dynamics never shape what is detected or drawn. z_t is from the posterior q(z | h_{t-1}, k_t)
for t <= P and from the prior, which these steps do not train, for t > P. Training draws several z_t a step and goes on with the
one whose k_hat_t is nearest to k_t; the GRU is fed k_hat_t or, by a chance that falls, k_t.

Generation sees P frames, follows k_hat_t by prior samples, and draws all frames at the end: no frame is fed back or encoded.

What we do differently: the weight of sparsity does not depend on the batch, and the KL has a weight, which in the published file
is 0. See docs/deviations.md.
"""

from typing import NamedTuple

import keras
import tensorflow as tf

from data_pipelines.checks import require
from svg_tf import distributions, losses, noise
from svg_tf.families.base import VideoPredictor, dtype_policy
from svg_tf.families.compiled import check_counts
from svg_tf.families.interface import (
    Bound,
    ForecastsUncertainty,
    Program,
    Sampling,
    ShowsKeypoints,
    Update,
)
from svg_tf.families.shapes import fold_time, length, swap_batch_time, unfold_time
from svg_tf.families.struct_vrnn import dynamics, geometry, vision
from svg_tf.families.struct_vrnn import sampling as vrnn_sampling
from svg_tf.families.struct_vrnn.config import StructVRNNConfig
from svg_tf.skip_terms import SharedBySamples

FED = 1  # stream of a seed: which steps are fed true codes
TERMS = (
    "loss", "mse", "image", "separation", "sparsity", "l2", "keypoints", "kl", "beta_kl", "sigma_posterior", "sigma_prior",
    "true_codes",
)  # fmt: skip
LAST_STEP = 2**31 - 1


class Seen(NamedTuple):
    """codes: float32 [T, B, K, 3]; activity: [T, B]; appearance: of the first frame."""

    codes: tf.Tensor
    activity: tf.Tensor
    appearance: vision.Appearance


class Moved(NamedTuple):
    """Terms of the VRNN. error: half the squared error of a step's code, float32 [T, B]; kl: nats [P, B]; sigma_*: [P, B, z_dim];
    fed: share of the steps that were fed true codes, scalar."""

    error: tf.Tensor
    kl: tf.Tensor
    sigma_posterior: tf.Tensor
    sigma_prior: tf.Tensor
    fed: tf.Tensor


@keras.saving.register_keras_serializable(package="svg_tf")
class StructVRNN(VideoPredictor):
    """The model of `config` with fresh weights. Used like `SVG`; batches are {"frames": [B, T, H, W, C]}.

    Beyond: `keypoints(frames)`, `predict_keypoints`, and `redraw`, frames from their own keypoints.
    """

    config_class = StructVRNNConfig
    reconstruction = "drawn from keypoints decoded from posterior latents, with the appearance of the first frame"

    def __init__(self, config: StructVRNNConfig | None = None, **kwargs):
        super().__init__(config, **kwargs)
        c = self.config
        with dtype_policy(self.dtype_policy):
            detector = vision.Detector if c.code == "keypoints" else vision.CodeEncoder
            self.detector = detector(c, name="detector")
            self.renderer = vision.Renderer(c, name="renderer")
            self.prior = dynamics.Gaussian(c.rnn_size, c.hidden_size, c.z_dim, name="prior")
            self.posterior = dynamics.Gaussian(c.rnn_size + c.code_size, c.hidden_size, c.z_dim, name="posterior")
            self.code_decoder = dynamics.CodeDecoder(c.rnn_size, c.z_dim, c.hidden_size, c.code_size, name="code_decoder")
            self.recurrence = dynamics.GRU(c.code_size + c.z_dim, c.rnn_size, name="recurrence")
        self.n_keypoints = c.n_keypoints
        self.built = True

    @property
    def lacks(self) -> frozenset:
        uncertainty = set() if self.stochastic else {ForecastsUncertainty}
        keypoints = set() if self.config.code == "keypoints" else {ShowsKeypoints}
        return frozenset(uncertainty | keypoints)

    # ---- training -------------------------------------------------------------------------------------------------

    def make_program(self) -> Program:
        return Program.of(Update("elbo", self.elbo, TERMS, lambda: self.trainable_variables))

    def elbo(self, batch, seed, norm="train", step=LAST_STEP) -> dict:
        """The update's loss: `objective` of a batch."""
        return self.objective(batch["frames"], seed, norm, step)

    def objective(self, frames, seed, norm="train", step=LAST_STEP) -> dict:
        """Values of each sequence, float32 [B]; those of frames are means over time but for sparsity's sum.

        norm "train": the KL's weight of `step`; others: the whole weight.
        """
        c, terms = self.config, self.elbo_terms_of(frames, seed, norm, step)
        over_time = {name: tf.reduce_mean(terms[name], axis=0) for name in ("mse", "image", "keypoints", "kl")}
        sparsity = tf.reduce_sum(terms["sparsity"], axis=0)
        beta = losses.warmed_up(c.kl_weight, c.kl_warmup_steps, step) if norm == "train" else c.kl_weight
        values = over_time | {name: terms[name] for name in ("separation", "l2", "true_codes")}
        values |= {"sparsity": sparsity, "beta_kl": beta * over_time["kl"]}
        values |= {name: tf.reduce_mean(terms[name], axis=[0, 2]) for name in ("sigma_posterior", "sigma_prior")}
        vision_loss = over_time["image"] + c.separation_weight * terms["separation"] + c.sparsity_weight * sparsity
        values["loss"] = vision_loss + c.l2_weight * terms["l2"] + over_time["keypoints"] + values["beta_kl"]
        return values

    def elbo_terms_of(self, frames, seed, norm, step=LAST_STEP) -> dict:
        """frames float32 [B, T, H, W, C], seed as in `noise.of_sequences`; P = min(n_past, T) ->

        mse (mean over pixels), image (half a sum over them), sparsity, keypoints (half a sum over code) [T, B],
        keypoints_observed [P, B], keypoints_predicted [T - P, B], kl [P, B], sigma_* [P, B, z_dim], separation, l2,
        true_codes (share of steps) [B].

        norm "running", of held-out data: as in generation, one sample a step, and the GRU is fed what it decoded.
        """
        c, x = self.config, swap_batch_time(frames)
        steps, batch = length(x), tf.shape(x)[1]
        observed = min(c.n_past, steps) if isinstance(steps, int) else tf.minimum(c.n_past, steps)
        seen = self.see(x, norm)
        drawn = self.renderer(fold_time(seen.codes), seen.appearance, rows=SharedBySamples(1), recompute=self._recomputes(norm))
        squared = tf.square(unfold_time(drawn, steps, batch) - (x - 0.5))
        moved = self.move(seen.codes, observed, seed, norm, step)
        alike = tf.zeros([batch])
        if c.code == "keypoints":
            alike = geometry.separation(seen.codes[:observed], c.separation_sigma)
        return {
            "mse": tf.reduce_mean(squared, axis=[2, 3, 4]),
            "image": 0.5 * tf.reduce_sum(squared, axis=[2, 3, 4]),
            "sparsity": seen.activity,
            "separation": alike,
            "l2": tf.fill([batch], vision.sum_of_squares(self.penalized)),
            "keypoints": moved.error,
            "keypoints_observed": moved.error[:observed],
            "keypoints_predicted": moved.error[observed:],
            "kl": moved.kl,
            "sigma_posterior": moved.sigma_posterior,
            "sigma_prior": moved.sigma_prior,
            "true_codes": tf.fill([batch], moved.fed),
        }

    @property
    def penalized(self) -> list:
        """The layers whose kernels the L2 penalty holds down: all convolutions but the detector's head."""
        return [*self.detector.encoder.convolutions, *self.renderer.convolutions]

    def see(self, x, norm="running") -> Seen:
        """x float32 [T, B, H, W, C] in [0, 1]."""
        steps, batch, recompute = length(x), tf.shape(x)[1], self._recomputes(norm)
        folded = tf.cast(fold_time(x) - 0.5, self.compute_dtype)
        codes, activity = (unfold_time(value, steps, batch) for value in self.detector(folded, recompute=recompute))
        return Seen(codes, activity, self.renderer.appearance(x[0] - 0.5, codes[0], recompute))

    def _recomputes(self, norm) -> bool:
        return self.recompute and norm == "train"

    def move(self, codes, observed, seed, norm="running", step=LAST_STEP) -> Moved:
        """The VRNN's terms of codes float32 [T, B, K, 3], which are constants here; observed: P, an int or a tensor."""
        c, training = self.config, norm != "running"
        steps, batch = length(codes), tf.shape(codes)[1]
        codes = tf.stop_gradient(vrnn_sampling.flat(self, codes))
        samples = c.drawn_latents if training else 1
        draws = self._draws(seed, steps, batch, samples) if self.stochastic else None
        fed = self.fed(seed, steps, observed, step) if training else None
        first, rest = ((value[:observed], value[observed:]) if value is not None else (None, None) for value in (draws, fed))
        past = dynamics.observe(self, codes[:observed], first[0], rest[0], choose=training)
        prior = distributions.diagonal_gaussian_of_mean_and_scale(*self.prior(past.states))
        posterior = distributions.diagonal_gaussian_of_mean_and_scale(past.mean, past.scale)
        decoded = past.codes
        if not isinstance(steps, int) or steps > observed:
            true = codes[observed:]
            future = dynamics.predict(self, past.state, steps - observed, first[1], true if training else None, rest[1])
            decoded = tf.concat([decoded, future], axis=0)
        return Moved(
            0.5 * tf.reduce_sum(tf.square(codes - decoded), axis=-1),
            distributions.kl(posterior, prior),
            past.scale,
            prior.stddev(),
            tf.reduce_mean(tf.cast(fed, tf.float32)) if training else tf.zeros([]),
        )

    def _draws(self, seed, steps, batch, samples):
        """float32 [T, B, samples, z_dim]"""
        draws = noise.of_sequences(seed, steps, batch, samples * self.config.z_dim)
        return tf.reshape(draws, [steps, batch, samples, self.config.z_dim])

    def fed(self, seed, steps, observed, step):
        """Which steps of a training sequence feed the true code, for the whole batch alike: bool [T]."""
        c = self.config
        done = tf.minimum(tf.cast(step, tf.float32) / c.truth_steps, 1.0) if c.truth_steps else 1.0
        final = tf.where(tf.range(steps) < observed, c.truth_observed, c.truth_predicted)
        seed = noise.stream(seed, FED)
        coins = noise.uniform(seed.seed if isinstance(seed, noise.BatchSeed) else seed, [steps])
        return coins < 1.0 + done * (final - 1.0)

    # ---- use ------------------------------------------------------------------------------------------------------

    def call(self, frames, training=False):
        """Each frame from its own keypoints: [B, T, H, W, C] -> [B, T, H, W, C]."""
        return vrnn_sampling.redraw(self, self.frames_of(frames))

    def keypoints(self, frames):
        """Keypoints of each frame, which is looked at by itself: float [B, T >= 1, H, W, C] in [0, 1] -> float32 [B, T, K, 3].

        (x, y, mu): x from -1 (left) to 1 (right), y from -1 (bottom) to 1 (top), mu in [0, 1], 1 for a frame's strongest.
        Raises `ValueError` for other frames, and for a model whose code has no keypoints.
        """
        self.need(ShowsKeypoints, "keypoints")
        frames, _ = self._checked(frames, 1)
        return self._compiled_methods.run(self.keypoints_in_graph, frames)

    def predict_keypoints(self, frames, n_future, n_samples=1, seed=0, *, n_past=None, use_mean=False, first_sample=0):
        """The keypoints that `generate` draws its frames from, for the same arguments: float32 [B, S, n_future, K, 3]."""
        self.need(ShowsKeypoints, "predicted keypoints")
        check_counts(n_future=n_future, n_samples=n_samples)
        require(n_past is None or n_past >= 1, f"n_past must be at least 1, got {n_past}.")
        frames, seeds = self._checked(frames, n_past or 1, seed, "context frames")
        sampling = Sampling(int(n_future), int(n_samples), int(first_sample), use_mean)
        return self._compiled_methods.sample(self.predict_keypoints_in_graph, frames[:, :n_past], seeds, sampling)

    def redraw(self, frames):
        """Frames drawn from their own detected keypoints and the appearance of the first one: float [B, T >= 2, H, W, C] ->
        float32 [B, T-1, H, W, C], those after the first. Their error bounds what predicted keypoints can reach."""
        frames, _ = self._checked(frames, 2)
        return self._compiled_methods.run(self.redraw_in_graph, frames)

    def reconstruct(self, frames, seed=0, *, closed_loop=False, use_mean=False):
        """Frames drawn from keypoints that are decoded from posterior latents: float [B, T >= 2, H, W, C] -> float32
        [B, T-1, H, W, C], those after the first.

        No frame is fed back, so that `closed_loop`, which `SVG` knows, makes no difference.
        """
        frames, seeds = self._checked(frames, self.least_frames, seed)
        return self._compiled_methods.run(self.reconstruct_in_graph, frames, seeds, closed_loop=closed_loop, use_mean=use_mean)

    def prior_scale(self, frames):
        """Scale of the prior of z_t for x_1 ... x_{T-1}, given posterior means before: float [B, T >= 2, H, W, C] -> float32
        [B, T-1, z_dim]. Raises `ValueError` for a model without samples."""
        self.need(ForecastsUncertainty, "prior_scale")
        frames, _ = self._checked(frames, self.least_frames)
        return self._compiled_methods.run(self.prior_scale_in_graph, frames)

    # ---- the mathematics of these on tensors, for compiled functions and exports --------------------------------------------

    def sample(self, frames, seeds, sampling):
        return vrnn_sampling.generate(self, frames, seeds, sampling)

    def keypoints_in_graph(self, frames):
        return vrnn_sampling.keypoints(self, frames)

    def predict_keypoints_in_graph(self, frames, seeds, sampling):
        return vrnn_sampling.predict_keypoints(self, frames, seeds, sampling)

    def redraw_in_graph(self, frames):
        return vrnn_sampling.redraw(self, frames)[:, 1:]

    def reconstruct_in_graph(self, frames, seeds, closed_loop=False, use_mean=False):
        return vrnn_sampling.reconstruct(self, frames, seeds, use_mean)

    def prior_scale_in_graph(self, frames):
        return vrnn_sampling.prior_scale(self, frames)

    def bound_in_graph(self, frames, seeds) -> Bound:
        """All frames are observed: mse of frames drawn from their own keypoints, half the squared error of the decoded keypoints,
        and the KL. In nats there is none: pixels have no latents of their own."""
        x = swap_batch_time(frames)
        codes, drawn = vrnn_sampling.redrawn(self, x)
        moved = self.move(codes, length(x), seeds)
        terms = {"mse": losses.frame_mse(x, drawn), "keypoints": moved.error, "kl": moved.kl}
        return Bound({name: swap_batch_time(value) for name, value in terms.items()}, None)
