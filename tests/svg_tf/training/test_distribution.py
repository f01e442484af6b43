"""Training on several replicas equals training on one: the same noise, synchronised statistics, the same mathematics."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from svg_tf import noise

# Logical devices must be made before TensorFlow starts, and strategies of different sizes in one process mix up their groups:
# hence a process for each number of replicas.
SCRIPT = """
import json, sys
import numpy as np
import tensorflow as tf
n = int(sys.argv[2])
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * n)
import keras
from svg_tf.training import checkpoints
from svg_tf.families.srvp.config import SRVPConfig
from svg_tf.families.svg.config import SVGConfig
from svg_tf import families

TINY = SVGConfig(image_size=32, width=2, g_dim=8, z_dim=3, rnn_size=8, n_past=2, beta=1e-2)
SRVP = SRVPConfig(image_size=32, width=2, h_dim=8, y_dim=4, z_dim=3, w_dim=6, inference_size=8, transition_size=8, k=2, n_past=2,
                  n_euler=2, skips=True)
frames = np.random.default_rng(0).random((3, 8, 5, 32, 32, 1), np.float32)
cases = {
    "sgd": (TINY, lambda: keras.optimizers.SGD(0.05), 10),
    "srvp": (SRVP, lambda: keras.optimizers.SGD(1e-5), 3),
    "adam": (TINY, lambda: keras.optimizers.Adam(2e-3, epsilon=1e-8), 10),
    "gradients": (TINY, lambda: keras.optimizers.SGD(1.0, momentum=0.5), 1),  # after one step the momentum is - the gradient
}
cases["reversed"] = cases["gradients"]  # the same sums in another order: what float32 rounds

class Steps(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.seen = []
    def on_train_batch_end(self, batch, logs=None):
        self.seen.append({k: float(v) for k, v in logs.items()})

out = {}
strategy = tf.distribute.MirroredStrategy() if n > 1 else tf.distribute.get_strategy()
out["replicas"] = strategy.num_replicas_in_sync
for name, (config, make, count) in list(cases.items())[: {1: 5, 2: 4, 4: 1}[n]]:
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = families.build(config)
        model.compile(make(), seed=5)
    batches = {"frames": frames}
    if name == "reversed":
        batches = {"frames": frames[:, ::-1], "row": np.tile(np.arange(8, dtype=np.int32)[::-1], (3, 1))}
    data = tf.data.Dataset.from_tensor_slices(batches)
    steps = Steps()
    model.fit(data.repeat(), epochs=1, steps_per_epoch=count, verbose=0, shuffle=False, callbacks=[steps])
    weights = {k: np.asarray(v.value).tolist() for k, v in state.named_variables(model).items()}
    slots = [v for v in model.optimizer.variables if "momentum" in v.path]
    slots = {f"{i} {v.path}": np.asarray(v.value).tolist() for i, v in enumerate(slots)}
    evaluated = model.evaluate(data, verbose=0, return_dict=True) if count > 1 else {}
    out[name] = {"steps": steps.seen, "weights": weights, "slots": slots, "evaluated": evaluated}

try:
    with strategy.scope():
        model = families.build(TINY)
        model.compile("sgd")
    model.fit(tf.data.Dataset.from_tensors({"frames": frames[0][:7]}), verbose=0)
except ValueError as error:
    out["fit refused"] = str(error)

# Loss scaling: an overflow on one replica
from svg_tf.training.loss_scale import LossScaleOptimizer
with strategy.scope():
    weight = keras.Variable(np.ones(1, "float32"))
    optimizer = LossScaleOptimizer(keras.optimizers.SGD(0.25))
    optimizer.build([weight])

@tf.function
def scaled_step(overflows):
    def replica():
        here = tf.equal(tf.distribute.get_replica_context().replica_id_in_sync_group, overflows)
        gradient = tf.where(here, float("inf"), optimizer.dynamic_scale / n)[None]
        optimizer.apply([gradient], [weight])
    strategy.run(replica)

out["scaled"] = []
for overflows in (-1, n - 1, -1, 0):
    scaled_step(tf.constant(overflows))
    counts = optimizer.iterations, optimizer.inner_optimizer.iterations, optimizer.dynamic_scale
    out["scaled"].append([float(state.value_of(v)) for v in counts] + state.value_of(weight).tolist())

# The whole program, from the configuration
import dataclasses
from svg_tf import presets, training
preset = presets.get("smmnist_mini")
batch = 6 if n == 4 else 4
experiment = dataclasses.replace(
    preset, model=TINY,
    data=dataclasses.replace(
        preset.data, batch_size=batch, n_future=2, moving_mnist=dataclasses.replace(preset.data.moving_mnist, digits="uci")),
    train=dataclasses.replace(preset.train, epochs=1, steps_per_epoch=3, strategy="mirrored" if n > 1 else "single"),
    eval=dataclasses.replace(preset.eval, n_future=3, n_samples=2, validation_steps=2, summary_sequences=2))
try:
    model = training.train(experiment, sys.argv[1], verbose=False)
    out["run"] = {k: np.asarray(v.value).tolist() for k, v in state.named_variables(model).items()}
except ValueError as error:
    out["refused"] = str(error)
print("RESULT", end="")
json.dump(out, sys.stdout)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    def run(n):
        process = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path_factory.mktemp(f"run{n}")), str(n)], capture_output=True, text=True,
            timeout=600, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"},
        )  # fmt: skip
        assert process.returncode == 0, process.stderr[-3000:]
        return json.loads(process.stdout.split("RESULT")[1])

    return {n: run(n) for n in (1, 2, 4)}


def differences(a, b):
    """name -> largest difference, relative to the variable's largest entry."""
    return {name: np.abs(np.subtract(a[name], b[name])).max() / max(np.abs(a[name]).max(), 1e-3) for name in a}


@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_equal_one(results, replicas):
    one, many = results[1]["sgd"], results[replicas]["sgd"]
    assert results[replicas]["replicas"] == replicas
    for a, b in zip(one["steps"], many["steps"], strict=True):
        assert b == pytest.approx(a, rel=1e-6, abs=1e-7)  # the KL is a difference of terms of order 1
    assert len(one["steps"]) == 10
    worst = differences(one["weights"], many["weights"])
    assert max(worst.values()) < 5e-6, worst
    assert many["evaluated"] == pytest.approx(one["evaluated"], rel=1e-5)


def test_replicas_equal_one_for_srvp(results):
    """Its noise chooses frames too: of the content, and of the skips."""
    one, two = results[1]["srvp"], results[2]["srvp"]
    for a, b in zip(one["steps"], two["steps"], strict=True):
        assert b == pytest.approx(a, rel=1e-5, abs=1e-6)
    assert len(one["steps"]) == 3
    worst = differences(one["weights"], two["weights"])
    assert max(worst.values()) < 2e-5, worst
    assert two["evaluated"] == pytest.approx(one["evaluated"], rel=1e-5)


def test_replicas_equal_one_under_adam(results):
    # Adam divides by the gradient's own size: where that is all rounding error, steps of the full learning rate differ. No
    # bias stands before a normalisation here, so that no gradient is zero in truth; small ones remain.
    one, many = results[1]["adam"], results[2]["adam"]
    worst = differences(one["weights"], many["weights"])
    assert np.median(list(worst.values())) < 1e-5, worst
    assert max(worst.values()) < 2e-2, worst
    for a, b in zip(one["steps"], many["steps"], strict=True):
        assert b == pytest.approx(a, rel=1e-3)


def test_the_whole_program_on_two_replicas(results):
    worst = differences(results[1]["run"], results[2]["run"])
    assert np.median(list(worst.values())) < 1e-5, worst


def test_gradients_equal(results):
    one, two = results[1]["gradients"], results[2]["gradients"]
    assert len(one["slots"]) > 10
    one, two, again = (
        np.concatenate([np.ravel(g) for g in result["slots"].values()]) for result in (one, two, results[1]["reversed"])
    )
    difference, rounding, size = (np.linalg.norm(x) for x in (two - one, again - one, one))
    # Normalisation of maps of deviation 0.02 amplifies the rounding of float32 sums: 1e-6 is within what their order makes.
    assert difference < 3 * rounding, (difference / size, rounding / size)
    assert difference < 5e-6 * size


def test_a_batch_that_does_not_divide_is_refused(results):
    assert "batch of 7 must be divisible by the 2 replicas" in results[2]["fit refused"]
    assert "fit refused" not in results[1]
    assert "6 must be divisible by the 4 replicas" in results[4]["refused"]


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_replicas_skip_a_step_together(results, replicas):
    # steps, updates, scale, weight: Keras's own asks the first replica alone, and the overflow of the last one is applied
    expected = [[1, 1, 2.0**15, 0.75], [2, 1, 2.0**14, 0.75], [3, 2, 2.0**14, 0.5], [4, 2, 2.0**13, 0.5]]
    assert results[replicas]["scaled"] == expected


def test_each_row_of_the_global_batch_has_its_own_noise_wherever_it_is():
    seed = noise.fold(noise.seed_pair(3), 1)
    whole = noise.normal(seed, [5, 8, 2]).numpy()
    for rows in ([0, 1, 2, 3], [4, 5, 6, 7]):
        np.testing.assert_array_equal(noise.normal_of_rows(seed, 5, rows, 8, 2), whole[:, rows])
    assert len(np.unique(whole)) == whole.size
