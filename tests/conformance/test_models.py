"""The trials that every model of the package passes (DESIGN: conformance)."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import noise
from svg_tf.families.compiled import CompiledMethods
from svg_tf.families.interface import BoundsLikelihood, ForecastsUncertainty, Reconstructs
from svg_tf.training.state import named_variables
from tests.conformance.descriptors.interface import all_of_them
from tests.svg_tf.tiny_models import frames_of, made

DESCRIPTORS = all_of_them()
FAMILIES = {name: d.configs[d.default] for name, d in DESCRIPTORS.items()}
VARIANTS = {(name, variant): config for name, d in DESCRIPTORS.items() for variant, config in d.configs.items()}


@pytest.fixture(scope="module", params=VARIANTS, ids="-".join)
def model(request):
    model = made(VARIANTS[request.param])
    for _ in range(2):  # moving averages leave their initial values
        model.train_step({"frames": tf.constant(frames_of())})
    return model


@pytest.fixture(params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


def test_fit_reports_the_models_own_metrics_and_lowers_the_loss(family):
    model = made(family)
    batches = tf.data.Dataset.from_tensors({"frames": frames_of()}).repeat()
    history = model.fit(batches, epochs=3, steps_per_epoch=5, shuffle=False, verbose=0).history
    assert set(history) == {metric.name for metric in model.metrics}
    assert {"loss", "mse", "kl", "sigma_posterior", "sigma_prior"} <= set(history)
    assert history["loss"][-1] < history["loss"][0]
    parts = DESCRIPTORS[family.family].loss(family, {name: np.array(values) for name, values in history.items()})
    np.testing.assert_allclose(history["loss"], parts, rtol=1e-5)


def test_shapes_and_ranges(model):
    x = frames_of()
    samples = model.generate(x[:, :2], 4, n_samples=3, seed=1)
    assert samples.shape == (3, 3, 4, 32, 32, 1) and samples.dtype == tf.float32
    assert float(tf.reduce_min(samples)) >= 0 and float(tf.reduce_max(samples)) <= 1
    assert model.generate(x, 2, n_past=3, use_mean=True).shape == (3, 1, 2, 32, 32, 1)
    assert not model.can(Reconstructs) or model.reconstruct(x).shape == (3, 4, 32, 32, 1)
    predicted = DESCRIPTORS[model.config.family].predicted(5)
    if model.can(BoundsLikelihood):
        assert {tuple(value.shape) for value in model.bound(x).terms.values()} == {(3, predicted)}
    assert model(x).shape == (3, predicted, 32, 32, 1)


def test_a_sample_depends_on_its_frames_seed_and_number_alone(model):
    x = frames_of()
    together = model.generate(x[:, :2], 4, n_samples=3, seed=7).numpy()
    alone = model.generate(x[1:2, :2], 4, n_samples=1, seed=np.array([[7, 1]]), first_sample=2).numpy()
    np.testing.assert_allclose(alone[0, 0], together[1, 2], atol=1e-5)
    np.testing.assert_array_equal(model.generate(x[:, :2], 4, n_samples=3, seed=7), together)
    if not model.deterministic:
        other = model.generate(x[:, :2], 4, n_samples=3, seed=8).numpy()
        assert abs(other - together).max() > 1e-5
        assert abs(together[:, 0] - together[:, 1]).max() > 1e-5
    else:
        np.testing.assert_allclose(together[:, 0], together[:, 1], atol=1e-6)


def test_more_rows_than_one_call_carries_give_the_same_samples(model, monkeypatch):
    x = frames_of()[:, :2]
    whole = model.generate(x, 3, n_samples=3, seed=4)
    monkeypatch.setattr("svg_tf.families.compiled.ROWS_AT_ONCE", 2)
    for attribute, count in DESCRIPTORS[model.config.family].parts:
        monkeypatch.setattr(attribute, count)
    monkeypatch.setattr(model, "_compiled_methods", CompiledMethods())  # traced anew
    np.testing.assert_allclose(model.generate(x, 3, n_samples=3, seed=4), whole, atol=1e-5)


def test_prior_scale_has_seen_the_frames_before_alone(family):
    x, model = frames_of(), made(family)
    if not model.can(ForecastsUncertainty):
        pytest.skip("no learned prior")
    sigma = model.prior_scale(x).numpy()
    assert sigma.shape == (3, 4, 3) and (sigma > 0).all()
    changed = x.copy()
    changed[:, 3] = 0.5
    np.testing.assert_allclose(model.prior_scale(changed)[:, :3], sigma[:, :3], rtol=1e-5)
    assert abs(model.prior_scale(changed).numpy()[:, 3] - sigma[:, 3]).max() > 0


def reached(config, term):
    """(parts of the model that the term's gradient reaches, paths of variables that it does not reach)"""
    model = made(config)
    with tf.GradientTape() as tape:
        terms = model.elbo_terms_of(tf.constant(frames_of()), noise.seed_pair(0), "batch")
        value = tf.reduce_sum(terms[term])
    trained = {path: v for path, v in named_variables(model).items() if v.trainable and v.shape.num_elements()}
    gradients = tape.gradient(value, [v.value for v in trained.values()])
    shown = {p: g is not None and float(tf.reduce_max(abs(g))) > 0 for p, g in zip(trained, gradients, strict=True)}
    parts = {path.removeprefix("latent/").split("/")[0] for path, is_shown in shown.items() if is_shown}
    return parts, {path for path, is_shown in shown.items() if not is_shown}


@pytest.mark.parametrize(("family_name", "case"), [(name, case) for name, d in DESCRIPTORS.items() for case in d.reaches])
def test_each_term_of_the_loss_reaches_its_variables_and_no_others(family_name, case):
    found, others = reached(DESCRIPTORS[family_name].configs[case.name], case.term)
    assert found == case.parts
    if case.unreached is not None:
        assert {path.removeprefix("latent/").split("/")[0] for path in others} == case.unreached


def test_evaluation_does_not_depend_on_the_batch_size(family):
    model, x = made(family), frames_of(4)
    whole, halves = (tf.data.Dataset.from_tensor_slices({"frames": x}).batch(size) for size in (4, 2))
    a, b = (model.evaluate(data, verbose=0, return_dict=True) for data in (whole, halves))
    assert a == pytest.approx(b, rel=1e-5)


def test_save_and_load_in_safe_mode(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert loaded.config == model.config and loaded.optimizer.iterations == model.optimizer.iterations
    x = frames_of()[:, :2]
    np.testing.assert_array_equal(loaded.generate(x, 3, n_samples=2), model.generate(x, 3, n_samples=2))


def test_batch_statistics_make_a_sample_depend_on_its_mates(family):
    if not DESCRIPTORS[family.family].batch_normalized:
        pytest.skip("no batch normalization")
    model, x = made(family), frames_of(4)[:, :2]
    alone = model.generate(x[:2], 2, batch_statistics=True, seed=np.zeros((2, 2), np.int32))
    beside = model.generate(x, 2, batch_statistics=True, seed=np.zeros((4, 2), np.int32))
    assert abs(alone - beside[:2]).numpy().max() > 1e-4


GOOD = frames_of()
WRONG = [
    (lambda m: m.generate(GOOD[0], 3), r"got shape \(5, 32, 32, 1\)"),
    (lambda m: m.generate((GOOD * 255).astype(np.uint8), 3), "got dtype uint8; scale uint8 frames"),
    (lambda m: m.generate(GOOD[:, :, :16], 3), r"32, 32, 1\] in \[0, 1\], got shape \(3, 5, 16, 32, 1\)"),
    (lambda m: m.generate(GOOD * 2, 3), r"got values in \["),
    (lambda m: m.generate(np.full_like(GOOD, np.nan), 3), r"got values in \[nan"),
    (lambda m: m.generate(GOOD[:0], 3), "no sequence"),
    (lambda m: m.generate(GOOD, 3, n_past=6), "time >= 6.*too few frames"),
    (lambda m: m.generate(GOOD, 3, n_past=0), r"n_past must be at least \d, got 0"),
    (lambda m: m.generate(GOOD, 0), "n_future must be an integer of at least 1, got 0"),
    (lambda m: m.generate(GOOD, 3, n_samples=1.5), "n_samples must be an integer"),
    (lambda m: m.generate(GOOD, 3, seed=np.zeros((2, 2), np.int32)), r"seed must be an integer or int32 \[3, 2\]"),
    (lambda m: m.generate(GOOD, 3, seed=0.5), "seed must be an integer"),
    (lambda m: m.reconstruct(GOOD[:, :1]), r"time >= \d"),
    (lambda m: m.compile(loss="mse"), "has its own loss"),
    (lambda m: m.fit(tf.data.Dataset.from_tensors({"frames": GOOD[:, :, :16]}), verbose=0), "32, 32, 1"),
]
CASES = [(name, *case) for name, d in DESCRIPTORS.items() for case in WRONG + d.wrong]


@pytest.fixture(scope="module")
def of_family():
    return {name: made(config) for name, config in FAMILIES.items()}


@pytest.mark.parametrize(("name", "call", "message"), CASES)
def test_wrong_input(of_family, name, call, message):
    with pytest.raises(ValueError, match=message):
        call(of_family[name])


def compute_dtypes(model) -> set[str]:
    """Of the layers with weights of their own."""
    return {layer.compute_dtype for layer in model._flatten_layers(include_self=False) if layer._trainable_variables}


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_weights_and_losses_in_float32(precision, family, tmp_path):
    exact, mixed = made(family), made(family, dtype=precision)
    assert precision.removeprefix("mixed_") in compute_dtypes(mixed)
    assert {v.dtype for v in mixed.weights} == {"float32"}
    expected, values = (m.objective(tf.constant(frames_of()), noise.seed_pair(1), "batch") for m in (exact, mixed))
    for name, value in values.items():
        assert value.dtype == tf.float32 and np.isfinite(value).all()
        np.testing.assert_allclose(value, expected[name], rtol=3e-2, atol=1e-3, err_msg=name)
    before = [np.asarray(v.value) for v in mixed.trainable_variables]
    mixed.compile(keras.optimizers.Adam(1e-3))
    # SRVP's loss is a sum over pixels: in float16 the scale first comes down, by one skipped step after the other.
    batches = tf.data.Dataset.from_tensors({"frames": frames_of()}).repeat(16 if precision == "mixed_float16" else 1)
    mixed.fit(batches, epochs=1, verbose=0, shuffle=False)
    assert type(mixed.optimizer).__name__ == ("LossScaleOptimizer" if precision == "mixed_float16" else "Adam")
    assert all((np.asarray(v.value) != b).any() for v, b in zip(mixed.trainable_variables, before, strict=True))
    mixed.save(tmp_path / "mixed.keras")
    loaded = keras.saving.load_model(tmp_path / "mixed.keras")
    assert precision.removeprefix("mixed_") in compute_dtypes(loaded)
    assert keras.config.dtype_policy().name == "float32"
