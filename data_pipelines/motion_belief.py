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
_AT_ONCE = 16  # digits: a first frame in which many hit walls has hundreds of hypotheses of each
_MOST = 512
"""Hypotheses of a digit. More are there only where srvp's digit lingers in a corner, hitting walls several times in a frame. Then
so many stand for all, taken evenly by weight. If what follows is among none of them, the digit's velocity is unknown again."""


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


def watch(physics: Physics, positions) -> tuple[Belief, np.ndarray]:
    """What is known after the frames, and what each of them told.

    Args:
      physics: the rules.
      positions: float [M, T, 2], true positions of M digits, as in `motion.States`.

    Returns: (the belief after the last frame, information float64 [M, T]: nats of each frame's position given those before it; 0
    for the first frame).
    Raises: ValueError where positions cannot have come from these rules.
    """
    positions = np.asarray(positions, np.float64)
    if positions.ndim != 3 or positions.shape[-1] != 2 or positions.shape[1] < 1:
        raise ValueError(f"positions must be [M, T, 2], got shape {positions.shape}.")
    parts = [_watch(physics, positions[first : first + _AT_ONCE], first) for first in range(0, len(positions), _AT_ONCE)]
    return Belief(*map(np.concatenate, zip(*(belief for belief, _ in parts), strict=True))), np.concatenate([i for _, i in parts])


def _watch(physics: Physics, positions: np.ndarray, first: int) -> tuple[Belief, np.ndarray]:
    """`watch` of some digits, whose numbers start at `first`."""
    digits, frames = positions.shape[:2]
    information, thinned = np.zeros((digits, frames)), np.zeros(digits, bool)
    belief = _start(physics, positions[:, 0])
    for t in range(1, frames):
        shown = np.rint(positions[:, t])
        if physics.variant == "srvp":
            belief = _advance_srvp(physics, belief, shown, thinned)
        else:
            belief = _advance_reference(physics, belief)
        belief, probability = _seen(belief, shown, digits, thinned)
        lost = probability <= 0
        if (lost & ~thinned).any():
            number = first + int((lost & ~thinned).argmax())
            raise ValueError(f"The position of digit {number} in frame {t} does not follow from the rules {physics}.")
        if lost.any():
            belief = _joined(belief, _start(physics, positions[:, t]), lost)
            probability = np.where(lost, 1 / _MOST, probability)
        information[:, t] = -np.log(np.minimum(probability, 1.0))
    return belief._replace(owner=belief.owner + first), information


def _joined(belief: Belief, start: Belief, lost: np.ndarray) -> Belief:
    """The belief, with the hypotheses of `start` for digits that are lost."""
    new = lost[start.owner]
    parts = [np.concatenate([a, b[new]]) for a, b in zip(belief, start, strict=True)]
    order = np.argsort(parts[0], kind="stable")
    return Belief(*(part[order] for part in parts))


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


def _seen(belief: Belief, shown: np.ndarray, digits: int, thinned: np.ndarray) -> tuple[Belief, np.ndarray]:
    """The belief without what contradicts the drawn positions `shown` [M, 2], and their probability, float64 [M]."""
    fits = _near(belief.position, shown[belief.owner])
    first, weight = _merged(belief.weight[fits], *(part[fits] for part in belief[:3]))
    kept, weight = _thin(belief.owner[fits][first], weight, thinned)
    owner, position, velocity = (part[fits][first][kept] for part in belief[:3])
    probability = np.bincount(owner, weight, minlength=digits)
    return Belief(owner, position, velocity, weight / probability[owner]), probability


def _thin(owner: np.ndarray, weight: np.ndarray, thinned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Not more than `_MOST` rows of each owner: (which rows, sorted by owner, their weights). Marks in `thinned` who had more."""
    many = np.bincount(owner, minlength=len(thinned)) > _MOST
    if not many.any():
        return np.arange(len(owner)), weight
    thinned |= many
    total = np.bincount(owner, weight, minlength=len(thinned))
    before = np.cumsum(total) - total
    upto = np.clip((np.cumsum(weight) - before[owner]) / total[owner], 0, 1) * _MOST
    firsts = np.r_[True, owner[1:] != owner[:-1]]
    copies = np.floor(upto + 0.5) - np.where(firsts, 0, np.floor(np.r_[0, upto[:-1]] + 0.5))
    kept = np.flatnonzero(~many[owner] | (copies > 0))
    share = np.where(many[owner], copies * total[owner] / _MOST, weight)
    return kept, share[kept]


def _near(position: np.ndarray, shown: np.ndarray, reach=0.0) -> np.ndarray:
    """bool [K]: whether a digit at `position` [K, 2] is drawn at `shown`, or may be once it has moved by up to `reach` [K, 1]."""
    return (np.abs(position - shown) <= 0.5 + _ROUNDING + reach).all(axis=1)


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


def _advance_srvp(physics: Physics, belief: Belief, shown: np.ndarray, thinned: np.ndarray) -> Belief:
    """Hypotheses that cannot end at the drawn positions `shown` [M, 2] are dropped on the way: most, where velocities are new."""
    owner, position, velocity, weight = belief
    limit, choices = float(physics.limit), _velocities(physics)
    rest = np.ones(len(owner))
    for k in range(SUB_STEPS):
        to_wall = _to_wall(position, velocity, limit)
        time = to_wall.min(axis=1)
        hit, moved = time < rest, np.minimum(time, rest)[:, None]
        on_axis = hit[:, None] & (to_wall <= time[:, None])
        wall = np.where(velocity > 0, limit, 0.0)
        position = np.where(on_axis, wall, np.clip(position + velocity * moved, 0.0, limit))
        rest = rest - moved[:, 0]
        if physics.deterministic:
            velocity = np.where(on_axis, -velocity, velocity)
            continue
        if k == SUB_STEPS - 1:
            rest = np.zeros_like(rest)  # what hits again waits there
        keep = _near(position, shown[owner], rest[:, None] * physics.max_speed)
        owner, position, velocity, weight, rest, hit = (part[keep] for part in (owner, position, velocity, weight, rest, hit))
        facing = np.where(on_axis[keep], np.sign(velocity), 0.0)
        goes_on = (owner[~hit], position[~hit], velocity[~hit], weight[~hit], rest[~hit])
        # What follows a hit depends on place and walls alone: hypotheses that share them become one before they branch.
        first, mass = _merged(weight[hit], *(part[hit] for part in (owner, position, rest, facing)))
        kept, mass = _thin(owner[hit][first], mass, thinned)
        first = first[kept]
        turned = [np.repeat(part[hit][first], len(choices), axis=0) for part in (owner, position, rest, facing)]
        drawn = np.tile(choices, (len(first), 1))
        drawn = np.where(turned[3] == 0, drawn, -turned[3] * np.abs(drawn))
        bounced = (turned[0], turned[1], drawn, np.repeat(mass / len(choices), len(choices)), turned[2])
        owner, position, velocity, weight, rest = map(np.concatenate, zip(goes_on, bounced, strict=True))
        final = (_to_wall(position, velocity, limit).min(axis=1) >= rest)[:, None]
        end = np.where(final, np.clip(position + velocity * rest[:, None], 0.0, limit), position)
        keep = _near(end, shown[owner], np.where(final, 0.0, rest[:, None] * physics.max_speed))
        owner, position, velocity, weight, rest = (part[keep] for part in (owner, position, velocity, weight, rest))
    return Belief(owner, position, velocity, weight)


def _to_wall(position: np.ndarray, velocity: np.ndarray, limit: float) -> np.ndarray:
    """Frames until the digit meets the wall that it moves to, on each axis: float64 [K, 2]."""
    moving = velocity != 0
    return np.where(moving, (np.where(velocity > 0, limit, 0.0) - position) / np.where(moving, velocity, 1.0), np.inf)


def _merged(weight: np.ndarray, owner: np.ndarray, *parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are equal in all parts as one: (where the first of each stands, by owner; the sum of their weights)."""
    keys = np.column_stack([owner, *parts])
    first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)[1:] if len(keys) else (np.zeros(0, int),) * 2
    return first, np.bincount(group.ravel(), weight, minlength=len(first))
