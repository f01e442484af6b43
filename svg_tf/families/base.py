"""What every video predictor shares: the training step, its metrics, sampling, and the checks of what comes in."""

import abc
import contextlib

import keras
import numpy as np
import tensorflow as tf

from data_pipelines.checks import integer, require
from svg_tf import config as configuration
from svg_tf import kernels, noise
from svg_tf.families import inputs
from svg_tf.families.compiled import CompiledMethods, check_counts, sequence_seeds
from svg_tf.families.interface import AnyFrameRate, Bound, Program, Sampling
from svg_tf.families.shapes import swap_batch_time
from svg_tf.training import program as training_program
from svg_tf.training.loss_scale import LossScaleOptimizer, share_scale


@contextlib.contextmanager
def dtype_policy(policy):
    """Layers made within it follow `policy`: Keras gives a model's policy to the model alone, not to its layers."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class _Clock:
    """Holds the step, a variable of the training and not of the model: Keras does not look into it."""

    def __init__(self):
        self.step = keras.Variable(0, dtype="int64", trainable=False, aggregation="only_first_replica", name="step")


def _refuse(method: str, **given) -> None:
    for name, value in given.items():
        require(value is None, f"Frames are their own targets, all of one weight: {method}() takes no {name}.")


class VideoPredictor(keras.Model, abc.ABC):
    """A Keras model trained on batches of named tensors, of which "frames" are float32 [B, T, H, W, C] in [0, 1].

    A family gives `config_class`, `make_program` (what a training step is) and `sample` (futures of a context); what it can do
    besides are the protocols of `svg_tf.families.interface`, asked for by `can`. Its constructor ends with `self.built = True`.
    """

    config_class: type
    tensors: tuple[str, ...] = ("frames",)
    """Names of the tensors that a batch must hold."""
    lacks: frozenset = frozenset()
    """Protocols whose methods the class has, but that this model, by its configuration, cannot do."""
    bound_frames: int | None = None
    """Frames that `bound` takes, no more and no fewer; None: any number from `least_frames` on."""

    def __init__(self, config=None, **kwargs):
        super().__init__(**kwargs)
        if config is not None and not isinstance(config, self.config_class):
            raise ValueError(
                f"{type(self).__name__} expects a {self.config_class.__name__}, got {type(config).__name__}; pass "
                "experiment.model of a preset."
            )
        self.config = config or self.config_class()
        self.run_seed, self.recompute = 0, False
        self.keep_metrics = False
        """Set by a run that goes on within an epoch: the next reset of the metrics, at `fit`'s start, is left out."""
        self._clock = _Clock()
        self._program = self.make_program()
        self._due = None
        self._trackers = {name: keras.metrics.Mean(name=name) for name in self.program.metrics}
        self._compiled_methods = CompiledMethods()

    # ---- what a family gives ----------------------------------------------------------------------------------------

    @abc.abstractmethod
    def make_program(self) -> Program:
        """What one training step is. Asked once, before the layers exist; losses and variables are functions."""

    @abc.abstractmethod
    def sample(self, frames, seeds, sampling: Sampling):
        """Futures, in a graph: frames float32 [B, P, H, W, C], seeds int32 [B, 2], `sampling`'s counts ints or int32 scalars ->
        float32 [B, S, n_future * frame_rate, H, W, C] in [0, 1]. Sample s of a sequence depends on its frames, its seed and s."""

    # ---- configuration ------------------------------------------------------------------------------------------------

    def get_config(self):
        return {**super().get_config(), "config": configuration.to_dict(self.config)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        return cls(configuration.from_dict(cls.config_class, config.pop("config")), **config)

    @property
    def stochastic(self) -> bool:
        """Whether there are latents of each step, or of a video."""
        return self.config.stochastic

    @property
    def deterministic(self) -> bool:
        """Whether all samples of a sequence are equal."""
        return not self.stochastic

    def can(self, *capabilities) -> bool:
        """Whether this model can do all of these, protocols of `svg_tf.families.interface`."""
        return all(isinstance(self, capability) and capability not in self.lacks for capability in capabilities)

    def need(self, capability, what: str) -> None:
        """Raises `ValueError` where the model cannot do what `capability` says; what: names it in the message."""
        require(self.can(capability), f"{what} cannot be had of this model, {self.config.summary}.")

    # ---- training -----------------------------------------------------------------------------------------------------

    @property
    def program(self) -> Program:
        return self._program

    @property
    def clock(self) -> keras.Variable:
        """int64: training steps taken so far, those included whose update loss scaling skipped."""
        return self._clock.step

    @property
    def step(self) -> int:
        return int(tf.convert_to_tensor(self.clock.value))

    @property
    def metrics(self):
        return list(self._trackers.values())

    def compile(self, optimizer="adam", *, seed: int = 0, jit_compile: bool = False, recompute: bool = False, **kwargs):
        """As `keras.Model.compile`, with the optimizers of the program's updates.

        optimizer: a Keras optimizer, or a dict by the updates' names; one optimizer for several updates is copied. seed: all
        training noise derives from (seed, step, number of the update, row of the global batch). recompute: steps keep the
        inputs of the backbones' blocks only (see `layers.recomputation`).

        Other arguments as `keras.Model.compile`; the loss and the metrics are the model's own and cannot be given
        (`ValueError`).
        """
        for name in ("loss", "metrics", "weighted_metrics", "loss_weights"):
            if kwargs.get(name) is not None:
                raise ValueError(f"{type(self).__name__} has its own loss and metrics; compile() got {name}={kwargs[name]!r}.")
        integer("seed", seed, -(2**31), 2**31 - 1)
        varying = self.program.varies and kwargs.get("steps_per_execution", 1) != 1
        require(not varying, "steps_per_execution must be 1 for a training program whose steps differ.")
        self.run_seed, self.recompute = seed, recompute
        found = self._optimizers_by_name(optimizer)
        self.optimizers = found
        super().compile(optimizer=found[self.program.names[-1]], jit_compile=jit_compile, **kwargs)

    def _optimizers_by_name(self, optimizer) -> dict:
        names = self.program.names
        if isinstance(optimizer, dict):
            wrong = sorted(set(optimizer) ^ set(names))
            require(not wrong, f"optimizer must have one entry for each update, {', '.join(names)}; got {sorted(optimizer)}.")
            found = {name: keras.optimizers.get(optimizer[name]) for name in names}
            require(
                len({id(one) for one in found.values()}) == len(names),
                f"Each update needs an optimizer of its own; {', '.join(names)} share one. Give one object for each.",
            )
        else:
            one = keras.optimizers.get(optimizer)
            found = {name: one if i == 0 else type(one).from_config(one.get_config()) for i, name in enumerate(names)}
        for name, one in found.items():
            inner = getattr(one, "inner_optimizer", one)
            by_replica = self.distribute_strategy.num_replicas_in_sync > 1 and (inner.clipnorm or inner.global_clipnorm)
            require(
                not by_replica,
                f"The optimizer of {name!r} clips on each replica by itself; use svg_tf.training.optimizers.Adam(clip_norm=...).",
            )
            if self.dtype_policy.name == "mixed_float16" and not isinstance(one, keras.optimizers.LossScaleOptimizer):
                found[name] = LossScaleOptimizer(one)
        return found

    def build_optimizers(self) -> None:
        """Makes the slots of all optimizers, each for the variables that its updates move in any phase."""
        for name, optimizer in self.optimizers.items():
            moved = {id(v): v for u in self.program.updates if u.name == name for v in u.variables() if v.trainable}
            if not optimizer.built:
                with self.distribute_strategy.scope():
                    optimizer.build(list(moved.values()))
        share_scale(self.optimizers.values())

    def get_compile_config(self):
        """What `compile_from_config` needs to compile a loaded model again (keras.saving.load_model)."""
        if not self.compiled:
            return None
        return {
            "optimizers": {name: keras.saving.serialize_keras_object(o) for name, o in self.optimizers.items()},
            "seed": self.run_seed,
            "recompute": self.recompute,
            "jit_compile": self.jit_compile,
            "steps_per_execution": self.steps_per_execution,
        }

    def compile_from_config(self, config):
        config = dict(config)
        stored = config.pop("optimizers", None) or {self.program.names[0]: config.pop("optimizer")}  # one in files of 0.1.0
        self.compile({name: keras.saving.deserialize_keras_object(o) for name, o in stored.items()}, **config)
        self.build_optimizers()

    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["step"] = np.asarray(self.step, np.int64)

    def load_own_variables(self, store):
        stored = {name: store[name] for name in store.keys()}  # noqa: SIM118 (Keras's store is no mapping)
        self.clock.assign(np.asarray(stored.pop("step", 0)))  # files of 0.1.0 have none
        super().load_own_variables(stored)

    def fit(
        self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, validation_split=0.0,
        validation_data=None, shuffle=True, class_weight=None, sample_weight=None, **kwargs,
    ):  # fmt: skip
        """As `keras.Model.fit`, without targets and weights. The first batch is looked at before training starts.

        Raises `ValueError` for targets or weights, a data set whose batches do not divide among the replicas, frames of another
        shape, integers, frames outside of [0, 1], and data without a batch.
        """
        _refuse("fit", y=y, class_weight=class_weight, sample_weight=sample_weight)
        replicas = self.distribute_strategy.num_replicas_in_sync
        x = inputs.check_data(x, replicas, self.config.frame_shape, self.least_frames)
        if validation_data is not None:
            validation_data = inputs.check_data(validation_data, 1, self.config.frame_shape, self.least_frames, "validation_data")
        self.build_optimizers()
        return super().fit(x, None, batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle, **kwargs)

    def evaluate(
        self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, steps=None, callbacks=None, return_dict=False,
        **kwargs,
    ):  # fmt: skip
        """As `keras.Model.evaluate`; refuses what `fit` refuses (Keras leaves weights without targets out without a word)."""
        _refuse("evaluate", y=y, sample_weight=sample_weight)
        if not kwargs.get("_use_cached_eval_dataset"):  # by `fit`, which has looked at it
            x = inputs.check_data(x, 1, self.config.frame_shape, self.least_frames)
        return super().evaluate(x, None, batch_size, verbose, None, steps, callbacks, return_dict, **kwargs)

    def _symbolic_build(self, *args, **kwargs):
        """Nothing: a model is complete when it is made. Keras's would ask `call`, which training does not use."""

    def make_train_function(self, force=False):
        """Keras's, one for each kind of step: a phase's end, or an update that is not due, means another graph."""
        if not self.program.varies:
            return super().make_train_function(force)
        if self.train_function is not None and not force:
            return self.train_function

        def functions():
            super(VideoPredictor, self).make_train_function(force=True)
            return self.train_function

        self.train_function = self.by_kind_of_step(functions)
        return self.train_function

    def by_kind_of_step(self, make):
        """Calls, for each training step, the function that `make()` made, and that was traced, for steps of its kind."""
        made = {}

        def run(*arguments):
            self._due = self.program.due(self.step)
            if self._due not in made:
                made[self._due] = make()
                self.train_function = run  # Keras's maker puts its own there
            try:
                return made[self._due](*arguments)
            finally:
                self._due = None

        return run

    def train_step(self, data):
        batch, rows = self._batch(data)
        due = self._due or self.program.due(self.step if self.program.varies else 0)
        values = training_program.run_step(self, self.program, due, batch, rows)
        phase = self.program.due_in_all(due.phase)
        return self._report(values, self.program.metrics_of(phase))

    def test_step(self, data):
        batch, rows = self._batch(data)
        # One seed for each sequence by its place in the evaluation, so that batch size and replicas do not matter.
        first = tf.cast(self._trackers["loss"].count, tf.int32) * kernels.replicas()
        seeds = noise.fold_each(noise.fold(noise.seed_pair(self.run_seed), noise.TEST), first + rows)
        values = training_program.evaluate_step(self, self.program, batch, seeds)
        return self._report(values, values)

    def metrics_at(self, step: int) -> tuple[str, ...]:
        """Names of the metrics whose means the training step that led to `step` has moved."""
        return self.program.metrics_of(self.program.due(step - 1))

    def reset_metrics(self):
        if self.keep_metrics:  # an epoch goes on in its middle
            self.keep_metrics = False
            return
        super().reset_metrics()

    def _batch(self, data):
        """(named tensors, places in the global batch int32 [B]): r B ... for replica r, unless the data says otherwise."""
        batch = inputs.tensors_of(data, self.tensors)
        batch["frames"] = inputs.check_batch_shape(batch["frames"], self.config.frame_shape)
        rows, count = batch.pop("row", None), tf.shape(batch["frames"])[0]
        if rows is None:
            rows = tf.distribute.get_replica_context().replica_id_in_sync_group * count + tf.range(count)
        return batch, rows

    def _report(self, values, names) -> dict:
        for name, value in values.items():
            self._trackers[name].update_state(value)
        return {name: self._trackers[name].result() for name in names}

    # ---- use ------------------------------------------------------------------------------------------------------------

    def generate(
        self,
        frames,
        n_future,
        n_samples=1,
        seed=0,
        *,
        n_past=None,
        use_mean=False,
        first_sample=0,
        batch_statistics=False,
        frame_rate=1,
    ):
        """Samples futures: latents from the posterior over the context, then from the prior.

        Args:
          frames: float [B, >= n_past, H, W, C] in [0, 1], the context.
          n_future: frame steps to predict, >= 1.
          n_samples: S, futures for each sequence, >= 1.
          seed: int (sequence b then has seed (seed, b)), or int32 [B, 2]. Sample s of a sequence depends on its frames,
            its seed and s alone, not on B, S or the other sequences.
          n_past: context frames used of `frames` (the first ones); None: all.
          use_mean: the posterior's mean, in place of a sample, over the context.
          first_sample: number of the first sample, to draw many samples in parts.
          batch_statistics: normalize by the statistics of what is computed together, as the reference's SVG-LP program does;
            a sample then does depend on its batch-mates.
          frame_rate: r >= 1: r frames for each frame step, where the model has steps within a frame (SRVP's Euler steps).

        Returns: float32 [B, S, n_future * frame_rate, H, W, C] in [0, 1], the frames after the context.
        Raises: `ValueError` for input of another rank, dtype, size or range, or numbers out of range.
        """
        check_counts(n_future=n_future, n_samples=n_samples, frame_rate=frame_rate)
        if frame_rate > 1:
            self.need(AnyFrameRate, f"frame_rate {frame_rate}: steps within a frame")
        least = self.config.least_context
        require(n_past is None or n_past >= least, f"n_past must be at least {least}, got {n_past}.")
        frames, seeds = self._checked(frames, n_past or least, seed, "context frames")
        norm = "batch" if batch_statistics else "running"
        sampling = Sampling(int(n_future), int(n_samples), int(first_sample), use_mean, norm, int(frame_rate))
        return self._compiled_methods.sample(self.sample, frames[:, :n_past], seeds, sampling)

    def bound(self, frames, seed=0) -> Bound:
        """The objective's terms of held-out frames [B, T >= 2, H, W, C] with posterior latents and running statistics, and the
        negative ELBO in nats: see `Bound`. Of a family that gives `bound_in_graph`."""
        frames, seeds = self._checked(frames, self.least_frames, seed)
        return self._compiled_methods.run(self.bound_in_graph, frames, seeds)

    @property
    def least_frames(self) -> int:
        """Frames of the shortest training sequence."""
        return max(2, self.config.least_context)

    def time_major(self, frames):
        """float [B, T, ...] -> [T, B, ...] in the layers' dtype."""
        return tf.cast(swap_batch_time(frames), self.compute_dtype)

    def frames_of(self, inputs_):
        """The frames of what Keras gives to `call`: a tensor, or a batch {"frames": ...}."""
        frames = inputs_["frames"] if isinstance(inputs_, dict) else inputs_
        return tf.ensure_shape(frames, [None, None, *self.config.frame_shape])

    def _checked(self, frames, least: int, seed=0, what: str = "frames"):
        """(frames float32 tensor, seeds int32 [B, 2])."""
        frames = inputs.check_frames(frames, self.config.frame_shape, least, what)
        return frames, sequence_seeds(seed, int(frames.shape[0]))
