"""TF_CONFIG, TensorFlow's own variable: the addresses of all workers and which of them this is."""

import json
import re
from typing import NamedTuple

from data_pipelines.checks import require


class Parsed(NamedTuple):
    """hosts: the addresses of each job; kind, number: this task's job and its place in it."""

    hosts: dict[str, list[str]]
    kind: str
    number: int


def parsed(text: str) -> Parsed:
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
    return Parsed(hosts, kind, number)


def rank(config: Parsed) -> tuple[int, int]:
    """(number, how many): a chief comes before the workers."""
    before = len(config.hosts.get("chief", [])) if config.kind == "worker" else 0
    return before + config.number, sum(map(len, config.hosts.values()))
