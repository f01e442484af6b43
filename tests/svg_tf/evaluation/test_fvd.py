"""FVD by convention within an evaluation, with a small stand-in network, and LPIPS's best of S, with random weights.

Tests of arithmetic: no metric is ever reported from such weights.
"""

import json

import numpy as np
import pytest
import tensorflow as tf

import svg_tf
from svg_tf import evaluation
from svg_tf.evaluation.metrics.perceptual import FVD, LPIPS, lpips_shapes


class Averages(tf.Module):
    """Clips to 400 numbers, which tell how many frames there were."""

    def __init__(self):
        self.projection = tf.constant(np.random.default_rng(2).normal(size=(3, 400)), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, None, 224, 224, 3])])
    def __call__(self, clips):
        frames = tf.cast(tf.shape(clips)[1], tf.float32)
        values = tf.stack([tf.reduce_sum(clips, [1, 2, 3, 4]) / 1e4, tf.math.reduce_std(clips, [1, 2, 3, 4])], -1)
        return tf.pad(values, [[0, 0], [0, 1]], constant_values=frames) @ self.projection


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder, random, network = tmp_path_factory.mktemp("networks"), np.random.default_rng(0), Averages()
    tf.saved_model.save(network, str(folder / "i3d"), signatures={"default": network.__call__})
    arrays = {name: random.normal(0, 0.05, shape).astype("f4") for name, shape in lpips_shapes().items()}
    np.savez(folder / "lpips.npz", **{name: abs(a) if name.startswith("lin") else a for name, a in arrays.items()})
    return {"fvd": str(folder / "i3d"), "lpips": str(folder / "lpips.npz")}


@pytest.fixture(scope="module")
def model():
    tf.keras.utils.set_random_seed(3)
    return svg_tf.SVG(svg_tf.SVGConfig(image_size=32, width=4, g_dim=8, rnn_size=8, z_dim=3, n_past=2, predictor_layers=1))


FRAMES = np.random.default_rng(4).random((9, 5, 32, 32, 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("settings", "context", "count", "resize"),
    [
        ({}, True, 5, "tf1"),
        ({"protocol": "svg", "n_samples": 2}, False, 1, "tf1"),
        ({"fvd_convention": "predicted", "fvd_draws": 3, "fvd_resize": "half_pixel"}, False, 3, "half_pixel"),
        ({"n_samples": 2}, True, 2, "tf1"),
    ],
)
def test_conventions(model, networks, tmp_path, settings, context, count, resize):
    options = evaluation.Options(**{"n_past": 2, "n_future": 3, "n_samples": 5, "random_shown": 0, **networks, **settings})
    result = evaluation.evaluate(model, FRAMES, options, tmp_path / "a", progress=lambda line: None)
    seeds = np.stack([np.zeros(9), np.arange(9)], 1).astype(np.int32)
    samples = model.generate(FRAMES[:, :2], 3, options.n_samples, seeds).numpy()
    metric = FVD(networks["fvd"], resize=resize)
    start = 0 if context else 2
    real, values = metric.features(FRAMES[:, start:5]), []
    for i in range(count):
        values.append(metric.distance(real, metric.features(np.concatenate([FRAMES[:, start:2], samples[:, i]], 1))))
    entry = result["fvd"]
    np.testing.assert_allclose(entry["draws"], values, rtol=1e-3)
    assert entry["value"] == pytest.approx(np.mean(values), rel=1e-3)
    half = 1.96 * np.std(values, ddof=1) / np.sqrt(count) if count > 1 else None
    assert entry["half_width"] == (pytest.approx(half, rel=1e-2) if half else None)
    stated = [entry[name] for name in ("context_included", "frames", "n", "resize", "range", "biased")]
    assert stated == [context, 5 - start, 9, resize, [-1, 1], True]
    text = (tmp_path / "a" / "report.md").read_text()
    assert f"convention `{entry['convention']}`: {'context frames included' if context else 'predicted frames only'}" in text
    assert ("±" in text.split("FVD: ")[1].split("(")[0]) == (count > 1)
    assert json.loads((tmp_path / "a" / "report.json").read_text())["fvd"] == entry
    lpips = LPIPS(networks["lpips"])(np.repeat(FRAMES[:, None, 2:], options.n_samples, 1), samples).numpy()
    best = result["results"]["lpips"]["best"]["all"]
    assert best["mean"] == pytest.approx(lpips.mean(2).min(1).mean(), rel=1e-4)  # the best of each sequence, by its mean


def test_what_is_refused(model, networks, tmp_path, monkeypatch):
    for setting, message in (
        ({"fvd_convention": "savp"}, "fvd_convention must be one of"),
        ({"fvd_draws": 21}, r"fvd_draws must be an integer in \[1, 20\], got 21"),
        ({"fvd_resize": "cubic"}, "resize must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            options = evaluation.Options(n_past=2, n_future=3, fvd=networks["fvd"], **setting)
            evaluation.evaluate(model, FRAMES, options, tmp_path / "a")
    options = evaluation.Options(n_past=2, n_future=3, fvd=networks["fvd"], fvd_convention="predicted")
    network = FVD(networks["fvd"])
    network.least_frames = 9
    monkeypatch.setattr("svg_tf.evaluation.metrics.perceptual.FVD", lambda *_: network)
    with pytest.raises(ValueError, match="takes clips of 3 frames here; I3D needs at least 9"):
        evaluation.evaluate(model, FRAMES, options, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_module_of_tf_hub_as_it_is(tmp_path):
    """Two graphs, the one for inference without tags, with a signature "default"."""
    v1 = tf.compat.v1
    builder = v1.saved_model.Builder(str(tmp_path / "hub"))
    for tags in ([], ["train"]):
        with tf.Graph().as_default(), v1.Session() as session:
            clips = v1.placeholder(tf.float32, [None, None, 224, 224, 3])
            scale = v1.get_variable("scale", initializer=np.full((3, 400), 2.0 if tags else 1.0, np.float32))
            logits = tf.reduce_mean(clips, [1, 2, 3]) @ scale
            signature = v1.saved_model.predict_signature_def({"rgb_input": clips}, {"default": logits})
            session.run(v1.global_variables_initializer())
            arguments = {"signature_def_map": {"default": signature}}
            if tags:
                builder.add_meta_graph(tags, **arguments)
            else:
                builder.add_meta_graph_and_variables(session, tags, **arguments)
    builder.save()
    (tmp_path / "hub" / "tfhub_module.pb").write_bytes(b"\x08\x03")
    features = FVD(tmp_path / "hub").features(np.full((2, 3, 16, 16, 1), 0.75, np.float32))
    np.testing.assert_allclose(features, np.full((2, 400), 1.5), rtol=1e-5)
