"""Fig. 9: what is drawn of several models for the same sequences."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from svg_tf import presets, sources, visualization
from svg_tf.config import OptimizerConfig
from svg_tf.evaluation import figures
from svg_tf.families.srvp.config import SRVPConfig
from svg_tf.families.svg.config import SVGConfig

N, T, N_PAST, SIZE = 2, 7, 3, 32
TRUTH = np.random.default_rng(0).random((N, T, SIZE, SIZE, 1)).astype("float32")


class Noisy:
    """Sample s of a sequence is the truth plus noise, least for sample `best`; keeps what it was asked."""

    def __init__(self, best=0, config=None, deterministic=False):
        self.best, self.deterministic, self.asked = best, deterministic, []
        self.config = config or SVGConfig(image_size=SIZE, n_past=N_PAST)

    def generate(self, frames, n_future, n_samples, seed, first_sample=0):
        self.asked.append((frames.copy(), n_future, n_samples, np.array(seed)))
        numbers = np.arange(first_sample, first_sample + n_samples)
        shift = 0.02 * (1 + (numbers - self.best) % 50)
        futures = TRUTH[np.asarray(seed)[:, 1], None, N_PAST:] - shift[:, None, None, None, None]
        return np.clip(futures, 0, 1).astype("float32")


@pytest.fixture
def rows(monkeypatch):
    """Rows of each filmstrip drawn: [(label, frames [T, H, W, C])]."""
    drawn, strip = [], visualization.filmstrip

    def kept(rows, n_past, steps):
        drawn.append((rows, n_past, list(steps)))
        return strip(rows, n_past, steps)

    monkeypatch.setattr(visualization, "filmstrip", kept)
    return drawn


def test_rows_of_all_models_stand_under_one_truth(rows, tmp_path):
    models = {"A": Noisy(22), "plain": Noisy(4, deterministic=True), "B": Noisy(1)}
    result = figures.beside_figure(models, TRUTH, tmp_path, n_past=N_PAST, n_samples=25, n_random=2, every=3, seed=6)
    assert len(rows) == N
    for b, (drawn, n_past, steps) in enumerate(rows):
        assert n_past == N_PAST and steps == [0, 3, 6]
        of = dict(drawn)
        assert [label for label, _ in drawn] == [
            "truth", "A, best of 25", "A, random 1", "A, random 2", "plain", "B, best of 25", "B, random 1", "B, random 2",
        ]  # fmt: skip
        np.testing.assert_array_equal(of["truth"], TRUTH[b])
        for label, frames in drawn[1:]:  # the same sequence, and the same context of it
            np.testing.assert_array_equal(frames[:N_PAST], TRUTH[b, :N_PAST], err_msg=label)
        np.testing.assert_allclose(of["A, best of 25"][N_PAST:], np.clip(TRUTH[b, N_PAST:] - 0.02, 0, 1), atol=1e-6)
        np.testing.assert_allclose(of["plain"][N_PAST:], np.clip(TRUTH[b, N_PAST:] - 0.02 * 47, 0, 1), atol=1e-6)
        assert np.any(of["A, random 1"] != of["A, random 2"])
    values = json.loads((tmp_path / "figure9.json").read_text())
    assert values["models"]["A"]["best_sample"] == [22, 22] and values["models"]["B"]["best_sample"] == [1, 1]
    assert [len(values["models"][label]["psnr"][0]) for label in models] == [25, 1, 25]
    for label, of_sequences in result["psnr_best"].items():
        np.testing.assert_allclose(of_sequences, np.max(values["models"][label]["psnr"], axis=1))
    number = values["models"]["B"]["random_samples"][1][0]
    shown = dict(rows[1][0])["B, random 1"]
    np.testing.assert_allclose(shown[-1], np.clip(TRUTH[1, -1] - 0.02 * (1 + (number - 1) % 50), 0, 1), atol=1e-6)
    assert Image.open(tmp_path / "figure9.gif").n_frames == T
    assert Image.open(result["files"]["figure9/1"]).size[1] > 8 * 64  # eight rows


def test_all_models_are_asked_for_the_same(tmp_path):
    models = {"A": Noisy(), "B": Noisy()}
    figures.beside_figure(models, TRUTH, tmp_path, n_past=N_PAST, n_samples=2, seed=6)
    (a,), (b,) = (model.asked for model in models.values())
    np.testing.assert_array_equal(a[0], TRUTH[:, :N_PAST])
    np.testing.assert_array_equal(a[3], [[6, 0], [6, 1]])
    for mine, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_what_cannot_stand_side_by_side(tmp_path):
    wide = Noisy(config=SVGConfig(image_size=64))
    long = Noisy(config=SRVPConfig(image_size=SIZE, n_past=5, k=5))
    for models, message in (
        ({"A": Noisy()}, r"two or more, got \['A'\]"),
        ({"A": Noisy(), "B": wide}, "frames of B must be .*64, 64, 1"),
        ({"A": Noisy(), "B": long}, "B needs at least 5 context frames, got n_past 3"),
    ):
        with pytest.raises(ValueError, match=message):
            figures.beside_figure(models, TRUTH, tmp_path / "new", n_past=N_PAST)
    assert not (tmp_path / "new").exists() and not models["A"].asked


def changed(experiment, **data):
    return dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, **data))


def test_runs_of_other_videos_are_told_apart():
    one = presets.get("smmnist_mini")
    digits = one.data.moving_mnist
    spelled = changed(one, data_dir="elsewhere", batch_size=2, n_future=3, moving_mnist=dataclasses.replace(
        digits, digits_dir="there", max_speed=2, train_digits="all"))  # fmt: skip
    trained = dataclasses.replace(one, train=dataclasses.replace(one.train, optimizer=OptimizerConfig(learning_rate=1e-4)))
    sources.check_alike({"A": one, "B": spelled, "C": trained, "D": presets.get("smmnist_mini_sv2p")})
    for other, message in (
        (presets.get("mmnist_mini"), "data.moving_mnist.deterministic is False for 'A' and True for 'B'"),
        (presets.get("smmnist_lp"), r"the frame shape is \(32, 32, 1\) for 'A' and \(64, 64, 1\) for 'B'"),
        (changed(one, name="kth/32"), "data.name is 'moving_mnist' for 'A' and 'kth/32' for 'B'"),
        (changed(one, frame_stride=2), "data.frame_stride is 1 for 'A' and 2 for 'B'"),
        (changed(one, moving_mnist=dataclasses.replace(digits, max_speed=1)), "max_speed is 2 for 'A' and 1 for 'B'"),
    ):
        with pytest.raises(ValueError, match=message):
            sources.check_alike({"A": one, "B": other})
