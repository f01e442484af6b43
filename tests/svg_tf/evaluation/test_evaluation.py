"""Evaluation: the numbers, independence of batch sizes, interruption, refusals."""

import dataclasses
import io
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from PIL import Image

import svg_tf
from data_pipelines import files
from svg_tf import evaluation, visualization
from svg_tf.evaluation import comparison, report, scoring
from svg_tf.evaluation.metrics import frame, video
from tests.svg_tf import tiny_models

OPTIONS = evaluation.Options(n_past=2, n_future=3, n_samples=4, random_shown=1)


def tiny(prior="learned"):
    tf.keras.utils.set_random_seed(3)
    return svg_tf.SVG(
        svg_tf.SVGConfig(prior=prior, image_size=32, width=4, g_dim=8, rnn_size=8, z_dim=3, n_past=2, predictor_layers=1)
    )


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def frames():
    """float32 [11, 6, 32, 32, 1]: a square that moves, but for sequences 1 and 9."""
    out = np.zeros((11, 6, 32, 32, 1), np.float32)
    for n in range(11):
        for t in range(6):
            x = 3 + (0 if n in (1, 9) else 2 * t)
            out[n, t, 4 + n : 12 + n, x : x + 8] = 0.5 + 0.04 * n
    return out


@pytest.fixture(scope="module")
def finished(model, frames, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluation") / "a"
    lines = []
    result = evaluation.evaluate(model, frames, OPTIONS, out, horizon=5, description={"data": "squares"}, progress=lines.append)
    return out, result, lines


def in_batches(frames, size):
    return tf.data.Dataset.from_tensor_slices({"frames": frames}).batch(size)


def test_numbers_are_those_of_the_definition(model, frames, finished):
    out, result, lines = finished
    assert len(lines) == 2
    assert lines[-1].startswith("11/11 sequences")
    best, seeds = [], np.stack([np.zeros(11), np.arange(11)], 1).astype(np.int32)
    samples = model.generate(frames[:, :2], 3, 4, seeds).numpy()
    for metric, function in (("psnr", frame.psnr), ("ssim", frame.ssim), ("mse", frame.mse)):
        scores = function(frames[:, None, 2:5], samples).numpy()
        best, _ = video.best_of(scores, metric != "mse")
        mean, half = video.mean_interval(best.mean(1))
        entry = result["results"][metric]["best"]["all"]
        np.testing.assert_allclose([entry["mean"], entry["half_width"]], [mean, half], rtol=1e-4)
        np.testing.assert_allclose(entry["per_step"]["mean"], best.mean(0), rtol=1e-4)
        assert entry["n"] == 11
        assert entry["per_step"]["t"] == [2, 3, 4]
        np.testing.assert_allclose(result["results"][metric]["mean"]["all"]["mean"], scores.mean(), rtol=1e-4)
    moving = [n for n in range(11) if n not in (1, 9)]
    copied = frame.psnr(frames[moving, 1:2], frames[moving, 2:5]).numpy().mean()
    assert result["n_moving"] == 9
    assert set(result["results"]["psnr"]["copy_last"]) == {"moving"}
    assert result["results"]["psnr"]["copy_last"]["moving"]["mean"] == pytest.approx(copied, rel=1e-5)
    blank = frame.ssim(np.zeros((11, 3, 32, 32, 1), np.float32), frames[:, 2:5]).numpy().mean()
    assert result["results"]["ssim"]["blank"]["all"]["mean"] == pytest.approx(blank, rel=1e-5)
    bound = model.bound(frames[:, :5], seeds)
    assert set(result["bound"]["terms"]) == set(bound.terms) == {"mse", "kl", "objective"}
    for name, values in bound.terms.items():
        assert result["bound"]["terms"][name]["mean"] == pytest.approx(np.mean(values), rel=1e-4, abs=1e-7)
    assert result["bound"]["nats"]["mean"] == pytest.approx(np.mean(bound.nats), rel=1e-4)
    assert result["diversity"]["mean"] == pytest.approx(video.diversity(samples).mean(), rel=1e-3)
    assert "lpips" not in result["results"]
    assert "fvd" not in result


def test_nats_are_those_of_the_observation(model, frames, finished):
    """The report's bound against the log-probability of a normal distribution, and 1 / beta as the slope of the objective."""
    bound, beta = finished[1]["bound"], model.config.beta
    assert bound["n_frames"] == 4
    variance, pixels = beta * 32 * 32 / 2, 32 * 32
    normal = tfp.distributions.Normal(np.float64(0), np.sqrt(variance))
    # With an error of the mean square mse in each pixel, log p(x) = pixels * log N(sqrt(mse); 0, variance).
    seeds = np.stack([np.zeros(11), np.arange(11)], 1).astype(np.int32)
    terms = model.bound(frames[:, :5], seeds).terms
    mse, kl = (np.asarray(terms[name], np.float64) for name in ("mse", "kl"))
    expected = (kl - pixels * normal.log_prob(np.sqrt(mse)).numpy()).sum(axis=1)
    assert bound["nats"]["mean"] == pytest.approx(expected.mean(), rel=1e-5)
    assert bound["nats_per_frame"]["mean"] == pytest.approx(expected.mean() / 4, rel=1e-5)
    constant = pixels / 2 * np.log(2 * np.pi * variance)
    objective = bound["terms"]["objective"]["mean"]
    assert bound["nats_per_frame"]["mean"] - constant == pytest.approx(objective / beta, rel=1e-4)


def test_shown_sequences_are_the_best_and_the_worst(frames, tmp_path):
    """best.gif, worst.gif and the row "best sample" against scores computed here, of a model whose samples differ much."""
    model, out = tiny_models.Repeater(), tmp_path
    result = evaluation.evaluate(model, frames, OPTIONS, out)
    samples = model.generate(frames[:, :2], 3, 4)
    scores = frame.psnr(frames[:, None, 2:5], samples).numpy().mean(-1)
    shown = {entry["file"]: entry for entry in result["shown"]}
    for file, b in (("best.gif", scores.max(1).argmax()), ("worst.gif", scores.max(1).argmin())):
        assert shown[file]["sequence"] == b
        assert shown[file]["samples"][0] == scores[b].argmax()
        rows = [("truth", frames[b, :5])]
        labels = ["best sample", *(f"sample {s}" for s in shown[file]["samples"][1:])]
        for label, s in zip(labels, shown[file]["samples"], strict=True):
            rows.append((label, np.concatenate([frames[b, :2], samples[b, s]])))
        expected = visualization.encode_gif(visualization.grid([rows], 2), 6)
        with Image.open(out / file) as drawn, Image.open(io.BytesIO(expected)) as wanted:
            for t in range(5):
                drawn.seek(t), wanted.seek(t)
                difference = np.abs(np.asarray(drawn.convert("RGB"), int) - np.asarray(wanted.convert("RGB"), int))
                assert difference.mean() < 0.5, (file, t)
    assert scores.max(1).max() - scores.max(1).min() > 0.5 and np.ptp(scores, axis=1).min() > 0.01  # they differ


def test_a_model_that_can_only_predict_is_evaluated_and_compared(frames, tmp_path):
    for name, shift in (("a", 0.0), ("b", 0.25)):
        result = evaluation.evaluate(tiny_models.Repeater(shift), frames[:3], OPTIONS, tmp_path / name)
        assert "bound" not in result and result["drawn_samples"] == 4
        assert "posterior" not in (tmp_path / name / "report.md").read_text()
    result = comparison.compare({"a": tmp_path / "a", "b": tmp_path / "b"}, tmp_path / "c")
    assert result["paired_differences"][0]["mse"]["mean"] < 0


def test_files(finished):
    out, result, _ = finished
    assert json.loads((out / "report.json").read_text()) == result
    text = (out / "report.md").read_text()
    assert "protocol `srvp`" in text
    for row in ("best of 4", "mean over samples", "copy of the last frame", "blank frame"):
        assert row in text
    assert Image.open(out / "curves.png").size[0] > 600
    assert {s["file"] for s in result["shown"]} == {"best.gif", "worst.gif", "random-1.gif"}
    for shown in result["shown"]:
        assert Image.open(out / shown["file"]).n_frames == 5
    assert not (out / "unfinished").exists()
    assert result["options"] == dataclasses.asdict(OPTIONS)


def test_batch_size_changes_nothing(model, frames, finished, tmp_path):
    result = evaluation.evaluate(
        model, in_batches(frames, 3), OPTIONS, tmp_path / "b", horizon=5, description={"data": "squares"}
    )
    assert result == finished[1]


def test_interrupted_evaluation_continues(model, frames, finished, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def kill(line):
        raise Killed

    arguments = {"horizon": 5, "description": {"data": "squares"}}
    with pytest.raises(Killed):
        evaluation.evaluate(model, frames, OPTIONS, tmp_path, progress=kill, **arguments)
    assert not (tmp_path / "report.json").exists()
    with pytest.raises(ValueError, match="unfinished evaluation of another"):
        evaluation.evaluate(model, frames, dataclasses.replace(OPTIONS, seed=1), tmp_path, **arguments)
    with pytest.raises(ValueError, match="data has changed"):
        evaluation.evaluate(model, frames[::-1], OPTIONS, tmp_path, **arguments)
    scored = []
    score = scoring.score
    monkeypatch.setattr(
        scoring, "score", lambda model, chunk, *rest: scored.append(chunk.number) or score(model, chunk, *rest)
    )
    assert evaluation.evaluate(model, frames, OPTIONS, tmp_path, **arguments) == finished[1]
    assert scored == [1]
    with pytest.raises(ValueError, match="complete"):
        evaluation.evaluate(model, frames, OPTIONS, tmp_path, **arguments)


def test_velocities_say_what_stands_still(model, frames, tmp_path):
    velocities = np.ones((11, 6, 2, 2), np.float32)
    velocities[4, :, 1] = 0  # one of two digits
    batches = [{"frames": frames, "velocities": velocities}]
    options = dataclasses.replace(OPTIONS, sequences=5, n_samples=1, random_shown=0)
    result = evaluation.evaluate(model, batches, options, tmp_path)
    assert (result["n_sequences"], result["n_moving"]) == (5, 4)
    assert "diversity" not in result


def test_deterministic_model_has_one_sample(frames, tmp_path):
    result = evaluation.evaluate(tiny("none"), frames[:3], OPTIONS, tmp_path)
    assert result["drawn_samples"] == 1
    assert result["results"]["psnr"]["best"] == result["results"]["psnr"]["mean"]
    assert "nats" not in result["bound"]
    assert result["bound"]["terms"]["kl"]["mean"] == 0


def test_what_does_not_fit_is_refused_before_work(model, frames, tmp_path):
    def refused(match, data=frames, options=OPTIONS, **changes):
        with pytest.raises(ValueError, match=match):
            evaluation.evaluate(model, data, dataclasses.replace(options, **changes), tmp_path / "new")
        assert not (tmp_path / "new").exists()

    refused(r"n_past \+ n_future = 7", n_future=5)
    refused(r"32, 32, 1", data=frames[:, :, :16])
    refused(r"\[0, 1\]", data=frames * 3)
    refused("read once", data=iter([{"frames": frames}]))
    refused("frames", data=[frames])
    refused("not found", lpips=str(tmp_path / "absent.npz"))
    refused("SavedModel", fvd=str(tmp_path))
    for field, value in (("n_samples", 0), ("n_past", 0), ("protocol", "finn"), ("seed", -1), ("sequences", 0), ("fps", 0)):
        with pytest.raises(ValueError, match=field):
            dataclasses.replace(OPTIONS, **{field: value})


def test_reading_what_is_no_report(finished, tmp_path):
    result, scores = report.read(finished[0])
    assert result == finished[1]
    assert scores["best_psnr"].shape == (11, 3)
    with pytest.raises(ValueError, match="no finished evaluation"):
        report.read(tmp_path)
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        report.read(tmp_path)


def test_reports_of_0_1_0_are_read(tmp_path):
    shipped = pathlib.Path(__file__).resolve().parents[3] / "saved_models" / "smmnist_mini" / "run" / "evaluation"
    before = json.loads((shipped / "report.json").read_text())
    if before["format"] != 1:
        pytest.skip("the shipped report is of this version")
    result, _ = report.read(shipped)
    assert result["format"] == report.FORMAT
    assert result["results"] == before["results"]
    assert result["bound"]["terms"]["kl"] == before["negative_elbo"]["kl_nats"]
    assert "-202.7 ± 1.3 nats a frame" in report.markdown(result)
    assert result["options"]["lpips"] is None
    compared = comparison.compare({"a": shipped, "b": [shipped]}, tmp_path)
    assert compared["paired_differences"][0]["psnr"]["mean"] == 0
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "report.json").write_text(json.dumps(before | {"format": 99}))
    with pytest.raises(ValueError, match="format 99, expected 2"):
        report.read(tmp_path / "old")


def test_one_process_at_a_time_and_no_output_over_an_input(model, frames, tmp_path):
    message = r"evaluates into .*held now: process \d+"
    with files.locked(tmp_path / "held", "evaluates into"), pytest.raises(files.InUseError, match=message):
        evaluation.evaluate(model, frames, OPTIONS, tmp_path / "held")
    with pytest.raises(ValueError, match="which is read"):
        evaluation.evaluate(model, frames, dataclasses.replace(OPTIONS, fvd=str(tmp_path / "held")), tmp_path / "held")
    with pytest.raises(ValueError, match="s3:// is not supported"):
        evaluation.evaluate(model, frames, OPTIONS, "s3://bucket/report")
