"""Positions of the endless stream of windows."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.window_order import WindowOrder, fixed_starts


def positions(order, first, step, count):
    return [tuple(int(part) for part in row) for row in order.dataset(first, step, count).take(count).as_numpy_iterator()]


@pytest.mark.parametrize("options", [{"shuffle": True}, {"shuffle": False}, {"shuffle": True, "windows_per_clip": 3},
                                     {"shuffle": False, "random_windows": 11}])  # fmt: skip
def test_any_position_can_be_had_alone(options):
    order = WindowOrder(5, 9, **options)
    whole = positions(order, 0, 1, 60)
    for first, step in itertools.product((0, 1, 13, 44), (1, 4)):
        wanted = whole[first::step]
        assert positions(order, first, step, len(wanted)) == wanted


def test_epochs():
    order = WindowOrder(6, 1, shuffle=True, windows_per_clip=2)
    assert order.length == 12 and order.random_starts
    epochs = [order.epoch(tf.constant(number)) for number in (0, 1)]
    pairs = [list(zip(*(part.numpy().tolist() for part in epoch[:2]), strict=True)) for epoch in epochs]
    assert sorted(pairs[0]) == sorted(pairs[1]) == sorted(itertools.product(range(6), range(2))) and pairs[0] != pairs[1]
    still = WindowOrder(4, 1, shuffle=False)
    assert [part.numpy().tolist() for part in still.epoch(tf.constant(3))] == [[0, 1, 2, 3], [0] * 4, [0] * 4]
    assert WindowOrder(4, 1, shuffle=False, random_windows=7).length == 7


def test_fixed_starts_are_even():
    lasts = tf.constant([10, 9, 0], tf.int64)
    starts = np.stack([fixed_starts(lasts, tf.fill([3], tf.constant(number, tf.int64)), 3) for number in range(3)], 1)
    assert starts.tolist() == [[0, 5, 10], [0, 5, 9], [0, 0, 0]]
    assert fixed_starts(lasts, tf.zeros([3], tf.int64), 1).numpy().tolist() == [0, 0, 0]
