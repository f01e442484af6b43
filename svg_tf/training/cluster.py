"""Which devices and machines train together: strategies, and the cluster of several machines."""

import concurrent.futures
import logging
import os
import socket
import time

import tensorflow as tf

from data_pipelines.checks import require
from svg_tf import clusters
from svg_tf.clusters import tf_config

NAMES_KNOWN_AFTER, ANSWERS_WITHIN = 60.0, 3.0  # seconds
log = logging.getLogger(__name__)


def strategy(name: str) -> tf.distribute.Strategy:
    """The strategy called `name` in a configuration. Raises `ValueError` for "multi_worker" without a usable cluster."""
    if name == "multi_worker":
        return _several(_resolver())
    return tf.distribute.MirroredStrategy() if name == "mirrored" else tf.distribute.get_strategy()


def _several(resolver) -> tf.distribute.Strategy:
    own = resolver.cluster_spec().task_address(resolver.task_type, resolver.task_id)
    workers = _addresses(resolver)
    _wait_for_names(workers)
    log.info(
        "Worker %d of %d, at %s: waits until all have started; the first is %s.",
        workers.index(own) + 1,
        len(workers),
        own,
        workers[0],
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except (tf.errors.UnknownError, RuntimeError) as error:  # its port is taken
        raise ValueError(f"This worker cannot start at {own}: {(str(error).splitlines() or [''])[0]}") from error


def _addresses(resolver) -> list[str]:
    jobs = resolver.cluster_spec().as_dict()
    return [address for job in ("chief", "worker") for address in jobs.get(job, [])]


def addresses() -> list[str]:
    """"host:port" of all workers of the cluster, by their numbers."""
    return _addresses(_resolver())


def silent(addresses: list[str]) -> list[int]:
    """Which of these nobody listens at, or whose machines do not answer."""

    def answers(address):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS_WITHIN).close()
            return True
        except (OSError, UnicodeError):
            return False

    with concurrent.futures.ThreadPoolExecutor(len(addresses)) as pool:
        return [index for index, found in enumerate(pool.map(answers, addresses)) if not found]


def _wait_for_names(workers: list[str]) -> None:
    """Names of machines that start together may be known a little later.

    Raises `ValueError` for one that stays unknown, for which TensorFlow would wait an hour.
    """
    end = time.monotonic() + NAMES_KNOWN_AFTER
    for one in workers:
        host, _, port = one.rpartition(":")
        while True:
            try:
                socket.getaddrinfo(host.strip("[]"), int(port))
                break
            except (OSError, UnicodeError) as error:
                left = end - time.monotonic()
                require(left > 0, f"There is no host {host!r}, of worker {one!r} ({error}).")
                time.sleep(min(1.0, left))


def _resolver():
    """The cluster that TF_CONFIG describes, else that of Slurm or Kubernetes."""
    if os.environ.get("TF_CONFIG"):
        tf_config.parsed(os.environ["TF_CONFIG"])
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    found = clusters.workers()
    advice = f"strategy 'multi_worker' needs a cluster: {clusters.ADVICE}. On one machine take strategy 'mirrored'."
    require(found is not None, advice)
    spec = tf.train.ClusterSpec({"worker": found.addresses})
    return tf.distribute.cluster_resolver.SimpleClusterResolver(spec, task_type="worker", task_id=found.index, rpc_layer="grpc")


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes logs and checkpoints; True where there is one machine."""
    resolver = strategy.cluster_resolver
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) or not resolver.task_type:
        return True
    first = resolver.task_type == "worker" and resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs
    return resolver.task_type == "chief" or first


def shard(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """(this worker's number, number of workers): the share of each global batch that it reads."""
    resolver = strategy.cluster_resolver
    cluster = resolver.cluster_spec()
    workers = sum(cluster.num_tasks(job) for job in ("chief", "worker") if job in cluster.jobs)  # 0 without a cluster
    task = resolver.task_id or 0
    if resolver.task_type == "worker" and "chief" in cluster.jobs:
        task += 1
    return task, max(1, workers)
