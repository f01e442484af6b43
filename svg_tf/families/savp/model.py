"""Stochastic adversarial video prediction, SAVP (Lee, Zhang, Ebert, Abbeel, Finn, Levine 2018).

Generative model, for t = 0 ... T-2 (x_0 ... x_{n_past-1} are given):
    z_t ~ N(0, I)
    x_{t+1} = G(u_t, x_0, z_0 ... z_t)         u: true frames within the context, then the model's own
Posterior in training:
    z_t ~ q(z_t | x_t, x_{t+1})
A step rolls out two futures, x^q with latents from q and x^p with latents from the prior, and takes two updates:
    discriminators D, D^VAE     w D(x, x^p) + w^VAE D^VAE(x, x^q)        on clips at random times
    generator, q                l1 |x - x^q| + beta KL(q || N(0, I)) + w G(x^p) + w^VAE G(x^q) + features, with the new D, D^VAE
Variants leave out one side or both: the VAE has x^q alone, the GAN x^p alone, which the pixels' loss is then taken of.

What we do differently: no biases before normalizations, clips of true and generated frames show the same time, the GAN has no
posterior; see docs/deviations.md for the options that restore the authors' programs of 2018 and 2019.
"""

import math

import keras
import tensorflow as tf

from svg_tf import distributions, losses, noise
from svg_tf.families.base import VideoPredictor, dtype_policy
from svg_tf.families.interface import Bound, BoundsLikelihood, Program, Reconstructs, Update
from svg_tf.families.savp import adversary, rollout
from svg_tf.families.savp.config import SAVPConfig
from svg_tf.families.savp.discriminators import Discriminator
from svg_tf.families.savp.generator import Generator
from svg_tf.families.savp.inference import PairGaussian
from svg_tf.families.shapes import length, swap_batch_time

POSTERIOR, PRIOR, TRUTH, CLIPS = 1, 2, 3, 4  # streams of a seed
FUTURES = {"gan": "prior", "vae_gan": "posterior"}  # discriminator -> whose latents the futures have that it judges
LOST = {"lsgan": 0.01, "cross_entropy": 0.02}  # a discriminator's loss at which the generator learns nothing of it


@keras.saving.register_keras_serializable(package="svg_tf")
class SAVP(VideoPredictor):
    """The model of `config` with fresh weights. Used like `SVG`."""

    config_class = SAVPConfig
    reconstruction = "each frame from the true one before it, latents from the posterior of both"

    def __init__(self, config: SAVPConfig | None = None, **kwargs):
        super().__init__(config, **kwargs)
        c = self.config
        with dtype_policy(self.dtype_policy):
            self.generator = Generator(c, name="generator")
            if c.infers:
                self.posterior_net = PairGaussian(c, c.recurrent_posterior, name="posterior")
            if c.learned_prior:
                self.prior_net = PairGaussian(c, recurrent=True, name="prior")
            self.discriminators = {name: Discriminator(c, name=name) for name in c.discriminators}
        self.built = True

    @property
    def lacks(self) -> frozenset:
        """A GAN has no latents of frames that it has seen."""
        return frozenset([Reconstructs, BoundsLikelihood]) if self.config.variant == "gan" else frozenset()

    # ---- training -------------------------------------------------------------------------------------------------

    def make_program(self) -> Program:
        c = self.config
        terms = ["loss", "l1", "mse", "true_frames"]
        terms += ["kl", "weighted_kl", "sigma_posterior", "sigma_prior"] if c.infers else []
        terms += ["roughness"] if c.transformation == "flow" else []
        terms += [f"{name}_loss" for name in c.discriminators]
        terms += [f"{name}_features" for name in c.discriminators if self._feature_weight(name)]
        generator = Update("generator", self.generator_loss, tuple(terms), self._generator_variables)
        if not c.discriminators:
            return Program.of(generator, forward=self.forward)
        terms = ["loss", *(f"{name}_{term}" for name in c.discriminators for term in ("loss", "real_logit", "fake_logit"))]
        judges = Update("discriminator", self.discriminator_loss, tuple(terms), self._discriminator_variables)
        return Program.of(judges, generator, forward=self.forward)

    def _generator_variables(self):
        c = self.config
        nets = [self.generator, *([self.posterior_net] if c.infers else []), *([self.prior_net] if c.learned_prior else [])]
        return [v for net in nets for v in net.trainable_variables]

    def _discriminator_variables(self):
        return [v for net in self.discriminators.values() for v in net.trainable_variables]

    def _feature_weight(self, name: str) -> float:
        return getattr(self.config, f"{name}_features")

    def forward(self, batch, seed, norm="train", step=2**31 - 1) -> dict:
        """The futures of a step: posterior, prior (float32 [T-1, B, H, W, C], those that the variant has), kl (float32 [T-1, B]),
        sigmas, roughness [B] and true_frames [B], the share of steps after the context that saw a true frame."""
        c, x = self.config, self._time_major_of_known_length(batch["frames"])
        steps, rows = x.shape[0] - 1, tf.shape(x)[1]
        context, made = min(c.n_past, steps), {}
        names = ["posterior"] * c.infers + ["prior"] * (c.variant in ("vae_gan", "gan"))
        names = names or ["posterior"]  # of a model without latents
        latents = self._latents(x, seed, steps, made)
        rs = [self.generator.latents(latents.get(name)) for name in names]
        truth, shown = None, tf.zeros([rows])
        if norm == "train" and steps > context:
            draws = [rollout.truth_shown(c.sampling_k, noise.stream(seed, TRUTH + 10 * i), steps - context, rows, step)
                     for i in range(len(names))]  # fmt: skip
            truth, shown = tf.concat(draws, axis=1), tf.reduce_mean(tf.cast(draws[0], tf.float32), axis=0)
        shared = context - 1 if c.infers_context else 0
        rolled = rollout.fed_back(self.generator, x, rs, context, shared, truth, self.recompute and norm == "train")
        for name, frames in zip(names, tf.split(rolled.frames, len(names), axis=1), strict=True):
            made[name] = frames
        roughness = tf.reduce_mean(rolled.roughness, axis=0)
        return made | {"roughness": tf.add_n(tf.split(roughness, len(names))) / len(names), "true_frames": shown}

    def _latents(self, x, seed, steps, made: dict) -> dict:
        """Name of a future -> z [steps, B, z_dim]; KL and sigmas go into `made`."""
        c, rows = self.config, tf.shape(x)[1]
        if not c.stochastic:
            return {}
        found = {"prior": noise.of_sequences(noise.stream(seed, PRIOR), steps, rows, c.z_dim)}
        if not c.infers:
            return found
        q = self.posterior_net.posterior(x)
        found["posterior"] = distributions.sample(q, noise.of_sequences(noise.stream(seed, POSTERIOR), steps, rows, c.z_dim))
        p = self._prior(x, q, steps)
        made |= {"kl": distributions.kl(q, p), "sigma_posterior": tf.reduce_mean(q.stddev(), [0, 2]),
                 "sigma_prior": tf.reduce_mean(p.stddev(), [0, 2])}  # fmt: skip
        if c.learned_prior:
            found["prior"] = distributions.sample(p, found["prior"])
        elif c.infers_context:
            known = min(c.n_past, steps) - 1
            found["prior"] = tf.concat([found["posterior"][:known], found["prior"][known:]], axis=0)
        return found

    def _prior(self, x, q, steps):
        """Of z_0 ... z_{steps-1}: N(0, I), or a learned one that has seen the context."""
        if self.config.learned_prior:
            return self.prior_net.prior(x[: min(self.config.n_past, steps)], steps)
        return distributions.standard_normal_like(q)

    def discriminator_loss(self, batch, seed, norm="train", step=2**31 - 1, made=None) -> dict:
        """What the discriminators minimize; in training the vectors of their spectral norms move on by one step."""
        c, values = self.config, {"loss": 0.0}
        for number, (name, net) in enumerate(self.discriminators.items()):
            real, fake = self._clips(batch, made, name, noise.stream(seed, CLIPS + 10 * number))
            logits, _ = net(tf.concat([real, tf.stop_gradient(fake)], axis=1), iterate=norm == "train")
            of_real, of_fake = tf.split(logits, 2)
            loss = adversary.discriminator_loss(c.gan_loss, of_real, of_fake)
            values |= {f"{name}_loss": loss, f"{name}_real_logit": of_real, f"{name}_fake_logit": of_fake}
            values["loss"] += getattr(c, f"{name}_weight") * loss
        return values

    def generator_loss(self, batch, seed, norm="train", step=2**31 - 1, made=None) -> dict:
        """What generator, posterior and prior minimize, with the discriminators as the update before left them.

        Held-out data are measured by pixels and KL alone, with the whole beta: what the adversary says of two steps does not
        compare, as it has moved.
        """
        c, x = self.config, self._time_major_of_known_length(batch["frames"])
        first = self._first_judged
        frames = made.get("posterior", made.get("prior"))[first:]
        l1 = tf.reduce_mean(tf.abs(frames - x[1 + first :]), axis=[0, 2, 3, 4])
        mse = tf.reduce_mean(losses.frame_mse(x[1 + first :], frames), axis=0)
        values = {"l1": l1, "mse": mse, "true_frames": made["true_frames"]}
        loss = c.l1_weight * l1 + c.l2_weight * mse
        if c.infers:
            kl = tf.reduce_mean(made["kl"], axis=0)
            values |= {"kl": kl, "weighted_kl": (self.beta_at(step) if norm == "train" else c.beta) * kl}
            values |= {name: made[name] for name in ("sigma_posterior", "sigma_prior")}
            loss += values["weighted_kl"]
        if c.transformation == "flow":
            values["roughness"] = made["roughness"]
            loss += c.flow_penalty * made["roughness"]
        for number, name in enumerate(c.discriminators):
            fooled, distance = self._judged(batch, made, name, noise.stream(seed, CLIPS + 10 * number))
            values[f"{name}_loss"] = fooled
            game = getattr(c, f"{name}_weight") * fooled
            if self._feature_weight(name):
                values[f"{name}_features"] = distance
                game += self._feature_weight(name) * distance
            loss += game if norm == "train" else 0.0
        return {"loss": loss, **values}

    def _judged(self, batch, made, name: str, seed):
        """(how well a discriminator is not fooled, distance of its features or None): float32 [B]."""
        real, fake = self._clips(batch, made, name, seed)
        logits, features = self.discriminators[name](fake)
        distance = None
        if self._feature_weight(name):
            of_real = [tf.stop_gradient(f) for f in self.discriminators[name](real)[1]]
            distance = adversary.feature_distance(of_real, features)
        return adversary.generator_loss(self.config.gan_loss, logits), distance

    def _clips(self, batch, made, name: str, seed):
        """(true, generated) clips that a discriminator sees, each [clip_length, B, H, W, C]."""
        c, first = self.config, self._first_judged
        real = self._time_major_of_known_length(batch["frames"])[1 + first :]
        fake, rows = made[FUTURES[name]][first:], tf.shape(real)[1]
        starts = adversary.clip_starts(seed, real.shape[0], c.clip_length, rows)
        others = starts
        if not c.shared_clip_start:
            others = adversary.clip_starts(noise.stream(seed, CLIPS), real.shape[0], c.clip_length, rows)
        return adversary.clips(real, starts, c.clip_length), adversary.clips(fake, others, c.clip_length)

    @property
    def _first_judged(self) -> int:
        """The number, from 0, of the first prediction that losses are taken of."""
        return self.config.n_past - 1 if self.config.loss_frames == "future" else 0

    def beta_at(self, step) -> tf.Tensor:
        """The weight of the KL at a training step."""
        c = self.config
        since = tf.cast(step, tf.float32) - float(c.beta_start_step)
        length_ = float(c.beta_end_step - c.beta_start_step)
        rise = tf.clip_by_value(since / length_, 0.0, 1.0) if length_ else tf.cast(since >= 0, tf.float32)
        return c.beta * rise

    def objective(self, frames, seed, norm="train", step=2**31 - 1) -> dict:
        """Values of each sequence, float32 [B], of the generator's update: frames float32 [B, T, H, W, C]."""
        batch = {"frames": frames}
        return self.generator_loss(batch, seed, norm, step, self.forward(batch, seed, norm, step))

    def troubles(self, means) -> dict[str, str]:
        """A game that one side has won."""
        found = {}
        for name in self.config.discriminators:
            loss = means.get(f"discriminator/{name}_loss", math.inf)
            if loss < LOST[self.config.gan_loss]:
                found[name] = (
                    f"the loss of the discriminator '{name}' stays at {loss:.2g}: it tells true from generated clips each time, "
                    "and the generator learns nothing from it. Lower train.optimizers.discriminator.learning_rate or "
                    f"model.{name}_weight, or raise model.l1_weight."
                )
        return found

    def _time_major_of_known_length(self, frames):
        """float32 [B, T, H, W, C] -> [T, B, H, W, C]. Raises `ValueError` where the graph does not know T."""
        if frames.shape[1] is None:
            raise ValueError("SAVP is unrolled over the frames of a batch, whose number must be known when the graph is built.")
        return swap_batch_time(frames)

    # ---- use ------------------------------------------------------------------------------------------------------

    def call(self, frames, training=False):
        """Each frame from the true one before it, latents at their means: [B, T, H, W, C] -> [B, T-1, H, W, C]."""
        return self.reconstruct_in_graph(self.frames_of(frames), noise.seed_pair(0), use_mean=True)

    def reconstruct(self, frames, seed=0, *, closed_loop=False, use_mean=False):
        """Predictions with latents from the posterior: float [B, T >= 2, H, W, C] -> float32 [B, T-1, H, W, C].

        closed_loop=False: each prediction sees the true frame before it; True: after the first n_past frames, its own. Raises
        `ValueError` for a model without a posterior of its latents.
        """
        self.need(Reconstructs, "A reconstruction")
        frames, seeds = self._checked(frames, self.config.n_past + 1 if closed_loop else 2, seed)
        return self._compiled_methods.run(self.reconstruct_in_graph, frames, seeds, closed_loop=closed_loop, use_mean=use_mean)

    def bound(self, frames, seed=0) -> Bound:
        """As of every model. Raises `ValueError` for a model without a posterior of its latents."""
        self.need(BoundsLikelihood, "A bound of the likelihood")
        return super().bound(frames, seed)

    # ---- the mathematics of these on tensors, for compiled functions and exports --------------------------------------------

    def sample(self, frames, seeds, sampling):
        return rollout.generate(self, frames, seeds, sampling)

    def reconstruct_in_graph(self, frames, seeds, closed_loop=False, use_mean=False):
        x = self._time_major_of_known_length(frames) if closed_loop else swap_batch_time(frames)
        r = self.generator.latents(self._inferred(x, seeds, use_mean))
        if closed_loop:
            return swap_batch_time(rollout.fed_back(self.generator, x, [r], self.config.n_past).frames)
        return swap_batch_time(rollout.teacher_forced(self.generator, x, r).frames)

    def _inferred(self, x, seeds, use_mean):
        """z [T-1, B, z_dim] of seen frames: from the posterior; of a GAN zeros, the prior's mean; None without latents."""
        c = self.config
        steps, rows = length(x) - 1, tf.shape(x)[1]
        if not c.stochastic:
            return None
        if not c.infers:
            return tf.zeros([steps, rows, c.z_dim])
        q = self.posterior_net.posterior(x)
        return q.mean() if use_mean else distributions.sample(q, noise.of_sequences(seeds, steps, rows, c.z_dim))

    def bound_in_graph(self, frames, seeds) -> Bound:
        """After the context the model sees its own frames. nats of a VAE with a loss of one kind, of all frames: n steps' mean of
        w |x - x_hat| + beta KL is, up to a factor and a constant, the negative ELBO of x ~ Laplace(x_hat, beta H W C / w), and
        that with a squared error of x ~ N(x_hat, beta H W C / (2 w))."""
        c, x = self.config, self._time_major_of_known_length(frames)
        made, rows, steps = {}, tf.shape(x)[1], x.shape[0] - 1
        latents = self._latents(x, seeds, steps, made)
        r = self.generator.latents(latents.get("posterior"))
        x_hat = rollout.fed_back(self.generator, x, [r], c.n_past).frames
        mse = swap_batch_time(losses.frame_mse(x[1:], x_hat))
        kl = swap_batch_time(made["kl"]) if c.infers else tf.zeros([rows, steps])
        nats, size = None, math.prod(c.frame_shape)
        plain = c.variant == "vae" and c.loss_frames == "all" and c.beta > 0 and c.transformation != "flow"
        if plain and not c.l2_weight:
            scale = c.beta * size / c.l1_weight
            error = swap_batch_time(tf.reduce_sum(tf.abs(x[1:] - x_hat), axis=[2, 3, 4]))
            nats = tf.reduce_sum(error / scale + size * math.log(2 * scale) + kl, axis=1)
        elif plain and not c.l1_weight:
            nats = tf.reduce_sum(losses.gaussian_nll(mse, c.beta * size / (2 * c.l2_weight), size) + kl, axis=1)
        return Bound({"mse": mse, "kl": kl}, nats)
