"""A tiny model with its run and its export, made once for the tests of serving and of its commands."""

import dataclasses

import keras
import numpy as np
import pytest

from svg_tf import presets, training
from svg_tf.training import checkpoints
from svg_tf.training.state import TrainingState
from tests.svg_tf.serving.tiny_export import CONFIG, LIMITS, N_FUTURE, N_SAMPLES, NAME, Exported, randomize


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
    randomize(model)
    checkpoints.save(folder / "run" / "checkpoints", TrainingState(model), 7, {}, keep=1)
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
