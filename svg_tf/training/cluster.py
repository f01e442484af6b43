"""Which devices and machines train together: strategies, and the cluster of several machines."""

import json
import logging
import os
import re
import socket
import time

import tensorflow as tf

from data_pipelines.checks import require
from svg_tf.training import slurm

NAMES_KNOWN_AFTER = 60.0  # seconds
log = logging.getLogger(__name__)


def strategy(name: str) -> tf.distribute.Strategy:
    """The strategy called `name` in a configuration. Raises `ValueError` for "multi_worker" without a usable cluster."""
    if name == "multi_worker":
        return _several(_resolver())
    return tf.distribute.MirroredStrategy() if name == "mirrored" else tf.distribute.get_strategy()


def _several(resolver) -> tf.distribute.Strategy:
    jobs, own = resolver.cluster_spec().as_dict(), resolver.cluster_spec().task_address(resolver.task_type, resolver.task_id)
    workers = [address for job in ("chief", "worker") for address in jobs.get(job, [])]
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
    """The cluster that TF_CONFIG describes, else that of Slurm."""
    if os.environ.get("TF_CONFIG"):
        _check_tf_config(os.environ["TF_CONFIG"])
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        workers, rank = slurm.workers(os.environ)
        spec = tf.train.ClusterSpec({"worker": workers})
        return tf.distribute.cluster_resolver.SimpleClusterResolver(spec, task_type="worker", task_id=rank, rpc_layer="grpc")
    raise ValueError(
        "strategy 'multi_worker' needs a cluster: set TF_CONFIG on each machine (cluster and its own task), or start the job's "
        "steps by Slurm (srun). On one machine take strategy 'mirrored'."
    )


def _check_tf_config(text: str) -> None:
    """Raises `ValueError` in one line for a TF_CONFIG that TensorFlow would wait for, or fail on, for ever."""
    example = '{"cluster": {"worker": ["host-a:12345", "host-b:12345"]}, "task": {"type": "worker", "index": 0}}'
    try:
        values = json.loads(text)
        jobs, task = dict(values["cluster"]), values["task"]
        kind, index = task["type"], task["index"]
        hosts = {job: list(addresses) for job, addresses in jobs.items()}
        own = hosts[kind]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"TF_CONFIG must be JSON such as {example}; got {text[:200]!r} ({error!r}).") from error
    number = int(index) if isinstance(index, int | str) and re.fullmatch("[0-9]{1,5}", str(index)) else -1
    require(0 <= number < len(own), f"TF_CONFIG: the task's index must be one of {kind}'s, in [0, {len(own)}); got {index!r}.")
    everyone = [address for addresses in hosts.values() for address in addresses]
    for one in everyone:
        host, colon, port = one.rpartition(":") if isinstance(one, str) else ("", "", "")
        if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536) or re.search(r"[/\s]", one):
            raise ValueError(f"TF_CONFIG: workers must be host:port, such as 'host-a:12345'; got {one!r}.")
    twice = next((one for one in everyone if everyone.count(one) > 1), None)
    require(twice is None, f"TF_CONFIG: each worker needs an address of its own; {twice!r} is there twice.")
    require(
        set(hosts) <= {"chief", "worker"} and len(hosts.get("chief", [])) <= 1,
        f"TF_CONFIG: jobs must be 'worker' (and one 'chief'), got {sorted(hosts)} and task {kind!r}.",
    )


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
