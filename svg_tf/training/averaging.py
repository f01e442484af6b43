"""A run's averaged weights: the moving averages of its end, with the statistics of the normalizations computed for them."""

import logging
import pathlib

import tensorflow as tf

from data_pipelines import files
from svg_tf import families, noise
from svg_tf.families import inputs
from svg_tf.training import checkpoints, program
from svg_tf.training.state import TrainingState, named_variables, value_of

BATCHES = 200
"""Training batches from which the statistics come; they follow the last of them, as in training."""
_STREAM = 3  # of the run's seed, beside noise.TRAIN and noise.TEST
log = logging.getLogger(__name__)


def path_of(directory) -> pathlib.Path:
    """Where, among a run's checkpoints, its averaged weights are."""
    return files.located(directory) / "averaged.npz"


def write(model, data: tf.data.Dataset, directory, step: int) -> None:
    """Writes the averaged weights of a trained model. data: batches of the training set, at least one.

    The same at each call: a run that was killed before it had done this does it when it is started again.
    """
    averaged = families.build(model.config)
    take_averages(averaged, model)
    compute_statistics(averaged, data.take(BATCHES), model.run_seed, step)
    checkpoints.write(path_of(directory), step, {}, TrainingState(averaged, with_optimizer=False).values())
    log.info("Averaged weights of step %d: %s", step, path_of(directory))


def take_averages(averaged, model) -> None:
    """Gives `averaged` all values of `model`, and of the weights their moving averages."""
    own, target = named_variables(model), named_variables(averaged)
    path_of_variable = {id(variable): path for path, variable in own.items()}
    for path, variable in own.items():
        target[path].assign(value_of(variable))
    for optimizer in model.optimizers.values():
        for variable, mean in getattr(optimizer, "inner_optimizer", optimizer).averages():
            target[path_of_variable[id(variable)]].assign(value_of(mean))


def compute_statistics(model, data, run_seed: int, step: int) -> None:
    """Runs the losses of the last phase on batches, as in training, but moves no weight."""
    phase = model.program.phases[-1]
    seed = noise.fold(noise.seed_pair(run_seed), _STREAM)

    @tf.function(reduce_retracing=True)
    def forward(batch, number):
        rows = tf.range(tf.shape(batch["frames"])[0])
        step_of_run, drawn = tf.constant(step, tf.int64), noise.BatchSeed(noise.fold(seed, number), rows, tf.size(rows))
        made = program.forward(phase, batch, drawn, "train", step_of_run)
        for i, update in enumerate(phase.updates):
            update.loss(batch, drawn._replace(seed=noise.fold(drawn.seed, i)), "train", step_of_run, *made)

    for number, batch in data.enumerate():
        forward(inputs.tensors_of(batch, model.tensors), number)
