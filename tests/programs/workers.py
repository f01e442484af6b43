"""Trains small models of several families, one after the other, on the workers of a cluster; the first one writes what came out.

Argument: a file for it, JSON. One pair of processes for all of them, each of which takes long to load TensorFlow.
"""

import sys

import tensorflow as tf

from data_pipelines import files
from svg_tf.training import cluster, multi_worker
from tests.programs.family_cases import LIGHT, Steps, weights_of


def trained(case, strategy) -> dict:
    worker, workers = cluster.shard(strategy)
    with strategy.scope():
        model = case.made()
    data = tf.data.Dataset.from_tensor_slices({"frames": case.frames[:, worker::workers]})
    data, steps = multi_worker.with_rows(data, worker, workers), Steps()
    multi_worker.fit(
        model, strategy, data.repeat(), validation_data=data.take(0), initial_epoch=0, epochs=1, steps_per_epoch=case.steps,
        callbacks=[steps], stop=multi_worker.AgreedStop(lambda: False),
    )  # fmt: skip
    return {"steps": steps.seen, "weights": weights_of(model)}


def main(out):
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})  # three steps are not worth it
    strategy = cluster.strategy("multi_worker")
    with multi_worker.watched():
        found = {name: trained(case, strategy) for name, case in LIGHT.items()}
    if cluster.is_chief(strategy):
        files.write_json(out, found)
    multi_worker.leave(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
