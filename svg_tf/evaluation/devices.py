"""All devices of this machine work on one evaluation: each has a copy of the model, and takes the next piece when it is free.

Pieces keep their size, whatever the number of devices, so that each gives the numbers that one device gives.
"""

import concurrent.futures
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import tensorflow as tf

from svg_tf import families
from svg_tf.families.base import VideoPredictor

Item, Result = TypeVar("Item"), TypeVar("Result")


def local() -> list[str]:
    """Names of the devices that compute: all GPUs, else the CPU (or the logical devices that it was divided into)."""
    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in found]


def of(model) -> list[str]:
    """The devices for `model`: one for what is no `VideoPredictor`, which cannot be copied."""
    return local() if isinstance(model, VideoPredictor) else local()[:1]


def copy(model, device: str):
    """A model of the same configuration, precision and weights, with its variables on `device`."""
    with tf.device(device):
        other = families.build(model.config, dtype=model.dtype_policy)
        other.set_weights(model.get_weights())
    return other


_COPIES: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
"""Of models that draw on several devices, by device: a copy and its compiled functions are made once."""


def copies(model, wanted: int) -> list[tuple[str, Any]]:
    """(device, the model there), of at most `wanted` devices, the model itself first. A copy gets the model's weights of now."""
    first, *others = of(model)[: max(1, wanted)]
    found = [(first, model)]
    for device in others:
        known = _COPIES.setdefault(model, {})
        if device in known:
            known[device].set_weights(model.get_weights())
        else:
            known[device] = copy(model, device)
        found.append((device, known[device]))
    return found


def on(device: str, function: Callable[[Item], Result]) -> Callable[[Item], Result]:
    """`function`, run on `device` in whichever thread."""

    def run(item):
        with tf.device(device):
            return function(item)

    return run


def spread(functions: Sequence[Callable[[Item], Result]], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
    """(item, what one of `functions` made of it), as they come; each function works on one item at a time.

    The next item is drawn when a function is free to take it.
    """
    if len(functions) == 1:
        for item in items:
            yield item, functions[0](item)
        return
    free, running = list(functions), {}

    def finished():
        done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
        for future in done:
            item, function = running.pop(future)
            free.append(function)
            yield item, future.result()

    with concurrent.futures.ThreadPoolExecutor(len(functions)) as pool:
        for item in items:
            function = free.pop(0)
            running[pool.submit(function, item)] = item, function
            if not free:
                yield from finished()
        while running:
            yield from finished()
