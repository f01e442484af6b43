"""What every video predictor shares: the training step, its metrics, and the checks of what comes in."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from svg_tf import config as configuration
from svg_tf import kernels, noise
from svg_tf.families.compiled import Functions, check_counts, sequence_seeds
from svg_tf.families.shapes import swap_batch_time
from svg_tf.training.loss_scale import LossScaleOptimizer


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
    "loss" is minimised and all are reported as means, and `metric_names`; `elbo_terms_of`; and the mathematics of its public
    methods on tensors, `generate_in_graph`, `reconstruct_in_graph` and `prior_scale_in_graph`, which exports trace too.
    """

    config_class: type
    metric_names: tuple[str, ...] = ("loss",)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.run_seed = 0
        self._trackers = {name: keras.metrics.Mean(name=name) for name in self.metric_names}
        self._functions = Functions(self)

    def _configured(self, config):
        """The configuration that a subclass was given, or its defaults. Raises `ValueError` for another type."""
        if config is not None and not isinstance(config, self.config_class):
            raise ValueError(
                f"{type(self).__name__} expects a {self.config_class.__name__}, got {type(config).__name__}; pass "
                "experiment.model of a preset."
            )
        self.config = config or self.config_class()
        return self.config

    def get_config(self):
        return {**super().get_config(), "config": configuration.to_dict(self.config)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        return cls(configuration.from_dict(cls.config_class, config.pop("config")), **config)

    @property
    def stochastic(self) -> bool:
        """Whether there are latents z_t."""
        return self.config.stochastic

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

    def fit(self, x=None, *args, **kwargs):
        """As `keras.Model.fit`. Raises `ValueError` for a data set whose batches do not divide among the replicas."""
        replicas = self.distribute_strategy.num_replicas_in_sync
        for spec in tf.nest.flatten(x.element_spec) if replicas > 1 and isinstance(x, tf.data.Dataset) else ():
            batch = spec.shape[0] if spec.shape.rank else None
            if batch is not None and batch % replicas:
                raise ValueError(f"A batch of {batch} must be divisible by the {replicas} replicas.")
        return super().fit(x, *args, **kwargs)

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

    # ---- use ------------------------------------------------------------------------------------------------------

    def prior_scale(self, frames):
        """Sigma of the prior of z_t for x_1 ... x_{T-1}, given the true frames before each: the model's own forecast of
        uncertainty (Fig. 6). float [B, T >= 2, H, W, C] -> float32 [B, T-1, z_dim]; ones for a fixed prior.
        SRVP infers its first state from k frames, so that its first k values have seen all of these.
        """
        if not self.stochastic:
            raise ValueError(f"prior_scale needs a model with latents; this one is {self.config.summary}.")
        frames, _ = self._checked(frames, self._least_frames)
        return self._functions.call("prior_scale", frames)

    def elbo_terms(self, frames, seed=0) -> dict:
        """{"mse", "kl"}: float32 [B, frames predicted with posterior latents] of held-out frames [B, T >= 2, H, W, C], with
        running statistics."""
        return self._functions.call("elbo_terms", *self._checked(frames, self._least_frames, seed))

    def elbo_terms_in_graph(self, frames, seeds):
        terms = self.elbo_terms_of(frames, seeds, "running")
        return {name: swap_batch_time(terms[name]) for name in ("mse", "kl")}

    def time_major(self, frames):
        """float [B, T, ...] -> [T, B, ...] in the layers' dtype."""
        return tf.cast(swap_batch_time(frames), self.compute_dtype)

    @property
    def _least_frames(self) -> int:
        return max(2, self.config.least_context)

    def _generate(self, frames, n_future, n_samples, seed, n_past, first_sample, **options):
        """Checks the arguments of a subclass's `generate`, and runs it."""
        check_counts(n_future=n_future, n_samples=n_samples)
        least = self.config.least_context
        if n_past is not None and n_past < least:
            raise ValueError(f"n_past must be at least {least}, got {n_past}.")
        frames, seeds = self._checked(frames, n_past or least, seed, "context frames")
        return self._functions.generate(frames[:, :n_past], seeds, n_future, n_samples, first_sample, **options)

    def _checked(self, frames, least: int, seed=0, what: str = "frames"):
        """(frames float32 tensor, seeds int32 [B, 2])."""
        frames = check_frames(frames, self.config.image_size, self.config.channels, least, what)
        return frames, sequence_seeds(seed, int(frames.shape[0]))
