"""Trains on logical devices, and prints what came out as JSON. Arguments: folder, number of replicas, folder of one's run.

Logical devices must be made before TensorFlow starts, and strategies of different sizes in one process mix up their groups:
hence a process for each number of replicas.
"""

import dataclasses
import hashlib
import json
import pathlib
import shutil
import sys

import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "toy_family"))  # before families are looked for
n = int(sys.argv[2])
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * n
)

import keras  # noqa: E402
import toy_family  # noqa: E402

from svg_tf import families, presets, training  # noqa: E402
from svg_tf.config import OptimizerConfig  # noqa: E402
from svg_tf.training import optimizers  # noqa: E402
from svg_tf.training.loss_scale import LossScaleOptimizer  # noqa: E402
from svg_tf.training.state import TrainingState, named_variables, value_of  # noqa: E402
from tests.programs.family_cases import CASES, FRAMES, TINY, Case, Steps, weights_of  # noqa: E402

cases = {
    "sgd": Case(TINY, lambda: keras.optimizers.SGD(0.05), 10),
    "adam": Case(TINY, lambda: keras.optimizers.Adam(2e-3, epsilon=1e-8), 10),
    # Two optimizers, two phases, and norms of the whole gradient that exceed their bounds.
    "adversarial": Case(
        toy_family.ToyConfig(image_size=32),
        lambda: {
            "generator": optimizers.Adam(1e-2, epsilon=1e-3, clip_norm=0.05, average=0.9),
            "discriminator": optimizers.Adam(1e-2, epsilon=1e-3, clip_norm=0.5),
        },
        7,
    ),
    **CASES,
    "gradients": Case(TINY, lambda: keras.optimizers.SGD(1.0, momentum=0.5), 1),  # then the momentum is - the gradient
}
cases["reversed"] = cases["gradients"]  # the same sums in another order: what float32 rounds

out = {}
strategy = tf.distribute.MirroredStrategy() if n > 1 else tf.distribute.get_strategy()
out["replicas"] = strategy.num_replicas_in_sync
for name, case in list(cases.items())[: {1: 9, 2: 8, 4: 1}[n]]:
    with strategy.scope():
        model = case.made()
    batches = {"frames": case.frames}
    if name == "reversed":
        batches = {"frames": FRAMES[:, ::-1], "row": np.tile(np.arange(8, dtype=np.int32)[::-1], (3, 1))}
    data = tf.data.Dataset.from_tensor_slices(batches)
    steps = Steps()
    model.fit(data.repeat(), epochs=1, steps_per_epoch=case.steps, verbose=0, shuffle=False, callbacks=[steps])
    values = TrainingState(model).values()
    slots = {name: value.tolist() for name, value in values.items() if "/momentums/" in name or "/averages/" in name}
    evaluated = model.evaluate(data, verbose=0, return_dict=True) if case.steps > 1 else {}
    out[name] = {"steps": steps.seen, "weights": weights_of(model), "slots": slots, "evaluated": evaluated}

try:
    with strategy.scope():
        model = families.build(TINY)
        model.compile("sgd")
    model.fit(tf.data.Dataset.from_tensors({"frames": FRAMES[0][:7]}), verbose=0)
except ValueError as error:
    out["fit refused"] = str(error)

# Loss scaling: an overflow on one replica
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
    out["scaled"].append([float(value_of(v)) for v in counts] + value_of(weight).tolist())

# The whole program, from the configuration
preset = presets.get("smmnist_mini")
batch = 6 if n == 4 else 4
experiment = dataclasses.replace(
    preset,
    model=TINY,
    data=dataclasses.replace(
        preset.data, batch_size=batch, n_future=2, moving_mnist=dataclasses.replace(preset.data.moving_mnist, digits="uci")
    ),
    train=dataclasses.replace(
        preset.train,
        epochs=1,
        steps_per_epoch=3,
        strategy="mirrored" if n > 1 else "single",
        optimizer=OptimizerConfig(epsilon=1e-3, average=0.9),
    ),
    eval=dataclasses.replace(preset.eval, n_future=3, n_samples=2, validation_steps=2, summary_sequences=2),
)
try:
    model = training.train(experiment, sys.argv[1], verbose=False)
    out["run"] = {k: np.asarray(v.value).tolist() for k, v in named_variables(model).items()}
    averaged = named_variables(training.load_run(sys.argv[1], "averaged").model)
    out["averaged"] = {k: value_of(v).tolist() for k, v in averaged.items()}
except ValueError as error:
    out["refused"] = str(error)

# The run of one replica goes on in another folder, here on n
class Restored(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        values = TrainingState(self.model).values()
        self.bits = {name: hashlib.sha256(value.tobytes()).hexdigest() for name, value in values.items()}


def curves(logs):
    found = {}
    for file in sorted(logs.rglob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                if value.tensor.dtype == tf.float32.as_datatype_enum and not value.tensor.tensor_shape.dim:
                    found[f"{file.parent.name}/{value.tag} {event.step}"] = float(tf.make_ndarray(value.tensor))
    return found


if n < 4:
    moved, restored = pathlib.Path(sys.argv[1]).with_name(f"moved-{n}"), Restored()
    shutil.copytree(sys.argv[3], moved)
    longer = dataclasses.replace(experiment, train=dataclasses.replace(experiment.train, epochs=2))
    model = training.train(longer, moved, verbose=False, callbacks=[restored])
    out["moved"] = {k: np.asarray(v.value).tolist() for k, v in named_variables(model).items()}
    out["restored"], out["curves"] = restored.bits, curves(moved / "logs")

try:
    with strategy.scope():
        families.build(TINY).compile(keras.optimizers.SGD(0.1, global_clipnorm=1.0))
except ValueError as error:
    out["clipping refused"] = str(error)
print("RESULT", end="")
json.dump(out, sys.stdout)
