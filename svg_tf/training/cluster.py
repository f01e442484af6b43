"""Which devices and machines train together: strategies, and the cluster of several machines."""

import json
import os

import tensorflow as tf


def strategy(name: str) -> tf.distribute.Strategy:
    """The strategy called `name` in a configuration. Raises `ValueError` for "multi_worker" without a usable cluster."""
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=_resolver())
    return tf.distribute.MirroredStrategy() if name == "mirrored" else tf.distribute.get_strategy()


def _resolver():
    """The cluster that TF_CONFIG describes, else that of Slurm."""
    if os.environ.get("TF_CONFIG"):
        _check_tf_config(os.environ["TF_CONFIG"])
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if "SLURM_STEP_NODELIST" in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        return tf.distribute.cluster_resolver.SlurmClusterResolver()
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
        kind, index = task["type"], int(task["index"])
        hosts = {job: list(addresses) for job, addresses in jobs.items()}
        address = hosts[kind][index] if index >= 0 else None
    except (json.JSONDecodeError, KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"TF_CONFIG must be JSON such as {example}; got {text[:200]!r} ({error!r}).") from error
    unknown = sorted(set(hosts) - {"chief", "worker"})
    for one in [address, *(a for addresses in hosts.values() for a in addresses)]:
        host, colon, port = one.rpartition(":") if isinstance(one, str) else ("", "", "")
        if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536) or "/" in one:
            raise ValueError(f"TF_CONFIG: workers must be host:port, such as 'host-a:12345'; got {one!r}.")
    if unknown or kind not in hosts:
        raise ValueError(f"TF_CONFIG: jobs must be 'worker' (and 'chief'), got {sorted(hosts)} and task {kind!r}.")


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
