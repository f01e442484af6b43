"""Struct-VRNN: its sizes, its objective against NumPy, its dynamics, and what it draws."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import noise, presets
from svg_tf.families import cost
from svg_tf.families.interface import ShowsKeypoints
from svg_tf.families.struct_vrnn import dynamics, geometry
from svg_tf.families.struct_vrnn import sampling as vrnn_sampling
from svg_tf.families.struct_vrnn.config import StructVRNNConfig
from svg_tf.families.struct_vrnn.model import StructVRNN
from svg_tf.training.state import named_variables
from tests.svg_tf.families.struct_vrnn.numpy_struct_vrnn import NumpyStructVRNN

TINY = StructVRNNConfig(
    image_size=32, channels=2, n_past=3, n_keypoints=4, width=3, layers_per_scale=1, rnn_size=6, hidden_size=5, z_dim=3,
    belief_samples=4, kl_weight=0.3, kl_warmup_steps=10, truth_steps=20,
)  # fmt: skip


def frames_of(batch=2, steps=5, seed=0, size=32, channels=2):
    return np.random.default_rng(seed).random((batch, steps, size, size, channels)).astype("float32")


def made(**changes):
    keras.utils.set_random_seed(0)
    model = StructVRNN(dataclasses.replace(TINY, **changes))
    model.compile(keras.optimizers.Adam(1e-3), seed=1)
    model.build_optimizers()
    for path, variable in named_variables(model).items():  # so that everything shows
        if path.endswith("bias"):
            variable.assign(np.random.default_rng(len(path)).normal(0, 0.3, variable.shape))
        if path.startswith("detector/head"):
            variable.assign(variable * 8)
    return model


@pytest.fixture(scope="module")
def model():
    return made()


PARTS = {
    (1, 12): {
        "detector": 482_316, "renderer": 638_497, "prior": 69_792, "posterior": 74_400, "code_decoder": 72_356,
        "recurrence": 867_840,
    },
    (3, 48): {
        "detector": 487_536, "renderer": 648_355, "prior": 69_792, "posterior": 88_224, "code_decoder": 86_288,
        "recurrence": 1_033_728,
    },
}  # fmt: skip
LAYERS = {  # of C 1, K 12: 64 pixels down to 16
    "detector/encoder/scales/0/0": 896, "detector/encoder/scales/0/1": 9_248, "detector/encoder/scales/1/0": 18_496,
    "detector/encoder/scales/1/2": 36_928, "detector/encoder/scales/2/0": 73_856, "detector/encoder/scales/2/1": 147_584,
    "detector/head": 1_548, "renderer/encoder/scales/0/0": 320, "renderer/first": 19_840, "renderer/levels/0/0": 73_792,
    "renderer/levels/0/1": 36_928, "renderer/levels/1/0": 18_464, "renderer/levels/1/1": 9_248, "renderer/last": 33,
    "prior/hidden": 65_664, "prior/mean": 2_064, "prior/scale": 2_064, "posterior/hidden": 70_272, "code_decoder/hidden": 67_712,
    "code_decoder/code": 4_644, "recurrence": 867_840,
}  # fmt: skip


def sizes_of(model, parts):
    found = {path: int(np.prod(v.shape)) for path, v in named_variables(model).items()}
    return {part: sum(n for path, n in found.items() if path.startswith(f"{part}/")) for part in parts}


@pytest.mark.parametrize(("channels", "n_keypoints", "total"), [(1, 12, 2_205_201), (3, 48, 2_413_923), (3, 64, 2_506_147)])
def test_parameters_as_published(channels, n_keypoints, total):
    model = StructVRNN(StructVRNNConfig(channels=channels, n_keypoints=n_keypoints))
    assert model.count_params() == total  # 2.21 M, 2.41 M, 2.51 M
    parts = PARTS.get((channels, n_keypoints), {})
    assert sizes_of(model, parts) == parts
    if n_keypoints == 12:
        assert sizes_of(model, LAYERS) == LAYERS


@pytest.mark.parametrize(("size", "features", "levels"), [(16, 3, 0), (128, 24, 3)])
def test_any_size_of_16_times_a_power_of_two(size, features, levels):
    model = StructVRNN(dataclasses.replace(TINY, image_size=size, channels=5))
    assert model.config.features == features and len(model.renderer.levels) == levels
    x = frames_of(size=size, channels=5)
    assert model.keypoints(x).shape == (2, 5, 4, 3)
    assert model.generate(x[:, :3], 2, 2).shape == (2, 2, 2, size, size, 5)


def test_every_term_equals_numpy_and_the_loss_is_their_sum(model):
    x, seed, step = frames_of(), noise.seed_pair(3), 12  # beyond the KL's ramp, within that of true codes
    eps = noise.of_sequences(seed, 5, 2, 4 * 3).numpy().reshape(5, 2, 4, 3)
    coins = noise.uniform(noise.stream(seed, 1), [5]).numpy()
    fed = coins < 1 + step / 20 * (np.array([0.1] * 3 + [0.5] * 2) - 1)
    assert 0 < fed.sum() < 5
    weights = {path: np.asarray(v.value, np.float64) for path, v in named_variables(model).items()}
    expected = NumpyStructVRNN(weights, model.config).terms(x.astype(np.float64), eps, fed)
    found = model.objective(tf.constant(x), seed, "train", step)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-4, err_msg=name)
    np.testing.assert_allclose(found["true_codes"], fed.mean(), rtol=1e-6)
    assert (found["kl"].numpy() > 1e-3).all() and (found["separation"].numpy() > 0.01).all()


def test_ramps(model):
    x, seed = tf.constant(frames_of()), noise.seed_pair(0)
    early, late = (model.objective(x, seed, "train", step) for step in (2, 1000))
    np.testing.assert_allclose(early["beta_kl"], 0.3 * 0.2 * early["kl"], rtol=1e-5)
    np.testing.assert_allclose(late["beta_kl"], 0.3 * late["kl"], rtol=1e-5)
    coins = tf.function(lambda number, step: model.fed(noise.fold(seed, number), 8, 3, step))
    steps = [tf.constant(step) for step in (0, 10, 20, 500)]
    chances = np.mean([[coins(tf.constant(i), step) for i in range(400)] for step in steps], axis=1)
    expected = [[1] * 8, [0.55] * 3 + [0.75] * 5, [0.1] * 3 + [0.5] * 5, [0.1] * 3 + [0.5] * 5]
    np.testing.assert_allclose(chances, expected, atol=0.09)  # 3.5 standard deviations
    held_out = model.objective(x, seed, "running", 2)
    assert (held_out["true_codes"].numpy() == 0).all() and held_out["beta_kl"][0] == 0.3 * held_out["kl"][0]


def test_a_hot_pixel_is_a_keypoint_there_and_a_blob_is_found_where_it_was_drawn():
    heat = np.zeros((1, 16, 16, 3), np.float32)
    heat[0, 0, 15, 0], heat[0, 15, 0, 1], heat[0, 5, 8, 2] = 1e3, 5e2, 2.5e2
    found = geometry.of_heat_maps(tf.constant(heat))[0].numpy()
    grid = np.linspace(-1, 1, 16)
    np.testing.assert_allclose(found[:, :2], [(1, 1), (-1, -1), (grid[8], -grid[5])], atol=1e-4)  # y points up
    np.testing.assert_allclose(found[:, 2], [1, 0.5, 0.25], rtol=1e-5)
    inner = np.array([[[0.3, -0.2, 1.0], [-0.4, 0.5, 0.5]]], np.float32)
    again = geometry.of_heat_maps(geometry.to_maps(tf.constant(inner), 16, 16, 1.5))
    np.testing.assert_allclose(again, inner, atol=2e-3)
    peak = geometry.to_maps(tf.constant([[[grid[4], -grid[9], 0.7]]], tf.float32), 16, 16, 1.5)[0, 9, 4, 0]
    np.testing.assert_allclose(peak, 0.7, rtol=1e-5)


def test_separation_compares_motion_and_not_place():
    t = np.linspace(0, 1, 8)[:, None]
    together = np.stack([np.concatenate([t + x, 2 * t - x], 1) for x in (0, 0.3, -0.8)], 1)[:, None]
    apart = np.stack([np.concatenate([a * t, b * t], 1) for a, b in ((1, 0), (0, 1), (-1, -1))], 1)[:, None]
    values = [float(geometry.separation(tf.constant(p, tf.float32), 0.01)[0]) for p in (together, apart, together[:, :, :1])]
    np.testing.assert_allclose(values, [1.0, 0.0, 0.0], atol=1e-6)


def test_the_best_of_many_latents_goes_on_and_one_is_plain_sampling(model):
    codes = tf.random.stateless_uniform([3, 2, 12], [1, 2], -1.0, 1.0)
    draws = tf.random.stateless_normal([3, 2, 4, 3], [3, 4])
    plain = dynamics.observe(model, codes, draws[:, :, :1])
    np.testing.assert_array_equal(plain.codes, dynamics.observe(model, codes, draws[:, :, :1], choose=True).codes)
    np.testing.assert_array_equal(plain.codes, dynamics.observe(model, codes, draws).codes)  # unasked, the first is taken
    first = [dynamics.observe(model, codes[:1], draws[:1, :, i : i + 1]).codes[0].numpy() for i in range(4)]
    nearest = np.argmin([((code - codes[0]) ** 2).numpy().mean(-1) for code in first], axis=0)
    assert len(set(nearest)) > 1
    chosen = dynamics.observe(model, codes[:1], draws[:1], choose=True).codes[0].numpy()
    np.testing.assert_allclose(chosen, [first[i][b] for b, i in enumerate(nearest)], rtol=1e-5)
    state = plain.state
    future = dynamics.predict(model, state, 3, draws, codes)
    alone = dynamics.predict(model, state, 3, draws[:, :, :1])
    errors = [float(tf.reduce_mean(tf.square(made[0] - codes[0]))) for made in (future, alone)]
    assert errors[0] < errors[1]


def test_steps_in_a_loop_are_the_unrolled_ones(model, monkeypatch):
    x, seed = tf.constant(frames_of()), noise.seed_pair(0)
    expected = model.objective(x, seed, "train", 5)
    monkeypatch.setattr(dynamics, "UNROLLED_STEPS", 1)

    @tf.function(input_signature=[tf.TensorSpec([None, None, 32, 32, 2])])
    def looped(x):
        with tf.GradientTape() as tape:
            values = model.objective(x, seed, "train", 5)
            loss = tf.reduce_sum(values["loss"])
        return values, tape.gradient(loss, model.posterior.hidden.kernel.value)

    values, gradient = looped(x)
    for name, value in expected.items():
        np.testing.assert_allclose(values[name], value, rtol=1e-4, err_msg=name)
    monkeypatch.undo()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model.objective(x, seed, "train", 5)["loss"])
    np.testing.assert_allclose(gradient, tape.gradient(loss, model.posterior.hidden.kernel.value), rtol=1e-3, atol=1e-6)


def test_frames_are_drawn_from_the_predicted_keypoints_and_horizons_agree(model):
    x = frames_of()[:, :3]
    points, samples = model.predict_keypoints(x, 6, 3, seed=5), model.generate(x, 6, 3, seed=5)
    assert points.shape == (2, 3, 6, 4, 3)
    seen = model.see(tf.transpose(x, [1, 0, 2, 3, 4]))
    flat = tf.reshape(tf.transpose(points, [2, 0, 1, 3, 4]), [6, 6, 12])
    drawn = vrnn_sampling.draw(model, flat, seen.appearance, 3)
    np.testing.assert_allclose(drawn.numpy().reshape(6, 2, 3, 32, 32, 2).transpose(1, 2, 0, 3, 4, 5), samples, atol=1e-6)
    np.testing.assert_allclose(model.predict_keypoints(x, 2, 3, seed=5), points[:, :, :2], atol=1e-6)
    one = model.predict_keypoints(x[1:], 6, 1, seed=np.array([[5, 1]]), first_sample=2)
    np.testing.assert_allclose(one[0, 0], points[1, 2], atol=1e-6)
    with pytest.raises(ValueError, match="n_past must be at least 1, got 0"):
        model.predict_keypoints(x, 2, n_past=0)


def test_only_the_first_frame_gives_the_appearance(model):
    x = frames_of()
    changed = x.copy()
    changed[:, 1:] = 1 - changed[:, 1:]
    swapped = model.renderer(
        tf.reshape(model.keypoints(x)[:, 3], [2, 4, 3]), model.see(tf.transpose(changed, [1, 0, 2, 3, 4])).appearance,
        rows=vrnn_sampling.SharedBySamples(1),
    )  # fmt: skip
    np.testing.assert_allclose(np.clip(swapped + 0.5, 0, 1), model.redraw(x)[:, 2], atol=1e-5)
    at_once = vrnn_sampling.frames_at_once(model.config)
    assert 1 <= at_once <= vrnn_sampling.FRAMES_AT_ONCE


def test_ablations():
    det = made(stochastic=False)
    assert det.deterministic and det.config.drawn_latents == 1
    x = frames_of()
    samples = det.generate(x[:, :3], 3, 2)
    np.testing.assert_array_equal(samples[:, 0], samples[:, 1])
    with pytest.raises(ValueError, match="prior_scale cannot be had"):
        det.prior_scale(x)
    loose = made(code="unstructured")
    assert not loose.can(ShowsKeypoints) and loose.redraw(x).shape == (2, 4, 32, 32, 2)
    with pytest.raises(ValueError, match="keypoints cannot be had of this model, CNN-VRNN, a code of 12"):
        loose.keypoints(x)
    terms = loose.objective(tf.constant(x), noise.seed_pair(0), "train", 0)
    assert (terms["separation"].numpy() == 0).all() and (terms["sparsity"].numpy() == 0).all()
    single = made(n_keypoints=1).objective(tf.constant(x), noise.seed_pair(0), "train", 0)
    assert np.isfinite(single["loss"].numpy()).all()


def test_recomputed_blocks_have_the_same_gradients(model):
    x, seed = tf.constant(frames_of(steps=4)), noise.seed_pair(0)
    found = []
    for recompute in (False, True):
        model.recompute = recompute
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model.objective(x, seed, "train", 5)["loss"])
        found.append(tape.gradient(loss, [v.value for v in model.trainable_variables]))
    model.recompute = False
    for plain, again in zip(*found, strict=True):
        np.testing.assert_allclose(plain, again, rtol=2e-3, atol=1e-4)


def test_costs_of_the_published_sizes():
    costs = cost.of(StructVRNN(StructVRNNConfig()))
    encoder = 64**2 * 9 * (2 * 32 * 32) + 32**2 * 9 * (32 * 64 + 2 * 64 * 64) + 16**2 * 9 * (64 * 128 + 2 * 128 * 128)
    detection = encoder + 64**2 * 9 * 3 * 32 + 16**2 * 128 * 12
    drawing = 16**2 * 12 * 128 + 32**2 * 9 * (128 * 64 + 64 * 64) + 64**2 * (9 * (64 * 32 + 32 * 32) + 32)
    appearance = encoder + 64**2 * 9 * 32 + 16**2 * (128 + 12 + 2) * 128
    gru, hidden = 52 * 1536 + 512 * 1536, 512 * 128
    prior, posterior = hidden + 128 * 32, hidden + 36 * 128 + 128 * 32
    moving = gru + hidden + 16 * 128 + 128 * 36
    assert costs.sampling_multiply_adds(5, 7, 3) == (
        5 * detection + appearance + 3 * (5 * (moving + posterior) + 7 * (moving + prior + drawing))
    )
    moving += 9 * (16 * 128 + 128 * 36)
    assert costs.training_multiply_adds(15) == 15 * (detection + drawing + moving + prior) + appearance + 5 * posterior


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 48}, "16 times a power of 2 .*, got 48"),
        ({"image_size": 8}, "16 times a power of 2"),
        ({"n_keypoints": 0}, "n_keypoints must be an integer of at least 1, got 0"),
        ({"truth_observed": 1.5}, "truth_observed"),
        ({"kl_weight": -1.0}, "kl_weight"),
        ({"separation_sigma": 0.0}, "separation_sigma"),
        ({"code": "dense"}, "code must be"),
    ],
)
def test_wrong_configurations(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **changes)


def test_presets():
    h36m = presets.get("h36m_struct_vrnn")
    assert (h36m.model.n_past, h36m.data.n_future, h36m.data.frame_stride, h36m.eval.n_future) == (8, 8, 8, 45)
    assert h36m.model.n_keypoints == 48 and h36m.train.optimizer.clip_by == "variable" and h36m.model.truth_steps == 80_000
    assert presets.get("kth_struct_vrnn").model.n_past == 10 and presets.get("bair_struct_vrnn").model.channels == 3
    mini = presets.get("smmnist_mini_struct_vrnn")
    assert mini.model.image_size == 32 and mini.model.truth_steps == mini.train.steps * 4 // 5
    assert presets.get("smmnist_mini_struct_vrnn_one_sample").model.belief_samples == 1
    assert not presets.get("smmnist_mini_struct_vrnn_det").model.stochastic
    assert presets.get("smmnist_mini_struct_vrnn_cnn").model.code == "unstructured"
