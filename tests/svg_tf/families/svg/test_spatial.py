"""SVG with maps: one step against NumPy, published parameter counts, frames of any size, weights of one size at another."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import families, noise, presets
from svg_tf.families import cost
from svg_tf.families.svg.config import SVGConfig
from svg_tf.families.svg.model import SVG
from svg_tf.training import run as run_module
from svg_tf.training.state import named_variables
from tests.svg_tf.families.svg.numpy_svg import NumpySVG, sigmoid

CONFIG = SVGConfig(
    latents="map", backbone="vgg", image_size=(16, 24), channels=2, width=1, g_dim=4, z_dim=2, rnn_size=3, n_past=2, beta=0.3
)
BATCH, STEPS, PLACE = 2, 4, (2, 3)


def conv3(x, kernel):
    """3x3, padding 1, of maps of any height and width."""
    height, width = x.shape[1:3]
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(x[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3))


class NumpySpatial(NumpySVG):
    """Step by step in time, skips concatenated, maps enlarged; shares with the vector's reference batch normalization alone."""

    def conv3(self, x, name):
        return conv3(x, self.w[f"{name}/kernel"]) + self.w.get(f"{name}/bias", 0.0)

    def encode(self, x):
        skips = []
        for i, count in enumerate((2, 2, 3)):
            for j in range(count):
                x = self.block(self.conv3(x, f"encoder/blocks/{i}/{j}/conv"), f"encoder/blocks/{i}/{j}")
            skips.append(x)
            n, height, width, channels = x.shape
            x = x.reshape(n, height // 2, 2, width // 2, 2, channels).max((2, 4))
        return self.conv3(x, "encoder/head"), skips

    def decode(self, g, skips):
        d = self.conv3(g, "decoder/head")
        for i, (skip, more) in enumerate(zip(skips[::-1], (2, 1, 0), strict=True)):
            name = f"decoder/first/{i}"
            kernel = np.concatenate([self.w[f"{name}/block/conv/kernel"], self.w[f"{name}/skip_conv/kernel"]], axis=2)
            both = np.concatenate([d.repeat(2, axis=1).repeat(2, axis=2), skip], axis=-1)
            d = self.block(conv3(both, kernel), f"{name}/block")
            for j in range(more):
                d = self.block(self.conv3(d, f"decoder/rest/{i}/{j}/conv"), f"decoder/rest/{i}/{j}")
        return sigmoid(self.conv3(d, "decoder/out"))

    def dense(self, x, name):
        return self.conv3(x, name)

    def lstm_layer(self, x, cell):
        kernel = np.concatenate([self.w[f"{cell}/kernel"], self.w[f"{cell}/recurrent_kernel"]], axis=2)
        h = c = np.zeros((*x[0].shape[:3], kernel.shape[3] // 4))
        outputs = []
        for now in x:
            gates = conv3(np.concatenate([now, h], axis=-1), kernel) + self.w[f"{cell}/bias"]
            i, candidate, f, o = np.split(gates, 4, axis=-1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(candidate)
            h = sigmoid(o) * np.tanh(c)
            outputs.append(h)
        return outputs

    def gaussian(self, x, name):
        rows = len(x[0])
        return [(mean.reshape(rows, -1), scale.reshape(rows, -1)) for mean, scale in super().gaussian(x, name)]


@pytest.fixture(scope="module")
def setting():
    keras.utils.set_random_seed(3)
    model = SVG(CONFIG)
    model.compile(keras.optimizers.Adam(2e-3, epsilon=1e-8), seed=11)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable.value + 0.1 * rng.standard_normal(variable.shape).astype("float32"))
    frames = rng.random((BATCH, STEPS, 16, 24, 2)).astype("float32")
    seed = noise.fold(noise.seed_pair(11), noise.TRAIN, 0)
    eps = noise.normal(seed, [STEPS - 1, BATCH, 2 * 3 * 2]).numpy().astype(np.float64)
    return model, frames, seed, eps


def reference_loss(weights, frames, eps):
    """As `NumpySVG.loss`, with maps."""
    net, (batch, steps) = NumpySpatial(weights, CONFIG.n_past, CONFIG.beta), frames.shape[:2]
    h, skips = net.encode(np.concatenate([frames[:, t] for t in range(steps)]))
    h = np.split(h, steps)
    q, p = net.gaussian(h[1:], "latent/posterior"), net.gaussian(h[:-1], "latent/prior")
    z = [(m + np.exp(0.5 * v) * e).reshape(batch, *PLACE, CONFIG.z_dim) for (m, v), e in zip(q, eps, strict=True)]
    features = net.lstm([np.concatenate(pair, axis=-1) for pair in zip(h[:-1], z, strict=True)], "frame_predictor", 2)
    mse, kl = [], []
    for t, feature in enumerate(features, start=1):
        mse.append((np.tanh(net.dense(feature, "frame_predictor/head")), [np.split(s, steps)[min(t, 2) - 1] for s in skips]))
        (mq, vq), (mp, vp) = q[t - 1], p[t - 1]
        kl.append((0.5 * (vp - vq + (np.exp(vq) + (mq - mp) ** 2) / np.exp(vp) - 1)).sum(-1).mean())
    x_hat = net.decode(np.concatenate([g for g, _ in mse]), [np.concatenate(s) for s in zip(*(s for _, s in mse), strict=True)])
    error = sum(np.mean((one - frames[:, t]) ** 2) for t, one in enumerate(np.split(x_hat, steps - 1), start=1))
    return error + CONFIG.beta * sum(kl), sum(kl)


def test_one_step_against_numpy(setting):
    model, frames, seed, eps = setting
    trained = {path: v for path, v in named_variables(model).items() if v.trainable}
    weights = {path: np.asarray(v.value, np.float64) for path, v in trained.items()}
    with tf.GradientTape() as tape:
        values = model.objective(tf.constant(frames), seed, "batch")
        loss = tf.reduce_mean(values["loss"])
    gradients = dict(zip(trained, tape.gradient(loss, [v.value for v in trained.values()]), strict=True))
    wide = frames.astype(np.float64)
    expected, kl = reference_loss(weights, wide, eps)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(tf.reduce_mean(values["kl"]), kl, rtol=1e-4)
    rng = np.random.default_rng(1)
    for path, gradient in gradients.items():
        index, numeric = tuple(rng.integers(n) for n in gradient.shape), []
        for sign in (1, -1):
            moved = {**weights, path: weights[path].copy()}
            moved[path][index] += sign * 1e-7
            numeric.append(reference_loss(moved, wide, eps)[0])
        np.testing.assert_allclose(
            gradient.numpy()[index], (numeric[0] - numeric[1]) / 2e-7, rtol=5e-3, atol=5e-6, err_msg=path
        )


def test_parameters_of_the_published_sizes():
    counts = {}
    for units in (128, 256):  # 512: 82,934,187, by the same layers, takes half a gigabyte
        model = SVG(SVGConfig(latents="map", backbone="vgg", channels=3, rnn_size=units))
        counts[units] = sum(v.value.shape.num_elements() for v in model.trainable_variables)
    assert counts == {128: 10_205_739, 256: 25_011_371}


def test_what_beta_weighs():
    summed, placed = CONFIG, dataclasses.replace(CONFIG, kl_reduction="place")
    assert (summed.kl_coefficient, placed.kl_coefficient) == (0.3, pytest.approx(0.3 / 6))
    assert dataclasses.replace(placed, image_size=64).kl_coefficient == pytest.approx(0.3 / 64)
    assert SVGConfig(beta=0.3, kl_reduction="place").kl_coefficient == 0.3
    assert presets.get("smmnist_mini_spatial").model.kl_coefficient == pytest.approx(2e-4 / 16)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"backbone": "dcgan"}, "latents 'map' need backbone 'vgg', got 'dcgan'"),
        ({"image_size": (16, 20)}, "divisible by 8 for latents 'map', got 16x20"),
        ({"latents": "grid"}, "latents must be one of 'vector', 'map', got 'grid'"),
        ({"kl_reduction": "mean"}, "kl_reduction must be one of"),
    ],
)
def test_wrong_configurations(values, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **values)


def test_weights_of_one_size_at_another(setting):
    model = setting[0]
    larger = families.build(dataclasses.replace(CONFIG, image_size=(24, 16)))
    mine, theirs = named_variables(larger), named_variables(model)
    assert {path: v.shape for path, v in mine.items()} == {path: v.shape for path, v in theirs.items()}
    for path, variable in mine.items():
        variable.assign(theirs[path].value)
    x = np.random.default_rng(2).random((1, 2, 16, 24, 2)).astype("float32")
    turned = larger.generate(x.transpose(0, 1, 3, 2, 4), 3, use_mean=True)
    assert turned.shape == (1, 1, 3, 24, 16, 2)
    whole = model.generate(x, 3, 2, seed=1).numpy()
    assert whole.shape == (1, 2, 3, 16, 24, 2) and np.isfinite(whole).all() and abs(whole[:, 0] - whole[:, 1]).max() > 0


def test_weights_that_depend_on_the_size_are_refused_at_another():
    vector = families.build(SVGConfig(image_size=32, width=1, g_dim=2, z_dim=1, rnn_size=2))
    with pytest.raises(ValueError, match="trained at 32, do not fit frames of 64: decoder"):
        run_module._check_same_weights(vector, families.build(dataclasses.replace(vector.config, image_size=64)))


def test_arithmetic_is_that_of_kernels_at_their_places():
    """By hand, of one training sequence of two frames without latents: one frame encoded, one step, one frame decoded."""
    model = SVG(dataclasses.replace(CONFIG, prior="none"))
    kernel = {path: v.shape for path, v in named_variables(model).items() if path.endswith("kernel")}
    total = 0
    for path, shape in kernel.items():
        part, rest = path.split("/", 1)
        level = 3 if part == "frame_predictor" or "head" in rest else 0 if rest.startswith("out") else int(rest.split("/")[1])
        level = 2 - level if part == "decoder" and "head" not in rest and not rest.startswith("out") else level
        total += 16 * 24 // 4**level * int(np.prod(shape))
    assert cost.of(model).training_multiply_adds(2) == total
    with pytest.raises(ValueError, match="is not known of this model"):
        cost.of(model).training_memory(2, 3)
