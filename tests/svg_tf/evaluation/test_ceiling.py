"""The simulator's rows, shares of the way to them, proper scores and calibration."""

import dataclasses
import json
import math

import numpy as np
import pytest

import data_pipelines
from data_pipelines.simulator import Simulator
from svg_tf import evaluation, presets, sources
from svg_tf.evaluation import ceiling, comparison, information, positions, report, sample_scores
from svg_tf.evaluation.metrics import proper
from tests.svg_tf import tiny_models

DATA = {"digits": "uci", "canvas": 32, "num_digits": 1}
OPTIONS = evaluation.Options(n_past=4, n_future=4, n_samples=6, random_shown=0)


class Given:
    """A "model" whose samples are those of a function of (sequence numbers, steps, samples, first sample)."""

    config, deterministic, weights = tiny_models.TINY, False, ()

    def __init__(self, function):
        self.function = function

    def can(self, *capabilities):
        return False

    def generate(self, frames, n_future, n_samples=1, seed=0, *, first_sample=0, **options):
        return self.function(seed[:, 1], n_future, n_samples, first_sample)


def batch_of(**options):
    load = {"seq_len": 8, "batch_size": 16, "tensors": ("frames", *ceiling.STATES)}
    return {k: v.numpy() for k, v in next(iter(data_pipelines.load("moving_mnist", "test", **load, **DATA, **options))).items()}


def by_rules(simulator, batch, seed):
    """The simulator as a model."""

    def samples(numbers, n_future, n_samples, first):
        numbers = np.minimum(numbers, len(batch["frames"]) - 1)
        known = simulator.watch(batch["positions"][numbers, : OPTIONS.n_past], batch["digit_ids"][numbers])
        return simulator.futures(known, numbers, n_future, n_samples, first, seed).frames

    return Given(samples)


@pytest.fixture(scope="module")
def stochastic():
    return batch_of(), Simulator("test", **DATA)


@pytest.fixture(scope="module")
def finished(stochastic, tmp_path_factory):
    """Evaluations of the rules themselves and of a blank frame."""
    batch, simulator = stochastic
    out = tmp_path_factory.mktemp("ceiling")
    models = {
        "rules": by_rules(simulator, batch, OPTIONS.seed),
        "blank": Given(lambda n, steps, samples, first: np.zeros((len(n), samples, steps, 32, 32, 1), np.float32)),
    }
    top = ceiling.Ceiling(simulator, None)
    return out, {name: evaluation.evaluate(model, batch, OPTIONS, out / name, ceiling=top) for name, model in models.items()}


def test_the_simulator_stands_at_1_and_a_blank_frame_at_0(finished):
    out, reports = finished
    for metric in ("ssim", "mse"):
        assert reports["rules"]["shares"][metric]["best"] == {"mean": 1.0, "half_width": 0.0, "n": 16}
        assert reports["blank"]["shares"][metric]["best"] == {"mean": 0.0, "half_width": 0.0, "n": 16}
        rows = reports["rules"]["results"][metric]
        assert rows["simulator_best"]["all"] == rows["best"]["all"] and rows["simulator_mean"] == rows["mean"]
    assert "psnr" not in reports["rules"]["shares"] and "simulator_best" not in reports["rules"]["results"]["psnr"]
    text = (out / "rules" / "report.md").read_text()
    assert "| simulator, best of 6 | all |  |" in text and "PSNR has no useful ceiling" in text and "share in SSIM" in text
    proper_scores = reports["rules"]["proper"]
    assert proper_scores["energy"]["model"] == proper_scores["energy"]["simulator"]
    assert proper_scores["energy"]["simulator"]["mean"] < proper_scores["energy"]["blank"]["mean"]
    assert proper_scores["share_in_energy"]["mean"] == 1 and proper_scores["locating_error"] == 0
    assert proper_scores["place_energy"]["model"]["mean"] == pytest.approx(proper_scores["place_energy"]["simulator"]["mean"])


def test_comparison_shows_floor_ceiling_and_shares(finished, tmp_path):
    out, _ = finished
    result = comparison.compare({"A": out / "rules", "B": [out / "blank", out / "blank"]}, tmp_path)
    assert result["shares"]["A"]["ssim"]["mean"] == 1 and result["shares"]["B"]["ssim"]["mean"] == 0
    assert result["rows"]["simulator"]["ssim"]["mean"] == result["rows"]["A"]["ssim"]["mean"]
    assert result["proper"]["paired_differences"]["energy"][0]["mean"] < 0
    text = (tmp_path / "comparison.md").read_text()
    assert "| simulator | 6 |" in text and "energy score of positions" in text and "A − B" in text


def test_deterministic_data_have_an_exact_ceiling(tmp_path):
    batch = batch_of(deterministic=True)
    top = ceiling.Ceiling(Simulator("test", **DATA, deterministic=True), None)
    model = tiny_models.Repeater()
    result = evaluation.evaluate(model, batch, dataclasses.replace(OPTIONS, n_samples=2), tmp_path, ceiling=top)
    rows = result["results"]
    assert rows["ssim"]["simulator_mean"]["all"]["mean"] == 1 and rows["mse"]["simulator_mean"]["all"]["mean"] == 0
    assert result["proper"]["energy"]["simulator"]["mean"] == 0 and result["proper"]["place_energy"]["simulator"]["mean"] == 0
    assert result["shares"]["ssim"]["best"]["mean"] < 1


def test_data_without_states_have_no_ceiling_and_say_so(stochastic, tmp_path):
    batch, simulator = stochastic
    model, options = tiny_models.Repeater(), dataclasses.replace(OPTIONS, n_samples=2)
    for name, top in (("a", ceiling.Ceiling()), ("b", ceiling.Ceiling(simulator, None))):
        result = evaluation.evaluate(model, batch["frames"], options, tmp_path / name, ceiling=top)
        assert "shares" not in result and "simulator" not in result["proper"]["energy"]
        assert "model" in result["proper"]["calibration"]["rank"]
        assert f"No ceiling: {result['ceiling']['why_not']}." in (tmp_path / name / "report.md").read_text()
    assert json.loads((tmp_path / "b" / "report.json").read_text())["ceiling"]["why_not"].startswith("the data does not give")
    assert "no rules are known" in ceiling.of(presets.get("kth_lp"), "test").why_not


def test_rules_of_a_source():
    mini, kth = sources.of(presets.get("smmnist_mini")), sources.of(presets.get("kth_lp"))
    assert mini.rules["num_digits"] == 1 and "data_dir" not in mini.rules and kth.rules is None
    for name, variant in (("moving_mnist/srvp", "srvp"), ("moving_mnist/reference:1.0.0", "reference")):
        rules = sources.of(sources.at(presets.get("smmnist_lp"), name)).rules
        assert rules == {"variant": variant, "canvas": 64, "num_digits": 2, "digits_dir": None}
    assert sources.of(sources.at(presets.get("smmnist_lp"), "moving_mnist/own")).rules is None
    skipped = presets.get("smmnist_mini")
    skipped = dataclasses.replace(skipped, data=dataclasses.replace(skipped.data, frame_stride=2))
    assert "each frame 2" in ceiling.of(skipped, "test").why_not


def test_a_share_is_a_ratio_of_means_with_the_interval_of_its_resamples():
    rng = np.random.default_rng(0)
    floor = rng.normal(0.5, 0.05, 400)
    way = rng.gamma(4, 0.05, 400)
    model = floor + 0.6 * way + rng.normal(0, 0.05, 400)
    entry = ceiling.share(model, floor, floor + way, True)
    assert entry["mean"] == pytest.approx((model - floor).mean() / way.mean())
    rows = rng.integers(0, 400, (4000, 400))
    drawn = (model - floor)[rows].mean(axis=1) / way[rows].mean(axis=1)
    assert entry["half_width"] == pytest.approx(1.96 * drawn.std(), rel=0.08)
    assert ceiling.share(model, floor, floor + rng.normal(0, 1, 400), True)["mean"] is None
    assert ceiling.share(model, floor, floor + way, False)["mean"] is None  # a ceiling below the floor
    assert ceiling.share(-model, -floor, -floor - way, False)["mean"] == pytest.approx(entry["mean"])
    assert ceiling.share([0.6], [0.5], [0.7], True) == {"mean": pytest.approx(0.5), "half_width": None, "n": 1}


def test_the_energy_score_is_fair_and_does_not_depend_on_groups():
    rng = np.random.default_rng(1)
    truth, samples = rng.normal(size=(3, 5)), rng.normal(size=(8, 3, 5))

    def distance(a, b):
        return np.sqrt(((a - b) ** 2).mean(axis=-1))

    pairs = [distance(samples[i], samples[j]) for i in range(8) for j in range(i)]
    expected = distance(samples, truth).mean(axis=0) - 0.5 * np.mean(pairs, axis=0)
    np.testing.assert_allclose(proper.energy([proper.Group(truth, samples)]), expected, rtol=1e-5)
    # Of two distributions that differ in their scatter the true one has the smaller mean, with few samples as with many.
    truth = rng.normal(size=(20000, 2))
    values = {}
    for n in (2, 10):
        for scatter in (0.3, 1.0, 2.0):
            values[n, scatter] = proper.energy([proper.Group(truth, scatter * rng.normal(size=(n, 20000, 2)))]).mean()
        assert values[n, 1.0] < min(values[n, 0.3], values[n, 2.0])
    assert values[2, 1.0] == pytest.approx(values[10, 1.0], abs=0.02)
    groups = [proper.Group(truth[:9], rng.normal(size=(n, 9, 2))) for n in (4, 1)]
    assert np.isfinite(proper.energy(groups)).all()
    np.testing.assert_allclose(proper.energy([proper.Group(truth, 0 * truth[None])]), distance(truth, 0), rtol=1e-6)


def test_ranks_are_uniform_where_the_truth_is_one_more_sample():
    rng = np.random.default_rng(2)
    truth, count = rng.normal(size=(20000, 3)), 9
    errors = {}
    for scatter in (0.5, 1.0, 2.0):
        ranks = proper.Group(truth, scatter * rng.normal(size=(count, 20000, 3))).rank(rng.random(20000))
        assert ranks.min() >= 0 and ranks.max() <= count
        errors[scatter] = proper.calibration_error(proper.histogram(ranks, count))
    assert errors[1.0] < 0.01 < 0.2 < min(errors[0.5], errors[2.0])
    same = proper.Group(np.zeros((20000, 2)), np.zeros((count, 20000, 2))).rank(rng.random(20000))  # ties: any place
    assert proper.calibration_error(proper.histogram(same, count)) < 0.01
    assert proper.calibration_error([0, 0, 0, 1]) == pytest.approx(0.5)


@pytest.mark.parametrize("digits", [1, 2])
def test_digits_are_found_where_they_are(digits):
    options = {**DATA, "canvas": 64, "num_digits": digits}
    load = {"seq_len": 3, "batch_size": 12, "tensors": ("frames", "positions", "digit_ids")}
    batch = {k: v.numpy() for k, v in next(iter(data_pipelines.load("moving_mnist", "test", **load, **options))).items()}
    images = Simulator("test", **options).digit_images(batch["digit_ids"])
    found = np.stack(
        [positions.Locator(own, 64)(frames[..., 0]) for own, frames in zip(images, batch["frames"], strict=True)]
    )
    misplaced = np.abs(found - batch["positions"]).max(axis=(2, 3))
    assert (misplaced <= digits - 1).mean() > (0.99 if digits == 1 else 0.8)  # two hide each other, and are clipped to white


def test_positions_of_a_point_and_of_samples():
    truth, future = np.zeros((1, 2, 1, 2)), np.zeros((1, 2, 16, 16, 1), np.float32)
    future[:, :, :4, :4] = 1
    places = sample_scores.Places(future, truth, truth[:, 0], np.ones((1, 1, 4, 4)))
    assert places.known and places.locating_error == 0
    point = sample_scores.of_point("copy_last", future, future, places, np.array([[[3.0, 4.0]]]))
    np.testing.assert_allclose(point["copy_last_place_energy"], 5.0)
    shifted = np.roll(future, 2, axis=3)[:, None]
    scores = sample_scores.SampleScores("model", future, 1, (0,), places)
    scores.add(shifted)
    np.testing.assert_allclose(scores.result()["model_place_energy"], 2.0)
    assert "blank_place_energy" not in sample_scores.of_point("blank", future, future, places)


def test_information_of_latents_against_that_of_the_motion():
    nats = np.zeros((2, 6))
    nats[:, 4] = math.log(10)
    shows = nats > 0
    kl = np.full((2, 5), 0.5)  # of frames 1 ... 5
    kl[:, 3] = 4.0
    entry = information.summary(kl, nats, shows, n_past=3)
    assert entry["kl"]["mean"] == pytest.approx(5 / 3) and entry["true"]["mean"] == pytest.approx(math.log(10) / 3)
    assert entry["share_of_kl_at_new_velocity"] == pytest.approx(0.8) and entry["share_of_steps"] == pytest.approx(1 / 3)
    assert entry["kl_at_new_velocity"] == 4 and entry["kl_elsewhere"] == 0.5
    said = information.sentence(entry, lambda e: report.with_interval(e, 2))
    assert "80 % of the KL fall on the 33 % of steps" in said and "a ratio of 2.17" in said
    still = information.summary(0 * kl, 0 * nats, shows & False, 3)
    assert still["ratio"] is None and "ratio" not in information.sentence(still, lambda e: "0")
