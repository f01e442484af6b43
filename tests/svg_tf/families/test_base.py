"""What every predictor shares: programs, Keras's own habits, and data as users bring it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import noise
from svg_tf.families.interface import BoundsLikelihood, Due, ForecastsUncertainty, Phase, Program, Reconstructs, Update
from svg_tf.training.state import TrainingState
from tests.svg_tf import tiny_models
from tests.svg_tf.tiny_models import TINY, frames_of, made

FRAMES = frames_of(batch=2, steps=4)


def update(name, every=1, terms=("loss",)):
    return Update(name, None, terms, list, every)


def test_a_program_says_what_each_step_does():
    a, b, c = update("a", terms=("loss", "x")), update("b", every=3), update("a", terms=("loss", "x"))
    program = Program((Phase((a,), until=4), Phase((b, c))))
    assert [program.due(step) for step in (0, 3, 4, 5, 6)] == [
        Due(0, (0,)), Due(0, (0,)), Due(1, (1,)), Due(1, (1,)), Due(1, (0, 1)),
    ]  # fmt: skip
    assert program.names == ("a", "b") and program.varies
    assert program.metrics == ("loss", "a/loss", "a/x", "b/loss")
    assert program.metrics_of(program.due(4)) == ("loss", "a/loss", "a/x")
    single = Program.of(a)
    assert single.metrics == ("loss", "x") == single.metrics_of(single.due(7)) and not single.varies


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Program((Phase((update("a"),), 4), Phase((update("a"),), 3))), "Phases must end at growing steps"),
        (lambda: Program((Phase((update("a"),), 4),)), "the last one at None"),
        (lambda: Program(()), "Phases must end"),
        (lambda: update("a", every=0), "every of update 'a' must be an integer of at least 1, got 0"),
        (lambda: Update("a", None, ("mse",), list), "must have 'loss' among them"),
        (lambda: Program((Phase((update("a"),), 4), Phase((update("a", terms=("loss", "y")),)))), "other terms in another phase"),
    ],
)
def test_programs_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def toy_model(toy, **settings):
    keras.utils.set_random_seed(0)
    model = toy.Toy(toy.ToyConfig(image_size=32, **settings))
    model.compile({"generator": keras.optimizers.SGD(0.1), "discriminator": keras.optimizers.SGD(0.1)}, seed=3)
    return model


def test_updates_run_in_order_each_with_its_own_noise(toy):
    """The generator sees the updated discriminator; the first update has the step's seed, the second one its own."""
    model, seen = toy_model(toy, alone=1), []
    judge = model.judge[1].kernel

    def spied(name, loss):
        def run(batch, seed, norm, step):
            seen.append((name, int(step), judge.numpy().copy(), seed.seed.numpy().tolist()))
            return loss(batch, seed, norm, step)

        return run

    phases = model.program.phases
    for u in {id(u): u for phase in phases for u in phase.updates}.values():
        object.__setattr__(u, "loss", spied(u.name, u.loss))
    model.compile(model.optimizers, seed=3, run_eagerly=True)
    model.fit(FRAMES, batch_size=2, epochs=4, verbose=0, shuffle=False)
    assert [(name, step) for name, step, *_ in seen] == [
        ("generator", 0), ("generator", 1), ("discriminator", 2), ("generator", 2), ("generator", 3),
    ]  # fmt: skip
    (_, _, before, first), (_, _, after, second) = seen[2], seen[3]
    assert np.abs(after - before).max() > 0
    step = noise.fold(noise.seed_pair(3), noise.TRAIN, 2)
    assert first == step.numpy().tolist() and second == noise.fold(step, 1).numpy().tolist()
    assert model.step == 4


def test_each_kind_of_step_is_traced_once(toy):
    model, traced = toy_model(toy), []
    loss = model.generator_loss
    model.generator_loss = None
    for u in {id(u): u for phase in model.program.phases for u in phase.updates}.values():
        if u.name == "generator":
            object.__setattr__(u, "loss", lambda *a: traced.append(0) or loss(*a))
    data = tf.data.Dataset.from_tensors({"frames": FRAMES}).repeat()
    history = model.fit(data, steps_per_epoch=4, epochs=3, verbose=0, shuffle=False).history
    assert len(traced) <= 2 * 3  # alone, beside the discriminator, without it; Keras may trace a function twice
    assert set(history) == {"loss", "generator/loss", "generator/mse", "generator/fooled", "discriminator/loss"} or (
        "generator/mse" in history
    )
    assert model.step == 12 and int(model.optimizers["discriminator"].iterations) == 4
    with pytest.raises(ValueError, match="steps_per_execution must be 1"):
        model.compile(model.optimizers, steps_per_execution=2)


def test_a_loss_returns_the_terms_of_its_update(toy):
    model = toy_model(toy)
    object.__setattr__(model.program.updates[0], "loss", lambda *_: {"loss": tf.zeros(2)})
    with pytest.raises(ValueError, match=r"update 'generator' must return \['fooled', 'loss', 'mse'\], got \['loss'\]"):
        model.fit(FRAMES, batch_size=2, verbose=0)


def test_optimizers_are_given_by_name_or_copied(toy):
    model = toy.Toy()
    model.compile(keras.optimizers.Adam(1e-3))
    assert [type(o) for o in model.optimizers.values()] == [keras.optimizers.Adam] * 2
    assert len({id(o) for o in model.optimizers.values()}) == 2
    with pytest.raises(ValueError, match=r"one entry for each update, generator, discriminator; got \['generator'\]"):
        model.compile({"generator": "adam"})
    one = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="needs an optimizer of its own; generator, discriminator share one"):
        model.compile({"generator": one, "discriminator": one})
    with pytest.raises(ValueError, match="seed must be an integer in"):
        model.compile("adam", seed="x")


def test_capabilities_are_asked_for(toy):
    model = toy.Toy()
    assert not any(model.can(capability) for capability in (Reconstructs, BoundsLikelihood, ForecastsUncertainty))
    with pytest.raises(ValueError, match="A bound cannot be had of this model, toy of an adversarial family"):
        model.need(BoundsLikelihood, "A bound")
    assert made().can(Reconstructs, BoundsLikelihood, ForecastsUncertainty)
    assert not made(tiny_models.SVG_VARIANTS["fixed"]).can(ForecastsUncertainty)


# ---- Keras's habits -----------------------------------------------------------------------------------------------------


class Sequence(keras.utils.PyDataset):
    def __init__(self, frames):
        super().__init__()
        self.frames = frames

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return {"frames": self.frames}


def data_of(kind, frames):
    batch = {"frames": frames}
    return {
        "array": frames,
        "dict": batch,
        "dataset": tf.data.Dataset.from_tensors(batch),
        "tensors": tf.data.Dataset.from_tensors(frames),
        "generator": iter([batch]),
        "sequence": Sequence(frames),
        "unknown shapes": tf.data.Dataset.from_generator(lambda: [batch], output_types={"frames": tf.float32}),
    }[kind]


KINDS = ("array", "dict", "dataset", "tensors", "generator", "sequence", "unknown shapes")


@pytest.mark.parametrize("kind", KINDS)
def test_fit_looks_at_the_first_batch(kind):
    model = made()
    for frames, found in ((FRAMES * 255, "255"), (np.where(FRAMES > 0.9, np.nan, FRAMES), "nan")):
        with pytest.raises(ValueError, match=rf"frames of the first batch must be in \[0, 1\], got values in .*{found[:2]}"):
            model.fit(data_of(kind, frames.astype(np.float32)), verbose=0)
    assert model.step == 0


def test_fit_takes_frames_however_they_come():
    model = made()
    for kind in KINDS:
        model.fit(data_of(kind, FRAMES), batch_size=2, verbose=0)
    assert model.step == len(KINDS)
    x_hat = model({"frames": FRAMES})
    np.testing.assert_allclose(model.predict(data_of("dataset", FRAMES), verbose=0), x_hat, atol=1e-5)


@pytest.mark.parametrize(
    "data",
    [
        {"x": FRAMES, "sample_weight": np.ones(2)},
        {"x": FRAMES, "class_weight": {0: 1.0}},
        {"x": FRAMES, "y": np.ones(2)},
        {"x": tf.data.Dataset.from_tensors(({"frames": FRAMES}, np.ones(2)))},
        {"x": tf.data.Dataset.from_tensors((FRAMES, np.ones(2), np.ones(2)))},
        {"x": iter([(FRAMES, np.ones(2))])},
    ],
)
def test_targets_and_weights_are_refused(data):
    with pytest.raises(ValueError, match="Frames are their own targets"):
        made().fit(**data, verbose=0)


@pytest.mark.parametrize(
    "data",
    [
        {"x": FRAMES, "sample_weight": np.ones(2)},
        {"x": FRAMES, "y": np.ones(2)},
        {"x": tf.data.Dataset.from_tensors((FRAMES, np.ones(2)))},
        {"x": tf.data.Dataset.from_tensors((FRAMES, np.ones(2), np.ones(2)))},
        {"x": iter([(FRAMES, np.ones(2))])},
    ],
)
def test_evaluate_refuses_what_fit_refuses(data):
    model = made()
    with pytest.raises(ValueError, match="Frames are their own targets"):
        model.evaluate(**data, verbose=0)
    with pytest.raises(ValueError, match="Frames are their own targets"):
        model.fit(FRAMES, None, 2, 1, 0, None, 0.0, tuple(data.values()) if "y" in data else None, True, None, np.ones(2))


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_looks_at_the_first_batch(kind):
    model = made()
    with pytest.raises(ValueError, match=r"frames of the first batch must be in \[0, 1\]"):
        model.evaluate(data_of(kind, FRAMES * 255), verbose=0)
    with pytest.raises(ValueError, match=r"frames of the first batch must be in \[0, 1\]"):
        model.fit(FRAMES, validation_data=data_of(kind, FRAMES * 255), verbose=0)
    assert model.step == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "There is no batch in the data"),
        (iter([]), "There is no batch in the data"),
        (tf.data.Dataset.from_tensors(FRAMES).take(0), "There is no batch in the data"),
        (FRAMES.tolist(), "got a list; take an array"),
        (FRAMES[:, :, :16], r"must be float \[batch, time >= 2, 32, 32, 1\] in \[0, 1\], got shape \(2, 4, 16, 32, 1\)"),
        (FRAMES[:, :1], "at least 2 frames, got 1"),
        (FRAMES[0], r"got shape \(4, 32, 32, 1\)"),
        ((FRAMES * 255).astype(np.uint8), "got uint8; scale uint8 frames with data_pipelines.transform.to_float"),
    ],
)
def test_data_that_cannot_be_trained_on(data, message):
    model = made()
    with pytest.raises(ValueError, match=message):
        model.fit(data, verbose=0)
    assert model.step == 0


def test_several_steps_in_one_execution_are_the_same_steps():
    data = tf.data.Dataset.from_tensors({"frames": FRAMES}).repeat()
    states = []
    for together in (1, 3):
        model = made()
        model.compile(keras.optimizers.Adam(2e-3), seed=4, steps_per_execution=together)
        model.fit(data, steps_per_epoch=6, verbose=0, shuffle=False)
        states.append(TrainingState(model).values())
    for name, value in states[0].items():
        np.testing.assert_array_equal(states[1][name], value, err_msg=name)


def test_gradient_accumulation_repeats_no_noise_and_counts_steps():
    seen = {}
    for every in (None, 2):
        model = made()
        model.compile(keras.optimizers.SGD(0.0, gradient_accumulation_steps=every), seed=1)
        values = seen[every] = []
        look = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs, to=values: to.append(logs["loss"]))
        model.fit(tf.data.Dataset.from_tensors(FRAMES).repeat(), steps_per_epoch=4, verbose=0, shuffle=False, callbacks=[look])
        assert model.step == 4
    assert seen[2] == pytest.approx(seen[None], rel=1e-6)
    assert len(set(np.round(np.diff([0, *(n * v for n, v in enumerate(seen[2], 1))]), 7))) > 1


@pytest.mark.parametrize("family", ["svg", "adversarial"])
def test_a_loaded_model_goes_on_bit_for_bit(family, toy, tmp_path):
    frames = frames_of(batch=4, steps=5)
    data = tf.data.Dataset.from_tensor_slices({"frames": frames}).batch(2).repeat()
    svg = family == "svg"
    model = made(TINY) if svg else toy_model(toy)
    if svg:
        settings = {"seed": 5, "recompute": True, "jit_compile": False, "steps_per_execution": 2}
        model.compile(keras.optimizers.Adam(2e-3), **settings)
    model.fit(data, steps_per_epoch=4, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert (loaded.step, loaded.run_seed, loaded.recompute) == (4, model.run_seed, svg)
    assert loaded.steps_per_execution == (2 if svg else 1)
    assert [type(o) for o in loaded.optimizers.values()] == [type(o) for o in model.optimizers.values()]
    for one in (model, loaded):
        one.fit(data, steps_per_epoch=4, verbose=0, shuffle=False)
    states = TrainingState(model).values(), TrainingState(loaded).values()
    for name, value in states[0].items():
        np.testing.assert_array_equal(states[1][name], value, err_msg=name)
