"""What Moving MNIST's frames tell of its digits' states: exact Bayesian filtering by the rules of `motion`.

Frames show where a digit is drawn (srvp: rounded), not with which velocity it leaves. A belief is a list of hypotheses
(position, velocity) with weights. From frame to frame each hypothesis moves; where it hits a wall it branches into all
velocities that the rules may draw; those that contradict the next frame are dropped, and the weight that is left is the
probability of what was seen: its negative logarithm is the information, in nats, that the frame's motion brought.

So a digit that was clamped in the last frame has not shown its new velocity, a single frame shows none, and srvp's digit that
has just left the wall may have several. Where a window does not begin with its video, the belief about its first velocity is
that of a video's start, and forgotten as soon as the digit has moved.
"""

from typing import NamedTuple

import numpy as np

from data_pipelines.motion import SUB_STEPS, Physics

_ROUNDING = 1e-3
"""Pixels by which a hypothesis in float64 may differ from a state in float32 about a half."""


class Belief(NamedTuple):
    """Hypotheses about the states of M digits, sorted by digit."""

    owner: np.ndarray  # int64 [K], which digit
    position: np.ndarray  # float64 [K, 2], where it is
    velocity: np.ndarray  # float64 [K, 2], with what it leaves
    weight: np.ndarray  # float64 [K], positive; each digit's sum to 1

    def pick(self, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """States drawn from the belief: uniform float64 [M, S] in [0, 1) -> positions, velocities, float64 [M, S, 2]."""
        digits = np.arange(len(uniform))
        total = np.cumsum(self.weight)
        first = np.searchsorted(self.owner, digits)
        before = np.where(first > 0, total[first - 1], 0.0)[:, None]
        last = np.searchsorted(self.owner, digits, side="right") - 1
        mass = total[last][:, None] - before
        chosen = np.clip(np.searchsorted(total, before + uniform * mass, side="right"), first[:, None], last[:, None])
        return self.position[chosen], self.velocity[chosen]


def watch(physics: Physics, positions, keep: int = -1, stride: int = 1) -> tuple[Belief, np.ndarray]:
    """What is known after the frames, and what each of them told.

    Args:
      physics: the rules.
      positions: float [M, T, 2], true positions of M digits, as in `motion.States`.
      keep: the frame after which the belief is wanted.
      stride: steps of the motion from one frame to the next.

    Returns: (the belief after frame `keep`, information float64 [M, T]: nats of each frame's position given those before it; 0
    for the first frame).
    Raises: ValueError where positions cannot have come from these rules.
    """
    positions = np.asarray(positions, np.float64)
    if positions.ndim != 3 or positions.shape[-1] != 2 or positions.shape[1] < 1:
        raise ValueError(f"positions must be [M, T, 2], got shape {positions.shape}.")
    digits, frames = positions.shape[:2]
    keep = range(frames)[keep]
    information = np.zeros((digits, frames))
    belief = _start(physics, positions[:, 0])
    kept = belief
    advance = _advance_srvp if physics.variant == "srvp" else _advance_reference
    for t in range(1, frames):
        for _ in range(stride):
            belief = advance(physics, belief)
        belief, probability = _seen(belief, np.rint(positions[:, t]), digits)
        if not (probability > 0).all():
            raise ValueError(
                f"The position of digit {int(probability.argmin())} in frame {t} does not follow from the rules {physics}."
            )
        information[:, t] = -np.log(np.minimum(probability, 1.0))
        if t == keep:
            kept = belief
    return kept, information


def _velocities(physics: Physics) -> np.ndarray:
    """All velocities that a digit may start with, float64 [V, 2]."""
    side = np.arange(-physics.max_speed, physics.max_speed + 1.0)
    pairs = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    return pairs[(pairs != 0).any(axis=1)] if physics.moving else pairs


def _start(physics: Physics, positions: np.ndarray) -> Belief:
    choices, digits = _velocities(physics), len(positions)
    owner = np.repeat(np.arange(digits), len(choices))
    weight = np.full(len(owner), 1 / len(choices))
    return Belief(owner, positions[owner], np.tile(choices, (digits, 1)), weight)


def _seen(belief: Belief, shown: np.ndarray, digits: int) -> tuple[Belief, np.ndarray]:
    """The belief without what contradicts the drawn positions `shown` [M, 2], and their probability, float64 [M]."""
    fits = (np.abs(belief.position - shown[belief.owner]) <= 0.5 + _ROUNDING).all(axis=1)
    owner, weight = belief.owner[fits], belief.weight[fits]
    probability = np.bincount(owner, weight, minlength=digits)
    return Belief(owner, belief.position[fits], belief.velocity[fits], weight / probability[owner]), probability


def _branch(hit: np.ndarray, choices: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows after those that `hit` [K] have become `choices` each: (row before int64 [K'], number of the choice int64 [K'])."""
    copies = np.where(hit, choices, 1)
    before = np.repeat(np.arange(len(hit)), copies)
    return before, np.arange(len(before)) - np.repeat(np.cumsum(copies) - copies, copies)


def _advance_reference(physics: Physics, belief: Belief) -> Belief:
    position, velocity = belief.position + belief.velocity, belief.velocity
    low, high = position < 0, position >= physics.limit
    hits = low | high
    position = np.clip(position, 0, physics.limit - 1)
    if physics.deterministic:
        return belief._replace(position=position, velocity=np.where(hits, -velocity, velocity))
    speed = physics.max_speed
    away, along = (part.ravel() for part in np.meshgrid(np.arange(1.0, speed + 1), np.arange(-speed, speed + 1.0)))
    hit = hits.any(axis=1)
    before, choice = _branch(hit, len(away))
    velocity, hit, x_hit = velocity[before].copy(), hit[before], hits[before, 0]
    axis = np.where(x_hit, 0, 1)  # x is checked last, and draws the other component, too
    sign = np.where(low[before, axis], 1.0, -1.0)
    rows = np.flatnonzero(hit)
    velocity[rows, axis[rows]] = sign[rows] * away[choice[rows]]
    velocity[rows, 1 - axis[rows]] = along[choice[rows]]
    weight = belief.weight[before] / np.where(hit, len(away), 1)
    return Belief(belief.owner[before], position[before], velocity, weight)


def _advance_srvp(physics: Physics, belief: Belief) -> Belief:
    owner, position, velocity, weight = belief
    limit, choices = float(physics.limit), _velocities(physics)
    rest = np.ones(len(owner))
    for _ in range(SUB_STEPS):
        wall = np.where(velocity > 0, limit, 0.0)
        to_wall = np.where(velocity != 0, (wall - position) / np.where(velocity != 0, velocity, 1.0), np.inf)
        time = to_wall.min(axis=1)
        hit = time < rest
        moved = np.minimum(time, rest)
        on_axis = hit[:, None] & (to_wall <= time[:, None])
        position = np.where(on_axis, wall, np.clip(position + velocity * moved[:, None], 0.0, limit))
        rest = rest - moved
        if physics.deterministic:
            velocity = np.where(on_axis, -velocity, velocity)
            continue
        # What follows a hit depends on place and walls alone: hypotheses that share them become one before they branch.
        facing = np.where(on_axis, np.sign(velocity), 0)
        aims = np.where(hit[:, None], facing, velocity)
        first, weight = _merged(weight, owner, position, rest, aims, hit)
        owner, position, rest, hit, aims = (part[first] for part in (owner, position, rest, hit, aims))
        before, choice = _branch(hit, len(choices))
        drawn, hit, aims = choices[choice], hit[before], aims[before]
        after = np.where(aims == 0, drawn, -aims * np.abs(drawn))
        velocity = np.where(hit[:, None], after, aims)
        owner, position, rest = owner[before], position[before], rest[before]
        weight = weight[before] / np.where(hit, len(choices), 1)
    first, weight = _merged(weight, owner, position, velocity)
    return Belief(owner[first], position[first], velocity[first], weight)


def _merged(weight: np.ndarray, owner: np.ndarray, *parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are equal in all parts as one: (where each first stands, sorted by owner; the sum of their weights)."""
    keys = np.column_stack([owner, *parts]).astype(np.float64) + 0.0  # no negative zeros
    rows = np.ascontiguousarray(keys).view(np.dtype((np.void, keys.dtype.itemsize * keys.shape[1]))).ravel()
    _, first, group = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)  # by owner, as the rows were
    return first[order], np.bincount(group, weight)[order]
