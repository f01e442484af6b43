"""A tiny model for the tests of serving, and what it is exported with."""

from typing import NamedTuple

import numpy as np

from svg_tf.families.svg.config import SVGConfig
from svg_tf.serving.limits import Limits
from svg_tf.training.state import named_variables

NAME = "tiny"
CONFIG = SVGConfig(image_size=32, width=2, g_dim=6, z_dim=3, rnn_size=5, n_past=2)
LIMITS = Limits(max_steps=30, max_given_frames=60, max_samples=20, max_predicted_frames=100)
N_FUTURE, N_SAMPLES = 4, 2


def randomize(model, seed=0):
    """Large weights and moving averages off their initial values, so that everything shows in the output."""
    rng = np.random.default_rng(seed)
    for path, variable in named_variables(model).items():
        if path.endswith("kernel") and "cells" not in path:
            variable.assign(variable * (80 if path.startswith("frame_predictor") else 18))
        elif "moving" in path:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))


class Exported(NamedTuple):
    model: object
    run: object
    path: object
    version: object
