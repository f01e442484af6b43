"""The trials that every model of the package passes (DESIGN: conformance)."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import noise
from svg_tf.checkpoints import named_variables
from svg_tf.config import ModelConfig
from svg_tf.models.svg import SVG

TINY = ModelConfig(image_size=32, width=2, g_dim=6, z_dim=3, rnn_size=5, n_past=2)
VARIANTS = {
    "learned": TINY,
    "fixed": dataclasses.replace(TINY, prior="fixed"),
    "none": dataclasses.replace(TINY, prior="none"),
}


def frames_of(batch=3, steps=5, seed=0):
    return np.random.default_rng(seed).random((batch, steps, 32, 32, 1)).astype("float32")


def made(config=TINY, seed=0, dtype=None):
    keras.utils.set_random_seed(seed)
    model = SVG(config, dtype=dtype)
    for path, variable in named_variables(model).items():  # large weights, so that everything shows in the output
        if path.endswith("kernel") and "cells" not in path:
            variable.assign(variable * 10)
    model.compile(keras.optimizers.Adam(2e-3, epsilon=1e-8), seed=5)
    return model


@pytest.fixture(scope="module", params=VARIANTS)
def model(request):
    model = made(VARIANTS[request.param])
    batches = tf.data.Dataset.from_tensors({"frames": frames_of()}).repeat()
    model.fit(batches, epochs=1, steps_per_epoch=2, shuffle=False, verbose=0)  # moving averages leave their initial values
    return model


def test_fit_reports_the_models_own_metrics_and_lowers_the_loss():
    model = made()
    batches = tf.data.Dataset.from_tensors({"frames": frames_of()}).repeat()
    history = model.fit(batches, epochs=3, steps_per_epoch=5, shuffle=False, verbose=0).history
    assert set(history) == {"loss", "mse", "kl", "beta_kl", "sigma_posterior", "sigma_prior"}
    assert history["loss"][-1] < history["loss"][0]
    np.testing.assert_allclose(history["loss"], np.add(history["mse"], history["beta_kl"]), rtol=1e-5)


def test_shapes_and_ranges(model):
    x = frames_of()
    samples = model.generate(x[:, :2], 4, n_samples=3, seed=1)
    assert samples.shape == (3, 3, 4, 32, 32, 1) and samples.dtype == tf.float32
    assert float(tf.reduce_min(samples)) >= 0 and float(tf.reduce_max(samples)) <= 1
    assert model.generate(x[:, :1], 1).shape == (3, 1, 1, 32, 32, 1)
    for closed_loop in (False, True):
        assert model.reconstruct(x, closed_loop=closed_loop).shape == (3, 4, 32, 32, 1)
    assert {name: value.shape for name, value in model.elbo_terms(x).items()} == {"mse": (3, 4), "kl": (3, 4)}
    assert model(x).shape == (3, 4, 32, 32, 1)


def test_a_sample_depends_on_its_frames_seed_and_number_alone(model):
    x = frames_of()
    together = model.generate(x[:, :2], 4, n_samples=3, seed=7).numpy()
    alone = model.generate(x[1:2, :2], 4, n_samples=1, seed=np.array([[7, 1]]), first_sample=2).numpy()
    np.testing.assert_allclose(alone[0, 0], together[1, 2], atol=1e-5)
    np.testing.assert_array_equal(model.generate(x[:, :2], 4, n_samples=3, seed=7), together)
    if model.stochastic:
        other = model.generate(x[:, :2], 4, n_samples=3, seed=8).numpy()
        assert abs(other - together).max() > 1e-5
        assert abs(together[:, 0] - together[:, 1]).max() > 1e-5
    else:
        np.testing.assert_allclose(together[:, 0], together[:, 1], atol=1e-6)


def test_more_rows_than_one_call_carries_give_the_same_samples(model, monkeypatch):
    x = frames_of()[:, :2]
    whole = model.generate(x, 2, n_samples=3, seed=4)
    monkeypatch.setattr("svg_tf.models.functions.ROWS_AT_ONCE", 2)
    np.testing.assert_allclose(model.generate(x, 2, n_samples=3, seed=4), whole, atol=1e-5)


def test_closed_loop_reconstruction_is_generation_with_the_posteriors_z(model):
    """Up to frame n_past both kinds see the same true frames; after it the closed loop sees its own."""
    x = frames_of()
    forced = model.reconstruct(x, seed=3).numpy()
    closed = model.reconstruct(x, seed=3, closed_loop=True).numpy()
    n_past = model.config.n_past
    np.testing.assert_allclose(closed[:, :n_past], forced[:, :n_past], atol=1e-5)
    assert abs(closed[:, n_past:] - forced[:, n_past:]).max() > 1e-6
    if not model.stochastic:
        np.testing.assert_allclose(closed[:, n_past - 1 :], model.generate(x[:, :n_past], 3)[:, 0], atol=1e-5)


def test_prior_scale():
    x = frames_of()
    learned, fixed = made(), made(VARIANTS["fixed"])
    sigma = learned.prior_scale(x).numpy()
    assert sigma.shape == (3, 4, 3) and (sigma > 0).all()
    changed = x.copy()
    changed[:, 3] = 0.5  # sigma at t has seen the frames before t alone
    np.testing.assert_allclose(learned.prior_scale(changed)[:, :3], sigma[:, :3], rtol=1e-5)
    assert abs(learned.prior_scale(changed).numpy()[:, 3] - sigma[:, 3]).max() > 0
    np.testing.assert_array_equal(fixed.prior_scale(x), np.ones((3, 4, 3)))
    with pytest.raises(ValueError, match="deterministic"):
        made(VARIANTS["none"]).prior_scale(x)


def gradient_paths(config, term):
    model = made(config)
    with tf.GradientTape() as tape:
        terms = model.elbo_terms_of(tf.constant(frames_of()), noise.seed_pair(0), "batch")
        value = tf.reduce_sum(terms[term])
    trained = {path: v for path, v in named_variables(model).items() if v.trainable}
    gradients = tape.gradient(value, [v.value for v in trained.values()])
    reached = {
        path.split("/")[0] if path[:6] != "latent" else path.split("/")[1]
        for path, g in zip(trained, gradients, strict=True)
        if g is not None and float(tf.reduce_max(abs(g))) > 0
    }
    unreached = {path for path, g in zip(trained, gradients, strict=True) if g is None or not float(tf.reduce_max(abs(g))) > 0}
    return reached, unreached


def test_each_term_of_the_loss_reaches_its_variables_and_no_others():
    reached, unreached = gradient_paths(TINY, "mse")
    assert reached == {"encoder", "decoder", "frame_predictor", "posterior"}
    assert all("prior" in path for path in unreached)
    reached, unreached = gradient_paths(TINY, "kl")
    assert reached == {"encoder", "posterior", "prior"}
    reached, unreached = gradient_paths(VARIANTS["fixed"], "kl")
    assert reached == {"encoder", "posterior"}
    reached, unreached = gradient_paths(VARIANTS["none"], "mse")
    assert reached == {"encoder", "decoder", "frame_predictor"} and not unreached


def test_evaluation_does_not_depend_on_the_batch_size():
    model, x = made(), frames_of(4)
    whole, halves = (tf.data.Dataset.from_tensor_slices({"frames": x}).batch(size) for size in (4, 2))
    a, b = (model.evaluate(data, verbose=0, return_dict=True) for data in (whole, halves))
    assert a == pytest.approx(b, rel=1e-5)


def test_save_and_load_in_safe_mode(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert loaded.config == model.config and loaded.optimizer.iterations == model.optimizer.iterations
    x = frames_of()[:, :2]
    np.testing.assert_array_equal(loaded.generate(x, 3, n_samples=2), model.generate(x, 3, n_samples=2))


@pytest.mark.parametrize("skips", ["second_last_context", "previous"])
def test_skip_quirks_of_the_reference(skips):
    """Equal weights: predictions are equal for as long as the skips come from the same frames, and no longer."""
    x = frames_of(1, 5)
    config = dataclasses.replace(TINY, prior="none", skips=skips, n_past=3)
    paper, quirk = made(dataclasses.replace(config, skips="last_context")), made(config)
    for a, b in zip(paper.variables, quirk.variables, strict=True):
        b.assign(a)
    distinct = {"last_context": 3, "second_last_context": 2, "previous": 4}
    assert paper._skip_frames(5) == distinct["last_context"]
    assert quirk._skip_frames(5) == distinct[skips]
    a, b = paper.reconstruct(x).numpy(), quirk.reconstruct(x).numpy()
    same_until = {"second_last_context": 2, "previous": 3}[skips]
    np.testing.assert_allclose(a[:, :same_until], b[:, :same_until], atol=1e-6)
    assert abs(a[:, same_until] - b[:, same_until]).max() > 1e-6
    assert abs(paper.generate(x[:, :3], 2) - quirk.generate(x[:, :3], 2)).numpy()[:, :, 1].max() > 1e-6


def test_batch_statistics_make_a_sample_depend_on_its_mates():
    model, x = made(), frames_of(4)[:, :2]
    alone = model.generate(x[:2], 2, batch_statistics=True, seed=np.zeros((2, 2), np.int32))
    beside = model.generate(x, 2, batch_statistics=True, seed=np.zeros((4, 2), np.int32))
    assert abs(alone - beside[:2]).numpy().max() > 1e-4


def test_batch_statistics_per_step_option_changes_training_only():
    x = tf.constant(frames_of())
    folded, per_step = made(), made(dataclasses.replace(TINY, batch_statistics="per_step"))
    seed = noise.seed_pair(0)
    a, b = (m.objective(x, seed, "batch")["loss"].numpy() for m in (folded, per_step))
    assert abs(a - b).max() > 1e-6
    a, b = (m.objective(x, seed, "running")["loss"].numpy() for m in (folded, per_step))
    np.testing.assert_array_equal(a, b)


GOOD = frames_of()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.generate(GOOD[0], 3), r"got shape \(5, 32, 32, 1\)"),
        (lambda m: m.generate((GOOD * 255).astype(np.uint8), 3), "got dtype uint8; scale uint8 frames"),
        (lambda m: m.generate(GOOD[:, :, :16], 3), r"32, 32, 1\] in \[0, 1\], got shape \(3, 5, 16, 32, 1\)"),
        (lambda m: m.generate(GOOD * 2, 3), r"got values in \["),
        (lambda m: m.generate(np.full_like(GOOD, np.nan), 3), r"got values in \[nan"),
        (lambda m: m.generate(GOOD[:0], 3), "no sequence"),
        (lambda m: m.generate(GOOD, 3, n_past=6), "time >= 6.*too few frames"),
        (lambda m: m.generate(GOOD, 3, n_past=0), "n_past must be at least 1, got 0"),
        (lambda m: m.generate(GOOD, 0), "n_future must be an integer of at least 1, got 0"),
        (lambda m: m.generate(GOOD, 3, n_samples=1.5), "n_samples must be an integer"),
        (lambda m: m.generate(GOOD, 3, seed=np.zeros((2, 2), np.int32)), r"seed must be an integer or int32 \[3, 2\]"),
        (lambda m: m.generate(GOOD, 3, seed=0.5), "seed must be an integer"),
        (lambda m: m.reconstruct(GOOD[:, :1]), "time >= 2"),
        (lambda m: m.reconstruct(GOOD[:, :2], closed_loop=True), "time >= 3"),
        (lambda m: m.compile(loss="mse"), "has its own loss"),
        (lambda m: m.fit(tf.data.Dataset.from_tensors({"frames": GOOD[:, :, :16]}), verbose=0), "32, 32, 1"),
        (lambda m: SVG({"prior": "learned"}), "expects a ModelConfig, got dict"),
    ],
)
def test_wrong_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(made())


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_weights_and_losses_in_float32(precision, tmp_path):
    exact, mixed = made(), made(dtype=precision)
    assert mixed.encoder.levels[0].conv.compute_dtype == precision.removeprefix("mixed_")
    assert {v.dtype for v in mixed.weights} == {"float32"}
    expected, values = (m.objective(tf.constant(frames_of()), noise.seed_pair(1), "batch") for m in (exact, mixed))
    for name, value in values.items():
        assert value.dtype == tf.float32
        np.testing.assert_allclose(value, expected[name], rtol=3e-2, atol=1e-3, err_msg=name)
    before = [np.asarray(v.value) for v in mixed.trainable_variables]
    mixed.compile(keras.optimizers.Adam(1e-3))
    mixed.fit(tf.data.Dataset.from_tensors({"frames": frames_of()}), epochs=1, verbose=0, shuffle=False)
    assert type(mixed.optimizer).__name__ == ("LossScaleOptimizer" if precision == "mixed_float16" else "Adam")
    assert all((np.asarray(v.value) != b).any() for v, b in zip(mixed.trainable_variables, before, strict=True))
    mixed.save(tmp_path / "mixed.keras")
    loaded = keras.saving.load_model(tmp_path / "mixed.keras")
    assert loaded.encoder.levels[0].conv.compute_dtype == precision.removeprefix("mixed_")
    assert keras.config.dtype_policy().name == "float32"
