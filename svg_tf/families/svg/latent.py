"""Where z_t comes from: the three variants of the paper as objects of one interface.

learned  SVG-LP: posterior q_phi(z_t | x_{1:t}), prior p_psi(z_t | x_{1:t-1})        (paper §3.2)
fixed    SVG-FP: the same posterior, prior N(0, I)                                   (paper §3.1)
none     the deterministic baseline: no z; the predictor sees h_{t-1} alone
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from svg_tf import distributions
from svg_tf.families.svg.code import VectorCode


class Inferred(NamedTuple):
    """Posterior and prior of z_t for t = 1 ... T-1 given true frames, and the prior's state after h_{T-2}."""

    q: Any  # tfd.Distribution over [T-1, B, z_size]
    p: Any
    prior_state: tuple


class FixedPriorLatent(keras.layers.Layer):
    """SVG-FP: z_t ~ q_phi(z_t | x_{1:t}) in training, N(0, I) in generation."""

    def __init__(self, code: VectorCode, **kwargs):
        super().__init__(**kwargs)
        self.z_size = code.z_size
        self.posterior = code.gaussian(code.config.posterior_layers, name="posterior")
        self.built = True

    def infer(self, h) -> Inferred:
        """h: [T, B, *place, g_dim], T >= 2. The posterior at t has seen h_1 ... h_t, the prior h_0 ... h_{t-1}."""
        mean, log_variance, _ = self.posterior(h[1:], self.posterior.initial_state(tf.shape(h)[1]))
        q = distributions.diagonal_gaussian(mean, log_variance)
        p, state = self.prior_z(h[:-1])
        return Inferred(q, distributions.standard_normal_like(q) if p is None else p, state)

    def initial_prior_state(self, batch) -> tuple:
        return ()

    def prior_z(self, h):
        """h: [T, B, *place, g_dim], T >= 1, from the start of the sequence -> (p over [T, B, z_size] or None: N(0, I); state)."""
        return None, ()

    def prior_step(self, h, state, noise):
        """One step of generation: h [N, *place, g_dim], noise [N, z_size] -> (z_t ~ prior [N, z_size], state)."""
        return noise, state


class LearnedPriorLatent(FixedPriorLatent):
    """SVG-LP: a prior that has seen the frames before t, and knows where uncertainty lies."""

    def __init__(self, code: VectorCode, **kwargs):
        super().__init__(code, **kwargs)
        self.prior = code.gaussian(code.config.prior_layers, name="prior")

    def initial_prior_state(self, batch) -> tuple:
        return self.prior.initial_state(batch)

    def prior_z(self, h):
        mean, log_variance, state = self.prior(h, self.prior.initial_state(tf.shape(h)[1]))
        return distributions.diagonal_gaussian(mean, log_variance), state

    def prior_step(self, h, state, noise):
        mean, log_variance, state = self.prior(h[None], state)
        return distributions.sample(distributions.diagonal_gaussian(mean[0], log_variance[0]), noise), state


class NoLatent(keras.layers.Layer):
    """The deterministic baseline."""

    z_size = 0

    def __init__(self, code: VectorCode, **kwargs):
        super().__init__(**kwargs)
        self.built = True

    def initial_prior_state(self, batch) -> tuple:
        return ()

    def prior_step(self, h, state, noise):
        return tf.zeros([tf.shape(h)[0], 0], h.dtype), state


LATENTS = {"learned": LearnedPriorLatent, "fixed": FixedPriorLatent, "none": NoLatent}
