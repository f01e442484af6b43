"""Activation recomputation changes what is kept, not what is computed: loss, gradients, moving averages."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import families, noise
from svg_tf.layers import recomputation
from svg_tf.training.state import named_variables
from tests.conformance.descriptors.interface import all_of_them

DESCRIPTORS = all_of_them()
CONFIGS = {f"{name}-{k}": c for name, d in DESCRIPTORS.items() for k, c in d.recomputed.items()}
FRAMES = {size: np.random.default_rng(0).random((2, 4, size, size, c)).astype("float32") for size, c in ((32, 2), (64, 1))}


def one_step(config, recompute, precision="float32", eager=False):
    """(metrics of a training step, gradients at its start, all weights after it)."""
    keras.utils.set_random_seed(1)
    model = families.build(config, dtype=precision)
    model.compile(keras.optimizers.SGD(0.1), seed=3, recompute=recompute, run_eagerly=eager)
    frames = tf.constant(FRAMES[config.image_size])

    def gradients(frames):
        seed = noise.fold(noise.seed_pair(3), noise.TRAIN, 0)
        before = [tf.convert_to_tensor(v.value) for v in model.non_trainable_variables]
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model.objective(frames, seed, "train")["loss"])
        result = tape.gradient(loss, [v.value for v in model.trainable_variables])
        for variable, value in zip(model.non_trainable_variables, before, strict=True):
            variable.assign(value)
        return result

    found = (gradients if eager else tf.function(gradients))(frames)
    assert all(g is not None for g in found)
    logs = model.train_on_batch({"frames": frames}, return_dict=True)
    weights = {name: np.asarray(v.value) for name, v in named_variables(model).items()}
    return logs, dict(zip([v.path for v in model.trainable_variables], found, strict=True)), weights


@pytest.mark.parametrize(
    ("name", "precision", "eager", "tolerance"),
    [
        *((name, "float32", False, 1e-6) for name in CONFIGS),
        ("svg-dcgan", "float32", True, 1e-6),
        ("svg-dcgan", "mixed_bfloat16", False, 1e-2),
    ],
)
def test_one_step_equals_one_without_recomputation(name, precision, eager, tolerance, monkeypatch):
    config, calls, plain = CONFIGS[name], [], recomputation.recomputed
    monkeypatch.setattr(recomputation, "recomputed", lambda *arguments: calls.append(1) or plain(*arguments))
    logs, gradients, weights = one_step(config, False, precision, eager)
    assert not calls
    logs_again, gradients_again, weights_again = one_step(config, True, precision, eager)
    assert len(calls) > 5  # blocks were recomputed
    assert logs_again == pytest.approx(logs, rel=tolerance)
    scale = max(float(tf.reduce_max(abs(g))) for g in gradients.values())
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradients_again[name], gradient, atol=tolerance * scale, rtol=tolerance, err_msg=name)
    for name, value in weights.items():
        np.testing.assert_allclose(weights_again[name], value, atol=tolerance, rtol=tolerance, err_msg=name)
    moved = [name for name in weights if "moving_mean" in name]
    assert len(moved) > 5 and all(np.any(weights[name]) for name in moved)


def test_a_frozen_encoder_stays_recomputed_or_not():
    """Its moving averages included; all else trains alike."""
    after = []
    for recompute in (False, True):
        keras.utils.set_random_seed(1)
        model = families.build(CONFIGS["svg-dcgan"])
        model.encoder.trainable = False
        model.compile(keras.optimizers.SGD(0.1), seed=3, recompute=recompute)
        before = {name: np.asarray(v.value) for name, v in named_variables(model).items()}
        model.train_on_batch({"frames": tf.constant(FRAMES[32])})
        after.append({name: np.asarray(v.value) for name, v in named_variables(model).items()})
        for name, value in before.items():
            if name.startswith("encoder"):
                np.testing.assert_array_equal(after[-1][name], value, err_msg=name)
        assert any((after[-1][name] != value).any() for name, value in before.items() if name.endswith("moving_mean"))
    for name, value in after[0].items():
        np.testing.assert_allclose(after[1][name], value, atol=1e-6, rtol=1e-6, err_msg=name)


# Logical devices must be made before TensorFlow starts.
SCRIPT = """
import json, sys
import numpy as np
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from svg_tf.training import state
from svg_tf.families.svg.config import SVGConfig
from svg_tf.families.svg.model import SVG

frames = np.random.default_rng(0).random((4, 4, 32, 32, 1), np.float32)
config = SVGConfig(image_size=32, width=2, g_dim=8, z_dim=3, rnn_size=8, n_past=2, beta=1e-2)
out = []
strategy = tf.distribute.MirroredStrategy()
assert strategy.num_replicas_in_sync == 2
for scope, recompute in ((strategy, True), (tf.distribute.get_strategy(), False)):
    keras.utils.set_random_seed(0)
    with scope.scope():
        model = SVG(config)
        model.compile(keras.optimizers.SGD(0.05), seed=5, recompute=recompute)
    data = tf.data.Dataset.from_tensors({"frames": frames}).repeat()
    logs = model.fit(data, steps_per_epoch=3, verbose=0, shuffle=False).history
    out.append([logs, {k: np.asarray(v.value).tolist() for k, v in state.named_variables(model).items()}])
print("RESULT", end="")
json.dump(out, sys.stdout)
"""


def test_two_replicas_that_recompute_equal_one_that_does_not():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=600, env=environment, check=False
    )
    assert process.returncode == 0, process.stderr[-3000:]
    (logs, weights), (logs_of_one, weights_of_one) = json.loads(process.stdout.split("RESULT")[1])
    assert {k: v[0] for k, v in logs.items()} == pytest.approx({k: v[0] for k, v in logs_of_one.items()}, rel=1e-6, abs=1e-7)
    for name, value in weights_of_one.items():
        np.testing.assert_allclose(weights[name], value, atol=2e-6 * max(np.abs(value).max(), 1.0), err_msg=name)
    assert any("moving_mean" in name and np.any(value) for name, value in weights.items())
