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
from svg_tf.families.savp.config import SAVPConfig  # noqa: E402
from svg_tf.families.srvp.config import SRVPConfig  # noqa: E402
from svg_tf.families.struct_vrnn.config import StructVRNNConfig  # noqa: E402
from svg_tf.families.sv2p.config import SV2PConfig  # noqa: E402
from svg_tf.families.svg.config import SVGConfig  # noqa: E402
from svg_tf.training import optimizers  # noqa: E402
from svg_tf.training.loss_scale import LossScaleOptimizer  # noqa: E402
from svg_tf.training.state import TrainingState, named_variables, value_of  # noqa: E402

TINY = SVGConfig(image_size=32, width=2, g_dim=8, z_dim=3, rnn_size=8, n_past=2, beta=1e-2)
SRVP = SRVPConfig(
    image_size=32,
    width=2,
    h_dim=8,
    y_dim=4,
    z_dim=3,
    w_dim=6,
    inference_size=8,
    transition_size=8,
    k=2,
    n_past=2,
    n_euler=2,
    skips=True,
)
VRNN = StructVRNNConfig(
    image_size=32, n_past=2, n_keypoints=3, width=2, layers_per_scale=1, rnn_size=6, hidden_size=5, z_dim=3, belief_samples=3,
    kl_warmup_steps=2, truth_steps=3,
)  # fmt: skip
# Two phases in three steps; frames that are shown after the context, half of them by their row in the global batch.
SV2P = SV2PConfig(
    image_size=32, width=2, n_past=2, n_frames=5, lstm_kernel_size=3, kernels=3, kernel_size=3, norm_epsilon=1e-5, beta=0.1,
    sampling_k=3.0, generator_steps=1, latent_steps=0, beta_warmup_steps=2,
)  # fmt: skip
frames = np.random.default_rng(0).random((3, 8, 5, 32, 32, 1), np.float32)
cases = {
    "sgd": (TINY, lambda: keras.optimizers.SGD(0.05), 10),
    "srvp": (SRVP, lambda: keras.optimizers.SGD(1e-5), 3),
    "sv2p": (SV2P, lambda: keras.optimizers.SGD(0.05), 3),
    "adam": (TINY, lambda: keras.optimizers.Adam(2e-3, epsilon=1e-8), 10),
    # Two optimizers, two phases, and norms of the whole gradient that exceed their bounds.
    "adversarial": (
        toy_family.ToyConfig(image_size=32),
        lambda: {
            "generator": optimizers.Adam(1e-2, epsilon=1e-3, clip_norm=0.05, average=0.9),
            "discriminator": optimizers.Adam(1e-2, epsilon=1e-3, clip_norm=0.5),
        },
        7,
    ),
    # Coins for the whole batch, the best of many latents, and each gradient clipped by its own norm.
    "keypoints": (VRNN, lambda: optimizers.Adam(1e-3, epsilon=1e-3, clip_norm=0.05, clip_by="variable"), 4),
    # Spectral norms' vectors, clips and both rollouts are the same wherever a sequence is.
    "savp": (
        SAVPConfig(
            image_size=16, width=2, encoder_width=2, discriminator_width=1, n_past=2, z_dim=2, lstm_kernel_size=3, kernel_size=3,
            transformed_images=2, clip_length=4, sampling_k=2.0, beta_start_step=0, beta_end_step=2, l1_weight=1.0,
        ),
        lambda: {side: keras.optimizers.SGD(1e-3, momentum=0.5) for side in ("generator", "discriminator")},
        3,
    ),
    "gradients": (TINY, lambda: keras.optimizers.SGD(1.0, momentum=0.5), 1),  # after one step the momentum is - the gradient
}
cases["reversed"] = cases["gradients"]  # the same sums in another order: what float32 rounds


def enlarge(model):
    """Kernels of deviation 0.02 make maps that are all but constant: where they are normalized, rounding chooses signs."""
    generator = np.random.default_rng(0)
    for name, variable in named_variables(model).items():
        if name.endswith("/kernel"):
            variable.assign(10.0 * variable.value)
        elif name.endswith(("/beta", "/bias")):
            variable.assign(generator.normal(0, 0.1, variable.shape))


class Steps(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append({k: float(v) for k, v in logs.items()})


out = {}
strategy = tf.distribute.MirroredStrategy() if n > 1 else tf.distribute.get_strategy()
out["replicas"] = strategy.num_replicas_in_sync
for name, (config, make, count) in list(cases.items())[: {1: 9, 2: 8, 4: 1}[n]]:
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = families.build(config)
        model.compile(make(), seed=5)
    if name == "savp":
        enlarge(model)
    batches = {"frames": frames if config.image_size == 32 else frames[..., ::2, ::2, :]}
    if name == "reversed":
        batches = {"frames": frames[:, ::-1], "row": np.tile(np.arange(8, dtype=np.int32)[::-1], (3, 1))}
    data = tf.data.Dataset.from_tensor_slices(batches)
    steps = Steps()
    model.fit(data.repeat(), epochs=1, steps_per_epoch=count, verbose=0, shuffle=False, callbacks=[steps])
    weights = {k: np.asarray(v.value).tolist() for k, v in named_variables(model).items()}
    values = TrainingState(model).values()
    slots = {name: value.tolist() for name, value in values.items() if "/momentums/" in name or "/averages/" in name}
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
