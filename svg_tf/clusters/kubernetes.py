"""The pods of an indexed job of Kubernetes, from their variables.

Kubernetes sets JOB_COMPLETION_INDEX, and names a pod of job J with index i "J-i", which is its host name. That there are n of
them, and that a headless service gives them addresses, the job's file has to say: SVG_WORKERS and SVG_SERVICE.
"""

import re
import socket
from collections.abc import Mapping

from data_pipelines.checks import require

INDEX, WORKERS, SERVICE, PORT = "JOB_COMPLETION_INDEX", "SVG_WORKERS", "SVG_SERVICE", "SVG_PORT"
DEFAULT_PORT = "12345"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?")


def is_job(environment: Mapping[str, str]) -> bool:
    return bool(environment.get(INDEX)) and environment.get(WORKERS, "1") != "1"


def rank(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """(this pod's index, how many there are); None outside of an indexed job. Raises `ValueError`."""
    if not environment.get(INDEX):
        return None
    require(bool(environment.get(WORKERS)), f"The job's file must set {WORKERS} to its number of completions.")
    index, count = (environment[name] for name in (INDEX, WORKERS))
    good = all(re.fullmatch("[0-9]{1,5}", text) for text in (index, count)) and int(index) < int(count)
    require(good, f"Kubernetes' variables do not agree: {INDEX}={index!r}, {WORKERS}={count!r}.")
    return int(index), int(count)


def workers(environment: Mapping[str, str]) -> tuple[list[str], int]:
    """("host:port" of each pod in the order of their indices, this one's index). Raises `ValueError` for variables that are
    missing or do not agree."""
    index, count = rank(environment) or (0, 1)
    service, port = environment.get(SERVICE, ""), environment.get(PORT, DEFAULT_PORT)
    require(
        bool(_NAME.fullmatch(service)),
        f"The job's file must set {SERVICE} to the headless service that names its pods (subdomain); got {service!r}.",
    )
    require(bool(re.fullmatch("[0-9]{1,5}", port)) and 0 < int(port) < 65536, f"{PORT} must be a port, got {port!r}.")
    own = (environment.get("HOSTNAME") or socket.gethostname()).partition(".")[0]
    job = own.removesuffix(f"-{index}")
    require(
        job != own and bool(_NAME.fullmatch(job)),
        f"A pod of an indexed job is called JOB-{index} here; this host is called {own!r}. Leave hostname out of the job's file.",
    )
    return [f"{job}-{i}.{service}:{port}" for i in range(count)], index

