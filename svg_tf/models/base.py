"""What every video predictor shares: the training step, its metrics, and the checks of what comes in."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from svg_tf import kernels, noise
from svg_tf.loss_scale import LossScaleOptimizer


def check_frames(frames, image_size: int, channels: int, least: int, what: str = "frames") -> tf.Tensor:
    """frames: float [B, T >= least, S, S, C] in [0, 1], array or tensor -> float32 tensor. Raises `ValueError`."""
    expected = f"{what} must be float [batch, time >= {least}, {image_size}, {image_size}, {channels}] in [0, 1]"
    if not tf.is_tensor(frames):
        frames = np.asarray(frames)
    if not (tf.as_dtype(frames.dtype).is_floating):
        hint = "; scale uint8 frames with data_pipelines.transform.to_float" if frames.dtype == np.uint8 else ""
        raise ValueError(f"{expected}, got dtype {tf.as_dtype(frames.dtype).name}{hint}.")
    shape = tuple(frames.shape)
    if len(shape) != 5 or shape[2:] != (image_size, image_size, channels):
        raise ValueError(f"{expected}, got shape {shape}.")
    if shape[0] == 0 or shape[1] < least:
        raise ValueError(f"{expected}, got shape {shape}: {'no sequence' if shape[0] == 0 else 'too few frames'}.")
    frames = tf.cast(frames, tf.float32)
    low, high = float(tf.reduce_min(frames)), float(tf.reduce_max(frames))
    if not (low >= 0.0 and high <= 1.0):  # also catches NaN
        raise ValueError(f"{expected}, got values in [{low:g}, {high:g}].")
    return frames


@contextlib.contextmanager
def dtype_policy(policy):
    """Layers made within it follow `policy`: Keras gives a model's policy to the model alone, not to its layers."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class VideoPredictor(keras.Model):
    """A Keras model trained on batches {"frames": float32 [B, T, H, W, C] in [0, 1]}.

    A subclass gives `objective(frames, seed, norm, step)`: a dict of per-sequence values float32 [B] among which
    "loss" is minimised and all are reported as means, and `metric_names`.
    """

    metric_names: tuple[str, ...] = ("loss",)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.run_seed = 0
        self._trackers = {name: keras.metrics.Mean(name=name) for name in self.metric_names}

    def compile(self, optimizer="adam", *, seed: int = 0, jit_compile: bool = False, recompute: bool = False, **kwargs):
        """optimizer: a Keras optimizer. seed: all training noise derives from (seed, step, row of the global batch).
        recompute: training steps keep the inputs of the backbones' blocks only (see `layers.recomputation`).

        Other arguments as `keras.Model.compile`; the loss and the metrics are the model's own and cannot be given
        (`ValueError`).
        """
        for name in ("loss", "metrics", "weighted_metrics", "loss_weights"):
            if kwargs.get(name) is not None:
                raise ValueError(f"{type(self).__name__} has its own loss and metrics; compile() got {name}={kwargs[name]!r}.")
        self.run_seed = seed
        self.encoder.recompute = self.decoder.recompute = recompute
        optimizer = keras.optimizers.get(optimizer)
        if self.dtype_policy.name == "mixed_float16" and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer = LossScaleOptimizer(optimizer)
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)

    def get_compile_config(self):
        """What `compile_from_config` needs to compile a loaded model again (keras.saving.load_model)."""
        if not self.compiled:
            return None
        return {"optimizer": keras.saving.serialize_keras_object(self.optimizer), "seed": self.run_seed}

    def compile_from_config(self, config):
        self.compile(optimizer=keras.saving.deserialize_keras_object(config["optimizer"]), seed=config["seed"])
        self.optimizer.build(self.trainable_variables)

    @property
    def step(self) -> int:
        """Optimizer steps taken so far: batches, those included whose update loss scaling skipped."""
        return int(tf.convert_to_tensor(self.optimizer.iterations.value))

    @property
    def metrics(self):
        return list(self._trackers.values())

    def objective(self, frames, seed, norm, step) -> dict:
        """frames: float32 [B, T, H, W, C]; seed: `noise.BatchSeed`, int32 [2], or [B, 2] for noise that does not depend on the
        batch."""
        raise ValueError(f"{type(self).__name__} does not define an objective.")

    def train_step(self, data):
        frames = self._frames(data)
        replica, batch = tf.distribute.get_replica_context().replica_id_in_sync_group, tf.shape(frames)[0]
        step = self.optimizer.iterations
        rows, total = self._rows(data, replica, batch), batch * kernels.replicas()
        seed = noise.BatchSeed(noise.fold(noise.seed_pair(self.run_seed), noise.TRAIN, step), rows, total)
        with tf.GradientTape() as tape:
            values = self.objective(frames, seed, "train", step)
            # Keras optimizers add the replicas' gradients up: each is divided by the global batch.
            loss = tf.nn.compute_average_loss(values["loss"], global_batch_size=total)
            loss = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply(gradients, variables)
        return self._report(values)

    def test_step(self, data):
        frames = self._frames(data)
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        # One seed for each sequence by its place in the evaluation, so that batch size and replicas do not matter.
        first = tf.cast(self._trackers["loss"].count, tf.int32) * kernels.replicas()
        index = first + self._rows(data, replica, tf.shape(frames)[0])
        seeds = noise.fold_each(noise.fold(noise.seed_pair(self.run_seed), noise.TEST), index)
        step = self.optimizer.iterations if self.optimizer is not None else 2**31 - 1
        return self._report(self.objective(frames, seeds, "running", step))

    def _rows(self, data, replica, batch):
        """int32 [batch]: places in the global batch; replica r holds rows r * batch ... unless the data says otherwise."""
        batches, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return batches["row"] if isinstance(batches, dict) and "row" in batches else replica * batch + tf.range(batch)

    def _report(self, values):
        for name, tracker in self._trackers.items():
            tracker.update_state(values[name])
        return {name: tracker.result() for name, tracker in self._trackers.items()}

    def _frames(self, data):
        frames, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        frames = frames["frames"] if isinstance(frames, dict) else frames
        size, channels = self.config.image_size, self.config.channels
        if frames.shape.rank != 5 or tuple(frames.shape[2:]) != (size, size, channels) or not frames.dtype.is_floating:
            raise ValueError(
                f'Batches must be {{"frames": float32 [batch, time, {size}, {size}, {channels}]}}, got shape '
                f"{tuple(frames.shape)} and dtype {frames.dtype.name}."
            )
        return frames
