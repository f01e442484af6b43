"""One evaluation by several processes, which share a folder: who scores which chunk, and who writes the report.

Process i of n begins with every n-th chunk. When these are done it takes what nobody holds, those of a process that is gone among
them. A chunk is the same whoever scores it. When no chunk is left, one process writes the report; the others wait
for it.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from data_pipelines.checks import require
from data_pipelines.claims import Claims
from svg_tf import clusters
from svg_tf.evaluation import devices

CLUSTER = "cluster"
_POLL = 1.0  # seconds


class Shard(NamedTuple):
    """Process `index` of `count`."""

    index: int = 0
    count: int = 1


def shard_of(text: str | None) -> Shard | None:
    """"2/8" -> the third of eight processes; "cluster" -> this task among those of Slurm, Kubernetes or TF_CONFIG; None -> None.

    Raises `ValueError` for anything else.
    """
    if text is None:
        return None
    if text == CLUSTER:
        return Shard(*clusters.rank())
    index, _, count = text.partition("/")
    good = all(part.isascii() and part.isdigit() and len(part) < 6 for part in (index, count)) and int(index) < int(count)
    require(good, f"--shard must be i/n with i from 0 to n - 1, such as 0/4, or {CLUSTER!r}; got {text!r}.")
    return Shard(int(index), int(count))


class Pieces(NamedTuple):
    """The chunks of an evaluation, as `score_all` needs them."""

    read: Callable[[], Iterable[Any]]
    """All of them in order, each with its `number`."""
    count: int
    is_done: Callable[[Any], bool]
    """Whether the scores of this chunk are there. Raises `ValueError` where they are of other frames."""
    seems_done: Callable[[int], bool]
    """Whether the chunk of this number has a file."""
    save: Callable[[Any, Any], None]
    """Called with a chunk and its scores."""


def score_all(
    pieces: Pieces, functions: list, claims: Claims, shard: Shard, *, over: Callable[[], bool], progress: Callable[[], None]
) -> None:
    """Returns when all chunks are scored, by this process or others, or when `over` says so.

    functions: of a chunk to its scores, one for each device. progress: called after each chunk that is found or made.
    """

    def wanted(own: bool) -> Iterator[Any]:
        for chunk in pieces.read():
            if over():
                return
            mine = chunk.number % shard.count == shard.index
            if pieces.is_done(chunk):
                if own:
                    progress()
            elif (mine or not own) and claims.take(piece(chunk.number)):
                yield chunk

    def score(own: bool) -> None:
        for chunk, scores in devices.spread(functions, wanted(own)):
            if not over():
                pieces.save(chunk, scores)
                progress()

    score(own=True)
    while not over():
        left = [number for number in range(pieces.count) if not pieces.seems_done(number)]
        if not left:
            return
        if any(claims.free(piece(number)) for number in left):
            score(own=False)
        else:
            time.sleep(_POLL)
            progress()


def piece(number: int) -> str:
    return f"chunk-{number:06d}"


def wait_for_turn(claims: Claims, over: Callable[[], bool]) -> bool:
    """True where this process is to write the report; False once another one has."""
    while not over():
        if claims.take("report"):
            return True
        time.sleep(_POLL / 4)
    return False
