"""The figures on models whose behaviour is known, and on a small real one."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import svg_tf
from svg_tf.evaluation import figures
from svg_tf.evaluation.figures import uncertainty, velocity

SIZE = 32


def draw_path(positions, glyph):
    """positions int [T, 2] (x, y) -> float32 [T, SIZE, SIZE, 1]"""
    out = np.zeros((len(positions), SIZE, SIZE, 1), np.float32)
    for t, (x, y) in enumerate(positions):
        out[t, y : y + glyph.shape[0], x : x + glyph.shape[1], 0] = glyph
    return out


def world(n=24, n_past=3, steps=4, seed=0):
    """Sequences that share velocity (2, 1) in the context, then draw a new one each: (frames, displacements after it)."""
    r = np.random.default_rng(seed)
    paths, frames = [], []
    for _ in range(n):
        moves = np.concatenate([np.tile([2, 1], (n_past - 1, 1)), r.integers(-2, 3, (1, 2)).repeat(steps, 0)])
        paths.append(np.concatenate([[[10, 11]], [10, 11] + np.cumsum(moves, 0)]))
        frames.append(draw_path(paths[-1], 0.2 + 0.8 * r.random((8, 6))))
    return np.stack(frames), np.diff(np.stack(paths), axis=1)[:, n_past - 1 :]


class Fake:
    """A predictor whose samples are given: futures [N, S, T', H, W, C] by sequence number."""

    def __init__(self, futures, sigma=None, prior="learned"):
        self.config = svg_tf.SVGConfig(image_size=SIZE, n_past=3, prior=prior)
        self.futures, self.sigma, self.deterministic = futures, sigma, prior == "none"

    def need(self, capability, what):
        if self.config.prior != "learned":
            raise ValueError(f"{what} cannot be had of this model, {self.config.summary}.")

    def generate(self, frames, n_future, n_samples, seed, first_sample=0):
        return self.futures[np.asarray(seed)[:, 1], first_sample : first_sample + n_samples]

    def prior_scale(self, frames):
        index = [int(round(float(f[0, 0, 0, 0]) * 1000)) for f in frames]  # the sequence's number is in its first pixel
        return self.sigma[index]


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_digits_are_located_by_cross_correlation():
    r = np.random.default_rng(0)
    glyph = 0.2 + 0.8 * r.random((7, 5))
    where = np.stack([r.integers(0, SIZE - 5, 50), r.integers(0, SIZE - 7, 50)], 1)
    frames = draw_path(where, glyph)[..., 0]
    blurred = (frames + np.roll(frames, 1, 1) * 0.5 + 0.02 * r.random(frames.shape)) / 1.6
    np.testing.assert_array_equal(velocity.locate(frames, glyph), where)
    assert np.abs(velocity.locate(blurred, glyph) - where).max() <= 1
    (template,) = velocity.digit_templates(frames[:1])
    np.testing.assert_allclose(template, glyph.astype(np.float32))
    with pytest.raises(ValueError, match="empty"):
        velocity.digit_templates(np.zeros((1, 8, 8)))


def test_displacement_histograms_and_their_distance():
    moves = np.array([[[0, 1]], [[0, 1]], [[-2, 0]], [[9, 9]]])
    (p,) = velocity.displacement_histograms(moves, 3)
    assert p[1 + 3, 0 + 3] == 0.5
    assert p[0 + 3, -2 + 3] == 0.25
    assert p[6, 6] == 0.25
    assert p.sum() == 1
    (q,) = velocity.displacement_histograms(moves[:2], 3)
    assert velocity.total_variation(p, q) == 0.5
    assert velocity.total_variation(p, p) == 0
    np.testing.assert_allclose(velocity._entropy(np.stack([p, q])), [1.5, 0.0])


def test_velocity_figure_of_a_perfect_and_of_a_stubborn_model(tmp_path):
    frames, moves = world()
    perfect = figures.velocity_figure(
        Fake(frames[:, None, 3:].repeat(2, 1)), frames, tmp_path, n_past=3, max_speed=2, n_samples=2, new_velocity_steps=[3]
    )
    np.testing.assert_array_equal(perfect["total_variation"], 0.0)
    np.testing.assert_allclose(perfect["entropy_truth"], perfect["entropy_model"])
    assert perfect["entropy_truth"][0] > 3  # 25 velocities are possible
    start = np.array([10 + 4, 11 + 2])
    glyphs = [velocity.digit_templates(f[2:3, ..., 0])[0] for f in frames]
    straight = np.stack([draw_path(start + np.outer(np.arange(1, 5), [2, 1]), g) for g in glyphs])[:, None]
    stubborn = figures.velocity_figure(
        Fake(straight), frames, tmp_path, n_past=3, max_speed=2, n_samples=1, shown_steps=[3, 5], name="stubborn"
    )
    share = np.mean((moves[:, 0] == [2, 1]).all(-1))
    np.testing.assert_allclose(stubborn["total_variation"], 1 - share)
    np.testing.assert_allclose(stubborn["entropy_model"], 0.0)
    assert json.loads((tmp_path / "stubborn.json").read_text())["total_variation"] == stubborn["total_variation"]
    rows = read_csv(tmp_path / "figure5.csv")
    for t in ("3", "6"):
        for source in ("truth", "model"):
            chosen = [r for r in rows if (r["t"], r["source"]) == (t, source)]
            assert sum(float(r["probability"]) for r in chosen) == pytest.approx(1)
    found = {(int(r["dx"]), int(r["dy"])) for r in rows if (r["t"], r["source"]) == ("4", "truth")}
    assert found == {tuple(m) for m in moves[:, 1].tolist()}
    assert Image.open(tmp_path / "stubborn.png").size[1] > 300


def test_roc_auc_by_counting_pairs():
    r = np.random.default_rng(1)
    scores, labels = r.integers(0, 6, 80), r.random(80) < 0.3
    pairs = scores[labels][:, None] - scores[~labels][None]
    assert uncertainty.roc_auc(scores, labels) == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
    assert uncertainty.roc_auc([1, 2, 3, 4], [False, False, True, True]) == 1
    with pytest.raises(ValueError, match="positives"):
        uncertainty.roc_auc([1, 2], [True, True])


def test_new_velocities_show_one_frame_after_the_wall():
    hits = np.zeros((1, 5, 1), bool)
    hits[0, 2] = True
    assert figures.visible_collisions(hits)[0, :, 0].tolist() == [False, False, False, True, False]
    assert figures.visible_collisions(hits, "srvp")[0, :, 0].tolist() == hits[0, :, 0].tolist()
    with pytest.raises(ValueError, match="bool"):
        figures.visible_collisions(hits.astype(int))
    with pytest.raises(ValueError, match="variant"):
        figures.visible_collisions(hits, "other")


def test_uncertainty_figure(tmp_path):
    r = np.random.default_rng(2)
    n, total = 11, 30
    frames = np.zeros((n, total, SIZE, SIZE, 1), np.float32)
    frames[:, 0, 0, 0, 0] = np.arange(n) / 1000
    shows = np.zeros((n, total, 2), bool)
    shows[:, [8, 20], 0] = True
    shows[:, [8, 15], 1] = True
    sigma = 0.1 + 0.05 * r.random((n, total - 1, 4))
    sigma[:, [0, 1]] = 3.0  # before the velocity is known
    sigma[:, [7, 14, 19]] += 1.0  # sigma[:, t - 1] belongs to frame t
    result = figures.uncertainty_figure(Fake(None, sigma), frames, shows, tmp_path)
    assert (result["auc"], result["auc_of_mean"], result["synchronized"]) == (1.0, 1.0, True)
    assert (result["n_new_velocity"], result["n_counted"]) == (3 * n, n * 27)
    early = figures.uncertainty_figure(Fake(None, sigma), frames, shows, tmp_path, first_step=1, name="early")
    assert early["auc"] == pytest.approx(1 - 2 / 26)  # each of the two early steps beats every true one
    rows = read_csv(tmp_path / "figure6.csv")
    assert [int(row["t"]) for row in rows] == list(range(1, total))
    np.testing.assert_allclose([float(row["sigma_mean"]) for row in rows], sigma.mean((0, 2)))
    np.testing.assert_allclose([float(row["sigma_sd"]) for row in rows], sigma.mean(2).std(0))
    assert [row["t"] for row in rows if row["new_velocity_digit_1"] == "1"] == ["8", "20"]
    assert json.loads((tmp_path / "figure6.json").read_text())["auc"] == 1.0
    assert Image.open(result["files"]["figure6"]).size[0] > 1000
    rolled = shows.copy()
    rolled[3] = np.roll(shows[3], 4, axis=0)
    mixed = figures.uncertainty_figure(Fake(None, sigma), frames, rolled, tmp_path, name="mixed")
    assert mixed["synchronized"] is False
    assert mixed["auc_of_mean"] is None
    assert mixed["auc"] < 1


def test_uncertainty_figure_refuses(tmp_path):
    frames, shows = np.zeros((2, 8, SIZE, SIZE, 1), np.float32), np.zeros((2, 8, 1), bool)
    fake = Fake(None, np.ones((2, 7, 3)))
    for match, arguments in (
        ("new velocity must occur", (frames, shows)),
        ("bool", (frames, shows[:, :5])),
        (r"\[0, 1\]", (frames + 2, shows)),
    ):
        with pytest.raises(ValueError, match=match):
            figures.uncertainty_figure(fake, *arguments, tmp_path / "new")
    with pytest.raises(ValueError, match="fixed prior"):
        figures.uncertainty_figure(Fake(None, prior="fixed"), frames, shows, tmp_path / "new")
    with pytest.raises(ValueError, match="first_step"):
        figures.uncertainty_figure(fake, frames, shows, tmp_path / "new", first_step=8)
    assert not (tmp_path / "new").exists()


def test_sample_figure_picks_the_best_sample(tmp_path):
    frames, _ = world(n=2)
    r = np.random.default_rng(3)
    futures = np.clip(frames[:, None, 3:] + 0.3 * r.standard_normal((2, 25, 4, SIZE, SIZE, 1)), 0, 1).astype(np.float32)
    futures[0, 22], futures[1, 4] = frames[0, 3:], frames[1, 3:]  # sample 22 comes in a later part
    blank = Fake(np.zeros((2, 1, 4, SIZE, SIZE, 1), np.float32), prior="none")
    result = figures.sample_figure(Fake(futures), frames, tmp_path, n_past=3, n_samples=25, deterministic=blank, every=2)
    assert [s["best_sample"] for s in result["sequences"]] == [22, 4]
    values = json.loads((tmp_path / "figure3.json").read_text())
    assert values["sequences"][0]["psnr"][22] == 100.0
    assert len(values["sequences"][1]["psnr"]) == 25
    assert len(set(values["sequences"][0]["random_samples"])) == 3
    assert Image.open(tmp_path / "figure3.gif").n_frames == 7
    # Rows of the filmstrip: truth, deterministic, best (equal to the truth within its border), random.
    strip = np.asarray(Image.open(tmp_path / "figure3-0.png"))
    rows = [strip[26 + i * 72 + 3 : 26 + i * 72 + 67, -68:-5] for i in range(3)]
    np.testing.assert_array_equal(rows[0], rows[2])
    assert rows[0].max() > 0
    assert rows[1].max() == 0


def test_figures_of_a_real_model_and_in_tensorboard(tmp_path):
    tf.keras.utils.set_random_seed(0)
    model = svg_tf.SVG(svg_tf.SVGConfig(image_size=32, width=4, g_dim=8, rnn_size=8, z_dim=2, n_past=3, predictor_layers=1))
    frames, _ = world(n=9)
    files = figures.sample_figure(model, frames[:1], tmp_path, n_past=3, n_samples=2, name="figure11")["files"]
    shows = np.zeros((9, 7, 1), bool)
    shows[:, 5] = True
    result = figures.uncertainty_figure(model, frames, shows, tmp_path)
    assert 0 <= result["auc"] <= 1
    files |= result["files"]
    files |= figures.velocity_figure(model, frames, tmp_path, n_past=3, max_speed=2, n_samples=2)["files"]
    figures.publish(tmp_path / "logs", files, step=5)
    found = {}
    for path in (tmp_path / "logs" / "figures").glob("events*"):
        for record in tf.data.TFRecordDataset(str(path)):
            for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value:
                found[value.tag] = tf.make_ndarray(value.tensor)[2]
    assert set(found) == {"figure11/0", "figure11/animation", "figure6", "figure5"}
    assert found["figure11/animation"][:3] == b"GIF"
    assert found["figure5"] == (tmp_path / "figure5.png").read_bytes()


def test_wrong_input_is_refused(tmp_path):
    frames, _ = world(n=2)
    model = SimpleNamespace(config=svg_tf.SVGConfig(image_size=64))
    with pytest.raises(ValueError, match="64, 64, 1"):
        figures.sample_figure(model, frames, tmp_path / "new", n_past=3)
    fake = Fake(frames[:, None, 3:])
    with pytest.raises(ValueError, match="n_samples"):
        figures.sample_figure(fake, frames, tmp_path / "new", n_past=3, n_samples=0)
    with pytest.raises(ValueError, match="T >= 8"):
        figures.sample_figure(fake, frames, tmp_path / "new", n_past=7)
    with pytest.raises(ValueError, match="shown_steps"):
        figures.velocity_figure(fake, frames, tmp_path / "new", n_past=3, max_speed=2, n_samples=1, shown_steps=[2])
    with pytest.raises(ValueError, match="at least 2 sequences"):
        figures.velocity_figure(fake, frames[:1], tmp_path / "new", n_past=3, max_speed=2, n_samples=1)
    assert not (tmp_path / "new").exists()
