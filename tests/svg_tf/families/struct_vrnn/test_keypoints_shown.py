"""What shows keypoints: figures, TensorBoard, reports, exports and `svg-tf predict`, with one tiny model."""

import csv
import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import cli, evaluation, markers
from svg_tf.evaluation import comparison, figures
from svg_tf.evaluation.metrics import frame, tracks
from svg_tf.families.struct_vrnn.config import StructVRNNConfig
from svg_tf.families.struct_vrnn.model import StructVRNN
from svg_tf.training.callbacks import video
from tests.svg_tf.tiny_models import Repeater, frames_of

TINY = StructVRNNConfig(
    image_size=32, n_past=2, n_keypoints=3, width=2, layers_per_scale=1, rnn_size=6, hidden_size=5, z_dim=3, belief_samples=2
)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return StructVRNN(TINY)


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_figure(model, tmp_path):
    x, positions = frames_of(6, 5), np.random.default_rng(3).random((6, 5, 1, 2))
    result = figures.keypoint_figure(model, x, tmp_path, n_past=2, n_samples=3, seed=4, positions=positions, shown=2)
    assert set(result["files"]) == {"keypoints/animation", "keypoints/0", "keypoints/1"}
    assert all(path.is_file() for path in result["files"].values())
    expected = tracks.linear_fit(model.keypoints(x), positions)
    assert result["positions"]["r2"] == pytest.approx(expected.r2, rel=1e-3)
    stored = json.loads((tmp_path / "keypoints.json").read_text())
    assert stored["positions"] == result["positions"] and stored["n_sequences"] == 6
    rows = read(tmp_path / "keypoints.csv")
    assert list(rows[0]) == ["sequence", "frames", "t", "keypoint", "x", "y", "mu"]
    assert len(rows) == 2 * (5 + 3 * 3) * 3
    predicted = model.predict_keypoints(x[:2, :2], 3, 3, seed=4).numpy()
    row = next(r for r in rows if (r["sequence"], r["frames"], r["t"], r["keypoint"]) == ("1", "2", "4", "1"))
    np.testing.assert_allclose([float(row[name]) for name in ("x", "y", "mu")], predicted[1, 2, 2, 1], atol=2e-5)
    figure = figures.of(model)["keypoints"]
    said = figure.say(result)
    assert said.startswith("R² ") and "on 3 sequences" in said
    assert "not known" in figure.say({"n_sequences": 4})
    with pytest.raises(ValueError, match="This figure: keypoints cannot be had"):
        figures.keypoint_figure(StructVRNN(dataclasses.replace(TINY, code="unstructured")), x, tmp_path, n_past=2)


def test_the_video_in_tensorboard(model, tmp_path):
    x = frames_of(2, 5)
    tiles = video.keypoint_grid(model, x, 2, 3, seed=1)
    side = 32 * markers.enlargement(32)
    assert tiles.dtype == np.uint8 and tiles.shape[0] == 5 and tiles.shape[1] > 3 * side and tiles.shape[2] > 2 * side
    callback = video.VideoSummary(tmp_path, x, n_past=2, n_samples=2)
    callback.set_model(model)
    callback.on_epoch_end(0)
    events = [event for path in (tmp_path / "videos").iterdir() for event in tf.compat.v1.train.summary_iterator(str(path))]
    assert {v.tag for event in events for v in event.summary.value} == {"samples/validation", "keypoints/validation"}


def test_reports_say_what_the_renderer_alone_reaches(model, tmp_path):
    x = frames_of(3, 5)
    options = evaluation.Options(n_past=2, n_future=3, n_samples=2, random_shown=0)
    result = evaluation.evaluate(model, x, options, tmp_path / "a", progress=lambda line: None)
    redrawn = frame.psnr(x[:, 2:], model.redraw(x)[:, 1:]).numpy().mean()
    assert result["results"]["psnr"]["redrawn"]["all"]["mean"] == pytest.approx(redrawn, rel=1e-5)
    assert set(result["bound"]["terms"]) == {"mse", "keypoints", "kl"} and "nats" not in result["bound"]
    assert "| true frames redrawn from their codes | all |" in (tmp_path / "a" / "report.md").read_text(encoding="utf-8")
    other = Repeater()
    other.config = TINY
    plain = evaluation.evaluate(other, x, options, tmp_path / "b", progress=lambda line: None)
    assert "redrawn" not in plain["results"]["psnr"]
    compared = comparison.compare({"ours": tmp_path / "a", "copy": tmp_path / "b"}, tmp_path / "c")
    ceiling = compared["rows"]["ours: true frames redrawn from their codes"]
    assert ceiling["psnr"]["mean"] == pytest.approx(redrawn, rel=1e-5)
    assert "copy: true frames redrawn from their codes" not in compared["rows"]


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    pytest.importorskip("tensorflow_serving")
    from svg_tf.serving import export, limits

    path = tmp_path_factory.mktemp("exports") / "points"
    return export.export(model, path, n_future=3, n_samples=2, limits=limits.Limits(max_samples=8))


def test_exported_keypoints_equal_the_model_s_and_the_cpp_loader_answers(model, exported):
    from svg_tf.serving import client, cpp

    pixels = np.random.default_rng(2).integers(0, 256, (4, 32, 32, 1), np.uint8)
    x = pixels.astype(np.float32)[None] / 255
    with client.connect(exported) as served:
        assert {"keypoints", "predict_keypoints"} <= set(served.inputs)
        found = client.predict_keypoints(served, pixels, seed=(5, 1))
        np.testing.assert_allclose(found.context, model.keypoints(x)[0], atol=1e-5)
        seeds = np.array([[5, 1]], np.int32)
        np.testing.assert_allclose(found.futures, model.predict_keypoints(x, 3, 2, seed=seeds)[0], atol=1e-5)
        single = served.call("keypoints", {"frames": pixels[None, :1]})["keypoints"]
        np.testing.assert_allclose(single[0, 0], found.context[0], atol=1e-5)
    assert cpp.faults(exported, (32, 32, 1), 2) == []
    card = (exported / "assets.extra" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| keypoints | frames uint8 [B, T, 32, 32, 1] | keypoints float32 [B, T, K, 3], K = 3:" in card


def test_predict_writes_keypoints_on_request(model, exported, tmp_path, capsys):
    clip = tmp_path / "clip.npz"
    np.savez(clip, frames=np.random.default_rng(2).integers(0, 256, (3, 32, 32, 1), np.uint8))
    arguments = ["predict", "--input", str(clip), "--model", str(exported), "--n-future", "4", "--n-samples", "2"]
    assert cli.main([*arguments, "--out", str(tmp_path / "plain.gif")]) == 0
    assert not (tmp_path / "plain.keypoints.csv").exists()
    assert cli.main([*arguments, "--out", str(tmp_path / "both.gif"), "--keypoints"]) == 0
    assert str(tmp_path / "both.keypoints.csv") in capsys.readouterr().out
    rows = read(tmp_path / "both.keypoints.csv")
    assert list(rows[0]) == ["frames", "t", "keypoint", "x", "y", "mu"]
    assert [sum(row["frames"] == name for row in rows) for name in ("context", "0", "1")] == [9, 12, 12]
    assert [row["t"] for row in rows if row["frames"] == "1"][::3] == ["3", "4", "5", "6"]


def test_a_model_without_keypoints_is_refused_before_anything_is_written(tmp_path, capsys, monkeypatch):
    from svg_tf.serving import client
    from svg_tf.serving.remote import Model, Spec

    class Plain(Model):
        name = "plain"
        inputs = {"serving_default": {"frames": Spec(np.dtype("uint8"), (None, None, 32, 32, 1))}}
        outputs = {"serving_default": {"frames": Spec(np.dtype("uint8"), (None, 2, 3, 32, 32, 1))}}

    monkeypatch.setattr(client, "connect", lambda *arguments, **options: Plain())
    clip, out = tmp_path / "clip.npz", tmp_path / "out.gif"
    np.savez(clip, frames=np.zeros((3, 32, 32, 1), np.uint8))
    assert cli.main(["predict", "--input", str(clip), "--model", str(tmp_path), "--out", str(out), "--keypoints"]) == 2
    assert "--keypoints: the model plain shows none" in capsys.readouterr().err and not out.exists()
    with pytest.raises(ValueError, match="The model shows no keypoints"):
        client.predict_keypoints(Plain(), np.zeros((3, 32, 32, 1), np.uint8))
