"""Models of both families that are as small as they can be, frames for them, and a training of seconds."""

import dataclasses

import keras
import numpy as np

from svg_tf import families, presets
from svg_tf.config import OptimizerConfig
from svg_tf.families.srvp.config import SRVPConfig
from svg_tf.families.svg.config import SVGConfig
from svg_tf.training.state import named_variables

TINY = SVGConfig(image_size=32, width=2, g_dim=6, z_dim=3, rnn_size=5, n_past=2)
TINY_SRVP = SRVPConfig(
    image_size=32, width=2, h_dim=6, y_dim=4, z_dim=3, w_dim=5, inference_size=5, transition_size=7, transition_layers=3,
    inference_layers=2, k=2, n_past=2,
)  # fmt: skip
SVG_VARIANTS = {
    "learned": TINY,
    "fixed": dataclasses.replace(TINY, prior="fixed"),
    "none": dataclasses.replace(TINY, prior="none"),
}
SRVP_VARIANTS = {
    "residual": dataclasses.replace(TINY_SRVP, n_euler=2, skips=True),
    "mlp": dataclasses.replace(TINY_SRVP, transition="mlp"),
    "gru": dataclasses.replace(TINY_SRVP, transition="gru"),
    "without_z": dataclasses.replace(TINY_SRVP, stochastic=False),
}
VARIANTS = SVG_VARIANTS | SRVP_VARIANTS


def frames_of(batch=3, steps=5, seed=0, channels=1):
    return np.random.default_rng(seed).random((batch, steps, 32, 32, channels)).astype("float32")


def made(config=TINY, seed=0, dtype=None):
    keras.utils.set_random_seed(seed)
    model = families.build(config, dtype=dtype)
    small = ("encoder", "decoder", "latent", "frame_predictor")  # kernels ~ N(0, 0.02)
    for path, variable in named_variables(model).items():  # large weights, so that everything shows in the output
        if path.startswith(small) and path.endswith("kernel") and "cells" not in path:
            variable.assign(variable * 10)
    model.compile(keras.optimizers.Adam(2e-3, epsilon=1e-8), seed=5)
    return model


def experiment(model=None, checkpoint_every=3, optimizer=OptimizerConfig(), **train):  # noqa: B008
    """`smmnist_mini` with a model, batches and an evaluation of next to nothing, on the digits that come with scikit-learn."""
    preset = presets.get("smmnist_mini")
    digits = dataclasses.replace(preset.data.moving_mnist, digits="uci")
    return dataclasses.replace(
        preset,
        model=dataclasses.replace(preset.model, width=2, g_dim=4, z_dim=2, rnn_size=3, n_past=2, **(model or {})),
        data=dataclasses.replace(preset.data, batch_size=4, n_future=2, moving_mnist=digits),
        train=dataclasses.replace(preset.train, epochs=2, checkpoint_every=checkpoint_every, optimizer=optimizer, **train),
        eval=dataclasses.replace(preset.eval, n_future=3, n_samples=2, validation_steps=2, summary_sequences=1),
    )


class Repeater:
    """A model that can do nothing but predict: the last context frame again, samples a little darker one after the other."""

    config, deterministic = TINY, False

    def __init__(self, shift: float = 0.0):
        self.shift, self.weights = shift, []

    def can(self, *capabilities) -> bool:
        return False

    def generate(self, frames, n_future, n_samples=1, seed=0, *, first_sample=0, **options):
        last = np.asarray(frames)[:, None, -1:]
        darker = self.shift + 0.05 * np.arange(first_sample, first_sample + n_samples, dtype=np.float32)
        return np.repeat(np.clip(last - darker[:, None, None, None, None], 0, 1), n_future, axis=2).astype(np.float32)
