"""Two videos of one beginning and two ends: what is learned of them with latents, and without."""

import keras
import numpy as np
import tensorflow as tf

from svg_tf.families.sv2p.config import SV2PConfig
from svg_tf.families.sv2p.model import SV2P


def two_ends():
    """float32 [2, 5, 16, 16, 1]: a square stands still, then goes right, or left."""
    x = np.zeros((2, 5, 16, 16, 1), "float32")
    for row, direction in enumerate((1, -1)):
        for t in range(5):
            left = 6 + direction * 2 * max(0, t - 1)
            x[row, t, 6:10, left : left + 4] = 1
    return x


def trained(x, latents):
    keras.utils.set_random_seed(0)
    model = SV2P(
        SV2PConfig(
            image_size=16, width=4, n_past=2, n_frames=5, lstm_kernel_size=3, kernels=3, norm_epsilon=1e-5, latents=latents,
            beta=1e-6, generator_steps=0, latent_steps=0, beta_warmup_steps=0, sampling_k=10.0,
        )
    )  # fmt: skip
    model.compile(keras.optimizers.Adam(1e-2), seed=1)
    model.fit(tf.data.Dataset.from_tensors({"frames": x}).repeat(), epochs=1, steps_per_epoch=150, verbose=0, shuffle=False)
    return model


def error(predicted, truth):
    return float(np.mean((np.asarray(predicted) - truth) ** 2))


def test_a_posterior_tells_the_ends_apart_and_a_prior_does_not():
    x = two_ends()
    stochastic, plain = trained(x, "time_invariant"), trained(x, "none")
    future, copied = x[:, 2:], error(x[:, 1:2], x[:, 2:])
    posterior = error(stochastic.reconstruct(x, closed_loop=True, use_mean=True)[:, 1:], future)
    prior = error(stochastic.generate(x[:, :2], 3, n_samples=8), future[:, None])
    mean_of_both = error(x[:, 2:].mean(0, keepdims=True), future)
    single = error(plain.generate(x[:, :2], 3)[:, 0], future)
    assert mean_of_both * 0.9 < single < copied  # one prediction for both ends: their mean is the best
    assert posterior < 0.7 * min(single, prior)
