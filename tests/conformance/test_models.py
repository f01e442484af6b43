"""The trials that every model of the package passes (DESIGN: conformance)."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import noise
from svg_tf.families.compiled import Functions
from svg_tf.families.srvp.model import SRVP
from svg_tf.families.svg.model import SVG
from svg_tf.training.state import named_variables
from tests.svg_tf.tiny_models import SRVP_VARIANTS, SVG_VARIANTS, TINY, TINY_SRVP, VARIANTS, frames_of, made

FAMILIES = {"svg": TINY, "srvp": SRVP_VARIANTS["residual"]}


@pytest.fixture(scope="module", params=VARIANTS)
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
    assert set(history) == set(model.metric_names) and {"loss", "mse", "kl", "sigma_posterior", "sigma_prior"} <= set(history)
    assert history["loss"][-1] < history["loss"][0]
    if isinstance(model, SVG):
        parts = np.add(history["mse"], history["beta_kl"])
    else:
        parts = np.add(history["nll"], family.beta_y * np.array(history["kl_y"]) + family.beta_z * np.array(history["kl_z"]))
        parts += family.residual_penalty * np.array(history["residual"])
    np.testing.assert_allclose(history["loss"], parts, rtol=1e-5)


def test_shapes_and_ranges(model):
    x = frames_of()
    samples = model.generate(x[:, :2], 4, n_samples=3, seed=1)
    assert samples.shape == (3, 3, 4, 32, 32, 1) and samples.dtype == tf.float32
    assert float(tf.reduce_min(samples)) >= 0 and float(tf.reduce_max(samples)) <= 1
    assert model.generate(x, 2, n_past=3, use_mean=True).shape == (3, 1, 2, 32, 32, 1)
    assert model.reconstruct(x).shape == (3, 4, 32, 32, 1)
    predicted = 4 if isinstance(model, SVG) else 5  # SRVP's first frame follows from y_1
    assert {name: value.shape for name, value in model.elbo_terms(x).items()} == {"mse": (3, predicted), "kl": (3, predicted)}
    assert model(x).shape == (3, predicted, 32, 32, 1)


def test_a_sample_depends_on_its_frames_seed_and_number_alone(model):
    x = frames_of()
    together = model.generate(x[:, :2], 4, n_samples=3, seed=7).numpy()
    alone = model.generate(x[1:2, :2], 4, n_samples=1, seed=np.array([[7, 1]]), first_sample=2).numpy()
    np.testing.assert_allclose(alone[0, 0], together[1, 2], atol=1e-5)
    np.testing.assert_array_equal(model.generate(x[:, :2], 4, n_samples=3, seed=7), together)
    if model.config.samples_differ:
        other = model.generate(x[:, :2], 4, n_samples=3, seed=8).numpy()
        assert abs(other - together).max() > 1e-5
        assert abs(together[:, 0] - together[:, 1]).max() > 1e-5
    else:
        np.testing.assert_allclose(together[:, 0], together[:, 1], atol=1e-6)


def test_more_rows_than_one_call_carries_give_the_same_samples(model, monkeypatch):
    x = frames_of()[:, :2]
    whole = model.generate(x, 3, n_samples=3, seed=4)
    monkeypatch.setattr("svg_tf.families.compiled.ROWS_AT_ONCE", 2)
    if isinstance(model, SRVP):  # frames in parts that do not divide them, traced anew
        monkeypatch.setattr("svg_tf.families.srvp.sampling.FRAMES_AT_ONCE", 4)
        monkeypatch.setattr(model, "_functions", Functions(model))
    np.testing.assert_allclose(model.generate(x, 3, n_samples=3, seed=4), whole, atol=1e-5)


def test_prior_scale_has_seen_the_frames_before_alone(family):
    x, model = frames_of(), made(family)
    sigma = model.prior_scale(x).numpy()
    assert sigma.shape == (3, 4, 3) and (sigma > 0).all()
    changed = x.copy()
    changed[:, 3] = 0.5
    np.testing.assert_allclose(model.prior_scale(changed)[:, :3], sigma[:, :3], rtol=1e-5)
    assert abs(model.prior_scale(changed).numpy()[:, 3] - sigma[:, 3]).max() > 0


def test_prior_scale_of_models_without_a_prior_to_learn():
    np.testing.assert_array_equal(made(SVG_VARIANTS["fixed"]).prior_scale(frames_of()), np.ones((3, 4, 3)))
    for config, message in ((SVG_VARIANTS["none"], "deterministic"), (SRVP_VARIANTS["without_z"], "without z")):
        with pytest.raises(ValueError, match=message):
            made(config).prior_scale(frames_of())


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


INFERENCE = {"encoder", "first_state"}  # of SRVP
Q_Z = {"posterior", "posterior_head"}
CONTENT = {"content_hidden", "content_head"}


@pytest.mark.parametrize(
    ("name", "term", "parts", "unreached"),
    [
        ("learned", "mse", {"encoder", "decoder", "frame_predictor", "posterior"}, {"prior"}),
        ("learned", "kl", {"encoder", "posterior", "prior"}, None),
        ("fixed", "kl", {"encoder", "posterior"}, None),
        ("none", "mse", {"encoder", "decoder", "frame_predictor"}, set()),
        ("residual", "nll", {"decoder", "transition"} | INFERENCE | CONTENT | Q_Z, {"prior"}),
        ("residual", "kl_y", INFERENCE, None),
        ("residual", "kl_z", {"transition", "prior"} | INFERENCE | Q_Z, None),
        ("residual", "residual", {"transition"} | INFERENCE | Q_Z, None),
        ("mlp", "nll", {"decoder", "transition"} | INFERENCE | CONTENT | Q_Z, {"prior"}),
        ("gru", "nll", {"decoder", "transition"} | INFERENCE | CONTENT | Q_Z, {"prior"}),
        ("without_z", "nll", {"decoder", "transition"} | INFERENCE | CONTENT, set()),
    ],
)
def test_each_term_of_the_loss_reaches_its_variables_and_no_others(name, term, parts, unreached):
    found, others = reached(VARIANTS[name], term)
    assert found == parts
    if unreached is not None:
        assert {path.removeprefix("latent/").split("/")[0] for path in others} == unreached


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
    (lambda m: m.reconstruct(GOOD[:, :1]), "time >= 2"),
    (lambda m: m.compile(loss="mse"), "has its own loss"),
    (lambda m: m.fit(tf.data.Dataset.from_tensors({"frames": GOOD[:, :, :16]}), verbose=0), "32, 32, 1"),
]
WRONG_FOR_SVG = [
    (lambda m: m.reconstruct(GOOD[:, :2], closed_loop=True), "time >= 3"),
    (lambda m: SVG({"prior": "learned"}), "expects a SVGConfig, got dict"),
    (lambda m: SVG(TINY_SRVP), "expects a SVGConfig, got SRVPConfig"),
]
WRONG_FOR_SRVP = [
    (lambda m: SRVP(TINY), "expects a SRVPConfig, got SVGConfig"),
    (lambda m: m.generate(GOOD[:, :1], 3), "time >= 2.*too few frames"),
    (lambda m: m.generate(GOOD, 3, n_past=1), "n_past must be at least 2, got 1"),
    (lambda m: m.generate(GOOD, 3, frame_rate=0), "frame_rate must be an integer of at least 1, got 0"),
    (lambda m: m.generate(GOOD, 3, frame_rate=1.5), "frame_rate must be an integer of at least 1, got 1.5"),
    (lambda m: made(SRVP_VARIANTS["gru"]).generate(GOOD, 3, frame_rate=2), "frame_rate 2 needs transition='residual'; 'gru'"),
    (lambda m: m.elbo_terms(GOOD[:, :1]), "time >= 2"),
    (lambda m: m.prior_scale(GOOD[:, :1]), "time >= 2"),
    (lambda m: m.swap_content(GOOD[:2], GOOD), "as many sequences, got 2 and 3"),
    (lambda m: m.swap_content(GOOD[:, :1], GOOD), "frames of the content must be .*too few frames"),
    (lambda m: m.swap_content(GOOD, GOOD[:, :1]), "frames of the motion must be .*too few frames"),
    (lambda m: m.swap_content(GOOD, GOOD, n_future=-1), "n_future must be an integer of at least 1, got -1"),
    (lambda m: m.interpolate(GOOD, GOOD, 1), r"n_frames must be at least 2 \(both ends\), got 1"),
    (lambda m: m.interpolate(GOOD, GOOD, 2.0), "n_frames must be an integer"),
    (lambda m: m.interpolate(GOOD, GOOD[:1], 3), "as many sequences to come from as to go to, got 3, 1"),
    (lambda m: m.fit(tf.data.Dataset.from_tensors({"frames": GOOD[:, :1]}), verbose=0), r"at least 2 frames \(k = 2\), got 1"),
]
CASES = [(name, *case) for name, own in (("svg", WRONG_FOR_SVG), ("srvp", WRONG_FOR_SRVP)) for case in WRONG + own]


@pytest.fixture(scope="module")
def of_family():
    return {name: made(config) for name, config in FAMILIES.items()}


@pytest.mark.parametrize(("name", "call", "message"), CASES)
def test_wrong_input(of_family, name, call, message):
    with pytest.raises(ValueError, match=message):
        call(of_family[name])


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_weights_and_losses_in_float32(precision, family, tmp_path):
    exact, mixed = made(family), made(family, dtype=precision)
    assert mixed.encoder.levels[0].conv.compute_dtype == precision.removeprefix("mixed_")
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
    assert loaded.encoder.levels[0].conv.compute_dtype == precision.removeprefix("mixed_")
    assert keras.config.dtype_policy().name == "float32"
