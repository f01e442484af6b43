"""One training step of SV2P against the NumPy reference: loss, gradients, Adam."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import noise
from svg_tf.families.sv2p import rollout
from svg_tf.families.sv2p.config import SV2PConfig
from svg_tf.families.sv2p.model import SV2P
from svg_tf.training.state import named_variables
from tests.svg_tf.families.sv2p.numpy_sv2p import NumpySV2P

BATCH, STEPS = 2, 5
SETTINGS = {
    "invariant": {"generator_steps": 0, "latent_steps": 0, "beta_warmup_steps": 0},
    "published": {
        "latents": "time_variant", "drop_last_kernel": True, "normalize_heads": True, "loss_frames": "future",
        "scheduled_sampling": "count", "kl_reduction": "height", "padding": "symmetric",
    },
    "none": {"latents": "none"},
}  # fmt: skip


@pytest.fixture(scope="module", params=SETTINGS)
def setting(request):
    config = SV2PConfig(
        image_size=16, channels=2, width=2, n_past=2, n_frames=STEPS, z_channels=2, lstm_kernel_size=3, kernels=3, kernel_size=3,
        beta=0.3, sampling_k=4.0, norm_epsilon=1e-6, **SETTINGS[request.param],
    )  # fmt: skip
    keras.utils.set_random_seed(3)
    model = SV2P(config)
    model.compile(keras.optimizers.Adam(2e-3, epsilon=1e-8), seed=11)
    model.build_optimizers()
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:  # biases and offsets away from zero, so that each of them is tested
        variable.assign(variable.value + 0.1 * rng.standard_normal(variable.shape).astype("float32"))
    frames = rng.random((BATCH, STEPS, 16, 16, 2)).astype("float32")
    step = 3
    seed = noise.BatchSeed(noise.fold(noise.seed_pair(11), noise.TRAIN, step), tf.range(BATCH), tf.constant(BATCH))
    z_steps = {"time_invariant": 1, "time_variant": STEPS - 1, "none": 0}[config.latents]
    eps = noise.of_sequences(seed, z_steps, BATCH, model.z_size).numpy().astype(np.float64) if z_steps else None
    truth = rollout.truth_shown(config, seed, STEPS - 1 - 2, BATCH, step).numpy()
    weights = {path: np.asarray(v.value, np.float64) for path, v in named_variables(model).items() if v.trainable}
    assert len(weights) == len(model.trainable_variables)
    return model, frames, seed, step, eps, truth, weights


def objective(model, frames, seed, step):
    return model.objective(tf.constant(frames), seed, "train", step, model.config.kl_coefficient)


def test_loss_and_its_terms(setting):
    model, frames, seed, step, eps, truth, weights = setting
    expected = NumpySV2P(weights, model.config).loss(frames.astype(np.float64), eps, truth, model.config.kl_coefficient)
    values = objective(model, frames, seed, step)
    for name, value in zip(("loss", "mse", "kl"), expected, strict=True):
        np.testing.assert_allclose(values[name], np.broadcast_to(value, BATCH), rtol=2e-4, err_msg=name)
    np.testing.assert_allclose(values["true_frames"], truth.mean(0))


def test_gradients_and_adam(setting):
    model, frames, seed, step, eps, truth, weights = setting
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(objective(model, frames, seed, step)["loss"])
    trained = {path: v for path, v in named_variables(model).items() if v.trainable}
    gradients = dict(zip(trained, tape.gradient(loss, [v.value for v in trained.values()]), strict=True))
    rng, wide, before = np.random.default_rng(1), frames.astype(np.float64), {}
    largest = max(float(tf.reduce_max(abs(g))) for g in gradients.values())
    for path, gradient in gradients.items():
        index = np.unravel_index(np.argmax(np.abs(gradient) * rng.random(gradient.shape)), gradient.shape)
        numeric = []
        for sign in (1, -1):
            moved = {**weights, path: weights[path].copy()}
            moved[path][index] += sign * 1e-6
            numeric.append(NumpySV2P(moved, model.config).loss(wide, eps, truth, model.config.kl_coefficient)[0].mean())
        expected = (numeric[0] - numeric[1]) / 2e-6
        np.testing.assert_allclose(gradient.numpy()[index], expected, rtol=2e-2, atol=1e-5 * largest, err_msg=path)
        before[path] = index, gradient.numpy()[index]
    model.optimizer.apply(list(gradients.values()), list(trained.values()))
    for path, (index, gradient) in before.items():  # Adam's first step is the rate in the gradient's direction
        if abs(gradient) > 1e-4:
            np.testing.assert_allclose(trained[path].numpy()[index], weights[path][index] - 2e-3 * np.sign(gradient), atol=2e-5)
