"""Checkpoints: complete or refused; damaged, foreign and hostile files; those of 0.1.0."""

import io
import json
import tracemalloc
import zipfile
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf.families.svg.config import SVGConfig
from svg_tf.families.svg.model import SVG
from svg_tf.training import archive, checkpoints
from svg_tf.training.state import TrainingState, named_variables

TINY = SVGConfig(image_size=32, width=2, g_dim=4, z_dim=2, rnn_size=3, n_past=1)


def made(seed, config=TINY):
    keras.utils.set_random_seed(seed)
    model = SVG(config)
    model.compile(keras.optimizers.Adam())
    model.build_optimizers()
    return model


def values(model):
    return list(TrainingState(model).values().values())


def save(folder, model, step, keep=3, **callbacks):
    return checkpoints.save(folder, TrainingState(model), step, callbacks, keep)


def test_every_variable_has_its_own_name():
    model = made(0)
    named = named_variables(model)
    metrics = {id(v) for v in model.metrics_variables}
    assert {id(v) for v in named.values()} == {id(v) for v in model.variables} - metrics
    assert "encoder/levels/0/conv/kernel" in named and "latent/prior/cells/0/recurrent_kernel" in named
    slots = [name for name in TrainingState(model).variables if name.startswith("optimizer/elbo/")]
    assert "optimizer/elbo/momentums/encoder/levels/0/conv/kernel" in slots and "optimizer/elbo/iterations" in slots
    assert len(slots) == len(model.optimizer.variables)


class Mixed(keras.Model):
    """What a family may be made of."""

    def __init__(self):
        super().__init__()
        dense = keras.layers.Dense
        self.dense, self._hidden = dense(2), dense(3)
        self.named = {"a": dense(2), "b": [keras.layers.BatchNormalization(), dense(2)]}
        self.row = keras.Sequential([keras.Input((2,)), dense(4), keras.layers.Dropout(0.5, seed=1), dense(2)])
        self.conv = keras.layers.Conv2D(2, 3)
        self.own = self.add_weight(shape=(2,), name="own")
        self.again = self.dense  # shared: stored once
        for layer, width in ((self.dense, 2), (self._hidden, 2), (self.named["a"], 3), (self.named["b"][1], 2)):
            layer.build((None, width))
        self.named["b"][0].build((None, 2))
        self.conv.build((None, 4, 4, 1))
        self.built = True


def test_layers_of_keras_dicts_private_layers_and_seed_states_are_all_named():
    model = Mixed()
    named = named_variables(model)
    assert {id(v) for v in named.values()} == {id(v) for v in model.variables}
    wanted = {"dense/kernel", "hidden/bias", "named/a/kernel", "named/b/0/moving_mean", "named/b/1/kernel", "conv/kernel", "own"}
    assert wanted <= set(named)
    assert any("seed_generator" in v.path or "state" in name for name, v in named.items())  # dropout's
    assert set(named_variables(Mixed())) == set(named)  # the same in another model of this process


def test_a_variable_without_a_path_is_an_error():
    original = keras.Model.variables
    lost = keras.Variable(np.zeros(1), name="lost")

    class Lost(Mixed):
        @property
        def variables(self):
            return [*original.fget(self), lost]

    with pytest.raises(ValueError, match=r"1 variable\(s\) of Lost have no attribute path.*lost"):
        named_variables(Lost())


def test_two_variables_of_one_name_are_an_error():
    model = Mixed()
    model.named = {"b": [keras.layers.Dense(1)], "b/0": keras.layers.Dense(1)}
    for layer in (model.named["b"][0], model.named["b/0"]):
        layer.build((None, 2))
    with pytest.raises(ValueError, match="Two variables of Mixed would have the name named/b/0/"):
        named_variables(model)


def test_a_variable_that_moves_and_that_keras_does_not_track_is_an_error(toy, tmp_path):
    class Hidden(toy.Toy):
        def __init__(self):
            super().__init__()
            self.config_of_parts = SimpleNamespace(scale=keras.Variable(np.ones(1), name="hidden_scale"))
            update = self.program.updates[0]
            moved = update.variables
            object.__setattr__(update, "variables", lambda: [*moved(), self.config_of_parts.scale])

    model = Hidden()
    model.compile("sgd")
    model.build_optimizers()
    with pytest.raises(ValueError, match=r"moves 1 variable\(s\) that Keras does not track .* hidden_scale"):
        save(tmp_path, model, 1)
    assert not any(tmp_path.iterdir())


def test_two_optimizers_are_restored(toy, tmp_path):
    def built(seed):
        keras.utils.set_random_seed(seed)
        model = toy.Toy()
        model.compile({"generator": keras.optimizers.Adam(1e-3), "discriminator": keras.optimizers.SGD(0.1, momentum=0.9)})
        model.build_optimizers()
        return model

    model, other = built(0), built(1)
    frames = np.random.default_rng(0).random((2, 4, 64, 64, 1), np.float32)
    data = tf.data.Dataset.from_tensors({"frames": frames}).repeat()
    model.fit(data, steps_per_epoch=6, verbose=0)
    path = save(tmp_path, model, 6)
    assert checkpoints.restore(path, TrainingState(other)) == (6, {})
    assert other.step == 6
    for (name, value), again in zip(TrainingState(model).values().items(), values(other), strict=True):
        np.testing.assert_array_equal(again, value, err_msg=name)
    moved = TrainingState(other).variables["optimizer/discriminator/momentums/judge/1/kernel"]
    assert np.abs(moved).max() > 0
    wrong = toy.Toy()
    wrong.compile({"generator": keras.optimizers.Adam(1e-3), "discriminator": keras.optimizers.SGD(0.1)})
    wrong.build_optimizers()
    with pytest.raises(ValueError, match=r"2 unexpected \(first: optimizer/discriminator/momentums/judge/1/bias"):
        checkpoints.restore(path, TrainingState(wrong))


def test_restores_model_optimizer_and_step(tmp_path):
    model, other = made(0), made(1)
    model.optimizer.apply([tf.ones(v.shape) for v in model.trainable_variables], model.trainable_variables)
    model.clock.assign(7)
    path = save(tmp_path, model, 7, best=0.5)
    assert checkpoints.restore(path, TrainingState(other)) == (7, {"best": 0.5})
    assert other.step == 7
    for a, b in zip(values(model), values(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert checkpoints.restore_latest(tmp_path / "none", TrainingState(other)) is None


def test_keeps_the_last_ones(tmp_path):
    model = made(0)
    for step in (1, 2, 3, 4):
        save(tmp_path, model, step, keep=2)
    assert [step for step, _ in checkpoints.existing(tmp_path)] == [3, 4]
    assert len(list(tmp_path.iterdir())) == 2


def rewritten(path, change):
    """The checkpoint at `path`, its arrays changed by `change(arrays)`; a header may be given as a dict."""
    with np.load(path) as file:
        arrays = dict(file)
    arrays["header"] = json.loads(arrays["header"].tobytes())
    change(arrays)
    if not isinstance(arrays["header"], np.ndarray):
        arrays["header"] = np.frombuffer(json.dumps(arrays["header"]).encode(), np.uint8)
    np.savez(path, **arrays)


def header_with(**values):
    return lambda arrays: arrays["header"].update(values)


KERNEL = "model/encoder/levels/0/conv/kernel"


def claims(shape):
    """A member whose header claims `shape`, with hardly any data."""

    def content():
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
        return stream.getvalue() + bytes(64)

    return content


def bomb(path):
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file, file.open("bomb.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": (1 << 28,)})
        for _ in range(1 << 8):
            member.write(bytes(1 << 20))


def with_member(name, content):
    def damage(path):
        rewritten(path, lambda arrays: arrays.pop(name.removesuffix(".npy")))
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(name, content())

    return damage


def long_header(path):
    """A header that claims 1 GB, of zeros that are small in the file: it must not be read before its length is."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file, file.open("long.npy", "w", force_zip64=True) as member:
        member.write(b"\x93NUMPY\x02\x00" + (1 << 30).to_bytes(4, "little"))
        for _ in range(64):
            member.write(bytes(1 << 24))


def header_text(text):
    """A member with this text where an array's header says its type and shape."""

    def content():
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(288)

    return content


def encrypted(path):
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        at = file.infolist()[-1].header_offset
        end = file.start_dir
    entry = content.rindex(b"PK\x01\x02")
    assert entry >= end
    content[at + 6] |= 1
    content[entry + 8] |= 1
    path.write_bytes(content)


def packed(method):
    def damage(path):
        with zipfile.ZipFile(path) as file:
            members = {name: file.read(name) for name in file.namelist()}
        with zipfile.ZipFile(path, "w", method) as file:
            for name, content in members.items():
                file.writestr(name, content)

    return damage


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def twice(path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as file:
        file.writestr("step.npy", b"x")


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "flipped": flipped,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"hello"),
    "step of another name": lambda path: rewritten(path, header_with(step=9999)),
    "negative step": lambda path: rewritten(path, header_with(step=-3)),
    "step as text": lambda path: rewritten(path, header_with(step="2")),
    "step true": lambda path: rewritten(path, header_with(step=True)),
    "fractional step": lambda path: rewritten(path, header_with(step=2.5)),
    "no step": lambda path: rewritten(path, lambda arrays: arrays["header"].pop("step")),
    "state of another kind": lambda path: rewritten(path, header_with(state=[1])),
    "best loss as text": lambda path: rewritten(path, header_with(state={"best": "low"})),
    "best step as a list": lambda path: rewritten(path, header_with(state={"best": 0.5, "best_step": [2]})),
    "means as text": lambda path: rewritten(path, header_with(state={"scalars": {"now": {"loss": "1"}}})),
    "means of another kind": lambda path: rewritten(path, header_with(state={"scalars": {"now": 5}})),
    "unknown format": lambda path: rewritten(path, header_with(format=99)),
    "no header": lambda path: rewritten(path, lambda arrays: arrays.update(header=np.zeros(0, np.uint8))),
    "header of floats": lambda path: rewritten(path, lambda arrays: arrays.update(header=np.zeros(3))),
    "missing": lambda path: rewritten(path, lambda arrays: arrays.pop(KERNEL)),
    "unexpected": lambda path: rewritten(path, lambda arrays: arrays.update({"model/more": np.zeros(1)})),
    "misshapen": lambda path: rewritten(path, lambda arrays: arrays.update({KERNEL: arrays[KERNEL][..., None]})),
    "complex": lambda path: rewritten(path, lambda arrays: arrays.update({KERNEL: arrays[KERNEL] * 1j})),
    "text in place of numbers": lambda path: rewritten(path, lambda arrays: arrays.update({KERNEL: arrays[KERNEL].astype(str)})),
    "objects": lambda path: rewritten(path, lambda arrays: arrays.update({KERNEL: np.array([{}], object)})),
    "floats for a counter": lambda path: rewritten(path, lambda arrays: arrays.update(step=np.float32(2))),
    "petabytes": with_member(f"{KERNEL}.npy", claims((1 << 20, 1 << 30))),
    "a header of a GB": long_header,
    "a header of code": with_member(f"{KERNEL}.npy", header_text("__import__('os').getcwd()")),
    "a header without an end": with_member(f"{KERNEL}.npy", header_text("{'descr': (")),
    "a nested header": with_member(f"{KERNEL}.npy", header_text("-" * 5000 + "1")),
    "encrypted": encrypted,
    "lzma": packed(zipfile.ZIP_LZMA),
    "bzip2": packed(zipfile.ZIP_BZIP2),
    "no array": with_member(f"{KERNEL}.npy", lambda: b"hello"),
    "a bomb": bomb,
    "twice": twice,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(tmp_path, damage, caplog):
    model = made(0)
    save(tmp_path, model, 1)
    model.clock.assign(2)
    path = save(tmp_path, model, 2)
    DAMAGE[damage](path)
    other = made(1)
    state = TrainingState(other)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="Checkpoint .*step-00000002.npz (is damaged|does not belong)"):
            checkpoints.restore(path, state)
        assert tracemalloc.get_traced_memory()[1] < 1 << 26  # whatever the file claims
    finally:
        tracemalloc.stop()
    for a, b in zip(values(made(1)), values(other), strict=True):
        np.testing.assert_array_equal(a, b)  # nothing is assigned
    assert checkpoints.restore_latest(tmp_path, state)[0] == 1
    assert "step-00000002.npz" in caplog.text
    checkpoints.finish_interrupted_work(tmp_path, 1, {}, keep=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000001.npz", "step-00000002.damaged"]
    checkpoints.path_of(tmp_path, 1).rename(path)  # its name says another step
    with pytest.raises(ValueError, match="No usable checkpoint"):
        checkpoints.restore_latest(tmp_path, state)


def test_a_checkpoint_of_another_model(tmp_path):
    path = save(tmp_path, made(0), 1)
    wider = SVGConfig(image_size=32, width=3, g_dim=4, z_dim=2, rnn_size=3, n_past=1)
    with pytest.raises(ValueError, match=r"does not belong to this model: \d+ of another shape or type \(first: model/"):
        checkpoints.restore(path, TrainingState(made(0, wider), False))


def test_weights_in_half_precision_are_for_use_and_not_for_training(tmp_path):
    model, other = made(0), made(1)
    path = checkpoints.save_weights(tmp_path, model, 5)
    assert checkpoints.restore(path, TrainingState(other, False))[0] == 5
    np.testing.assert_allclose(other.decoder.weights[0], model.decoder.weights[0], rtol=1e-3, atol=1e-7)
    with pytest.raises(ValueError, match="holds weights alone"):
        checkpoints.restore(path, TrainingState(other))


def test_a_failed_write_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    model = made(0)
    save(tmp_path, model, 1, keep=1)

    def full_disk(file, **arrays):
        file.write(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, model, 2, keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001.npz"]


def test_checkpoints_of_0_1_0_are_read_with_their_optimizer(tmp_path):
    """There slots had numbers, the step stood in the header alone, and the metrics' totals among the callbacks' states."""
    model, other = made(0), made(1)
    model.optimizer.apply([tf.ones(v.shape) for v in model.trainable_variables], model.trainable_variables)
    arrays = {f"model/{name}": np.asarray(v.value) for name, v in named_variables(model).items()}
    arrays |= {f"optimizer/{i:04d}": np.asarray(v.value) for i, v in enumerate(model.optimizer.variables)}
    header = {"step": 40, "state": {"best": None, "scalars": {"totals": {"loss": [1.0, 2.0]}, "last": {}}}}
    path = checkpoints.path_of(tmp_path, 40)
    np.savez(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    assert checkpoints.restore(path, TrainingState(other))[0] == 40
    assert other.step == 40 and int(other.optimizer.iterations) == 1
    for name, value in TrainingState(model).values().items():
        if name.startswith(("model/", "optimizer/")):
            np.testing.assert_array_equal(TrainingState(other).values()[name], value, err_msg=name)
    assert checkpoints.restore(path, TrainingState(made(2), False))[0] == 40


@pytest.mark.parametrize("savez", [np.savez, np.savez_compressed])
def test_an_array_s_header_is_read_before_its_data(tmp_path, savez):
    arrays = {
        "x": np.arange(6, dtype=np.float16).reshape(2, 3), "columns": np.asfortranarray(np.arange(6).reshape(3, 2)),
        "scalar": np.float32(2), "none": np.zeros((0, 3)), "row": np.ones(3, bool), "large": np.arange(3, dtype=">i8"),
    }  # fmt: skip
    savez(tmp_path / "a.npz", **arrays)
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        found = archive.describe(file)
        assert found["x"] == archive.Array((2, 3), np.dtype("float16"), 12) and set(found) == set(arrays)
        for name, value in arrays.items():
            read = archive.read_array(file, name, found[name])
            np.testing.assert_array_equal(read, value)
            assert read.dtype == value.dtype


def test_a_file_damaged_at_random_places_is_read_or_refused(tmp_path):
    model = made(0)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, header=np.frombuffer(b'{"step": 1}', np.uint8), x=np.arange(6.0))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(500):
        content = bytearray(whole)
        for place in rng.integers(len(content), size=3):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        with pytest.raises(ValueError, match="Checkpoint .*a.npz"):
            checkpoints.restore(path, TrainingState(model, False))
