"""The workers of a Slurm job step (srun), from its environment.

TensorFlow's own resolver sorts the hosts by their names, so that ranks and addresses part where numbers are not padded with zeros
(n2, n10), and fails on machines without GPUs.
"""

import re
from collections.abc import Mapping

from data_pipelines.checks import require

VARIABLES = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE")
TASKS_ON_A_NODE, MAX_HOSTS = 10, 10_000
_RANGE = r"[0-9]{1,9}(?:-[0-9]{1,9})?"
_HOSTS = re.compile(rf"([A-Za-z0-9.-]+)(?:\[({_RANGE}(?:,{_RANGE})*)\])?(?:,|$)")
_COUNTS = re.compile(r"([0-9]{1,5})(?:\(x([0-9]{1,5})\))?(?:,|$)")


def is_step(environment: Mapping[str, str]) -> bool:
    """Whether this is one of several tasks of a step."""
    return environment.get("SLURM_STEP_NUM_TASKS", "1") != "1"


def rank(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """(number, how many) of this task in its step, or else in its array of jobs; None where there is neither.

    An array may begin at any number, but must have no gaps. Raises `ValueError` for variables that do not agree.
    """
    if is_step(environment):
        names, first = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"), 0
    elif environment.get("SLURM_ARRAY_TASK_ID"):
        names, first = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"), environment.get("SLURM_ARRAY_TASK_MIN", "0")
    else:
        return None
    texts = [environment.get(name, "") for name in names]
    good = all(re.fullmatch("[0-9]{1,9}", str(text)) for text in (*texts, first))
    index, count = (int(texts[0]) - int(first), int(texts[1])) if good else (0, 0)
    shown = ", ".join(f"{name}={text!r}" for name, text in zip(names, texts, strict=True))
    require(0 <= index < count, f"Slurm's variables do not agree (an array must have no gaps): {shown}.")
    return index, count


def workers(environment: Mapping[str, str]) -> tuple[list[str], int]:
    """("host:port" of each task in the order of ranks, this task's rank).

    Raises `ValueError` for variables that are missing or do not agree, and for tasks that are not placed node by node.
    """
    missing = [name for name in VARIABLES if not environment.get(name)]
    require(not missing, f"Slurm's {', '.join(missing)} is missing: start the training as a step of a job (srun).")
    rank, tasks, nodes, per_node = (environment[name] for name in VARIABLES)
    names, counts = hosts(nodes), [int(n) for n, times in _COUNTS.findall(per_node) for _ in range(int(times or 1))]
    agree = len(names) == len(counts) and tasks == str(sum(counts)) and rank in map(str, range(sum(counts)))
    require(agree, "Slurm's variables do not agree: " + ", ".join(f"{name}={environment[name]!r}" for name in VARIABLES) + ".")
    order = environment.get("SLURM_DISTRIBUTION", "block")
    require(max(counts) <= TASKS_ON_A_NODE, f"At most {TASKS_ON_A_NODE} tasks on a node, got {max(counts)}.")
    require(
        max(counts) == 1 or order.startswith("block"),
        f"Several tasks on a node must be placed node by node: srun --distribution=block; got {order!r}.",
    )
    port = _first_port(environment.get("SLURM_JOB_ID", "0"))
    return [f"{name}:{port + i}" for name, count in zip(names, counts, strict=True) for i in range(count)], int(rank)


def _first_port(job: str) -> int:
    """Below the ports that systems give away by themselves; jobs that share a node have others."""
    return 20_000 + int("".join(re.findall("[0-9]", job))[-3:] or 0) * TASKS_ON_A_NODE


def hosts(text: str) -> list[str]:
    """A list of nodes ("n[1-2,04],m5") -> their names. Raises `ValueError`."""
    found: list[str] = []
    place = 0
    while place < len(text):
        match = _HOSTS.match(text, place)
        require(match is not None, f"SLURM_STEP_NODELIST must be such as 'n[1-3,07],m5', got {text[:200]!r}.")
        place, (prefix, numbers) = match.end(), match.groups()
        found += [prefix + number for number in _numbers(numbers)] if numbers else [prefix]
        require(len(found) <= MAX_HOSTS, f"SLURM_STEP_NODELIST names more than {MAX_HOSTS} nodes.")
    return found


def _numbers(ranges: str) -> list[str]:
    """ "1-2,04" -> ["1", "2", "04"], at most a few more than are taken."""
    found = []
    for one in ranges.split(","):
        first, _, last = one.partition("-")
        end = min(int(last or first), int(first) + MAX_HOSTS)
        found += [f"{number:0{len(first)}}" for number in range(int(first), end + 1)]
    return found
