"""Reading by other hosts: tf.data services whose workers decode, and send whole batches here.

tf.data's own ways to split one data set among the workers of a service give no order. So each address names a service with one
worker, and of k services each makes every k-th batch, which are taken in turn: the same batches in the same order as without,
from any start. What arrives is numbered, and a number out of turn (a service with two workers, a worker that was started anew)
stops the reading.
"""

import contextlib
import re
import socket
from collections.abc import Callable

import tensorflow as tf

from data_pipelines.checks import require

_ADDRESS = re.compile(r"(?:grpc://)?([A-Za-z0-9_.-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})")
ANSWERS_WITHIN = 10.0  # seconds
_OUT_OF_TURN = "sends its batches out of turn: it must have one worker, which lives all the while."


class OutOfTurnError(RuntimeError):
    """A service has sent another batch than the next one. What reads it can start again where it stopped."""


@contextlib.contextmanager
def watched():
    """Within it TensorFlow's error for a batch out of turn becomes `OutOfTurnError`, in one line."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(f"The tf.data service at [^ ]+ {re.escape(_OUT_OF_TURN)}", error.message or "")
        if found is None:
            raise
        raise OutOfTurnError(found[0]) from error


def addresses(text: str) -> list[str]:
    """"grpc://host-a:5000,host-b:5000" -> ["host-a:5000", "host-b:5000"]. Raises `ValueError` for anything else."""
    matches = [_ADDRESS.fullmatch(one.strip()) for one in text.split(",")]
    good = all(match and 0 < int(match[2]) < 65536 for match in matches)
    require(good, f"service must be addresses of tf.data services, as grpc://host-a:5000,grpc://host-b:5000; got {text!r}.")
    found = [f"{match[1]}:{match[2]}" for match in matches]
    require(len(set(found)) == len(found), f"service names an address twice, got {text!r}.")
    return found


def read(text: str, make: Callable[[tuple[int, int]], tf.data.Dataset]) -> tf.data.Dataset:
    """The batches that the services make, in order.

    Args:
      text: their addresses, see `addresses`.
      make: of (index, count) to the data set of batches index, index + count, ...: as it would be read here, without end.

    Raises `ValueError` for an address that does not answer. While it is read: `tf.errors.InvalidArgumentError` for a batch out
    of turn.
    """
    found = check(text)
    parts = [_part(address, make((index, len(found)))) for index, address in enumerate(found)]
    turns = tf.data.Dataset.range(len(parts)).repeat()
    settings = tf.data.Options()
    settings.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return tf.data.Dataset.choose_from_datasets(parts, turns).prefetch(2).with_options(settings)


def _part(address: str, dataset: tf.data.Dataset) -> tf.data.Dataset:
    sent = dataset.enumerate().apply(
        tf.data.experimental.service.distribute(tf.data.experimental.service.ShardingPolicy.OFF, f"grpc://{address}")
    )
    wrong = f"The tf.data service at {address} {_OUT_OF_TURN}"

    def checked(expected, arrived):
        number, batch = arrived
        with tf.control_dependencies([tf.debugging.assert_equal(number, expected, message=wrong)]):
            return tf.nest.map_structure(tf.identity, batch)

    return tf.data.Dataset.zip((tf.data.Dataset.counter(), sent)).map(checked)


def check(text: str) -> list[str]:
    """The addresses. Raises `ValueError` for one where nobody listens."""
    found = addresses(text)
    for address in found:
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWERS_WITHIN).close()
        except OSError as error:
            raise ValueError(f"There is no tf.data service at {address} ({error.strerror or error}).") from error
    return found
