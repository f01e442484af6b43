"""SV2P: its sizes, its phases, its latents, and what it must not see."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import distributions, noise, presets
from svg_tf.families import cost
from svg_tf.families.interface import Sampling
from svg_tf.families.sv2p import rollout
from svg_tf.families.sv2p.config import SV2PConfig
from svg_tf.families.sv2p.model import SV2P

TINY = SV2PConfig(
    image_size=16, width=2, n_past=2, n_frames=5, lstm_kernel_size=3, kernels=3, generator_steps=1, latent_steps=2,
    beta_warmup_steps=4, beta=0.5, norm_epsilon=1e-6,
)  # fmt: skip
PUBLISHED = {"drop_last_kernel": True, "normalize_heads": True}


def frames_of(batch=3, steps=5, seed=0):
    return np.random.default_rng(seed).random((batch, steps, 16, 16, 1)).astype("float32")


def made(**changes):
    keras.utils.set_random_seed(0)
    model = SV2P(dataclasses.replace(TINY, **changes))
    model.compile(keras.optimizers.Adam(1e-3), seed=1)
    model.build_optimizers()
    return model


@pytest.fixture(scope="module")
def invariant():
    return made()


@pytest.fixture(scope="module")
def variant():
    return made(latents="time_variant")


def count(layer):
    return sum(v.value.shape.num_elements() for v in layer.trainable_variables)


def batch_seed(batch=3, seed=7):
    return noise.BatchSeed(tf.constant([seed, 0]), tf.range(batch), tf.constant(batch))


def test_parameters_of_the_published_sizes():
    model = SV2P(SV2PConfig(channels=3, n_past=2, n_frames=12, **PUBLISHED))
    g = model.generator
    cells = [count(cell) + count(norm) for cell, norm in zip(g.cells, g.cell_norms, strict=True)]
    assert cells == [204_992, 204_992, 614_784, 819_584, 2_458_368, 1_229_184, 409_792]
    assert count(g.enc0) + count(g.enc0_norm) == 2_464 and count(g.enc6) + count(g.enc6_norm) == 36_992
    assert [count(layer) for layer in (g.enc1, g.enc2, g.enc3, g.enc4, g.enc5)] == [9_248, 36_928, 4_224, 147_584, 83_040]
    assert [count(layer) for layer in (g.scratch, g.masks, g.kernels)] == [195, 715, 2_048_250]
    assert (count(g), count(model.tower), count(model)) == (8_311_336, 67_140, 8_378_476)
    multiply_adds = cost.of(model).training_multiply_adds(12) / 11
    assert multiply_adds == pytest.approx(1.75e9, rel=0.02)


def test_parameters_of_one_channel_and_of_plain_heads():
    model = SV2P(SV2PConfig(channels=1, n_past=10, n_frames=20, **PUBLISHED))
    assert (count(model.generator), count(model.tower)) == (8_309_606, 62_532)
    plain = SV2P(SV2PConfig(channels=3, n_past=2, n_frames=12, width=4))
    normalized = SV2P(SV2PConfig(channels=3, n_past=2, n_frames=12, width=4, **PUBLISHED))
    assert count(plain.tower) == count(normalized.tower) - 2  # two biases in place of two scales and two offsets
    assert count(plain.generator.masks) == count(normalized.generator.masks) + 2 * 4 + 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 36}, "divisible by 8, got 36"),
        ({"image_size": (16, 20)}, "divisible by 8, got 16x20"),
        ({"kernel_size": 17}, "kernel_size must be at most image_size, 16; got 17"),
        ({"kernel_size": 4}, "kernel_size must be odd, got 4"),
        ({"lstm_kernel_size": 2}, "lstm_kernel_size must be odd"),
        ({"n_frames": 2}, "more than n_past = 2; got 2"),
        ({"kernels": 1, "drop_last_kernel": True}, "kernels >= 2"),
        ({"latents": "some"}, "latents must be one of"),
        ({"scheduled_sampling": "never"}, "scheduled_sampling must be one of"),
        ({"sampling_k": 0.0}, "sampling_k must be a finite number greater than 0"),
        ({"generator_steps": -1}, "generator_steps must be an integer of at least 0"),
    ],
)
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **changes)


def test_a_run_must_fit_the_model():
    preset = presets.get("smmnist_mini_sv2p")
    with pytest.raises(ValueError, match=r"n_frames must be n_past \+ data.n_future = 10, .*; got 15"):
        dataclasses.replace(preset, data=dataclasses.replace(preset.data, n_future=5))
    with pytest.raises(ValueError, match="= 4320 must be at most the run's 600 steps"):
        dataclasses.replace(preset, train=dataclasses.replace(preset.train, epochs=1))
    none = dataclasses.replace(preset.model, latents="none")
    dataclasses.replace(preset, model=none, train=dataclasses.replace(preset.train, epochs=1))  # it has no phases


@pytest.mark.parametrize("name", [name for name in presets.names() if "sv2p" in name])
def test_presets_are_runs(name):
    model = presets.get(name).model
    assert model.latents == ("time_variant" if "variant" in name else "none" if name.endswith("det") else "time_invariant")
    reach = model.kernel_size // 2
    assert "mnist" not in name or reach >= max(model.frame_shape[:2]) // 16  # no digit moves further


def test_frames_of_another_number_than_the_towers(invariant):
    x = frames_of(steps=6)
    for call in (invariant.reconstruct, invariant.bound):
        with pytest.raises(ValueError, match=r"all 5 frames .*, got 6 frames"):
            call(x)
        with pytest.raises(ValueError, match="all 5 frames|time >= 5"):
            call(x[:, :4])
    with pytest.raises(ValueError, match="all 5 frames"):
        invariant.generator_alone({"frames": tf.constant(x)}, batch_seed())


def test_phases_and_ramp_at_their_steps(invariant):
    program = invariant.program
    assert [phase.until for phase in program.phases] == [1, 3, None]
    assert [program.due(step).phase for step in (0, 1, 2, 3, 100)] == [0, 1, 1, 2, 2]
    ramp = [float(invariant.beta_at(tf.constant(step))) for step in (0, 3, 5, 7, 10**6)]
    np.testing.assert_allclose(ramp, [0, 0, 0.25, 0.5, 0.5])
    assert [p.until for p in made(generator_steps=0).program.phases] == [2, None]
    assert len(made(generator_steps=0, latent_steps=0).program.phases) == len(made(latents="none").program.phases) == 1


def gradients(model, loss, step=0):
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(loss({"frames": tf.constant(frames_of())}, batch_seed(), "train", step)["loss"])
    return tape.gradient(value, [v.value for v in model.tower.trainable_variables])


def test_the_tower_learns_from_phase_2_on(invariant):
    assert all(g is None for g in gradients(invariant, invariant.generator_alone))
    free = gradients(invariant, invariant.without_kl)
    assert all(g is not None for g in free) and any(np.any(g) for g in free)
    before = [v.numpy() for v in invariant.tower.trainable_variables]
    model = made()
    model.tower.set_weights(before)
    model.train_step({"frames": tf.constant(frames_of())})
    assert all((a == b.numpy()).all() for a, b in zip(before, model.tower.trainable_variables, strict=True))
    model.train_step({"frames": tf.constant(frames_of())})
    assert any((a != b.numpy()).any() for a, b in zip(before, model.tower.trainable_variables, strict=True))


def test_phases_count_the_kl_and_evaluation_counts_it_whole(invariant):
    batch, seed = {"frames": tf.constant(frames_of())}, batch_seed()
    alone, free = (loss(batch, seed, "train", 2) for loss in (invariant.generator_alone, invariant.without_kl))
    assert not np.any(alone["kl"]) and np.all(free["kl"] > 0) and not np.any(free["beta_kl"])
    half, held_out = invariant.elbo(batch, seed, "train", 5), invariant.elbo(batch, seed, "running", 0)
    np.testing.assert_allclose(half["beta_kl"], 0.25 * half["kl"], rtol=1e-6)
    np.testing.assert_allclose(held_out["loss"], held_out["mse"] + 0.5 * held_out["kl"], rtol=1e-6)
    np.testing.assert_array_equal(held_out["true_frames"], [0, 0, 0])


def test_kl_and_its_reductions():
    """K of mu = 1, v = 0 on 8 x 8 x 1 is 32 nats: terms of 32, 4 and 0.5 before the weight."""
    q = distributions.diagonal_gaussian(tf.ones([1, 64]), tf.zeros([1, 64]))
    assert float(distributions.kl(q, distributions.standard_normal_like(q))[0]) == pytest.approx(32)
    weights = [SV2PConfig(beta=1.0, kl_reduction=kind).kl_coefficient * 32 for kind in ("sum", "height", "mean")]
    assert weights == pytest.approx([32, 4, 0.5])
    q = distributions.diagonal_gaussian(tf.zeros([1, 64]), tf.zeros([1, 64]))
    assert float(distributions.kl(q, distributions.standard_normal_like(q))[0]) == 0
    mean, v = np.random.default_rng(0).standard_normal((2, 1, 5)).astype("float32")
    q = distributions.diagonal_gaussian(tf.constant(mean), tf.constant(v))
    closed = 0.5 * (mean**2 + np.exp(v) - 1 - v).sum()
    assert float(distributions.kl(q, distributions.standard_normal_like(q))[0]) == pytest.approx(closed, rel=1e-5)
    eps = np.random.default_rng(1).standard_normal((200_000, 5))
    z = mean + np.exp(v / 2) * eps
    assert 0.5 * (z**2 - eps**2 - v).sum(1).mean() == pytest.approx(closed, rel=0.02)  # log q(z) - log p(z)


def test_the_posterior_has_seen_all_frames_and_has_a_least_scale(invariant):
    x = tf.transpose(frames_of(), [1, 0, 2, 3, 4])
    q = invariant.posterior(x)
    assert float(tf.reduce_min(q.stddev())) >= np.exp(-2.5) - 1e-6
    for t in range(5):
        changed = tf.concat([x[:t], 1 - x[t : t + 1], x[t + 1 :]], 0)
        assert np.any(invariant.posterior(changed).mean() != q.mean())


def test_one_z_for_a_video_or_one_for_each_step(invariant, variant):
    x = tf.transpose(frames_of(), [1, 0, 2, 3, 4])
    assert invariant._latents(x, batch_seed(), 4)[0].shape == (1, 3, 2, 2, 1)
    variant.tower.set_weights(invariant.tower.get_weights())
    z, kl, _ = variant._latents(x, batch_seed(), 4)
    assert z.shape == (4, 3, 2, 2, 1) and all(np.any(z[0] != z[t]) for t in range(1, 4))
    np.testing.assert_array_equal(kl, invariant._latents(x, batch_seed(), 4)[1])  # counted once
    eps = (tf.reshape(z, [4, 3, 4]) - variant.posterior(x).mean()) / variant.posterior(x).stddev()
    np.testing.assert_allclose(eps, noise.of_sequences(batch_seed(), 4, 3, 4), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("step", "chance"), [(0, 900 / 901), (6122, 0.5), (8100, 0.1), (10**6, 0.0)])
def test_the_chance_of_a_true_frame(step, chance):
    assert float(rollout.truth_chance(tf.constant(step, tf.int64), 900.0)) == pytest.approx(chance, abs=2e-3)


@pytest.mark.parametrize("kind", ["per_example", "count"])
def test_which_examples_see_true_frames_follows_from_seed_step_and_global_row(kind):
    config = dataclasses.replace(TINY, scheduled_sampling=kind, sampling_k=10.0)
    seed = noise.BatchSeed(tf.constant([3, 1]), tf.range(64), tf.constant(64))
    step = round(10 * np.log(10))  # a chance of one half
    whole = rollout.truth_shown(config, seed, 20, 64, step).numpy()
    assert abs(whole.mean() - 0.5) < 0.05 and np.any(whole[0] != whole[1])
    if kind == "count":
        np.testing.assert_array_equal(whole.sum(axis=1), np.full(20, round(64 * float(rollout.truth_chance(step, 10.0)))))
    else:
        assert len(set(whole.sum(axis=1))) > 1
    for rows in (range(32), range(32, 64)):  # two replicas
        part = rollout.truth_shown(config, seed._replace(rows=tf.constant(list(rows))), 20, 32, step)
        np.testing.assert_array_equal(part, whole[:, list(rows)])
    other = rollout.truth_shown(config, seed._replace(seed=tf.constant([4, 1])), 20, 64, step)
    assert np.any(other != whole)
    assert not np.any(rollout.truth_shown(config, seed, 20, 64, 10**6))


def test_no_frame_after_the_context_is_read_unless_it_is_shown():
    model, x = made(latents="none"), frames_of()
    changed = x.copy()
    changed[:, 2:4] = 1 - changed[:, 2:4]
    a, b = (tf.transpose(f, [1, 0, 2, 3, 4]) for f in (x, changed))
    own = [rollout.fed_back(model.generator, f, None, 2) for f in (a, b)]
    np.testing.assert_array_equal(*own)
    shown = tf.constant([[True, False, False], [False, False, False]])
    mixed = [rollout.fed_back(model.generator, f, None, 2, shown).numpy() for f in (a, b)]
    assert np.any(mixed[0][2:, 0] != mixed[1][2:, 0])
    np.testing.assert_array_equal(mixed[0][:, 1:], mixed[1][:, 1:])
    everything = rollout.fed_back(model.generator, a, None, 2, tf.ones([2, 3], tf.bool))
    np.testing.assert_allclose(everything, rollout.teacher_forced(model.generator, a, None), atol=1e-6)


@pytest.mark.parametrize("latents", ["time_invariant", "time_variant", "none"])
def test_samples_do_not_depend_on_how_the_context_is_shared(latents):
    """`generate` equals one sequence and one sample at a time, and a graph of unknown sizes, as exports hold."""
    model, x = made(latents=latents), frames_of()
    specs = [tf.TensorSpec([None, None, 16, 16, 1]), tf.TensorSpec([None, 2], tf.int32), *[tf.TensorSpec([], tf.int32)] * 2]
    graph = tf.function(lambda x, s, f, n: model.sample(x, s, Sampling(f, n)), input_signature=specs)
    seeds = tf.constant([[5, 0], [5, 1], [5, 2]])
    together = graph(x[:, :3], seeds, tf.constant(3), tf.constant(2)).numpy()
    assert together.shape == (3, 2, 3, 16, 16, 1) and together.min() >= 0 and together.max() <= 1
    alone = graph(x[1:2, :3], seeds[1:2], tf.constant(2), tf.constant(1)).numpy()
    np.testing.assert_allclose(alone[0, 0], together[1, 0, :2], atol=1e-5)
    assert (latents == "none") == np.array_equal(together[:, 0], together[:, 1])


def test_generation_is_the_rollout_with_z_of_the_prior(invariant):
    x, seeds = frames_of(), tf.constant([[5, 0], [5, 1], [5, 2]])
    z = noise.of_sequences(noise.sample_seeds(seeds, 0, 1), 1, 3, 4)
    rolled = rollout.fed_back(invariant.generator, tf.transpose(x, [1, 0, 2, 3, 4]), tf.reshape(z, [1, 3, 2, 2, 1]), 2)
    made_ = rollout.generate(invariant, tf.constant(x[:, :2]), seeds, Sampling(3))
    np.testing.assert_allclose(made_[:, 0], tf.transpose(rolled[1:], [1, 0, 2, 3, 4]), atol=1e-5)


@pytest.mark.parametrize("mask", ["previous", "identity"])
def test_masks_and_kernels_that_choose_the_previous_frame_repeat_it(mask):
    model, x = made(latents="none", width=1), frames_of()
    g = model.generator
    g.masks.kernel.assign(tf.zeros_like(g.masks.kernel))
    g.masks.bias.assign(tf.one_hot(0 if mask == "previous" else 2, 5) * 200.0)
    if mask == "identity":
        g.kernels.kernel.assign(tf.zeros_like(g.kernels.kernel))
        g.kernels.bias.assign(tf.reshape(tf.tile(tf.one_hot(12, 25)[:, None], [1, 3]), [-1]))
    futures = rollout.generate(model, tf.constant(x[:, :2]), tf.zeros([3, 2], tf.int32), Sampling(3))
    np.testing.assert_allclose(futures, np.repeat(x[:, 1:2], 3, axis=1)[:, None], atol=1e-5)


@pytest.mark.parametrize("dropped", [True, False])
def test_masks_sum_to_one(dropped):
    """Where all images are 1 everywhere, so is their blend."""
    model = made(latents="none", drop_last_kernel=dropped, padding="symmetric")
    g, white = model.generator, tf.ones([3, 16, 16, 1])
    g.scratch.bias.assign(tf.fill([1], 200.0))
    g.masks.bias.assign(tf.random.stateless_normal(g.masks.bias.shape, [0, 1]))
    np.testing.assert_allclose(g.step(white, None, g.initial_states(3))[0], white, rtol=1e-5)


def test_samples_are_between_the_images_that_they_blend():
    model, x = made(latents="none", padding="symmetric"), 0.4 + 0.1 * frames_of()
    model.generator.scratch.kernel.assign(tf.zeros_like(model.generator.scratch.kernel))  # a grey of one half
    futures = rollout.generate(model, tf.constant(x[:, :2]), tf.zeros([3, 2], tf.int32), Sampling(3)).numpy()
    assert futures.min() >= x[:, 1].min() - 1e-6 and futures.max() <= 0.5 + 1e-6


def test_samples_have_seen_the_context_alone(variant):
    x = frames_of()
    changed = np.concatenate([x[:, :2], 1 - x[:, 2:]], axis=1)
    np.testing.assert_array_equal(*(variant.generate(f, 2, n_samples=2, n_past=2, seed=3) for f in (x, changed)))


@pytest.mark.parametrize("dropped", [True, False])
def test_the_last_kernel_learns_unless_it_is_dropped(dropped):
    model = made(latents="none", drop_last_kernel=dropped)
    model.generator.kernels.bias.assign(tf.ones([75]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.objective(tf.constant(frames_of()), batch_seed(), "batch")["loss"])
    gradient = tape.gradient(loss, model.generator.kernels.kernel.value).numpy().reshape(-1, 25, 3)
    assert np.any(gradient[..., :2]) and np.any(gradient[..., 2]) != dropped


def test_the_squared_error_of_future_frames_alone(invariant):
    x, future = frames_of(), made(loss_frames="future")
    future.set_weights(invariant.get_weights())
    of_frames = invariant.bound(x).terms["mse"].numpy()
    seeds = tf.constant([[0, 0], [0, 1], [0, 2]])
    for model, expected in ((invariant, of_frames.mean(1)), (future, of_frames[:, 1:].mean(1))):
        np.testing.assert_allclose(model.objective(tf.constant(x), seeds, "running")["mse"], expected, rtol=1e-4)


def test_the_bound_is_an_elbo(invariant, variant):
    x = frames_of()
    terms, nats = invariant.bound(x)
    kl = invariant.posterior(tf.transpose(x, [1, 0, 2, 3, 4]))
    kl = distributions.kl(kl, distributions.standard_normal_like(kl)).numpy()
    np.testing.assert_allclose(terms["kl"].numpy().sum(1), kl, rtol=1e-5)
    variance = 0.5 * 4 * 256 / 2
    nll = 128 * (terms["mse"].numpy() / variance + np.log(2 * np.pi * variance))
    np.testing.assert_allclose(nats, nll.sum(1) + kl, rtol=1e-5)
    objective = terms["mse"].numpy().mean(1) + 0.5 * kl
    np.testing.assert_allclose((nats - 512 * np.log(2 * np.pi * variance)) * variance / 512, objective, rtol=1e-3)
    assert np.ptp(variant.bound(x).terms["kl"], axis=1).max() == 0  # each step's z costs alike
    assert made(latents="none").bound(x).nats is None


def test_recomputation_changes_nothing_but_memory():
    model, found = made(), []
    for recompute in (False, True):
        model.recompute = recompute
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model.objective(tf.constant(frames_of()), batch_seed())["loss"])
        found.append(tape.gradient(loss, [v.value for v in model.trainable_variables]))
    for plain, again in zip(*found, strict=True):
        np.testing.assert_allclose(plain, again, rtol=1e-3, atol=1e-6)


def test_frames_that_are_not_square_and_other_channels():
    class Wide(SV2PConfig):
        @property
        def frame_shape(self):
            return 16, 24, 2

    model = SV2P(Wide(**{f.name: getattr(TINY, f.name) for f in dataclasses.fields(TINY)}))
    x = np.random.default_rng(0).random((2, 5, 16, 24, 2)).astype("float32")
    assert model.objective(tf.constant(x), batch_seed(2), "running")["loss"].shape == (2,)
    futures = rollout.generate(model, tf.constant(x[:, :2]), tf.zeros([2, 2], tf.int32), Sampling(2, 3))
    assert futures.shape == (2, 3, 2, 16, 24, 2)
