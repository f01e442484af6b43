"""SAVP: its sizes, its variants, its schedules, its latents, and what it must not see."""

import dataclasses
import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from svg_tf import noise, presets
from svg_tf.families import cost
from svg_tf.families.interface import BoundsLikelihood, KnowsTrouble, Reconstructs, Sampling
from svg_tf.families.savp import rollout
from svg_tf.families.savp.config import SAVPConfig
from svg_tf.families.savp.model import SAVP
from svg_tf.serving import signatures
from svg_tf.serving.limits import Limits
from svg_tf.training import averaging, callbacks, optimizers
from svg_tf.training.state import TrainingState, named_variables

TINY = SAVPConfig(
    image_size=16, width=2, encoder_width=2, discriminator_width=1, n_past=2, z_dim=3, lstm_kernel_size=3, kernel_size=3,
    transformed_images=2, clip_length=4, beta_start_step=2, beta_end_step=6,
)  # fmt: skip
PUBLISHED = {"bias_before_norm": True, "n_past": 2}


def frames_of(batch=3, steps=5, seed=0):
    return np.random.default_rng(seed).random((batch, steps, 16, 16, 1)).astype("float32")


def made(**changes):
    keras.utils.set_random_seed(0)
    model = SAVP(dataclasses.replace(TINY, **changes))
    for v in model.trainable_variables:  # large weights, so that everything shows
        v.assign(v.value + 0.3 * np.random.default_rng(len(v.shape)).standard_normal(v.shape))
    model.compile(keras.optimizers.SGD(1e-3), seed=1)
    model.build_optimizers()
    return model


@pytest.fixture(scope="module")
def game():
    return made()


@pytest.fixture(scope="module")
def vae():
    return made(variant="vae")


def count(layer):
    return sum(v.value.shape.num_elements() for v in layer.trainable_variables)


def batch_seed(batch=3, seed=7):
    return noise.BatchSeed(tf.constant([seed, 0]), tf.range(batch), tf.constant(batch))


def futures(model, frames, step=10**6):
    return model.forward({"frames": tf.constant(frames)}, batch_seed(), "train", tf.constant(step))


def test_parameters_of_the_published_sizes():
    model = SAVP(SAVPConfig(channels=3, **PUBLISHED))
    g = model.generator
    assert [count(b) for b in (*g.down, *g.up)] == [11_296, 23_232, 83_328, 78_528, 39_264, 20_832]
    assert [count(cell) for cell in g.cells] == [230_720, 871_040, 3_380_480, 871_040, 230_720]
    assert (count(g.latent_lstm), count(g.transformation)) == (544, 819_300)
    assert count(g.scratch_hidden) + count(g.scratch) == 10_179 and count(g.masks_hidden) + count(g.masks) == 12_658
    convs = [count(conv) for conv in model.posterior_net.convs]
    assert convs == [6_208, 131_456, 525_056] and sum(count(h) for h in model.posterior_net.heads.values()) == 4_112
    assert (count(g), count(model.posterior_net)) == (6_683_161, 666_832)
    assert [count(d) for d in model.discriminators.values()] == [5_144_001] * 2 and count(model) == 17_637_995
    assert count(g) + count(model.posterior_net) == 7_349_993  # the VAE
    multiply_adds = cost.of(model).sampling_multiply_adds(2, 1001, 1) - cost.of(model).sampling_multiply_adds(2, 1, 1)
    cells = 5 * 32**2 * 25 * 64 * 128  # half the side, twice the width: the same work
    down = 32**2 * 36 * 3 * 32 + 16**2 * 16 * 32 * 64 + 8**2 * 16 * 64 * 128
    up = 9 * (16**2 * 128 * 64 + 32**2 * 128 * 32 + 64**2 * 64 * 32)
    painting = 64**2 * (9 * 32 * (32 + 3) + 9 * 32 * 32 + 9 * 53 * 7 + 25 * 12 + 21) + 819_200
    assert multiply_adds / 1000 == pytest.approx(cells + down + up + painting, rel=1e-3)  # of a frame; the rest is z's


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"channels": 3, "variant": "gan"}, 11_827_162),
        ({"channels": 3, "variant": "deterministic"}, 6_397_177),
        ({"variant": "vae"}, 7_341_237),
        ({"variant": "vae", "z_dim": 32}, 8_217_669),
        ({"z_dim": 32}, 18_502_215),
    ],
)
def test_parameters_of_variants(changes, expected):
    assert count(SAVP(SAVPConfig(**{**PUBLISHED, **changes}))) == expected


def shapes(**changes):
    return {path: tuple(v.shape) for path, v in named_variables(SAVP(dataclasses.replace(TINY, **changes))).items()}


def test_which_weights_depend_on_the_size_of_frames():
    """A product with all of the smallest map: of the kernels of a whole image, and of each discriminator's judgement."""
    small, wide = shapes(), shapes(image_size=(16, 40))
    assert small.keys() == wide.keys()
    changed = {path for path in small if small[path] != wide[path]}
    judged = {f"discriminators/{name}/judgement/product/kernel" for name in ("gan", "vae_gan")}
    assert changed == {"generator/transformation/dense/kernel"} | judged
    for transformation in ("dna", "flow"):
        free = {"variant": "vae", "transformation": transformation}
        assert shapes(**free) == shapes(image_size=(40, 16), **free)
        assert dataclasses.replace(TINY, **free).any_size
        assert not dataclasses.replace(TINY, **(free | {"variant": "gan"})).any_size
    assert not TINY.any_size and not dataclasses.replace(TINY, variant="vae").any_size
    assert dataclasses.replace(TINY, image_size=(64, 120)).levels == 3


def test_biases_before_normalizations_are_all_that_is_left_out():
    with_, without = SAVP(dataclasses.replace(TINY, bias_before_norm=True)), SAVP(TINY)
    blocks = [*with_.generator.down, *with_.generator.up, with_.generator.scratch_hidden, with_.generator.masks_hidden]
    dead = sum(b.conv.outputs for b in blocks) + sum(count_of.bias.shape[0] for count_of in with_.posterior_net.convs[1:])
    assert count(with_) - count(without) == dead


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 20}, "divisible by 8, the shorter one at least 16 and less than 128; got 20"),
        ({"image_size": (16, 20)}, "image_size, height and width, must be divisible by 8, .*; got 16x20"),
        ({"image_size": (8, 64)}, "the shorter one at least 16 .*; got 8x64"),
        ({"image_size": (160, 128)}, "less than 128; got 160x128"),
        ({"image_size": (64, 16), "lstm_kernel_size": 17}, "must be odd and at most image_size, 64x16; got 17"),
        ({"kernel_size": 4}, "kernel_size must be odd and at most image_size, 16; got 4"),
        ({"lstm_kernel_size": 17}, "lstm_kernel_size must be odd and at most image_size, 16; got 17"),
        ({"clip_length": 3}, "clip_length must be an integer of at least 4, got 3"),
        ({"gan_weight": 0.0}, "gan_weight must be greater than 0 where variant is 'vae_gan'"),
        ({"l1_weight": 0.0}, "l1_weight or l2_weight must be greater than 0"),
        ({"beta_end_step": 1}, "beta_end_step must be at least beta_start_step = 2, got 1"),
        ({"variant": "gan", "learned_prior": True}, "learned_prior needs a posterior: variant 'vae' or 'vae_gan', not 'gan'"),
        ({"variant": "deterministic", "recurrent_posterior": True}, "recurrent_posterior needs a posterior"),
        ({"variant": "both"}, "variant must be one of"),
        ({"beta": -1.0}, "beta must be a finite number"),
    ],
)
def test_wrong_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **changes)


def test_a_run_must_fit_the_model():
    preset = presets.get("smmnist_mini_savp")
    with pytest.raises(ValueError, match="clip_length must be at most the 9 predicted frames .* 'all' leaves; got 10"):
        dataclasses.replace(preset, data=dataclasses.replace(preset.data, n_future=5))
    with pytest.raises(ValueError, match="clip_length must be at most the 5 predicted frames .* 'future' leaves"):
        model = dataclasses.replace(preset.model, loss_frames="future")
        dataclasses.replace(preset, model=model, data=dataclasses.replace(preset.data, n_future=5))
    with pytest.raises(ValueError, match="beta_end_step 2400 must be at most the run's 1200 steps"):
        schedule = dataclasses.replace(preset.train.optimizer.schedule, steps=None)
        optimizer = dataclasses.replace(preset.train.optimizer, schedule=schedule)
        dataclasses.replace(preset, train=dataclasses.replace(preset.train, epochs=2, optimizer=optimizer))


@pytest.mark.parametrize("name", [name for name in presets.names() if "savp" in name])
def test_presets_are_runs(name):
    model = presets.get(name).model
    kind = {"gan": "gan", "vae": "vae", "det": "deterministic"}
    assert model.variant == next((kind[part] for part in name.split("_") if part in kind), "vae_gan")
    assert (model.gan_loss == "cross_entropy") == name.endswith("2018") == (model.context_latents == "prior")
    assert "mnist" not in name or model.kernel_size // 2 >= model.image_size // 16  # no digit moves further


def test_schedules_at_their_steps(game):
    np.testing.assert_allclose([float(game.beta_at(step)) for step in (0, 2, 4, 6, 10**6)], [0, 0, 0.5, 1, 1])
    preset = presets.get("bair_savp")
    published = SAVP(dataclasses.replace(preset.model, width=2, encoder_width=2, discriminator_width=1))
    assert [float(published.beta_at(s)) for s in (50_000, 75_000, 100_000)] == pytest.approx([0, 0.5, 1])
    rate = optimizers.of(preset.train, published.program)["discriminator"]._learning_rate
    np.testing.assert_allclose([rate(s) for s in (0, 199_999, 250_000, 300_000)], [2e-4, 2e-4, 1e-4, 0], atol=1e-8)
    assert set(published.program.names) == {"discriminator", "generator"}


@pytest.mark.parametrize(("steps", "batch"), [(3, 2), (6, 4)])
def test_the_kl_is_a_sum_over_z_and_a_mean_over_steps(steps, batch):
    model = made(variant="vae", z_dim=8)
    for head, bias in (("mean", 1.0), ("log_variance", 0.0)):
        net = model.posterior_net.heads[head]
        net.kernel.assign(tf.zeros_like(net.kernel))
        net.bias.assign(tf.fill([8], bias))
    values = model.objective(tf.constant(frames_of(batch, steps)), batch_seed(batch), "running")
    np.testing.assert_allclose(values["kl"], np.full(batch, 4.0), rtol=1e-5)


def test_no_frame_after_the_context_is_read_unless_it_is_shown(game):
    """Of the futures from the prior: also by way of the latents within the context, which come from the posterior."""
    x = frames_of()
    changed = x.copy()
    changed[:, 2:] = 1 - changed[:, 2:]
    np.testing.assert_array_equal(futures(game, x)["prior"], futures(game, changed)["prior"])
    assert np.any(futures(game, x)["posterior"] != futures(game, changed)["posterior"])
    early, other = futures(game, x, step=0), futures(game, changed, step=0)
    np.testing.assert_array_equal(early["true_frames"], np.ones(3))
    assert np.any(early["prior"] != other["prior"])
    np.testing.assert_array_equal(early["prior"][:2], other["prior"][:2])
    np.testing.assert_array_equal(futures(game, x)["true_frames"], np.zeros(3))


def test_both_futures_are_one_where_their_latents_are(game):
    """Steps within the context have the same latents, and run once: as if they had run for each."""
    x = tf.transpose(frames_of(), [1, 0, 2, 3, 4])
    z = tf.random.stateless_normal([4, 3, 3], [1, 2])
    rs = [game.generator.latents(tf.concat([z[:1], part], 0)) for part in (z[1:], -z[1:])]
    shared, apart = (rollout.fed_back(game.generator, x, rs, 2, n).frames for n in (1, 0))
    np.testing.assert_allclose(shared, apart, atol=1e-5)
    np.testing.assert_array_equal(shared[0, :3], shared[0, 3:])
    alone = rollout.fed_back(game.generator, x, rs[1:], 2).frames
    np.testing.assert_allclose(shared[:, 3:], alone, atol=1e-5)


def test_which_examples_see_true_frames_follows_from_their_global_rows():
    seed = noise.BatchSeed(tf.constant([3, 1]), tf.range(64), tf.constant(64))
    whole = rollout.truth_shown(10.0, seed, 20, 64, round(10 * np.log(10))).numpy()
    assert abs(whole.mean() - 0.5) < 0.05 and np.any(whole[0] != whole[1])
    for rows in (range(32), range(32, 64)):  # two replicas
        part = rollout.truth_shown(10.0, seed._replace(rows=tf.constant(list(rows))), 20, 32, round(10 * np.log(10)))
        np.testing.assert_array_equal(part, whole[:, list(rows)])
    assert not np.any(rollout.truth_shown(900.0, seed, 20, 64, 10**6))


@pytest.mark.parametrize("context_latents", ["posterior", "prior"])
def test_generation_is_the_rollout_with_latents_of_the_prior(context_latents):
    model, x, seeds = made(context_latents=context_latents), frames_of(), tf.constant([[5, 0], [5, 1], [5, 2]])
    draws = noise.of_sequences(noise.sample_seeds(seeds, 0, 1), 4, 3, 3)
    swapped = tf.transpose(x, [1, 0, 2, 3, 4])
    if context_latents == "posterior":
        q = model.posterior_net.posterior(swapped[:2])
        draws = tf.concat([q.mean() + q.stddev() * draws[:1], draws[1:]], axis=0)
    rolled = rollout.fed_back(model.generator, swapped, [model.generator.latents(draws)], 2).frames
    generated = model.sample(tf.constant(x[:, :2]), seeds, Sampling(3))
    np.testing.assert_allclose(generated[:, 0], tf.transpose(rolled[1:], [1, 0, 2, 3, 4]), atol=1e-5)


@pytest.mark.parametrize("shown", ["previous", "first"])
def test_masks_that_choose_one_image_show_it(shown):
    model, x = made(variant="deterministic"), frames_of()
    masks = model.generator.masks
    masks.kernel.assign(tf.zeros_like(masks.kernel))
    masks.bias.assign(tf.one_hot({"previous": 2, "first": 3}[shown], 5) * 200.0)
    generated = model.sample(tf.constant(x[:, :2]), tf.zeros([3, 2], tf.int32), Sampling(4))[:, 0]
    np.testing.assert_allclose(generated, np.repeat(x[:, 1:2] if shown == "previous" else x[:, :1], 4, axis=1), atol=1e-6)
    inputs = tf.transpose(x, [1, 0, 2, 3, 4])
    forced = rollout.teacher_forced(model.generator, inputs, None).frames
    np.testing.assert_allclose(forced, inputs[:-1] if shown == "previous" else np.repeat(inputs[:1], 4, axis=0), atol=1e-6)


def gradients(model, recompute):
    model.recompute = recompute
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.objective(tf.constant(frames_of()), batch_seed(), "train")["loss"])
    return tape.gradient(loss, [v.value for v in model.generator.trainable_variables])


@pytest.mark.parametrize("variant", ["vae", "deterministic"])
def test_recomputation_gives_the_same_gradients(variant):
    model = made(variant=variant)
    for kept, again in zip(gradients(model, False), gradients(model, True), strict=True):
        np.testing.assert_allclose(again, kept, rtol=1e-3, atol=1e-4 * max(1e-3, float(tf.reduce_max(abs(kept)))))


def test_a_learned_prior_has_seen_the_context_alone():
    model, x = made(learned_prior=True, inference_size=4), tf.transpose(frames_of(), [1, 0, 2, 3, 4])
    p, longer = model.prior_net.prior(x[:2], 4), model.prior_net.prior(x[:2], 6)
    assert p.mean().shape == (4, 3, 3) and np.any(p.mean()[1] != p.mean()[2])  # it goes on in time
    np.testing.assert_allclose(longer.mean()[:4], p.mean(), atol=1e-6)
    assert np.any(model.prior_net.prior(1 - x[:2], 4).mean() != p.mean())
    assert model.prior_net.prior(x[:1], 4).mean().shape == (4, 3, 3)  # of one frame: no pair
    values = model.objective(tf.constant(frames_of()), batch_seed(), "running")
    q = model.posterior_net.posterior(x)
    expected = tfp.distributions.kl_divergence(q, p)
    np.testing.assert_allclose(values["kl"], tf.reduce_mean(expected, 0), rtol=1e-4)


@pytest.mark.parametrize("weights", [{"l1_weight": 2.0}, {"l1_weight": 0.0, "l2_weight": 2.0}])
def test_the_bound_is_an_elbo(weights):
    model, x = made(variant="vae", beta=0.3, **weights), frames_of()
    seeds, made_ = tf.constant([[0, 0], [0, 1], [0, 2]]), {}
    terms, nats = model.bound_in_graph(tf.constant(x), seeds)
    inputs = tf.transpose(x, [1, 0, 2, 3, 4])
    r = model.generator.latents(model._latents(inputs, seeds, 4, made_)["posterior"])
    x_hat = rollout.fed_back(model.generator, inputs, [r], 2).frames
    if weights["l1_weight"]:
        of_pixels = tfp.distributions.Laplace(x_hat, 0.3 * 256 / 2)
    else:
        of_pixels = tfp.distributions.Normal(x_hat, np.sqrt(0.3 * 256 / 4).astype("float32"))
    expected = -tf.reduce_sum(of_pixels.log_prob(inputs[1:]), [0, 2, 3, 4]) + tf.reduce_sum(made_["kl"], 0)
    np.testing.assert_allclose(nats, expected, rtol=1e-5)
    np.testing.assert_allclose(tf.reduce_sum(terms["kl"], 1), tf.reduce_sum(made_["kl"], 0), rtol=1e-5)
    assert made(variant="vae", l2_weight=1.0).bound_in_graph(tf.constant(x), seeds).nats is None


def test_held_out_losses_leave_the_game_out_and_the_norms_vectors_alone(game):
    us = [v.numpy() for v in game.variables if v.path.endswith("/u") or v.name == "u"]
    assert len(us) == 16
    game.reset_metrics()
    values = {name: float(value) for name, value in game.test_step({"frames": tf.constant(frames_of())}).items()}
    parts = game.config.l1_weight * values["generator/l1"] + values["generator/kl"]  # the whole beta, 1
    assert values["loss"] == pytest.approx(parts, rel=1e-5) and values["generator/vae_gan_features"] > 0
    assert all(np.array_equal(a, v.numpy()) for a, v in zip(us, [v for v in game.variables if v.name == "u"], strict=True))


def test_each_update_moves_its_own(game):
    before = {path: value for path, value in TrainingState(game).values().items() if path.startswith("model/")}
    update = game.program.updates[0]
    assert update.name == "discriminator"
    assert {id(v) for v in update.variables()}.isdisjoint(id(v) for v in game.program.updates[1].variables())
    assert {p.split("/")[1] for p in before} == {"generator", "posterior_net", "discriminators"}
    of_norms = [path for path in before if path.endswith("/u")]
    assert len(of_norms) == 16  # they are in checkpoints
    moved = {id(v) for u in game.program.updates for v in u.variables()}
    assert moved == {id(v) for v in game.trainable_variables}


def test_averaged_weights_run_the_losses_too():
    """Nothing moves but what averaged weights lack: here the vectors of their spectral norms."""
    model = made(variant="gan")
    before = TrainingState(model, with_optimizer=False).values()
    averaging.compute_statistics(model, tf.data.Dataset.from_tensors({"frames": frames_of()}), 0, 5)
    after = TrainingState(model, with_optimizer=False).values()
    moved = {path for path, value in before.items() if not np.array_equal(value, after[path])}
    assert moved <= {path for path in before if path.endswith("/u")} and len(moved) >= 7


def test_exports_hold_the_generator_alone():
    gan = made(variant="gan")
    functions, _ = signatures.build(gan, 3, 2, Limits(), least_rows=1)
    assert set(functions) == {"serving_default", "generate", "generate_float"}
    held = signatures.Variables(gan, functions).model_variables
    assert {id(v) for v in held} == {id(v.value) for v in gan.generator.variables}


def test_what_variants_can_do(game, vae):
    gan = made(variant="gan")
    assert game.can(Reconstructs, BoundsLikelihood, KnowsTrouble) and not gan.can(Reconstructs) and not gan.can(BoundsLikelihood)
    given = tf.constant(frames_of()), tf.zeros([3, 2], tf.int32)
    assert vae.bound_in_graph(*given).nats is not None and game.bound_in_graph(*given).nats is None
    with pytest.raises(ValueError, match="number must be known"):
        tf.function(vae._time_major_of_known_length).get_concrete_function(tf.TensorSpec([3, None, 16, 16, 1]))


def test_a_game_that_one_side_has_won_is_told_once(game, caplog):
    health = callbacks.Health(every=1, patience=3)
    health.set_model(game)
    healthy, lost = {"discriminator/gan_loss": 0.4, "discriminator/vae_gan_loss": 0.5}, {"discriminator/vae_gan_loss": 1e-3}
    assert not game.troubles(healthy) and list(game.troubles(healthy | lost)) == ["vae_gan"]
    assert not made(variant="vae").troubles({"loss": 0.0})
    health.on_train_begin()
    means = iter([lost, lost, healthy, lost, lost, lost, lost, healthy])
    health._means.take = lambda: healthy | next(means)
    with caplog.at_level(logging.WARNING):
        for _ in range(8):
            health.on_train_batch_end(0, {})
    assert len(caplog.records) == 1 and "discriminator 'vae_gan' stays at 0.001" in caplog.text


def test_without_latents_it_learns_to_move_what_moves():
    """Two videos of a bar that moves by one pixel a step: better than the last frame."""
    videos = np.zeros((2, 5, 16, 16, 1), "float32")
    for t in range(5):
        videos[0, t, 4:12, 3 + t : 6 + t] = videos[1, t, 9 - t : 12 - t, 4:12] = 1.0
    keras.utils.set_random_seed(0)
    model = SAVP(dataclasses.replace(TINY, variant="deterministic", width=4, l1_weight=1.0, sampling_k=1.0))
    model.compile(keras.optimizers.Adam(1e-2), seed=1)
    model.fit(tf.data.Dataset.from_tensors({"frames": videos}).repeat(), steps_per_epoch=60, shuffle=False, verbose=0)
    predicted = model.sample(tf.constant(videos[:, :2]), tf.zeros([2, 2], tf.int32), Sampling(3))[:, 0]
    copied = np.abs(videos[:, 1:2] - videos[:, 2:]).mean()
    assert float(np.abs(predicted - videos[:, 2:]).mean()) < 0.5 * copied
