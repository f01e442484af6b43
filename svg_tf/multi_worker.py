"""Training on several machines under `MultiWorkerMirroredStrategy`: `keras.Model.fit` fails there (Keras 3.15), so the loop
over steps is written out. Model, data, callbacks, checkpoints and the continuing of runs are those of one machine.

Every worker runs the same program with its own TF_CONFIG and on the same run directory, which the machines share. All of them
restore the chief's checkpoints; all run the same callbacks, because reading a metric is a collective operation; the chief alone
writes to the run directory.
"""

import keras
import tensorflow as tf

LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


class WorkerLost(RuntimeError):
    """Another worker is gone: the job stops, and goes on from the last checkpoint when all workers are started again."""


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes logs and checkpoints; True where there is one machine."""
    resolver = strategy.cluster_resolver
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or not resolver.task_type:
        return True
    first = resolver.task_type == "worker" and resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs
    return resolver.task_type == "chief" or first


def shard(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """(this worker's number, number of workers): the share of each global batch that it reads."""
    local = strategy.extended.num_replicas_per_worker if hasattr(strategy.extended, "num_replicas_per_worker") else 1
    workers = strategy.num_replicas_in_sync // local
    resolver = strategy.cluster_resolver
    task = resolver.task_id or 0
    if resolver.task_type == "worker" and "chief" in resolver.cluster_spec().jobs:
        task += 1
    return task, workers


def with_rows(data: tf.data.Dataset, worker: int, workers: int) -> tf.data.Dataset:
    """Adds "row" int32 [b]: the place of each sequence in the global batch, of which worker w reads every workers-th row."""

    def add(batch):
        count = tf.shape(batch["frames"])[0]
        return {**batch, "row": worker + workers * tf.range(count)}

    return data.map(add)


def fit(model, strategy, data, *, validation_data, initial_epoch, epochs, steps_per_epoch, callbacks) -> None:
    """`model.fit` over this worker's share of the global batches. Raises `WorkerLost`."""
    replicas = strategy.num_replicas_in_sync // shard(strategy)[1]

    def distributed(dataset):
        # One element for each local replica.
        pieces = dataset.unbatch().batch(_local_batch(dataset) // replicas, drop_remainder=True)
        return strategy.distribute_datasets_from_function(lambda _: pieces)

    def step_of(function):
        @tf.function(reduce_retracing=True)
        def step(batch):
            values = strategy.run(function, args=(batch,))
            return {name: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None) for name, value in values.items()}

        return step

    train_step, test_step = step_of(model.train_step), step_of(model.test_step)
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
                logs = {name: float(value) for name, value in train_step(next(batches)).items()}
                container.on_train_batch_end(i, logs)
            model.reset_metrics()
            values = {}
            for batch in distributed(validation_data):
                values = test_step(batch)
            logs |= {f"val_{name}": float(value) for name, value in values.items()}
            container.on_epoch_end(epoch, logs)
        container.on_train_end(logs)
    except LOST as error:
        reason = error.message.splitlines()[0] if error.message else type(error).__name__
        raise WorkerLost(
            f"A worker of this job is gone ({reason}). Start all workers again: they go on from the last checkpoint."
        ) from error


def _local_batch(dataset) -> int:
    return int(dataset.element_spec["frames"].shape[0])
