"""Keypoints drawn over frames."""

import numpy as np
import pytest

from svg_tf import markers


def test_places_in_pixels():
    points = np.array([[-1, 1, 1], [1, -1, 1], [0, 0, 1]], np.float32)
    np.testing.assert_allclose(markers.in_pixels(points, 65, 33), [(0, 0), (32, 64), (16, 32)])  # column, row; y points up


def test_keypoints_and_their_tracks_stand_where_they_are_and_weak_ones_do_not():
    frames = np.zeros((3, 32, 32, 1), np.float32)
    points = np.zeros((3, 3, 3), np.float32)
    points[:, 0] = [(-0.5, 0.5, 1), (0.0, 0.5, 1), (0.5, 0.5, 1)]  # moves to the right
    points[:, 1] = (-0.5, -0.5, 0.9)
    points[:, 2] = (0.5, -0.5, 0.01)
    drawn = markers.with_tracks(frames, points)
    assert drawn.shape == (3, 128, 128, 3) and drawn.dtype == np.uint8
    for t, x in enumerate((-0.5, 0.0, 0.5)):
        column, row = markers.in_pixels(np.array([x, 0.5, 1]), 128, 128).astype(int)
        assert tuple(drawn[t, row, column]) == markers.COLORS[0]
    assert (drawn[2, 30:34, 40:60] == markers.COLORS[0]).all(axis=-1).any()  # the line behind it
    assert not drawn[0, 30:34, 60:90].any()
    assert drawn[:, 95, 31].any(axis=-1).all() and not drawn[:, 70:, 70:].any()
    points[1, 0, 2] = 0  # gone for a frame: the track begins anew
    gone = markers.with_tracks(frames, points)
    assert not gone[1, 20:40].any() and not gone[2, 20:40, 40:60].any() and gone[2, 31, 95].any()
    points[1, 0, 2] = 1
    shorter = markers.with_tracks(frames, points, trail=0)
    assert not shorter[2, 20:40, 40:60].any()


def test_frames_without_keypoints_are_enlarged_alone_and_channels_are_kept():
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    np.testing.assert_array_equal(markers.with_tracks(frames), frames.repeat(2, 1).repeat(2, 2))
    assert markers.enlargement(128) == markers.enlargement(256) == 1


@pytest.mark.parametrize(
    ("shape", "points", "message"),
    [((32, 32, 1), None, r"frames must be \[T, H, W"), ((2, 32, 32, 1), (3, 4, 3), r"points must be \[T = 2, K, 3\], got")],
)
def test_other_shapes_are_refused(shape, points, message):
    with pytest.raises(ValueError, match=message):
        markers.with_tracks(np.zeros(shape, np.float32), None if points is None else np.zeros(points))


def test_rows_of_a_table():
    rows = markers.numbered(np.array([[[0.5, -0.25, 1.0]], [[0.1234567, 0, 0]]]), first=7)
    assert rows == [(7, 0, 0.5, -0.25, 1.0), (8, 0, 0.123457, 0.0, 0.0)]
