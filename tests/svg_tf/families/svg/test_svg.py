"""What only SVG has: frames fed back, skips of the reference, statistics for each time step. Common trials: tests/conformance."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from svg_tf import distributions, noise
from tests.svg_tf.tiny_models import SVG_VARIANTS, TINY, frames_of, made


@pytest.fixture(scope="module", params=SVG_VARIANTS)
def model(request):
    model = made(SVG_VARIANTS[request.param])
    for _ in range(2):  # moving averages leave their initial values
        model.train_step({"frames": tf.constant(frames_of())})
    return model


def test_a_single_frame_of_context(model):
    assert model.generate(frames_of()[:, :1], 1).shape == (3, 1, 1, 32, 32, 1)


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


@pytest.mark.parametrize("skips", ["second_last_context", "previous"])
def test_skip_quirks_of_the_reference(skips):
    """Equal weights: predictions are equal for as long as the skips come from the same frames, and no longer."""
    x = frames_of(1, 5)
    config = dataclasses.replace(TINY, prior="none", skips=skips, n_past=3)
    paper, quirk = made(dataclasses.replace(config, skips="last_context")), made(config)
    for a, b in zip(paper.variables, quirk.variables, strict=True):
        b.assign(a)
    distinct = {"last_context": 3, "second_last_context": 2, "previous": 4}
    assert paper.skip_frames(5) == distinct["last_context"]
    assert quirk.skip_frames(5) == distinct[skips]
    a, b = paper.reconstruct(x).numpy(), quirk.reconstruct(x).numpy()
    same_until = {"second_last_context": 2, "previous": 3}[skips]
    np.testing.assert_allclose(a[:, :same_until], b[:, :same_until], atol=1e-6)
    assert abs(a[:, same_until] - b[:, same_until]).max() > 1e-6
    assert abs(paper.generate(x[:, :3], 2) - quirk.generate(x[:, :3], 2)).numpy()[:, :, 1].max() > 1e-6


def test_batch_statistics_per_step_option_changes_training_only():
    x = tf.constant(frames_of())
    folded, per_step = made(), made(dataclasses.replace(TINY, batch_statistics="per_step"))
    seed = noise.seed_pair(0)
    a, b = (m.objective(x, seed, "batch")["loss"].numpy() for m in (folded, per_step))
    assert abs(a - b).max() > 1e-6
    a, b = (m.objective(x, seed, "running")["loss"].numpy() for m in (folded, per_step))
    np.testing.assert_array_equal(a, b)


def test_prior_scale_of_models_without_a_prior_to_learn():
    np.testing.assert_array_equal(made(SVG_VARIANTS["fixed"]).prior_scale(frames_of()), np.ones((3, 4, 3)))
    with pytest.raises(ValueError, match="deterministic"):
        made(SVG_VARIANTS["none"]).prior_scale(frames_of())


def test_nats_are_those_of_the_gaussian_that_beta_stands_for():
    """mse + beta KL, times H W C / (2 s^2) with s^2 = beta H W C / 2, is -log N(x; x_hat, s^2) + KL but for a constant."""
    model, x = made(dataclasses.replace(TINY, beta=0.02)), frames_of()
    seeds = tf.constant([[3, 0], [3, 1], [3, 2]])
    x_hat = model.reconstruct(x, seed=3)
    observed = distributions.observation(x_hat, (0.02 * 32 * 32 / 2) ** 0.5).log_prob(x[:, 1:])
    bound = model.bound(x, seed=seeds.numpy())
    np.testing.assert_allclose(bound.nats, tf.reduce_sum(bound.terms["kl"] - observed, axis=1), rtol=1e-5)
    assert made(SVG_VARIANTS["none"]).bound(x).nats is None


def test_noise_on_encodings_is_what_the_predictor_sees_in_training_alone():
    """Known noise on h of the standard model gives the same; latents, evaluation and the decoder's skips do not see it."""
    x, seed = tf.constant(frames_of()), noise.seed_pair(0)
    plain, noisy = made(), made(dataclasses.replace(TINY, encoding_noise=0.3))
    for a, b in zip(plain.variables, noisy.variables, strict=True):
        b.assign(a)
    for norm in ("batch", "running"):
        np.testing.assert_array_equal(plain.objective(x, seed, norm)["loss"], noisy.objective(x, seed, norm)["loss"])
    a, b = plain.objective(x, seed, "train"), noisy.objective(x, seed, "train")
    assert abs(a["mse"] - b["mse"]).numpy().max() > 1e-6
    np.testing.assert_array_equal(a["kl"], b["kl"])
    h = tf.zeros([4, 3, TINY.g_dim])
    drawn = noisy._blurred(h, seed).numpy() / 0.3
    np.testing.assert_array_equal(drawn, noisy._blurred(h, seed).numpy() / 0.3)  # a function of the seed
    assert abs(drawn.mean()) < 0.3 and 0.7 < drawn.std() < 1.3 and len(np.unique(drawn)) == drawn.size
