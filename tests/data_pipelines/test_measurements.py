"""Measurements do not depend on how a clip is cut into blocks."""

import numpy as np
import tiny_data

from data_pipelines import identities
from data_pipelines.measurements import BLACK_LEVEL, STILL_LEVELS, Measurements


def measured(videos, block):
    result = Measurements(videos[0].shape[-1])
    for number, video in enumerate(videos):
        blocks = (video[first : first + block] for first in range(0, len(video), block))
        result.add(blocks, len(video), {"clip_id": str(number).encode(), "group": b"g"})
    return result


def test_any_blocks_give_the_same():
    videos = [tiny_data.noise(0, 17, 3), tiny_data.noise(1, 1, 3), np.full((6, 8, 8, 3), BLACK_LEVEL, np.uint8)]
    whole = measured(videos, 100)
    for block in (1, 4):
        assert measured(videos, block).statistics("train") == whole.statistics("train")
        np.testing.assert_array_equal(measured(videos, block).identities(), whole.identities())
    assert whole.identities()["source"].tolist() == [identities.NONE] * 3


def test_shares_at_their_limits():
    flicker = np.full((4, 8, 8, 1), 100, np.uint8)
    flicker[1::2, 0, 0] += STILL_LEVELS
    busy = flicker.copy()
    busy[1::2, 0, 0] += 1
    dark = np.full((4, 8, 8, 1), BLACK_LEVEL, np.uint8)
    dim = dark.copy()
    dim[2, 3, 3] += 1
    stats = measured([flicker, busy, dark, dim], 3).statistics("train")
    shares = {name: tiny_data.feature(stats, name).num_stats.mean for name in ("still_share", "black_share", "duplicate_share")}
    assert shares == {"still_share": 0.75, "black_share": 0.25, "duplicate_share": 0}


def test_nothing():
    empty = Measurements(1).statistics("test")
    assert empty.num_examples == 0 and not any(feature.path.step[0].endswith("_share") for feature in empty.features)
