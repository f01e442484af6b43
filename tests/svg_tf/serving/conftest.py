"""A tiny model with its run and its export, made once for all tests of serving."""

import dataclasses
from typing import NamedTuple

import keras
import numpy as np
import pytest

from svg_tf import presets, training
from svg_tf.families.svg.config import SVGConfig
from svg_tf.serving.limits import Limits
from svg_tf.training import checkpoints
from svg_tf.training.state import named_variables

NAME = "tiny"
CONFIG = SVGConfig(image_size=32, width=2, g_dim=6, z_dim=3, rnn_size=5, n_past=2)
LIMITS = Limits(max_steps=30, max_given_frames=60, max_samples=20, max_predicted_frames=100)
N_FUTURE, N_SAMPLES = 4, 2


def randomise(model, seed=0):
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


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> Exported:
    pytest.importorskip("tensorflow_serving")
    from svg_tf.cli import serving as cli_serving

    folder = tmp_path_factory.mktemp("serving")
    preset = presets.get("smmnist_mini")
    experiment = dataclasses.replace(preset, model=CONFIG, eval=dataclasses.replace(preset.eval, n_future=N_FUTURE))
    training.open_run(experiment, folder / "run")
    keras.utils.set_random_seed(1)
    model = training.build(experiment)
    randomise(model)
    checkpoints.save(folder / "run" / "checkpoints", model, 7, {}, keep=1)
    path = folder / "saved_models" / NAME
    options = {"n_samples": N_SAMPLES, "limits": LIMITS, "notes": "For tests alone.", "unfinished": True}
    cli_serving.Export(run_dir=folder / "run", out=path, **options).run()
    return Exported(model, folder / "run", path, path / "1")


@pytest.fixture(scope="session")
def local(exported):
    from svg_tf.serving import client

    return client.connect(exported.path)


@pytest.fixture(scope="session")
def frames() -> np.ndarray:
    """uint8 [3, 6, 32, 32, 1]"""
    return np.random.default_rng(5).integers(0, 256, (3, 6, 32, 32, 1), np.uint8)


@pytest.fixture(scope="session")
def seeds() -> np.ndarray:
    return np.array([[3, 0], [3, 1], [9, 4]], np.int32)
