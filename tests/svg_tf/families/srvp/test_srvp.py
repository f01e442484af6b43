"""SRVP against an independent computation in NumPy, and against what its equations say of states, content and skips."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import distributions, noise, presets
from svg_tf.families.srvp import transitions
from svg_tf.families.srvp.model import CONTENT, SRVP
from svg_tf.training.state import named_variables
from tests.svg_tf.families.srvp.numpy_srvp import NumpySRVP
from tests.svg_tf.tiny_models import TINY_SRVP, frames_of, made

BATCH, STEPS = 3, 4
WEIGHTED = dataclasses.replace(TINY_SRVP, channels=2, nu=0.5, beta_y=0.7, beta_z=1.3, residual_penalty=0.9)
CONFIGS = {
    "euler_1": WEIGHTED,
    "euler_2_skips": dataclasses.replace(WEIGHTED, n_euler=2, skips=True),
    "euler_4": dataclasses.replace(WEIGHTED, n_euler=4, k=3, n_past=3),
    "mlp": dataclasses.replace(WEIGHTED, transition="mlp"),
    "gru_skips": dataclasses.replace(WEIGHTED, transition="gru", skips=True),
    "without_z": dataclasses.replace(WEIGHTED, stochastic=False, n_euler=2),
}


def randomized(config, seed=3):
    """Weights at their scale, with biases and offsets away from zero, so that each of them is tested."""
    keras.utils.set_random_seed(seed)
    model, rng = SRVP(config), np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(variable.value + 0.05 * rng.standard_normal(variable.shape).astype("float32"))
    return model


@pytest.mark.parametrize("name", CONFIGS)
def test_objective_and_gradients_equal_an_independent_computation(name):
    config, x, seed = CONFIGS[name], frames_of(BATCH, STEPS, channels=2), noise.seed_pair(11)
    model = randomized(config)
    trained = {path: v for path, v in named_variables(model).items() if v.trainable}
    assert len(trained) == len(model.trainable_variables)
    with tf.GradientTape() as tape:
        values = model.objective(tf.constant(x), seed, "batch")
        loss = tf.reduce_mean(values["loss"])
    gradients = dict(zip(trained, tape.gradient(loss, [v.value for v in trained.values()]), strict=True))

    # The documented noise: y_1 and z_t from the seed, the frames of content and skips from its stream CONTENT.
    draws = noise.normal(seed, [STEPS, BATCH, max(config.y_dim, config.z_dim)]).numpy().astype(np.float64)
    scores = noise.normal(noise.fold(seed, CONTENT), [STEPS, BATCH, 2]).numpy()
    chosen = np.argsort(-scores[..., 0], axis=0)[: config.k], scores[..., 1].argmax(0)
    weights = {path: np.asarray(v.value, np.float64) for path, v in trained.items()}
    wide = x.astype(np.float64)
    expected = NumpySRVP(weights, config).terms(wide, draws, *chosen)
    for term in ("nll", "kl_y", "kl_z", "residual", "loss"):
        np.testing.assert_allclose(values[term], expected[term], rtol=2e-5, atol=1e-6, err_msg=term)
    np.testing.assert_allclose(values["kl"], expected["kl_y"] + expected["kl_z"], rtol=2e-5)

    rng = np.random.default_rng(1)
    for path, gradient in gradients.items():
        assert gradient is not None, path
        if not gradient.shape.num_elements():
            continue
        index = tuple(rng.integers(n) for n in gradient.shape)
        numeric = []
        for sign in (1, -1):
            moved = {**weights, path: weights[path].copy()}
            moved[path][index] += sign * 1e-6  # small: leaky ReLUs have a kink
            numeric.append(NumpySRVP(moved, config).terms(wide, draws, *chosen)["loss"].mean())
        value = (numeric[0] - numeric[1]) / 2e-6
        size = np.abs(gradient).max()
        np.testing.assert_allclose(gradient.numpy()[index], value, rtol=2e-3, atol=1e-4 * size + 1e-5, err_msg=path)


# ---- states -----------------------------------------------------------------------------------------------------------


def random_steps(config, steps=3, rows=2, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape).astype("float32") for shape in ((rows, config.y_dim), (steps, rows, config.z_dim)))


def test_weights_of_moving_mnist_are_counted_and_start_as_published():
    keras.utils.set_random_seed(0)
    model = SRVP(presets.get("smmnist_srvp").model)

    def dense(*sizes):
        return sum(a * b + b for a, b in zip(sizes, sizes[1:], strict=False))

    # Encoder: 4x4 kernels from 1 to 512 maps and to h, without biases; gamma and beta of each normalization (none after the
    # first convolution). Decoder: the same backwards, from w and y, with one normalization more.
    kernels = 16 * (1 * 64 + 64 * 128 + 128 * 256 + 256 * 512)
    expected = {
        "encoder": kernels + 16 * 512 * 128 + 2 * (128 + 256 + 512 + 128),
        "decoder": kernels + 16 * 512 * (256 + 20) + 2 * (512 + 256 + 128 + 64),
        "first_state": dense(5 * 128, 256, 256, 2 * 20),
        "content_hidden": dense(128, 256),
        "content_head": dense(256, 256),
        "transition": dense(20 + 20, 512, 512, 512, 20),
        "posterior": 4 * 256 * (128 + 256 + 1),
        "posterior_head": dense(256, 2 * 20),
        "prior": dense(20, 512, 512, 512, 2 * 20),
    }
    found = {name: sum(int(np.prod(v.shape)) for v in getattr(model, name).trainable_variables) for name in expected}
    assert found == expected
    assert sum(found.values()) == sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    for layer in model.transition.f.dense:  # orthogonal, of gain 1.41
        kernel = layer.kernel.numpy()
        kernel = kernel if kernel.shape[0] > kernel.shape[1] else kernel.T
        np.testing.assert_allclose(kernel.T @ kernel, 1.41**2 * np.eye(kernel.shape[1]), atol=1e-4)
        assert not layer.bias.numpy().any()
    for layer in (*model.prior.dense, model.content_head, *model.first_state.dense):  # PyTorch's
        bound = layer.kernel.shape[0] ** -0.5
        for values in (layer.kernel.numpy(), layer.bias.numpy()):
            assert 0.8 * bound < abs(values).max() <= bound
    for path, variable in named_variables(model).items():
        if path.startswith(("encoder", "decoder")) and path.endswith("kernel") and variable.value.shape.num_elements() > 1000:
            assert np.std(variable.numpy()) == pytest.approx(0.02, rel=0.1), path


def test_states_stay_put_where_f_is_zero():
    model, x = made(dataclasses.replace(TINY_SRVP, n_euler=2)), frames_of()
    for weight in model.transition.f.dense[-1].weights:
        weight.assign(weight * 0)
    y, z = random_steps(model.config)
    states, norms = transitions.trajectory(model.transition, y, z, 2)
    np.testing.assert_array_equal(states, np.stack([y] * 4))
    np.testing.assert_allclose(norms, 0, atol=1e-5)
    samples = model.generate(x[:, :2], 3, n_samples=2, seed=1).numpy()
    np.testing.assert_allclose(samples[:, :, 1:], samples[:, :, :-1], atol=1e-6)
    assert abs(samples[:, 0] - samples[:, 1]).max() > 1e-5  # y_1 is a sample all the same


def linear(transition, a):
    """Makes f(y, z) = a y + z of two layers: relu(v) - relu(-v) = v for both inputs."""
    n = transition.y_dim
    first, last = transition.f.dense
    first.kernel.assign(np.concatenate([np.eye(2 * n), -np.eye(2 * n)], axis=1))
    first.bias.assign(np.zeros(4 * n))
    half = np.concatenate([a * np.eye(n), np.eye(n)])
    last.kernel.assign(np.concatenate([half, -half]))
    last.bias.assign(np.zeros(n))


def test_half_the_step_changes_states_as_the_euler_scheme_says():
    """y' = a y + z, z constant within a frame: one step gives (1 + a) y + z, two (1 + a/2)^2 y + (1 + a/4) z."""
    config, a = dataclasses.replace(TINY_SRVP, y_dim=3, z_dim=3, transition_layers=2, transition_size=12), 0.6
    transition = transitions.ResidualTransition(config, config.z_dim)
    linear(transition, a)
    y, z = random_steps(config)
    for n_euler, of_y, of_z in ((1, 1 + a, 1.0), (2, (1 + a / 2) ** 2, 1 + a / 4)):
        expected = [y]
        for now in z:
            expected.append(of_y * expected[-1] + of_z * now)
        states, norms = transitions.trajectory(transition, y, z, n_euler)
        np.testing.assert_allclose(states, expected, rtol=1e-5)
        if n_euler == 1:
            residuals = np.diff(expected, axis=0)
            np.testing.assert_allclose(norms, np.linalg.norm(residuals, axis=-1).sum(0), rtol=1e-5)


@pytest.mark.parametrize("n_euler", [1, 2, 4])
def test_the_residual_penalty_is_of_the_steps_taken(n_euler):
    """Where f is a constant v the sum over a frame's Euler steps is |v|, however many these are."""
    config = dataclasses.replace(TINY_SRVP, n_euler=n_euler)
    transition = transitions.ResidualTransition(config, config.z_dim)
    last = transition.f.dense[-1]
    last.kernel.assign(last.kernel * 0)
    last.bias.assign([3.0, 0.0, 4.0, 0.0])
    y, z = random_steps(config)
    states, norms = transitions.trajectory(transition, y, z, n_euler)
    np.testing.assert_allclose(norms, [3 * 5.0] * 2, rtol=1e-5)
    np.testing.assert_allclose(states[-1] - states[0], [[9.0, 0.0, 12.0, 0.0]] * 2, rtol=1e-5)


def test_biases_of_a_gru_start_as_those_of_the_published_cell():
    """Its gates add two biases, its candidate keeps them apart."""
    config = dataclasses.replace(TINY_SRVP, transition="gru", y_dim=400)
    keras.utils.set_random_seed(0)
    transition = transitions.GRUTransition(config, config.z_dim)
    gates, candidate = np.split(transition.bias.numpy(), [800])
    assert gates.std() == pytest.approx(np.sqrt(2 / 3) / 20, rel=0.06)
    for apart in (candidate, transition.candidate_bias.numpy()):
        assert apart.std() == pytest.approx(1 / 20 / np.sqrt(3), rel=0.08) and abs(apart).max() <= 1 / 20


@pytest.mark.parametrize("name", ["residual", "mlp", "gru"])
def test_a_loop_in_the_graph_equals_the_unrolled_one(name, monkeypatch):
    config = dataclasses.replace(TINY_SRVP, transition=name)
    keras.utils.set_random_seed(1)
    transition = transitions.TRANSITIONS[name](config, config.z_dim)
    y, z = random_steps(config)
    unrolled = transitions.trajectory(transition, y, z, 1)
    monkeypatch.setattr(transitions, "UNROLLED_STEPS", 2)
    for a, b in zip(unrolled, transitions.trajectory(transition, tf.constant(y), tf.constant(z), 1), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_twice_the_frame_rate_holds_the_states_of_half_the_step():
    """The step is smaller over the context too. z is drawn once for each frame, from the state at its start."""
    coarse = made(TINY_SRVP)
    fine = made(dataclasses.replace(coarse.config, n_euler=2))
    x = frames_of(2, 4)
    doubled = coarse.generate(x, 3, n_samples=2, seed=4, frame_rate=2).numpy()
    assert doubled.shape == (2, 2, 6, 32, 32, 1)
    np.testing.assert_allclose(doubled[:, :, 1::2], fine.generate(x, 3, n_samples=2, seed=4), atol=1e-5)
    assert abs(doubled[:, :, 1::2] - coarse.generate(x, 3, n_samples=2, seed=4)).numpy().max() > 1e-6
    assert abs(doubled[:, :, ::2] - doubled[:, :, 1::2]).max() > 1e-6


# ---- content, skips, and what is done with them ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    made_here = made(dataclasses.replace(TINY_SRVP, n_euler=2, n_past=4, skips=True))
    made_here.train_step({"frames": tf.constant(frames_of())})  # moving averages leave their initial values
    return made_here


def test_content_of_a_video_itself_gives_its_reconstruction(model):
    a, b = frames_of(2, 4, 1), frames_of(2, 4, 2)
    itself = model.swap_content(a, a, seed=6).numpy()
    assert itself.shape == a.shape
    np.testing.assert_allclose(itself[:, 1:], model.reconstruct(a, seed=6), atol=1e-5)
    assert abs(model.swap_content(b, a, seed=6) - itself).numpy().max() > 1e-4
    assert abs(model.swap_content(a, b, seed=6) - itself).numpy().max() > 1e-4
    further = model.swap_content(a, a, n_future=2, seed=6).numpy()
    np.testing.assert_allclose(further[:, :4], itself, atol=1e-5)
    assert further.shape[1] == 6 and abs(further[:, 4] - further[:, 5]).max() > 1e-6


def test_interpolation_starts_and_ends_at_the_two_states(model):
    a, b = frames_of(2, 4, 1), frames_of(2, 4, 2)
    between = model.interpolate(a, b, 5).numpy()
    assert between.shape == (2, 5, 32, 32, 1)
    np.testing.assert_allclose(between[:, 0], model.reconstruct(a, use_mean=True)[:, -1], atol=1e-5)
    np.testing.assert_allclose(between[:, -1], model.swap_content(a, b, use_mean=True)[:, -1], atol=1e-5)
    assert all(abs(x - y).max() > 1e-6 for x, y in zip(between[:, 1:].swapaxes(0, 1), between.swapaxes(0, 1), strict=False))


def test_content_does_not_depend_on_the_order_of_frames():
    model, motion, content = made(TINY_SRVP), frames_of(2, 3, 1), frames_of(2, 2, 2)
    expected = model.swap_content(content, motion).numpy()
    np.testing.assert_allclose(model.swap_content(content[:, ::-1], motion), expected, atol=1e-5)
    longer = np.concatenate([frames_of(2, 1, 3), content], axis=1)  # the last k frames count
    np.testing.assert_allclose(model.swap_content(longer, motion), expected, atol=1e-5)


def test_content_in_training_comes_from_k_different_random_frames_of_each_sequence():
    model, steps, batch = made(dataclasses.replace(TINY_SRVP, k=3, n_past=3)), 5, 8
    x = tf.transpose(tf.constant(frames_of(batch, steps)), [1, 0, 2, 3, 4])

    def chosen(seed):
        h, content, skips = model.encode(x, noise.seed_pair(seed), "batch")
        assert content.shape == (3, batch, 6) and skips is None
        distance = np.abs(content[:, None] - h[None]).max(-1)  # [k, T, B]
        np.testing.assert_allclose(distance.min(1), 0, atol=1e-6)
        return np.sort(distance.argmin(1), axis=0).T  # [B, k]

    frames = chosen(1)
    assert all(len(set(row)) == 3 for row in frames)
    assert len({tuple(row) for row in frames}) > 2 and set(frames.ravel()) == set(range(steps))
    np.testing.assert_array_equal(chosen(1), frames)
    assert (chosen(2) != frames).any()
    h, content, _ = model.encode(x, None, "running")
    np.testing.assert_array_equal(content, h[:3])  # the last k of the first n_past


def test_skips_in_training_come_from_one_random_frame_of_each_sequence(model):
    steps, batch, seed = 5, 8, noise.seed_pair(1)
    x = tf.transpose(tf.constant(frames_of(batch, steps)), [1, 0, 2, 3, 4])
    h, _, skips = model.encode(x, seed, "batch")
    in_order, maps = model.encoder(tf.reshape(x, [-1, 32, 32, 1]), norm="batch")
    np.testing.assert_allclose(h, tf.reshape(in_order, h.shape), atol=1e-5)  # in the order of time all the same
    sources = []
    for skip, every in zip(skips, maps, strict=True):
        every = np.reshape(every, (steps, batch, *skip.shape[1:]))
        distance = np.abs(every - skip.numpy()[None]).max((2, 3, 4))
        np.testing.assert_allclose(distance.min(0), 0, atol=1e-5)
        sources.append(distance.argmin(0))
    np.testing.assert_array_equal(sources, np.stack([sources[0]] * len(skips)))
    assert len(set(sources[0])) > 2
    np.testing.assert_array_equal(sources[0], np.argmax(noise.normal(noise.fold(seed, CONTENT), [steps, batch, 2])[..., 1], 0))


def test_skips_and_content_at_test_come_from_the_conditioning_frames_alone(model):
    x = frames_of(2, 6)
    changed = x.copy()
    changed[:, 5] = 0.5  # after n_past = 4: seen by z_6 alone
    a, b = model.reconstruct(x, use_mean=True).numpy(), model.reconstruct(changed, use_mean=True).numpy()
    np.testing.assert_allclose(a[:, :4], b[:, :4], atol=1e-6)
    assert abs(a[:, 4] - b[:, 4]).max() > 1e-7


# ---- lengths ------------------------------------------------------------------------------------------------------------


def test_clips_that_are_long_or_of_unknown_length():
    """Loops in the graph then take the place of unrolled steps, and must give the same values, norms of residuals included."""
    model = made(dataclasses.replace(TINY_SRVP, residual_gain=0.1))  # so that states do not grow
    with pytest.raises(ValueError, match=r"at least 2 frames, got 1"):
        model.evaluate(tf.data.Dataset.from_tensors({"frames": frames_of(2, 1)}), verbose=0)
    x = frames_of(2, transitions.UNROLLED_STEPS + 4)
    clips = tf.data.Dataset.from_generator(
        lambda: iter([{"frames": x}]), output_signature={"frames": tf.TensorSpec([None, None, 32, 32, 1])}
    )
    found = model.evaluate(clips, verbose=0, return_dict=True)
    seeds = noise.fold_each(noise.fold(noise.seed_pair(5), noise.TEST), tf.range(2))  # those of an evaluation's first sequences
    expected = model.objective(tf.constant(x), seeds, "running")
    assert found == pytest.approx({name: float(tf.reduce_mean(value)) for name, value in expected.items()}, rel=1e-4)
    assert found["residual"] > 0


def test_nats_are_those_of_the_observation():
    """Of x_2 ... x_T; reconstructions leave out the first frame."""
    model, x = made(dataclasses.replace(TINY_SRVP, nu=0.3)), frames_of()
    bound, x_hat = model.bound(x, seed=3), model.reconstruct(x, seed=3)
    observed = distributions.observation(x_hat, 0.3).log_prob(x[:, 1:])
    np.testing.assert_allclose(bound.terms["nll"][:, 1:], -observed, rtol=1e-5)
    np.testing.assert_allclose(bound.nats, tf.reduce_sum(bound.terms["nll"] + bound.terms["kl"], axis=1), rtol=1e-5)
    with pytest.raises(ValueError, match="without z"):
        made(dataclasses.replace(TINY_SRVP, stochastic=False)).prior_scale(x)
