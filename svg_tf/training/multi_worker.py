"""Training on several machines under `MultiWorkerMirroredStrategy`: `keras.Model.fit` fails there (Keras 3.15), so the loop
over steps is written out. Model, data, callbacks, checkpoints and the continuing of runs are those of one machine.

Every worker runs the same program with its own TF_CONFIG and on the same run directory, which the machines share. All of them
restore the chief's checkpoints and run the same callbacks, whose values come from `logs`: reading a metric's variable is a
collective operation, which one worker alone would wait in for ever. The chief alone writes to the run directory.

SIGTERM (pre-emption) may come to one worker alone, and workers that stop at different steps would wait for each other for ever:
each worker's wish to stop goes into the step's one reduction, so that all learn of it at the same step, and stop there.
"""

import contextlib
import logging
import os
import re
import sys
import time
from typing import NoReturn

import keras
import tensorflow as tf

from svg_tf import clusters
from svg_tf.training import cluster
from svg_tf.training.callbacks import Preempted

LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)
FIRST_GOES_LAST = 1.0  # seconds


class WorkerLost(RuntimeError):
    """Another worker is gone: the job stops, and goes on from the last checkpoint when all workers are started again."""


@contextlib.contextmanager
def watched():
    """Within it, what TensorFlow raises where another worker is gone becomes `WorkerLost`: at the start, too, when weights are
    shared out. TensorFlow's lines on each collective operation are not printed."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    except LOST as error:
        advice = "Start all workers again (exit status 75): they go on from the last checkpoint."
        raise WorkerLost(f"{who(error)} {advice}") from error
    finally:
        logger.setLevel(level)


def leave(status: int) -> NoReturn:
    """Ends this worker's program at once, when it has nothing left to do: TensorFlow needs up to a minute to part a cluster.

    The first worker, whom the others ask for the cluster's state, goes last. After a loss all wait a little, so that nobody takes
    for lost who only has left.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    time.sleep(FIRST_GOES_LAST * ((clusters.rank()[0] == 0) + (status != 0)))
    os._exit(status)


def who(error: tf.errors.OpError) -> str:
    """Which worker is gone, by its index and address, in a sentence: TensorFlow does not always say."""
    addresses = cluster.addresses()
    gone = cluster.silent(addresses)
    if not gone:  # it hangs, or is there again
        return f"A worker of this job is gone ({reason(error)})."
    which = ", ".join(f"{index} (at {addresses[index]})" for index in gone)
    return f"Of this job's {len(addresses)} workers, index {which} is gone."


def reason(error: tf.errors.OpError) -> str:
    """What the error says of the lost worker, in one line: TensorFlow puts the places in the graph around it."""
    lines = [re.sub(r"\{\{.*?\}\}", "", line).strip() for line in (error.message or "").splitlines()]
    lines = [line for line in lines if not re.match('Graph execution error|Detected at node|File "', line)]
    telling = [line for line in lines if re.search("(?i)abort|peer|/task:|heartbeat|deadline|cancel|unavailable", line)]
    return next(iter([*telling, *filter(None, lines)]), type(error).__name__)[:300]


class AgreedStop:
    """Whether all workers stop now: true at the same step on each of them, once any was asked to.

    asked: tells whether this worker was, as `callbacks.termination` gives it.
    """

    def __init__(self, asked):
        self.asked, self.agreed = asked, False

    def __call__(self) -> bool:
        return self.agreed

    @property
    def signal(self) -> int | None:
        """By which this worker was asked to stop; None where another one was."""
        return getattr(self.asked, "signal", None)


def with_rows(data: tf.data.Dataset, worker: int, workers: int) -> tf.data.Dataset:
    """Adds "row" int32 [b]: the place of each sequence in the global batch, of which worker w reads every workers-th row."""

    def add(batch):
        count = tf.shape(batch["frames"])[0]
        return {**batch, "row": worker + workers * tf.range(count)}

    return data.map(add)


def fit(model, strategy, data, *, validation_data, initial_epoch, epochs, steps_per_epoch, callbacks, stop: AgreedStop) -> None:
    """`model.fit` over this worker's share of the global batches; `stop` is kept up to date. To be called `watched`.

    A callback that ends the training raises `Preempted`, which all workers leave together, after the chief's checkpoint.
    """
    replicas = strategy.num_replicas_in_sync // cluster.shard(strategy)[1]  # on this worker

    def distributed(dataset):
        # One element for each local replica.
        pieces = dataset.unbatch().batch(_local_batch(dataset) // replicas, drop_remainder=True)
        return strategy.distribute_datasets_from_function(lambda _: pieces)

    def step_of(function):
        names = []

        def on_replica(batch, asked):
            values = function(batch)
            names[:] = values
            return tf.stack([*values.values(), asked])

        @tf.function(reduce_retracing=True)
        def step(batch, asked):
            return strategy.reduce(tf.distribute.ReduceOp.MEAN, strategy.run(on_replica, args=(batch, asked)), axis=None)

        def logs_of(batch):
            *means, asked = step(batch, tf.constant(float(stop.asked()))).numpy().tolist()
            stop.agreed = stop.agreed or asked > 0
            return dict(zip(names, means, strict=True))

        return logs_of

    @tf.function
    def wait_for_all():
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: tf.constant(1.0)), axis=None)

    train_step, test_step = model.by_kind_of_step(lambda: step_of(model.train_step)), step_of(model.test_step)
    model.build_optimizers()
    container = keras.callbacks.CallbackList(callbacks, model=model, epochs=epochs, steps=steps_per_epoch)
    try:
        batches = iter(distributed(data))
        container.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            model.reset_metrics()
            container.on_epoch_begin(epoch)
            logs = {}
            for i in range(steps_per_epoch):
                container.on_train_batch_begin(i)
                logs = train_step(next(batches))
                container.on_train_batch_end(i, logs)
            model.reset_metrics()
            values = {}
            for batch in distributed(validation_data):
                values = test_step(batch)
            logs |= {f"val_{name}": value for name, value in values.items()}
            container.on_epoch_end(epoch, logs)
        container.on_train_end(logs)
    except Preempted:
        wait_for_all()
        raise
    wait_for_all()


def _local_batch(dataset) -> int:
    return int(dataset.element_spec["frames"].shape[0])
