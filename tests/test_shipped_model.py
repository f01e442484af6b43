"""The model that comes with the repository: run, evaluation and SavedModel belong together."""

import json
import pathlib
import platform

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


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="oneDNN's kernels are those of x86")
def test_no_bit_tells_how_many_samples_and_sequences_were_computed_together(clip):
    """At frame 40 a model that is fed its own frames has amplified one rounding ten thousand times."""
    clips = np.stack([clip, np.roll(clip, 5, axis=1), np.roll(clip, 9, axis=2), clip[:, ::-1]])
    seeds = np.stack([np.full(4, 3), np.arange(4)], axis=1).astype(np.int32)
    with client.connect(str(MODEL)) as served:

        def futures(batch, n_samples, signature="generate_float"):
            frames = clips[:batch] if signature == "generate" else clips[:batch] / np.float32(255)
            counts = {"n_future": np.int32(40), "n_samples": np.int32(n_samples)}
            return served.call(signature, {"frames": frames, "seed": seeds[:batch], **counts})["frames"]

        alone = futures(1, 1)
        for batch, n_samples in ((1, 10), (1, 20), (4, 1), (4, 6)):
            np.testing.assert_array_equal(futures(batch, n_samples)[:1, :1], alone)
        np.testing.assert_array_equal(futures(1, 1, "generate"), np.round(alone * 255).astype(np.uint8))
    assert np.ptp(alone[0, 0, -1]) > 0.5  # a digit is there still


def test_its_weights_are_one_file():
    assert [path.name for path in sorted((MODEL / "1" / "variables").iterdir())] == [
        "variables.data-00000-of-00001", "variables.index"
    ]  # fmt: skip
