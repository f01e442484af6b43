"""The one place that builds a run: model, data, callbacks, `fit`, and continuing where a run stopped.

A run directory holds
  config.json    the experiment: what defines it, and how it ran last; versions of the packages
  checkpoints/   model, optimizers and step (see `svg_tf.training.checkpoints`); averaged weights at the end, where asked for
  logs/          TensorBoard: scalars of training and validation, sample videos
"""

import contextlib
import dataclasses
import logging
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Literal, NamedTuple

import keras
import tensorflow as tf

import data_pipelines
from data_pipelines import files, frame_size, service
from data_pipelines.checks import require
from svg_tf import families, sources, summaries
from svg_tf.config import ExperimentConfig
from svg_tf.families.base import VideoPredictor
from svg_tf.training import averaging, checkpoints, cluster, multi_worker, optimizers
from svg_tf.training import callbacks as svg_callbacks
from svg_tf.training.run_config import open_run, read_config
from svg_tf.training.state import TrainingState, named_variables

Weights = Literal["averaged", "last", "best"]
"""Of a run: moving averages, those of the last step, those of the lowest validation loss."""
log = logging.getLogger(__name__)


class LoadedRun(NamedTuple):
    """A run's model with trained weights, what it was trained for, and the step of the weights."""

    model: VideoPredictor
    experiment: ExperimentConfig
    step: int


def build(experiment: ExperimentConfig) -> VideoPredictor:
    """The compiled model with fresh weights that derive from the run's seed."""
    t = experiment.train
    keras.utils.set_random_seed(t.seed)
    model = families.build(experiment.model, dtype=t.precision)
    found = optimizers.of(t, model.program)
    model.compile(found, seed=t.seed, jit_compile=t.jit_compile, recompute=t.recompute)
    model.build_optimizers()
    return model


def load_run(run_dir, weights: Weights | None = None, image_size: frame_size.Size | None = None) -> LoadedRun:
    """The model of a run directory. weights: None: averaged ones where the run has them, else its latest usable ones.

    image_size: of other frames than it was trained on, for models whose weights do not depend on it. Raises `ValueError` where
    they do, where the model does not take the size, and where the run has no checkpoint yet, or none of this kind.
    """
    experiment = read_config(run_dir)
    trained = experiment.model
    if image_size is not None:
        experiment = dataclasses.replace(experiment, model=dataclasses.replace(trained, image_size=image_size))
    model = families.build(experiment.model)
    if experiment.model != trained:
        _check_same_weights(families.build(trained), model)
    directory, state = files.located(run_dir, "the run directory") / "checkpoints", TrainingState(model, with_optimizer=False)
    averaged = averaging.path_of(directory)
    if weights is None and experiment.train.averages and averaged.exists():
        weights = "averaged"
    if weights in ("averaged", "best"):
        path = averaged if weights == "averaged" else checkpoints.best(directory)
        require(path.exists(), f"{run_dir} has no {weights} weights.")
        restored = checkpoints.restore(path, state)
    else:
        restored = checkpoints.restore_latest(directory, state)
    if restored is None:
        raise ValueError(f"{run_dir} has no checkpoint yet: train it first.")
    return LoadedRun(model, experiment, restored[0])


def _check_same_weights(trained: VideoPredictor, model: VideoPredictor) -> None:
    """Raises `ValueError` where a weight's shape, its being there, or its meaning depends on the size of frames.

    A weight for each place of a map has the same shape for 64 x 80 and 80 x 64, and means something else: the family must say
    that there is none (`ModelConfig.any_size`).
    """
    before, after = ({name: tuple(v.shape) for name, v in named_variables(one).items()} for one in (trained, model))
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if changed or not model.config.any_size:
        sizes = [frame_size.text(one.config.image_size) for one in (trained, model)]
        why = f"{changed[0]} differs" if changed else "some belong to a place in the frame"
        raise ValueError(f"Weights of this model, trained at {sizes[0]}, do not fit frames of {sizes[1]}: {why}.")


def load_finished_run(
    run_dir, unfinished: bool = False, weights: Weights | None = None, image_size: frame_size.Size | None = None
) -> LoadedRun:
    """As `load_run`; a run before its end is refused (`ValueError`) unless `unfinished`."""
    loaded = load_run(run_dir, weights, image_size)
    if loaded.step < loaded.experiment.train.steps and not unfinished:
        raise ValueError(
            f"{run_dir} is unfinished (step {loaded.step} of {loaded.experiment.train.steps}): train it to its end, or pass "
            "--unfinished."
        )
    return loaded


def load_data(experiment: ExperimentConfig, split: str, seq_len: int | None = None, **overrides) -> tf.data.Dataset:
    """The experiment's data set: {"frames": float32 [B, seq_len, H, W, C]}; seq_len defaults to the training window."""
    data, model = experiment.data, experiment.model
    arguments = {
        "seq_len": seq_len or model.n_past + data.n_future,
        "batch_size": data.batch_size,
        "seed": experiment.train.seed,
        "frame_stride": data.frame_stride,
        "tensors": families.get(model.family).load("model").tensors,
    }
    source = sources.of(experiment)
    return data_pipelines.load(source.name, split, **(arguments | source.options | overrides))


def train(
    experiment: ExperimentConfig, run_dir, verbose: bool = True, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> VideoPredictor:
    """Trains the experiment in `run_dir`, from where an earlier start of the same run stopped. Returns the model.

    callbacks: called after the run's own ones, on every worker; values come from `logs`.

    Raises `ValueError` for a directory with another configuration, and for frames that the data cannot have, `files.InUseError`
    where another process trains in it, `FloatingPointError` at a loss that is not finite, `callbacks.Preempted` after SIGTERM or
    SIGINT, once a checkpoint is saved, `multi_worker.WorkerLost` where another worker of the job is gone,
    `service.OutOfTurnError` where a tf.data service is out of turn.
    """
    t = experiment.train
    sources.of(experiment)  # refuses frames that the data cannot have
    _check_places(experiment.data)
    run_dir = files.located(run_dir, "the run directory")
    require(not run_dir.exists() or run_dir.is_dir(), f"The run directory must be a folder; {run_dir} is a file.")
    if t.deterministic:
        tf.config.experimental.enable_op_determinism()
    with contextlib.ExitStack() as stack:
        stack.enter_context(service.watched())
        if t.strategy == "multi_worker":
            stack.enter_context(multi_worker.watched())
        strategy = cluster.strategy(t.strategy)
        if experiment.data.batch_size % strategy.num_replicas_in_sync:
            raise ValueError(
                f"data.batch_size {experiment.data.batch_size} must be divisible by the {strategy.num_replicas_in_sync} replicas."
            )
        if cluster.is_chief(strategy):
            stack.enter_context(files.locked(run_dir, "trains in"))
            run_dir = open_run(experiment, run_dir)
        return _train(experiment, run_dir, strategy, verbose, tuple(callbacks), stack)


def _check_places(data) -> None:
    """Raises `ValueError` for folders in stores that are not known, and services that are not there."""
    for name, place in (("data.data_dir", data.data_dir), ("data.moving_mnist.digits_dir", data.moving_mnist.digits_dir)):
        if place:
            files.located(place, name)
    if data.service:
        service.check(data.service)


def _train(experiment, run_dir, strategy, verbose, more, stack) -> VideoPredictor:
    t, chief = experiment.train, cluster.is_chief(strategy)
    with strategy.scope():
        model = build(experiment)
        state = TrainingState(model)
        restored = checkpoints.restore_latest(run_dir / "checkpoints", state)
    step, saved = restored or (0, {})
    if chief:
        checkpoints.finish_interrupted_work(run_dir / "checkpoints", step, saved, t.keep_checkpoints)
    total = t.steps
    if step >= total:
        log.info("%s is complete at step %d.", run_dir, step)
        if chief:
            _average(experiment, model, run_dir)
        return model
    if chief:
        averaging.path_of(run_dir / "checkpoints").unlink(missing_ok=True)  # of an end that is none any more
    model.keep_metrics = bool(step % t.steps_per_epoch)
    if step:
        log.info("Continuing %s at step %d of %d.", run_dir, step, total)
    if chief:
        summaries.purge(run_dir / "logs", step)
    else:  # the same callbacks, whose files nobody needs
        run_dir = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    stop = stack.enter_context(svg_callbacks.termination())
    if t.strategy == "multi_worker":
        stop = multi_worker.AgreedStop(stop)
    callbacks = [*_callbacks(experiment, run_dir, state, saved, stop, verbose and chief), *more]
    while step < total:
        # A run that stopped within an epoch first finishes that epoch.
        epoch, done = divmod(step, t.steps_per_epoch)
        until = epoch + 1 if done else t.epochs
        _fit(model, experiment, strategy, step, epoch, until, t.steps_per_epoch - done, callbacks, stop)
        step = until * t.steps_per_epoch
    if chief:
        _average(experiment, model, run_dir)
    return model


def _average(experiment, model, run_dir) -> None:
    """Writes a finished run's averaged weights, where it keeps averages and they are not there yet."""
    directory = run_dir / "checkpoints"
    if experiment.train.averages and not averaging.path_of(directory).exists():
        data = load_data(experiment, "train", start_batch=experiment.train.steps)
        averaging.write(model, data, directory, experiment.train.steps)


def _fit(model, experiment, strategy, step, epoch, until, steps_per_epoch, callbacks, stop):
    """`fit` from `step` on, by Keras or, on several machines, by the loop of `multi_worker`."""
    several = experiment.train.strategy == "multi_worker"
    share = cluster.shard(strategy) if several else (0, 1)
    train_data = load_data(experiment, "train", start_batch=step, shard=share, service=experiment.data.service)
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


def _callbacks(experiment: ExperimentConfig, run_dir: pathlib.Path, state, saved: dict, stop, verbose: bool) -> list:
    t, e, n_past = experiment.train, experiment.eval, experiment.model.n_past
    logs, kept = run_dir / "logs", run_dir / "checkpoints"
    batch_frames = experiment.data.batch_size * (n_past + experiment.data.n_future)
    clips = load_data(experiment, "validation", n_past + e.n_future, batch_size=e.summary_sequences, shuffle=False, repeat=False)
    frames = next(iter(clips.take(1)))["frames"].numpy()
    done = state.model.step % t.steps_per_epoch
    resume = saved.get("scalars") if done else None
    if resume and "totals" in resume:
        resume = svg_callbacks.IntervalMeans.of_0_1_0(resume, done)
    scalars = svg_callbacks.Scalars(logs, batch_frames, t.log_every, resume=resume)
    videos = svg_callbacks.VideoSummary(logs, frames, n_past, n_samples=min(e.n_samples, 10))
    return [
        svg_callbacks.StopAtNaN(kept),
        scalars,
        videos,
        svg_callbacks.Checkpoints(
            kept, t.checkpoint_every, t.keep_checkpoints, training_state=state, steps_per_epoch=t.steps_per_epoch,
            before={"scalars": scalars, "videos": videos}, resume=saved, stop=stop,
        ),
        svg_callbacks.Health(t.log_every, told=verbose),
        svg_callbacks.Describe(logs, experiment),
        svg_callbacks.Progress(t.steps, batch_frames, t.log_every, shown=verbose),
    ]  # fmt: skip
