"""Moving MNIST for the figures whose sequences share a trajectory, and when its digits take new velocities."""

from collections.abc import Callable

import numpy as np

from svg_tf import sources
from svg_tf.evaluation.figures.figure import Setting

_SEARCHED = 512  # sequences among which one with the wanted collisions is looked for


def visible_collisions(collisions, variant: str = "reference") -> np.ndarray:
    """Where a new velocity first shows: bool [N, T, D] of collision flags -> bool [N, T, D].

    reference: a digit is clamped in frame t, which was predictable; its new velocity shows in frame t + 1.
    srvp: the collision already shows in its own frame.
    """
    collisions = np.asarray(collisions)
    if collisions.ndim != 3 or collisions.dtype != bool:
        raise ValueError(f"collisions must be bool [N, T, D], got {collisions.dtype} of shape {collisions.shape}.")
    if variant not in ("reference", "srvp"):
        raise ValueError(f"variant must be 'reference' or 'srvp', got {variant!r}.")
    if variant == "srvp":
        return collisions
    return np.concatenate([np.zeros_like(collisions[:, :1]), collisions[:, :-1]], axis=1)


def needs_collisions(model, experiment) -> str | None:
    """For `Figure.needs`: true collisions are known, and chance decides what follows."""
    source = sources.of(experiment)
    if "collisions" in source.states and source.stochastic:
        return None
    return f"it needs Stochastic Moving MNIST, whose collisions are known; the data is {source.description}"


def needs_one_digit(model, experiment) -> str | None:
    """For `Figure.needs`: as `needs_collisions`, with one digit."""
    source = sources.of(experiment)
    return needs_collisions(model, experiment) or (
        None if source.num_digits == 1 else f"it needs one digit; the data is {source.description}"
    )


def needs_samples(model, experiment) -> str | None:
    """For `Figure.needs`: the model's samples differ."""
    return f"it needs a model that samples; this is {model.config.summary}" if model.deterministic else None


def trajectory(setting: Setting, frames: int, wanted: Callable[[list[int]], bool]) -> tuple[int, list[int]]:
    """The first sequence whose steps of new velocities `wanted` accepts: (its number, those steps). Raises `ValueError`."""
    states = setting.clips(frames, sequences=_SEARCHED, with_states=True)
    shows = visible_collisions(states["collisions"], setting.source.variant).any(axis=2)
    for number, row in enumerate(shows):
        steps = [int(t) for t in row.nonzero()[0]]
        if steps and wanted(steps):
            return number, steps
    raise ValueError(f"None of {_SEARCHED} sequences has a collision where this figure needs one; choose another --seed.")
