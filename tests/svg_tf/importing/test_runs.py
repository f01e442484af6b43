"""Imported checkpoints compute what the references' programs compute, and are runs like any other."""

import json

import numpy as np
import pytest
import tensorflow as tf

from svg_tf import cli, noise, training
from svg_tf.importing import runs
from tests.svg_tf.importing import numpy_torch
from tests.svg_tf.importing.reference_files import SRVP_OPTIONS, srvp_arrays, svg_arrays, svg_file
from tests.svg_tf.importing.torch_writer import Call, Global, Object, legacy_bytes, zip_bytes


def written(path, value, make=zip_bytes):
    path.write_bytes(make(value))
    return path


def draws(monkeypatch, values):
    """All noise of the model: values float [steps, B, size]."""
    monkeypatch.setattr(noise, "of_sequences", lambda *_: tf.constant(values, tf.float32))
    monkeypatch.setattr(noise, "normal_per_seed", lambda *_: tf.constant(values.transpose(1, 0, 2), tf.float32))


def loaded(run):
    model, experiment, step = training.load_finished_run(run)
    assert step == experiment.train.steps
    return model, experiment


# ---- SVG


@pytest.mark.parametrize(
    ("backbone", "channels", "make", "skips"),
    [("dcgan", 1, zip_bytes, "second_last_context"), ("vgg", 3, legacy_bytes, "last_context")],
)
def test_svg_computes_what_the_reference_does(backbone, channels, make, skips, tmp_path, monkeypatch):
    arrays = svg_arrays(backbone, channels)
    value = svg_file(arrays, {"channels": channels}, source=make is legacy_bytes)
    run = tmp_path / "run"
    done = runs.import_run(written(tmp_path / "model.pth", value, make), run, skips=skips)
    model, experiment = loaded(run)
    assert (experiment.model.skips, experiment.model.n_past, experiment.train.steps) == (skips, 3, 12)
    assert (experiment.model.bias_before_norm, experiment.model.batch_statistics) == (True, "per_step")
    assert (experiment.data.name, experiment.eval.n_future, done.facts["file"]) == ("moving_mnist", 4, "model.pth")
    random = np.random.default_rng(5)
    frames, eps = random.random((2, 5, 64, 64, channels)).astype("f4"), random.normal(size=(4, 2, 3)).astype("f4")
    last = {"second_last_context": 1, "last_context": 2}[skips]
    net = {"dcgan": numpy_torch.Dcgan64, "vgg": numpy_torch.Vgg64}[backbone]()
    h, mu, x_hat = numpy_torch.svg_teacher_forced(net, arrays, frames, eps, last)
    np.testing.assert_allclose(model.encode(model.time_major(tf.constant(frames)))[0], h, atol=1e-5)
    draws(monkeypatch, eps)
    np.testing.assert_allclose(model.reconstruct(frames), x_hat, atol=1e-5)
    q = model.latent.infer(tf.constant(h, tf.float32)).q
    np.testing.assert_allclose(q.mean(), mu, atol=1e-5)


REFERENCES = ["svg_lp_dcgan64", "svg_lp_dcgan64_legacy", "svg_fp_dcgan64", "svg_lp_vgg64_rgb"]


@pytest.mark.parametrize("skips", ["last_context", "second_last_context"])
@pytest.mark.parametrize("name", REFERENCES)
def test_svg_reference_checkpoints(name, skips, reference, tmp_path, monkeypatch):
    """Encodings, posteriors, priors, losses, reconstructions and generated frames of PyTorch."""
    runs.import_run(reference / f"{name}.pth", tmp_path / "run", skips=skips)
    model, experiment = loaded(tmp_path / "run")
    answers, n_past = np.load(reference / f"{name}.npz"), experiment.model.n_past
    frames, eps = answers["frames"], answers["eps"]
    h, maps = model.encode(model.time_major(tf.constant(frames)))
    np.testing.assert_allclose(h, answers["h"], atol=1e-5)
    sums = [np.asarray(m, np.float64).reshape(frames.shape[1], -1).sum(1) for m in maps]
    np.testing.assert_allclose(np.stack(sums, 1), answers["skip_sums"], rtol=1e-5)
    inferred = model.latent.infer(h)
    np.testing.assert_allclose(inferred.q.mean(), answers["mu"], atol=1e-5)
    np.testing.assert_allclose(2 * np.log(inferred.q.stddev()), answers["logvar"], atol=1e-5)
    mean, log_variance = (answers[n] if n in answers else 0.0 * answers["mu"] for n in ("mu_p", "logvar_p"))
    np.testing.assert_allclose(inferred.p.mean(), mean, atol=1e-5)
    np.testing.assert_allclose(2 * np.log(inferred.p.stddev()), log_variance, atol=1e-5)
    draws(monkeypatch, eps)
    expected = answers[f"teacher_forced_{skips}"]
    np.testing.assert_allclose(model.reconstruct(frames), expected, atol=1e-5)
    generated = model.generate(frames[:, :n_past], frames.shape[1] - n_past)
    np.testing.assert_allclose(generated[:, 0], answers[f"generated_{skips}"], atol=1e-5)
    terms = model.bound(frames).terms
    np.testing.assert_allclose(terms["mse"], ((expected - frames[:, 1:]) ** 2).mean((2, 3, 4)), rtol=1e-5, atol=1e-6)
    variance = np.exp(answers["logvar"])
    kl = (log_variance - answers["logvar"] + (variance + (answers["mu"] - mean) ** 2) / np.exp(log_variance) - 1) / 2
    np.testing.assert_allclose(terms["kl"], kl.sum(2).T, rtol=1e-4, atol=1e-5)


def test_fixed_prior_and_last_frame_skip(tmp_path):
    path = written(tmp_path / "m.pth", svg_file(svg_arrays(prior=False), {"last_frame_skip": True, "dataset": "kth"}))
    done = runs.import_run(path, tmp_path / "run")
    assert (done.experiment.model.prior, done.experiment.model.skips, done.experiment.data.name) == ("fixed", "previous", "kth")
    assert loaded(tmp_path / "run")[0].generate(np.zeros((1, 3, 64, 64, 1), "f4"), 2).shape == (1, 1, 2, 64, 64, 1)


@pytest.mark.parametrize("backbone", ["dcgan", "vgg"])
def test_128_pixels(backbone, tmp_path):
    path = written(tmp_path / "m.pth", svg_file(svg_arrays(backbone, size=128), {"dataset": "kth"}))
    done = runs.import_run(path, tmp_path / "run")
    assert (done.experiment.model.image_size, done.experiment.data.name) == (128, "kth/128")
    assert (done.experiment.model.backbone, done.experiment.model.width) == (backbone, 2)


# ---- SRVP


def test_srvp_computes_what_the_reference_does(tmp_path):
    arrays = srvp_arrays()
    path = written(tmp_path / "model.pt", arrays)
    (tmp_path / "config.json").write_text(json.dumps(SRVP_OPTIONS))
    runs.import_run(path, tmp_path / "run")
    model, experiment = loaded(tmp_path / "run")
    assert (experiment.model.nu, experiment.model.k, experiment.model.n_past, experiment.train.steps) == (0.5, 2, 3, 8000)
    assert (experiment.data.moving_mnist.variant, experiment.data.n_future) == ("srvp", 3)
    w, relu = numpy_torch.StateDict(arrays), lambda x: np.maximum(x, 0)
    frames = np.random.default_rng(3).random((1, 4, 64, 64, 1)).astype("f4")
    x = frames[0].astype(np.float64).transpose(0, 3, 1, 2)
    x = numpy_torch.conv2d(x, w["encoder.conv.0.0.weight"], stride=2, pad=1)
    x = np.where(x > 0, x, 0.2 * x)
    for i in (1, 2, 3):
        x = w.block(x, f"encoder.conv.{i}", stride=2, pad=1)
    h = w.block(x, "encoder.last_conv", np.tanh)[:, :, 0, 0]

    def mlp(x, name):
        for i in range(3):
            x = w.linear(relu(x) if i else x, f"{name}.module.{i}.{int(i > 0)}")
        return x

    content = np.tanh(w.linear(relu(w.linear(h[:2], "w_proj.0")).sum(0, keepdims=True), "w_inf.0"))
    y = mlp(h[:2].reshape(1, -1), "q_y")[:, :4]
    state, z = (np.zeros((1, 5)), np.zeros((1, 5))), None
    for now in h[:2]:
        state = w.cell(now[None], state, "inf_z", "_l0")
        z = w.linear(state[0], "q_z")[:, :3]
    y = y + mlp(np.concatenate([y, z], 1), "dynamics")
    d = w.up(np.concatenate([content, y], 1)[:, :, None, None], "decoder.first_upconv")
    for i in range(3):
        d = w.up(d, f"decoder.conv.{i}", stride=2, pad=1)
    x_2 = numpy_torch.sigmoid(numpy_torch.conv_transpose2d(d, w["decoder.conv.3.weight"], stride=2, pad=1))
    got_h, got_content, _ = model.encode_context(model.time_major(tf.constant(frames)), 2, "running")
    np.testing.assert_allclose(got_h[:, 0], h, atol=1e-5)
    np.testing.assert_allclose(model.content(got_content), content, atol=1e-5)
    np.testing.assert_allclose(model.reconstruct(frames[:, :2], use_mean=True)[0, 0], x_2[0].transpose(1, 2, 0), atol=1e-5)
    prior = model.prior_z(tf.constant(y, tf.float32))
    np.testing.assert_allclose(prior.mean(), mlp(y, "p_z")[:, :3], atol=1e-5)


@pytest.mark.parametrize("name", ["srvp_dcgan64", "srvp_vgg64_skips"])
def test_srvp_reference_checkpoints(name, reference, tmp_path, monkeypatch):
    runs.import_run(reference / f"{name}.pt", tmp_path / "run")
    model, experiment = loaded(tmp_path / "run")
    answers, c = np.load(reference / f"{name}.npz"), experiment.model
    frames, eps_z = answers["frames"], answers["eps_z"]
    n_cond, future = frames.shape[1], answers["x_rate1"].shape[1] - frames.shape[1]
    h, h_content, _ = model.encode_context(model.time_major(tf.constant(frames)), n_cond, "running")
    np.testing.assert_allclose(model.content(h_content), answers["w"], atol=1e-5)
    np.testing.assert_allclose(model.first_state(tf.concat(tf.unstack(h[: c.k]), -1)), answers["q_y"], atol=1e-5)
    np.testing.assert_allclose(model.posterior_z(h).mean(), answers["q_z"][..., : c.z_dim], atol=1e-5)
    np.testing.assert_allclose(model.prior(answers["y_rate1"][:-1]), answers["p_z"], atol=1e-5)
    values = np.zeros((1 + len(eps_z), 2, max(c.y_dim, c.z_dim)))
    values[0, :, : c.y_dim], values[1:, :, : c.z_dim] = answers["eps_y"], eps_z
    draws(monkeypatch, values)
    for rate in (1, 2):
        generated = model.generate(frames, future, frame_rate=rate)[:, 0]
        np.testing.assert_allclose(generated, answers[f"x_rate{rate}"][:, (n_cond - 1) * rate + 1 :], atol=1e-5)
    draws(monkeypatch, values[:n_cond])
    np.testing.assert_allclose(model.reconstruct(frames), answers["x_rate1"][:, 1:n_cond], atol=1e-5)


# ---- a run like any other, and what is refused


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A run that the command made, with digits that need no download."""
    folder = tmp_path_factory.mktemp("imported")
    path, run = written(folder / "model.pth", svg_file(svg_arrays())), folder / "run"
    assert cli.main(["import", str(path), "--out", str(run)]) == 0
    config = json.loads((run / "config.json").read_text())
    config["config"]["data"]["moving_mnist"]["digits"] = "uci"
    (run / "config.json").write_text(json.dumps(config))
    return run


def test_generate_from_an_imported_run(imported, tmp_path, capsys):
    facts = json.loads((imported / runs.SOURCE).read_text())
    assert (facts["family"], facts["container"], len(facts["sha256"])) == ("svg", "zip", 64)
    out = tmp_path / "a.gif"
    assert cli.main(["generate", str(imported), "--out", str(out), "--n-samples", "2", "--sequences", "1"]) == 0
    assert out.is_file()
    assert cli.main(["import", str(imported.parent / "model.pth"), "--out", str(imported)]) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_evaluate_an_imported_run(imported, tmp_path):
    sizes = ["--sequences", "2", "--n-samples", "2", "--n-future", "2"]
    assert cli.main(["evaluate", str(imported), "--out", str(tmp_path / "evaluation"), *sizes]) == 0


def test_export_an_imported_run(imported, tmp_path):
    assert cli.main(["export", str(imported), "--out", str(tmp_path / "exported"), "--no-warmup", "--n-samples", "2"]) == 0


def _without(name):
    return {key: value for key, value in svg_arrays().items() if key != name}


def _changed(name, array):
    return svg_arrays() | {name: np.asarray(array, "f4")}


REFUSED = {
    "another file": (lambda: {"weights": np.zeros(3, "f4")}, "SRVP's state dict nor SVG's modules, but 1 entries: weights"),
    "a list": (lambda: [1, 2], "but a list"),
    "a layer too few": (lambda: svg_file(_without("decoder.upc3.main.0.weight")), r"no decoder\.upc3\.main\.0\.weight"),
    "an array too many": (lambda: svg_file(_changed("encoder.extra.weight", [1.0])), r"no place for: encoder\.extra\.weight"),
    "another width in one layer": (
        lambda: svg_file(_changed("encoder.c2.main.0.bias", np.zeros(7))),
        r"encoder\.c2\.main\.0\.bias must have shape \(4,\) beside the other arrays, got \(7,\)",
    ),
    "a value that is not finite": (lambda: svg_file(_changed("posterior.embed.bias", [np.nan] * 5)), "not finite"),
    "whole numbers": (lambda: svg_file(svg_arrays() | {"posterior.embed.bias": np.zeros(5, "i8")}), "floats of 1 dim"),
    "biases of two lengths": (
        lambda: svg_file(_changed("prior.lstm.0.bias_hh", np.zeros(3))),
        r"prior\.lstm\.0\.bias_hh must have shape \(20,\)",
    ),
    "options that contradict the arrays": (lambda: svg_file(svg_arrays(), {"z_dim": 11}), "z_dim is 11, its arrays say 3"),
    "another backbone in the options": (lambda: svg_file(svg_arrays(), {"model": "vgg"}), "model is 'vgg'"),
    "no n_past": (lambda: svg_file(svg_arrays(), {"n_past": None}), "n_past must be an integer in .*, got None"),
    "one context frame": (lambda: svg_file(svg_arrays(), {"n_past": 1}), "needs n_past >= 2"),
    "a first layer of a huge model": (
        lambda: svg_file(_changed("encoder.c1.main.0.weight", np.zeros((100_000, 1, 4, 4)))),
        r"encoder\.c1\.main\.1\.weight must have shape \(100000,\)|c1\.main\.0\.bias must have shape \(100000,\)",
    ),
    "a small model of three levels": (
        lambda: svg_file({name: a for name, a in svg_arrays().items() if not name.startswith("encoder.c4")}),
        "encoder has 3 levels",
    ),
    "epochs without end": (lambda: svg_file(svg_arrays(), {"niter": 1 << 70}), r"niter must be an integer in \[1, 9999\]"),
    "a rate that is no number": (lambda: svg_file(svg_arrays(), {"lr": float("inf")}), "lr must be a finite number"),
    "a size that is an array": (lambda: svg_file(svg_arrays(), {"z_dim": np.zeros(2, "f4")}), "z_dim is array"),
    "a data set of its own": (lambda: svg_file(svg_arrays(), {"dataset": "suncg"}), "'suncg' is none of"),
    "options of another kind": (lambda: svg_file(svg_arrays(), opt=None) | {"opt": {}}, r"no argparse\.Namespace"),
    "a module that is none": (lambda: svg_file(svg_arrays()) | {"encoder": 3}, "encoder is no module"),
    "a module without children": (
        lambda: svg_file(svg_arrays()) | {"encoder": Object("models.dcgan_64.encoder", {"_modules": 3})},
        "has no _parameters",
    ),
    "a class of another program": (
        lambda: svg_file(svg_arrays(), more=Object("models.resnet.encoder")),
        r"models\.resnet\.encoder",
    ),
    "a call": (lambda: svg_file(svg_arrays(), more=Call("os.system", ("true",))), r"names os\.system"),
    "a global": (lambda: svg_file(svg_arrays(), {"optimizer": Global("os.system")}), r"names os\.system"),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_other_files_are_refused_and_nothing_is_left(kind, tmp_path, capsys):
    make, message = REFUSED[kind]
    path = written(tmp_path / "model.pth", make())
    assert cli.main(["import", str(path), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    with pytest.raises(ValueError, match=message):
        raise ValueError(error)
    assert error.count("\n") == 1
    assert "model.pth" in error
    assert [p.name for p in tmp_path.iterdir()] == ["model.pth"]


def test_srvp_needs_its_configuration(tmp_path):
    path = written(tmp_path / "model.pt", srvp_arrays())
    cases = {None: r"config\.json", "{": "not JSON", "[]": "a mapping", json.dumps(SRVP_OPTIONS | {"ny": 9}): "ny is 9"}
    for text, message in cases.items():
        if text is not None:
            (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            runs.import_run(path, tmp_path / "run")
    with pytest.raises(ValueError, match="no option 'skips'"):
        runs.import_run(path, tmp_path / "run", skips="previous")
    with pytest.raises(ValueError, match=r"no other\.json"):
        runs.import_run(path, tmp_path / "run", config="other.json")
    (tmp_path / "config.json").write_text(json.dumps(SRVP_OPTIONS | {"dataset": "own"}))
    with pytest.raises(ValueError, match="--data NAME"):
        runs.import_run(path, tmp_path / "run")
    assert runs.import_run(path, tmp_path / "run", data="video_folder/own").experiment.data.name == "video_folder/own"


def test_options_of_the_family(tmp_path, capsys):
    path = written(tmp_path / "model.pth", svg_file(svg_arrays()))

    def command(option, name):
        return cli.main(["import", str(path), "--out", str(tmp_path / name), "--data", "kth", "--option", option])

    assert command("skips=last_context", "run") == 0
    assert training.read_config(tmp_path / "run").model.skips == "last_context"
    for option, message in (
        ("skips=none", "skips must be one of"),
        ("depth=3", "no option 'depth'"),
        ("skips", "takes NAME=VALUE"),
        ("data=bair", "of the family's own options"),
    ):
        assert command(option, "other") == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_no_run_is_left_half_written(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(runs.checkpoints, "save", full)
    path = written(tmp_path / "model.pth", svg_file(svg_arrays()))
    with pytest.raises(OSError, match="no space left"):
        runs.import_run(path, tmp_path / "run")
    assert [p.name for p in tmp_path.iterdir()] == ["model.pth"]
