"""The model that comes with the repository: run, evaluation and SavedModel belong together."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image, ImageSequence

from svg_tf import evaluation, training
from svg_tf.serving import client

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "saved_models"
MODEL = FOLDER / "smmnist_mini"


@pytest.fixture(scope="module")
def run():
    return training.load_run(MODEL / "run")


@pytest.fixture(scope="module")
def clip():
    with Image.open(FOLDER / "clip.gif") as file:
        return np.stack([np.asarray(f.convert("L")) for f in ImageSequence.Iterator(file)])[:5, ..., None]


def test_the_report_is_of_these_weights(run):
    model, experiment, step = run
    report = json.loads((MODEL / "run" / "evaluation" / "report.json").read_text())
    assert report["weights_sha256"] == evaluation.weights_checksum(model)
    assert (step, report["description"]["step"]) == (experiment.train.epochs * experiment.train.steps_per_epoch,) * 2
    psnr = report["results"]["psnr"]
    assert psnr["best"]["moving"]["mean"] > max(psnr[row]["moving"]["mean"] for row in ("blank", "copy_last"))


def test_the_saved_model_gives_the_runs_samples(run, clip):
    frames = clip.astype(np.float32) / 255
    expected = run[0].generate(frames[None], 4, 2, seed=np.array([[3, 1]])).numpy()[0]
    with client.connect(str(MODEL)) as served:
        got = client.predict(served, clip, 4, 2, seed=(3, 1))
    assert np.abs(got.astype(np.float32) - 255 * expected).max() < 1.51
    assert expected.max() > 0.5  # a digit is there
