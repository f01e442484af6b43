"""A training step of SAVP, both updates in their order, against the NumPy reference."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import noise
from svg_tf.families.savp import adversary, model, rollout
from svg_tf.families.savp.config import SAVPConfig
from svg_tf.training.state import named_variables
from tests.svg_tf.families.savp.numpy_savp import NumpySAVP

BATCH, STEPS, STEP, RATE, Z = 2, 6, 3, 0.05, 2
SETTINGS = {
    "later": {"image_size": 16, "vae_gan_features": 2.0, "shared_clip_start": False},
    "paper": {
        "image_size": (16, 24), "gan_loss": "cross_entropy", "loss_frames": "future", "context_latents": "prior",
        "vae_gan_features": 0.0, "l2_weight": 2.0, "gan_features": 1.0,
    },
}  # fmt: skip


def arrays(of):
    return {path: np.asarray(v.value, np.float64) for path, v in named_variables(of).items()}


def draws(savp, seed):
    """(what the two rollouts draw, a clip's starts of true and generated frames for each discriminator in each update)."""
    c, own = savp.config, {}
    for i, (name, stream) in enumerate((("posterior", model.POSTERIOR), ("prior", model.PRIOR))):
        own[name] = noise.of_sequences(noise.stream(seed, stream), STEPS - 1, BATCH, Z).numpy().astype(np.float64)
        truth = noise.stream(seed, model.TRUTH + 10 * i)
        own[f"{name}_truth"] = rollout.truth_shown(c.sampling_k, truth, STEPS - 1 - c.n_past, BATCH, STEP).numpy()
    shown, starts = STEPS - (1 if c.loss_frames == "all" else c.n_past), []
    for of_update in (seed, seed._replace(seed=noise.fold(seed.seed, 1))):
        both = {}
        for i, name in enumerate(("gan", "vae_gan")):
            stream = noise.stream(of_update, model.CLIPS + 10 * i)
            other = stream if c.shared_clip_start else noise.stream(stream, model.CLIPS)
            both[name] = [adversary.clip_starts(s, shown, c.clip_length, BATCH).numpy() for s in (stream, other)]
        starts.append(both)
    return own, starts


@pytest.fixture(scope="module", params=SETTINGS)
def stepped(request):
    config = SAVPConfig(
        channels=2, width=2, encoder_width=2, discriminator_width=1, n_past=2, z_dim=Z, lstm_kernel_size=3,
        kernel_size=3, transformed_images=2, clip_length=4, sampling_k=4.0, l1_weight=3.0, beta=0.5, beta_start_step=2,
        beta_end_step=6, gan_weight=0.7, vae_gan_weight=0.4, **SETTINGS[request.param],
    )  # fmt: skip
    keras.utils.set_random_seed(3)
    savp = model.SAVP(config)
    rng = np.random.default_rng(0)
    for path, v in named_variables(savp).items():  # everything away from zero, so that all of it shows
        v.assign(v.value + 0.2 * rng.standard_normal(v.shape).astype("float32") * (not path.endswith("/u")))
    savp.compile({name: keras.optimizers.SGD(RATE) for name in savp.program.names}, seed=11)
    savp.build_optimizers()
    savp.clock.assign(STEP)
    frames = rng.random((BATCH, STEPS, *config.frame_shape)).astype("float32")
    seed = noise.BatchSeed(noise.fold(noise.seed_pair(11), noise.TRAIN, STEP), tf.range(BATCH), tf.constant(BATCH))
    before = arrays(savp)
    reported = {name: float(value) for name, value in savp.train_step({"frames": tf.constant(frames)}).items()}
    return config, frames.astype(np.float64), before, arrays(savp), draws(savp, seed), reported


def check_update(config, before, after, at, paths, loss):
    """The step from `before` to `after` is - RATE times the gradient of the reference's loss at the weights `at`."""
    rng, steps = np.random.default_rng(1), {path: (before[path] - after[path]) / RATE for path in paths}
    largest = max(abs(step).max() for step in steps.values())
    assert largest > 0
    constants = {}
    for path in at:
        if path.endswith("/u"):
            kernel = at[path.replace("/u", "/kernel")]
            constants[path.replace("/u", "/constant")] = kernel.reshape(-1, kernel.shape[-1])
    there = loss(NumpySAVP({**at, **constants}, config)).mean()
    for path, found in steps.items():
        index = np.unravel_index(np.argmax(np.abs(found) * rng.random(found.shape)), found.shape)
        moved = at[path].copy()
        moved[index] += 1e-6
        expected = (loss(NumpySAVP({**at, **constants, path: moved}, config)).mean() - there) / 1e-6
        np.testing.assert_allclose(found[index], expected, rtol=3e-2, atol=3e-4 * largest, err_msg=path)


def test_both_losses(stepped):
    config, frames, before, after, (own, starts), reported = stepped
    reference = NumpySAVP(before, config)
    rolled, kl = reference.futures(frames, own)
    expected = reference.discriminator_loss(frames, rolled, starts[0]).mean()
    assert reported["discriminator/loss"] == pytest.approx(expected, rel=1e-4)
    judges = {path: value for path, value in after.items() if path.startswith("discriminators")}
    expected = NumpySAVP({**before, **judges}, config).generator_loss(frames, own, starts[1], 0.5 / 4).mean()
    assert reported["generator/loss"] == pytest.approx(expected, rel=1e-4)
    assert reported["generator/kl"] == pytest.approx(kl.mean(), rel=1e-3)
    assert reported["generator/true_frames"] == pytest.approx(own["posterior_truth"].mean())


def test_the_discriminators_update(stepped):
    config, frames, before, after, (own, starts), _ = stepped
    rolled, _ = NumpySAVP(before, config).futures(frames, own)
    paths = [p for p in before if p.startswith("discriminators") and not p.endswith("/u")]
    assert len(paths) == 2 * 8 * 2
    check_update(config, before, after, before, paths, lambda savp: savp.discriminator_loss(frames, rolled, starts[0]))
    for path in (p for p in before if p.endswith("/u")):
        expected = NumpySAVP(before, config).spectral(path.removesuffix("/u"))[1]
        np.testing.assert_allclose(after[path][0], expected, rtol=1e-4, atol=1e-6)


def test_the_generators_update_sees_the_new_discriminators(stepped):
    config, frames, before, after, (own, starts), _ = stepped
    at = {path: after[path] if path.startswith("discriminators") else value for path, value in before.items()}
    paths = [p for p in before if not p.startswith("discriminators")]
    check_update(config, before, after, at, paths, lambda savp: savp.generator_loss(frames, own, starts[1], 0.5 / 4))
