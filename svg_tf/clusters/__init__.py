"""Which process this is among those of a cluster, from the variables that Slurm, Kubernetes or TF_CONFIG set.

Standard library only: training takes addresses from here, evaluation its share of the work.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from svg_tf.clusters import kubernetes, slurm, tf_config

ADVICE = (
    "set TF_CONFIG on each machine (cluster and its own task), start the job's steps by Slurm (srun), or as an indexed job of "
    "Kubernetes"
)


class Workers(NamedTuple):
    """addresses: "host:port" of each in the order of their numbers; index: this one's number."""

    addresses: list[str]
    index: int


def workers(environment: Mapping[str, str] = os.environ) -> Workers | None:
    """Of Slurm's step or Kubernetes' job; None where there is neither. Raises `ValueError` for variables that do not agree."""
    if slurm.is_step(environment):
        return Workers(*slurm.workers(environment))
    if kubernetes.is_job(environment):
        return Workers(*kubernetes.workers(environment))
    return None


def rank(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """(this process's number, how many there are): of processes that need no addresses, the tasks of an array among them.

    Raises `ValueError` where the variables name no cluster, or do not agree.
    """
    if environment.get("TF_CONFIG"):
        return tf_config.rank(tf_config.parsed(environment["TF_CONFIG"]))
    for kind in (slurm, kubernetes):
        found = kind.rank(environment)
        if found:
            return found
    raise ValueError(f"There is no cluster in the variables: {ADVICE}.")
