"""One training step of the whole model against the NumPy reference: loss, gradients, Adam, moving averages."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import noise
from svg_tf.families.svg.config import SVGConfig
from svg_tf.families.svg.model import SVG
from svg_tf.training.state import named_variables
from tests.svg_tf.families.svg.numpy_svg import NumpySVG

CONFIG = SVGConfig(image_size=32, channels=2, width=2, g_dim=5, z_dim=3, rnn_size=4, n_past=2, beta=0.3, predictor_layers=2)
BATCH, STEPS = 3, 4


@pytest.fixture(scope="module")
def setting():
    keras.utils.set_random_seed(3)
    model = SVG(CONFIG)
    model.compile(keras.optimizers.Adam(2e-3, epsilon=1e-8), seed=11)
    model.optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:  # biases and offsets away from zero, so that each of them is tested
        variable.assign(variable.value + 0.05 * rng.standard_normal(variable.shape).astype("float32"))
    frames = rng.random((BATCH, STEPS, 32, 32, 2)).astype("float32")
    seed = noise.fold(noise.seed_pair(11), noise.TRAIN, 0)
    eps = noise.normal(seed, [STEPS - 1, BATCH, CONFIG.z_dim]).numpy().astype(np.float64)
    weights = {path: np.asarray(v.value, np.float64) for path, v in named_variables(model).items() if v.trainable}
    assert len(weights) == len(model.trainable_variables)
    return model, frames, eps, weights


def test_loss_and_its_terms(setting):
    model, frames, eps, weights = setting
    loss, mse, kl = NumpySVG(weights, CONFIG.n_past, CONFIG.beta).loss(frames.astype(np.float64), eps)
    seed = noise.fold(noise.seed_pair(11), noise.TRAIN, 0)
    terms = model.elbo_terms_of(tf.constant(frames), seed, "batch")
    np.testing.assert_allclose(tf.reduce_mean(terms["mse"], 1), mse, rtol=1e-5)
    np.testing.assert_allclose(tf.reduce_mean(terms["kl"], 1), kl, rtol=1e-4)
    values = model.objective(tf.constant(frames), seed, "batch")
    np.testing.assert_allclose(tf.reduce_mean(values["loss"]), loss, rtol=1e-5)


def test_gradients_adam_and_moving_averages(setting):
    model, frames, eps, weights = setting
    seed = noise.fold(noise.seed_pair(11), noise.TRAIN, 0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.objective(tf.constant(frames), seed, "batch")["loss"])
    trained = {path: v for path, v in named_variables(model).items() if v.trainable}
    gradients = dict(zip(trained, tape.gradient(loss, [v.value for v in trained.values()]), strict=True))
    rng = np.random.default_rng(1)
    wide = frames.astype(np.float64)
    for path, gradient in gradients.items():
        index = tuple(rng.integers(n) for n in gradient.shape)
        numeric = []
        for sign in (1, -1):
            moved = {**weights, path: weights[path].copy()}
            moved[path][index] += sign * 1e-5
            numeric.append(NumpySVG(moved, CONFIG.n_past, CONFIG.beta).loss(wide, eps)[0])
        expected = (numeric[0] - numeric[1]) / 2e-5
        np.testing.assert_allclose(gradient.numpy()[index], expected, rtol=2e-3, atol=2e-6, err_msg=path)

    reference = NumpySVG(weights, CONFIG.n_past, CONFIG.beta)
    reference.loss(wide, eps)
    logs = model.train_step({"frames": tf.constant(frames)})
    np.testing.assert_allclose(logs["loss"], loss, rtol=1e-5)
    for path, gradient in gradients.items():
        g = gradient.numpy().astype(np.float64)
        # First step of Adam: m = 0.1 g, v = 0.001 g^2, both divided by their bias corrections. Where the gradient is all
        # rounding error its sign is open.
        clear = np.abs(g) > 1e-5
        updated = weights[path] - 2e-3 * g / (np.abs(g) + 1e-8 / np.sqrt(0.001))
        np.testing.assert_allclose(np.asarray(trained[path].value)[clear], updated[clear], atol=2e-6, err_msg=path)
    moving = {path: np.asarray(v.value) for path, v in named_variables(model).items()}
    for name, (mean, variance) in reference.moments.items():
        np.testing.assert_allclose(moving[f"{name}/moving_mean"], 0.1 * mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(moving[f"{name}/moving_variance"], 0.9 + 0.1 * variance, rtol=1e-4)
