"""The one place that builds a run: model, data, callbacks, `fit`, and continuing where a run stopped.

A run directory holds
  config.json    the experiment, the versions of the packages and the seed
  checkpoints/   model, optimizer and step (see `svg_tf.training.checkpoints`)
  logs/          TensorBoard: scalars of training and validation, sample videos
"""

import contextlib
import dataclasses
import json
import logging
import pathlib
import tempfile

import keras
import tensorflow as tf

import data_pipelines
from svg_tf import config, families, summaries, versions, visualization
from svg_tf.config import ExperimentConfig
from svg_tf.families.base import VideoPredictor
from svg_tf.training import callbacks as svg_callbacks
from svg_tf.training import checkpoints, multi_worker

log = logging.getLogger(__name__)
STRATEGIES = {
    "single": tf.distribute.get_strategy,
    "mirrored": tf.distribute.MirroredStrategy,
    "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
}


def open_run(experiment: ExperimentConfig, run_dir) -> pathlib.Path:
    """Makes `run_dir` with its config.json, or checks that the one there is the same experiment.

    The number of epochs may grow between starts. Raises `ValueError` that lists what differs otherwise.
    """
    run_dir = pathlib.Path(run_dir)
    path = run_dir / "config.json"
    if path.exists():
        before = read_config(run_dir)
        same_length = dataclasses.replace(before, train=dataclasses.replace(before.train, epochs=experiment.train.epochs))
        lines = config.differences(same_length, experiment)
        if lines:
            raise ValueError(
                f"{run_dir} holds a run of another configuration; continue it with its own, or choose another "
                "folder. Differences (there -> asked for):\n  " + "\n  ".join(lines)
            )
        if before == experiment:
            return run_dir
    facts = {"config": config.to_dict(experiment), "seed": experiment.train.seed, "versions": versions.installed()}
    visualization.write_atomically(path, (json.dumps(facts, indent=2, sort_keys=True) + "\n").encode())
    return run_dir


def read_config(run_dir) -> ExperimentConfig:
    """The experiment of a run directory. Raises `ValueError` where there is none or it cannot be read."""
    path = pathlib.Path(run_dir) / "config.json"
    if not path.is_file():
        raise ValueError(f"{run_dir} is not a run directory: it has no config.json.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))["config"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a run's configuration ({error}).") from error
    return config.from_dict(ExperimentConfig, values)


def optimizer_of(experiment: ExperimentConfig) -> keras.optimizers.Optimizer:
    """Adam at the experiment's settings, with the decay of its rate and the clipping where asked for."""
    t = experiment.train
    rate = t.learning_rate
    if t.final_learning_rate > 0:
        rate = keras.optimizers.schedules.CosineDecay(rate, t.steps, t.final_learning_rate / rate)
    if t.linear_decay_steps:
        rate = ConstantThenLinear(rate, t.steps - t.linear_decay_steps, t.linear_decay_steps)
    clip = {"global_clipnorm": t.clip_norm} if t.clip_norm > 0 else {}
    return keras.optimizers.Adam(rate, beta_1=t.adam_beta_1, beta_2=t.adam_beta_2, epsilon=t.adam_epsilon, **clip)


@keras.saving.register_keras_serializable(package="svg_tf")
class ConstantThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """`rate` for `constant_steps`, then linearly down to 0 over `decay_steps` (SRVP)."""

    def __init__(self, rate: float, constant_steps: int, decay_steps: int):
        self.rate, self.constant_steps, self.decay_steps = rate, constant_steps, decay_steps

    def __call__(self, step):
        done = (tf.cast(step, tf.float32) - self.constant_steps) / self.decay_steps
        return self.rate * (1.0 - tf.clip_by_value(done, 0.0, 1.0))

    def get_config(self):
        return {"rate": self.rate, "constant_steps": self.constant_steps, "decay_steps": self.decay_steps}


def build(experiment: ExperimentConfig) -> VideoPredictor:
    """The compiled model with fresh weights that derive from the run's seed."""
    keras.utils.set_random_seed(experiment.train.seed)
    model = families.build(experiment.model, dtype=experiment.train.precision)
    t = experiment.train
    model.compile(optimizer_of(experiment), seed=t.seed, jit_compile=t.jit_compile, recompute=t.recompute)
    model.optimizer.build(model.trainable_variables)
    return model


def load_run(run_dir, best: bool = False) -> tuple[VideoPredictor, ExperimentConfig, int]:
    """The model of a run directory with its latest usable weights, or those of the lowest validation loss: (model, experiment,
    step).

    Raises `ValueError` where the run has no checkpoint yet.
    """
    experiment = read_config(run_dir)
    model = families.build(experiment.model)
    directory = pathlib.Path(run_dir) / "checkpoints"
    if best:
        restored = checkpoints.restore(checkpoints.best(directory), model, with_optimizer=False)
    else:
        restored = checkpoints.restore_latest(directory, model, with_optimizer=False)
    if restored is None:
        raise ValueError(f"{run_dir} has no checkpoint yet: train it first.")
    return model, experiment, restored[0]


def load_finished_run(run_dir, unfinished: bool = False) -> tuple[VideoPredictor, ExperimentConfig, int]:
    """As `load_run`; a run before its end is refused (`ValueError`) unless `unfinished`."""
    model, experiment, step = load_run(run_dir)
    if step < experiment.train.steps and not unfinished:
        raise ValueError(
            f"{run_dir} is unfinished (step {step} of {experiment.train.steps}): train it to its end, or pass --unfinished."
        )
    return model, experiment, step


def load_data(experiment: ExperimentConfig, split: str, seq_len: int | None = None, **overrides) -> tf.data.Dataset:
    """The experiment's data set: {"frames": float32 [B, seq_len, S, S, C]}; seq_len defaults to the training window."""
    data, model = experiment.data, experiment.model
    arguments = {
        "seq_len": seq_len or model.n_past + data.n_future,
        "batch_size": data.batch_size,
        "seed": experiment.train.seed,
        "frame_stride": data.frame_stride,
        "data_dir": data.data_dir or None,
    }
    if data.name == "moving_mnist":
        options = {key: value or None for key, value in dataclasses.asdict(data.moving_mnist).items()}
        arguments |= options | {"canvas": model.image_size, "deterministic": data.moving_mnist.deterministic}
    return data_pipelines.load(data.name, split, **(arguments | overrides))


def train(experiment: ExperimentConfig, run_dir, verbose: bool = True) -> VideoPredictor:
    """Trains the experiment in `run_dir`, from where an earlier start of the same run stopped. Returns the model.

    Raises `ValueError` for a directory with another configuration, `FloatingPointError` at a loss that is not finite,
    `callbacks.Preempted` after SIGTERM, once a checkpoint is saved.
    """
    t = experiment.train
    if t.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = STRATEGIES[t.strategy]()
    if experiment.data.batch_size % strategy.num_replicas_in_sync:
        raise ValueError(
            f"data.batch_size {experiment.data.batch_size} must be divisible by the {strategy.num_replicas_in_sync} replicas."
        )
    chief = multi_worker.is_chief(strategy)
    run_dir = open_run(experiment, run_dir) if chief else pathlib.Path(run_dir)
    with strategy.scope():
        model = build(experiment)
        restored = checkpoints.restore_latest(run_dir / "checkpoints", model, with_optimizer=True)
    step, state = restored or (0, {})
    if chief:
        checkpoints.tidy(run_dir / "checkpoints", step, state, t.keep_checkpoints)
    total = t.steps
    if step >= total:
        log.info("%s is complete at step %d.", run_dir, step)
        return model
    if step:
        log.info("Continuing %s at step %d of %d.", run_dir, step, total)
    with contextlib.ExitStack() as stack:
        if chief:
            summaries.purge(run_dir / "logs", step)
        else:  # the same callbacks, whose files nobody needs
            run_dir = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stop = stack.enter_context(svg_callbacks.termination())
        if t.strategy == "multi_worker":
            stop = multi_worker.AgreedStop(stop)
        callbacks = _callbacks(experiment, run_dir, step, state, stop, verbose and chief)
        while step < total:
            # A run that stopped within an epoch first finishes that epoch.
            epoch, done = divmod(step, t.steps_per_epoch)
            until = epoch + 1 if done else t.epochs
            _fit(model, experiment, strategy, step, epoch, until, t.steps_per_epoch - done, callbacks, stop)
            step = until * t.steps_per_epoch
    return model


def _fit(model, experiment, strategy, step, epoch, until, steps_per_epoch, callbacks, stop):
    """`fit` from `step` on, by Keras or, on several machines, by the loop of `multi_worker`."""
    several = experiment.train.strategy == "multi_worker"
    share = multi_worker.shard(strategy) if several else (0, 1)
    train_data = load_data(experiment, "train", start_batch=step, shard=share)
    held_out = load_data(experiment, "validation", shuffle=False, repeat=False, drop_remainder=several, shard=share)
    arguments = {
        "validation_data": held_out.take(experiment.eval.validation_steps),
        "initial_epoch": epoch,
        "epochs": until,
        "steps_per_epoch": steps_per_epoch,
        "callbacks": callbacks,
    }
    if several:
        train_data = multi_worker.with_rows(train_data, *share)
        arguments["validation_data"] = multi_worker.with_rows(arguments["validation_data"], *share)
        multi_worker.fit(model, strategy, train_data, stop=stop, **arguments)
    else:
        model.fit(train_data, shuffle=False, verbose=0, **arguments)


def _callbacks(experiment: ExperimentConfig, run_dir: pathlib.Path, step: int, state: dict, stop, verbose: bool) -> list:
    t, e, n_past = experiment.train, experiment.eval, experiment.model.n_past
    logs, saved = run_dir / "logs", run_dir / "checkpoints"
    batch_frames = experiment.data.batch_size * (n_past + experiment.data.n_future)
    clips = load_data(experiment, "validation", n_past + e.n_future, batch_size=e.summary_sequences, shuffle=False, repeat=False)
    frames = next(iter(clips.take(1)))["frames"].numpy()
    in_epoch = state.get("scalars") if step % t.steps_per_epoch else None
    scalars = svg_callbacks.Scalars(logs, batch_frames, resume=in_epoch)
    videos = svg_callbacks.VideoSummary(logs, frames, n_past, n_samples=min(e.n_samples, 10))
    made = [
        svg_callbacks.StopAtNaN(saved),
        scalars,
        videos,
        svg_callbacks.Checkpoints(
            saved, t.checkpoint_every, t.keep_checkpoints,
            steps_per_epoch=t.steps_per_epoch, before={"scalars": scalars, "videos": videos}, resume=state, stop=stop,
        ),
    ]  # fmt: skip
    if verbose:
        made.append(svg_callbacks.Progress(t.steps, batch_frames))
    return made
