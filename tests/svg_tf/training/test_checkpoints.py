import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf.families.svg.config import SVGConfig
from svg_tf.families.svg.model import SVG
from svg_tf.training import checkpoints
from svg_tf.training.state import named_variables

TINY = SVGConfig(image_size=32, width=2, g_dim=4, z_dim=2, rnn_size=3, n_past=1)


def made(seed, config=TINY):
    keras.utils.set_random_seed(seed)
    model = SVG(config)
    model.compile(keras.optimizers.Adam())
    model.optimizer.build(model.trainable_variables)
    return model


def values(model):
    return [np.asarray(v.value) for v in [*model.variables, *model.optimizer.variables]]


def test_every_variable_has_its_own_name():
    model = made(0)
    named = named_variables(model)
    metrics = {id(v) for v in model.metrics_variables}
    assert {id(v) for v in named.values()} == {id(v) for v in model.variables} - metrics
    assert "encoder/levels/0/conv/kernel" in named and "latent/prior/cells/0/recurrent_kernel" in named


def test_restores_model_optimizer_and_step(tmp_path):
    model, other = made(0), made(1)
    model.optimizer.apply([tf.ones(v.shape) for v in model.trainable_variables], model.trainable_variables)
    path = checkpoints.save(tmp_path, model, 7, {"best": 0.5}, keep=3)
    assert checkpoints.restore(path, other, with_optimizer=True) == (7, {"best": 0.5})
    for a, b in zip(values(model), values(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert checkpoints.restore_latest(tmp_path / "none", other, True) is None


def test_keeps_the_last_ones(tmp_path):
    model = made(0)
    for step in (1, 2, 3, 4):
        checkpoints.save(tmp_path, model, step, {}, keep=2)
    assert [step for step, _ in checkpoints.existing(tmp_path)] == [3, 4]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(tmp_path, damage, caplog):
    model = made(0)
    checkpoints.save(tmp_path, model, 1, {}, keep=3)
    path = checkpoints.save(tmp_path, model, 2, {}, keep=3)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 255
    path.write_bytes({"truncated": content[: len(content) // 2], "flipped": content, "empty": b"", "text": b"hello"}[damage])
    other = made(1)
    assert checkpoints.restore_latest(tmp_path, other, True)[0] == 1
    assert "step-00000002.npz is damaged" in caplog.text
    checkpoints.path_of(tmp_path, 1).unlink()
    before = values(other)
    with pytest.raises(ValueError, match="No usable checkpoint"):
        checkpoints.restore_latest(tmp_path, other, True)
    for a, b in zip(before, values(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_of_another_model(tmp_path):
    path = checkpoints.save(tmp_path, made(0), 1, {}, keep=1)
    wider = SVGConfig(image_size=32, width=3, g_dim=4, z_dim=2, rnn_size=3, n_past=1)
    with pytest.raises(ValueError, match="does not belong to this model"):
        checkpoints.restore(path, made(0, wider), with_optimizer=False)


def test_a_failed_write_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    model = made(0)
    checkpoints.save(tmp_path, model, 1, {}, keep=1)

    def full_disk(file, **arrays):
        file.write(b"part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(tmp_path, model, 2, {}, keep=1)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001.npz"]
