"""Philox 4x32-10 as published."""

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import philox

MASK = 0xFFFFFFFF
KNOWN = [  # known answers of the Random123 distribution
    ((0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((MASK, MASK), (MASK,) * 4, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0xA4093822, 0x299F31D0),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize("key, counter, expected", KNOWN)
def test_known_answers(key, counter, expected):
    assert tuple(philox.words(key, [tf.constant(part, tf.int64) for part in counter]).numpy()) == expected


def test_counters_broadcast_and_each_word_is_its_counters_own():
    many = philox.words((1, 2), [tf.range(5)[:, None], tf.range(3)[None], tf.constant(7), tf.constant(0)]).numpy()
    assert many.shape == (5, 3, 4)
    one = philox.words((1, 2), [tf.constant(part) for part in (4, 2, 7, 0)]).numpy()
    np.testing.assert_array_equal(many[4, 2], one)


def test_integers_reach_both_ends_evenly():
    ends = philox.integers(tf.constant([0, MASK], tf.uint64), -3, 3).numpy()
    assert ends.tolist() == [-3, 3]
    words = philox.words((5, 6), [tf.range(20_000), *[tf.constant(0)] * 3])
    counts = np.bincount(philox.integers(words[:, 0], -3, 3).numpy() + 3)
    assert len(counts) == 7 and abs(counts - 20_000 / 7).max() < 200
