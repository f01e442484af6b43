"""How Moving MNIST's digits move: batched simulators, one loop over time for all sequences and digits.

reference (Denton & Fergus 2018, their published loop): positions and velocities are integers. At each frame, for each
digit, first y then x is checked: a coordinate below 0 becomes 0, one at or beyond `limit` = canvas - digit size becomes
limit - 1; the velocity on that axis is redrawn away from the wall from {1 ... s}, the other from {-s ... s} (so that an
x hit may send the digit back into the y wall). Then the digit is drawn, then moved. **The frame in which a digit is
clamped is still predictable; the new velocity first shows in the next frame.**

srvp (Franceschi et al. 2020): the exact point of collision inside the step; on a hit both components are drawn from
{-s ... s} and the sign on the hit axis is forced away from the wall (0 possible); the rest of the step is moved with the
new velocity, so that **the collision already shows in its own frame**.

deterministic (either variant): the velocity component on the hit axis is reflected, nothing is drawn.

Random numbers: Philox words of (seed, split; sequence index, digit, slot), so that sequence i is the same in any batch.
"""

from typing import NamedTuple

import tensorflow as tf

from data_pipelines import philox

SUB_STEPS = 4
"""srvp: collisions resolved within one frame; a digit that hits more often (in a corner) waits there for the next frame."""
_SLOT_START, _SLOT_DIGIT, _SLOT_BOUNCE = 0, 1, 2
_SPLIT_CODES = {"train": 0x5356_4701, "validation": 0x5356_4702, "test": 0x5356_4703}
_FUTURES_CODE = 0x5356_4704


class States(NamedTuple):
    """True states; x to the right, y down, of a digit's top left corner, in pixels (a frame)."""

    positions: tf.Tensor  # float32 [B, T, N, 2], (x, y) where the digit is drawn in frame t (srvp: rounded for drawing)
    velocities: tf.Tensor  # float32 [B, T, N, 2], (dx, dy) with which the digit leaves frame t
    collisions: tf.Tensor  # bool [B, T, N]: reference: clamped in frame t; srvp: hit a wall between frames t - 1 and t


class Physics(NamedTuple):
    """The options that define the motion."""

    limit: int  # canvas - digit size
    max_speed: int
    variant: str = "reference"
    deterministic: bool = False
    moving: bool = False


def _words(key, first, second, num_digits, slots):
    """first, second int64 [B], below 2**32: what tells rows apart; slots int64 [S] -> uint64 [S, B, N, 4]."""
    digit = tf.range(num_digits, dtype=tf.int64)[None, None, :]
    return philox.words(key, (first[None, :, None], second[None, :, None], digit, slots[:, None, None]))


def _per_frame(physics) -> int:
    """Words of a digit in a frame."""
    return SUB_STEPS if physics.variant == "srvp" else 1


def _velocity(words, physics):
    """uint64 [..., 2] -> float32 (dx, dy) [..., 2] in {-s ... s}; where `moving`, never (0, 0)."""
    speed = physics.max_speed
    if not physics.moving:
        return tf.cast(philox.integers(words, -speed, speed), tf.float32)
    side = 2 * speed + 1
    center = (side * side) // 2
    pair = philox.integers(words[..., 0], 0, side * side - 2)
    pair += tf.cast(pair >= center, tf.int32)
    return tf.cast(tf.stack([pair % side - speed, pair // side - speed], axis=-1), tf.float32)


def draw(physics: Physics, seed: int, split: str, indices, num_frames: int, num_digits: int):
    """All random words of whole sequences.

    Args:
      physics: the rules.
      seed: in [0, 2**32).
      split: "train", "validation" or "test".
      indices: int64 [B], the sequences' numbers.
      num_frames: T.
      num_digits: N.

    Returns: uint64 [slots, B, N, 4] for `simulate` and `digit_ids`.
    """
    slots = tf.range(_SLOT_BOUNCE + num_frames * _per_frame(physics), dtype=tf.int64)
    indices = tf.cast(indices, tf.int64)
    low, high = tf.bitwise.bitwise_and(indices, 0xFFFFFFFF), tf.bitwise.right_shift(indices, tf.constant(32, tf.int64))
    return _words((seed, _SPLIT_CODES[split]), low, high, num_digits, slots)


def draw_futures(physics: Physics, seed: int, numbers, samples, num_frames: int, num_digits: int):
    """All random words of futures of given states; others than those of any split.

    Args:
      physics, seed, num_frames, num_digits: as `draw`.
      numbers, samples: int64 [B], each in [0, 2**32): the sequence's number, and that of its sample.

    Returns: uint64 [slots, B, N, 4] for `go_on`; the first slot is free for the choice of a state.
    """
    slots = tf.range(1 + num_frames * _per_frame(physics), dtype=tf.int64)
    numbers, samples = tf.cast(numbers, tf.int64), tf.cast(samples, tf.int64)
    return _words((seed, _FUTURES_CODE), numbers, samples, num_digits, slots)


def share(words, pattern, whole: bool):
    """Words [slots, B, N, 4] of B sequences that start as the one of `pattern` [slots, 1, N, 4] and, if `whole`, bounce as it
    does; which digits they show stays their own."""
    pattern = tf.broadcast_to(pattern, tf.shape(words))
    common = [pattern[:_SLOT_DIGIT], words[_SLOT_DIGIT:_SLOT_BOUNCE], (pattern if whole else words)[_SLOT_BOUNCE:]]
    return tf.concat(common, axis=0)


def digit_ids(words, num_images: int):
    """Which image each digit shows: int32 [B, N] in [0, num_images), from the words of `draw`."""
    return philox.integers(words[_SLOT_DIGIT, ..., 0], 0, num_images - 1)


def _reference_step(physics):
    limit, speed = float(physics.limit), physics.max_speed

    def step(carry, words):
        """carry: position before the checks, velocity; words uint64 [B, N, 4]."""
        position, velocity = carry[0], carry[1]
        x, y = position[..., 0], position[..., 1]
        dx, dy = velocity[..., 0], velocity[..., 1]
        away = tf.cast(philox.integers(words[..., 0::2], 1, speed), tf.float32)  # y hit, x hit
        along = tf.cast(philox.integers(words[..., 1::2], -speed, speed), tf.float32)
        low, high = y < 0, y >= limit
        y_hit = low | high
        y = tf.clip_by_value(y, 0.0, limit - 1)
        if physics.deterministic:
            dy = tf.where(y_hit, -dy, dy)
        else:
            dy = tf.where(low, away[..., 0], tf.where(high, -away[..., 0], dy))
            dx = tf.where(y_hit, along[..., 0], dx)
        low, high = x < 0, x >= limit
        x_hit = low | high
        x = tf.clip_by_value(x, 0.0, limit - 1)
        if physics.deterministic:
            dx = tf.where(x_hit, -dx, dx)
        else:
            dx = tf.where(low, away[..., 1], tf.where(high, -away[..., 1], dx))
            dy = tf.where(x_hit, along[..., 1], dy)
        drawn, velocity = tf.stack([x, y], -1), tf.stack([dx, dy], -1)
        return drawn + velocity, velocity, drawn, y_hit | x_hit

    return step


def _srvp_step(physics):
    limit = float(physics.limit)

    def step(carry, elements):
        """carry: position in the previous frame, velocity; elements: words uint64 [K, B, N, 4], step length 0 or 1."""
        position, velocity = carry[0], carry[1]
        words, duration = elements
        rest = tf.fill(tf.shape(position)[:-1], duration)
        collided = tf.zeros_like(rest, tf.bool)
        for k in range(SUB_STEPS):
            wall = tf.where(velocity > 0, limit, 0.0)
            moving = tf.not_equal(velocity, 0)
            to_wall = tf.where(moving, (wall - position) / tf.where(moving, velocity, 1.0), float("inf"))  # [B, N, 2]
            time = tf.reduce_min(to_wall, -1)
            hit = time < rest
            moved = tf.minimum(time, rest)
            on_axis = hit[..., None] & (to_wall <= time[..., None])
            position = tf.where(on_axis, wall, tf.clip_by_value(position + velocity * moved[..., None], 0.0, limit))
            if physics.deterministic:
                velocity = tf.where(on_axis, -velocity, velocity)
            else:
                drawn = _velocity(words[k, ..., 0:2], physics)
                forced = tf.where(wall > 0, -tf.abs(drawn), tf.abs(drawn))
                velocity = tf.where(on_axis, forced, tf.where(hit[..., None], drawn, velocity))
            rest -= moved
            collided |= hit
        return position, velocity, position, collided

    return step


def simulate(physics: Physics, words) -> States:
    """True states [B, T, N, ...] of whole sequences, from the rules and the words of `draw`."""
    start, bounces = words[_SLOT_START], words[_SLOT_BOUNCE:]
    exact = physics.variant == "srvp"
    position = tf.cast(philox.integers(start[..., 0:2], 0, physics.limit if exact else physics.limit - 1), tf.float32)
    velocity = _velocity(start[..., 2:4], physics)
    return _run(physics, position, velocity, bounces, started=False)


def go_on(physics: Physics, positions, velocities, words) -> States:
    """True states of the frames that follow a known one.

    Args:
      physics: the rules.
      positions, velocities: float32 [B, N, 2] of that frame: where the digits are drawn, and with what they leave it.
      words: of `draw_futures`.

    Returns: `States` [B, num_frames, N, ...].
    """
    # reference: the next frame's checks see the digit after it has moved
    start = positions if physics.variant == "srvp" else positions + velocities
    return _run(physics, start, velocities, words[1:], started=True)


def _run(physics, position, velocity, bounces, started) -> States:
    """bounces: words, `_per_frame` of them for each frame; started: whether the first frame comes after the state given."""
    carry = (position, velocity, position, tf.zeros_like(position[..., 0], tf.bool))
    if physics.variant == "srvp":
        shape = tf.shape(bounces)
        frames = shape[0] // SUB_STEPS
        bounces = tf.reshape(bounces, tf.concat([[frames, SUB_STEPS], shape[1:]], 0))
        durations = tf.concat([[1.0 if started else 0.0], tf.ones([frames - 1])], 0)  # else the first frame shows the start
        history = tf.scan(_srvp_step(physics), (bounces, durations), carry)
    else:
        history = tf.scan(_reference_step(physics), bounces, carry)
    _, velocities, positions, collisions = history  # [T, B, N, ...]
    return States(
        tf.transpose(positions, [1, 0, 2, 3]),
        tf.transpose(velocities, [1, 0, 2, 3]),
        tf.transpose(collisions, [1, 0, 2]),
    )


def any_since_kept(flags, stride: int):
    """Flags [T, ...] of the video's frames -> [ceil(T / stride), ...] of each stride-th one; a flag in a frame that is left out
    counts for the next one that is kept."""
    flags = tf.pad(flags, [[stride - 1, 0]] + [[0, 0]] * (flags.shape.rank - 1))
    kept = flags.shape[0] // stride
    flags = flags[: kept * stride]
    return tf.reduce_any(tf.reshape(flags, tf.concat([[kept, stride], tf.shape(flags)[1:]], axis=0)), axis=1)


def every(states: States, stride: int) -> States:
    """Keeps each stride-th frame; a collision in a frame that is left out counts for the next one that is kept."""
    if stride == 1:
        return states
    collisions = any_since_kept(tf.transpose(states.collisions, [1, 0, 2]), stride)
    return States(states.positions[:, ::stride], states.velocities[:, ::stride], tf.transpose(collisions, [1, 0, 2]))
