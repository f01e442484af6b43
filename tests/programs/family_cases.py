"""Trainings of three or four steps, one of each family, that must come out alike wherever their sequences are.

To be imported after logical devices are made.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

from svg_tf import families
from svg_tf.families.savp.config import SAVPConfig
from svg_tf.families.srvp.config import SRVPConfig
from svg_tf.families.struct_vrnn.config import StructVRNNConfig
from svg_tf.families.sv2p.config import SV2PConfig
from svg_tf.families.svg.config import SVGConfig
from svg_tf.training import optimizers
from svg_tf.training.state import named_variables

TINY = SVGConfig(image_size=32, width=2, g_dim=8, z_dim=3, rnn_size=8, n_past=2, beta=1e-2)
SRVP = SRVPConfig(
    image_size=32, width=2, h_dim=8, y_dim=4, z_dim=3, w_dim=6, inference_size=8, transition_size=8, k=2, n_past=2, n_euler=2,
    skips=True,
)  # fmt: skip
VRNN = StructVRNNConfig(
    image_size=32, n_past=2, n_keypoints=3, width=2, layers_per_scale=1, rnn_size=6, hidden_size=5, z_dim=3, belief_samples=3,
    kl_warmup_steps=2, truth_steps=3,
)  # fmt: skip
# Two phases in three steps; frames that are shown after the context, half of them by their row in the global batch.
SV2P = SV2PConfig(
    image_size=32, width=2, n_past=2, n_frames=5, lstm_kernel_size=3, kernels=3, kernel_size=3, norm_epsilon=1e-5, beta=0.1,
    sampling_k=3.0, generator_steps=1, latent_steps=0, beta_warmup_steps=2,
)  # fmt: skip
# Spectral norms' vectors, clips and both rollouts are the same wherever a sequence is.
SAVP = SAVPConfig(
    image_size=16, width=2, encoder_width=2, discriminator_width=1, n_past=2, z_dim=2, lstm_kernel_size=3, kernel_size=3,
    transformed_images=2, clip_length=4, sampling_k=2.0, beta_start_step=0, beta_end_step=2, l1_weight=1.0,
)  # fmt: skip
FRAMES = np.random.default_rng(0).random((3, 8, 5, 32, 32, 1), np.float32)


class Case(NamedTuple):
    """A model's configuration, () -> its optimizers, a number of training steps, and the frames of a sequence."""

    config: Any
    optimizer: Callable
    steps: int
    length: int = 5

    @property
    def frames(self) -> np.ndarray:
        """float32 [3 batches, 8 sequences, length, H, W, 1]"""
        frames = FRAMES[:, :, : self.length]
        return frames if self.config.image_size == 32 else frames[..., ::2, ::2, :]

    def made(self):
        """The compiled model; under the strategy of its surroundings."""
        keras.utils.set_random_seed(0)
        model = families.build(self.config)
        model.compile(self.optimizer(), seed=5)
        if self.config.family == SAVP.family:
            enlarge(model)
        return model


CASES = {
    "srvp": Case(SRVP, lambda: keras.optimizers.SGD(1e-5), 3),
    "sv2p": Case(SV2P, lambda: keras.optimizers.SGD(0.05), 3),
    # Coins for the whole batch, the best of many latents, and each gradient clipped by its own norm.
    "keypoints": Case(VRNN, lambda: optimizers.Adam(1e-3, epsilon=1e-3, clip_norm=0.05, clip_by="variable"), 4),
    "savp": Case(
        SAVP, lambda: {side: keras.optimizers.SGD(1e-3, momentum=0.5) for side in ("generator", "discriminator")}, 3
    ),
}
# The same with smaller graphs, for processes that build them while others wait: one phase, one discriminator.
LIGHT = {
    "sv2p": CASES["sv2p"]._replace(config=dataclasses.replace(SV2P, n_frames=4, generator_steps=0), length=4),
    "keypoints": CASES["keypoints"]._replace(steps=3, length=4),
    "savp": CASES["savp"]._replace(config=dataclasses.replace(SAVP, variant="gan")),
}


def enlarge(model):
    """Kernels of deviation 0.02 make maps that are all but constant: where they are normalized, rounding chooses signs."""
    generator = np.random.default_rng(0)
    for name, variable in named_variables(model).items():
        if name.endswith("/kernel"):
            variable.assign(10.0 * variable.value)
        elif name.endswith(("/beta", "/bias")):
            variable.assign(generator.normal(0, 0.1, variable.shape))


class Steps(keras.callbacks.Callback):
    """seen: the values of each training step of the last epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append({k: float(v) for k, v in logs.items()})


def weights_of(model) -> dict[str, list]:
    return {k: np.asarray(v.value).tolist() for k, v in named_variables(model).items()}
