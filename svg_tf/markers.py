"""Keypoints and their tracks drawn over frames. NumPy and Pillow only.

A keypoint keeps its color (Okabe and Ito's) and its shape, so that it is told from others without color too.
"""

import numpy as np
from PIL import Image, ImageDraw

from svg_tf import visualization

COLORS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
SHAPES = ("circle", "square", "triangle", "diamond", "cross")
COLUMNS = ("t", "keypoint", "x", "y", "mu")
LEAST_STRENGTH = 0.05  # weaker keypoints are not shown
TRAIL = 5  # frames that a track reaches back
_LEAST_SIDE = 128  # pixels of a frame's height once enlarged


def enlargement(height: int) -> int:
    """By how much frames are enlarged to be drawn on."""
    return max(1, -(-_LEAST_SIDE // height))


def with_tracks(frames, points=None, trail: int = TRAIL) -> np.ndarray:
    """Frames enlarged by `enlargement`, each with its keypoints and where they came from.

    frames: [T, H, W, 1 or 3], uint8 or float in [0, 1]. points: float [T, K, 3], (x, y, mu) as `ShowsKeypoints` has them, or None
    to enlarge alone; those of mu below LEAST_STRENGTH are left out. trail: frames that a track reaches back.
    Returns uint8 [T, H', W', 3]. Raises `ValueError` for other shapes.
    """
    frames = visualization.to_uint8(frames)
    if frames.ndim != 4:
        raise ValueError(f"frames must be [T, H, W, 1 or 3], got shape {frames.shape}.")
    scale = enlargement(frames.shape[1])
    large = np.ascontiguousarray(frames.repeat(scale, 1).repeat(scale, 2))
    if points is None:
        return large
    points = np.asarray(points)
    if points.ndim != 3 or points.shape[0] != len(frames) or points.shape[2] != 3:
        raise ValueError(f"points must be [T = {len(frames)}, K, 3], got shape {points.shape}.")
    places = in_pixels(points, *large.shape[1:3])
    spans = [slice(max(0, t - trail), t + 1) for t in range(len(large))]
    return np.stack([_drawn(frame, places[span], points[span, :, 2]) for frame, span in zip(large, spans, strict=True)])


def in_pixels(points, height: int, width: int) -> np.ndarray:
    """Keypoints [..., 3] (or their x and y) -> float [..., 2], column and row of a frame; -1 and 1 are its outermost pixels."""
    points = np.asarray(points)
    return np.stack([(points[..., 0] + 1) / 2 * (width - 1), (1 - points[..., 1]) / 2 * (height - 1)], axis=-1)


def numbered(points, first: int = 0) -> list[tuple]:
    """Keypoints [T, K, 3] of frames first, first + 1, ... -> rows of COLUMNS, for a table."""
    return [
        (first + t, k, *(round(float(value), 6) for value in point))
        for t, of_frame in enumerate(points)
        for k, point in enumerate(of_frame)
    ]


def _drawn(frame: np.ndarray, places: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """frame uint8 [H, W, 3]; places [t, K, 2] and strengths [t, K], the last ones being those of this frame."""
    image = Image.fromarray(frame)
    pen = ImageDraw.Draw(image)
    radius = max(2, frame.shape[0] // 40)
    for k in np.argsort(strengths[-1], kind="stable"):  # the strongest ones on top
        weak = np.flatnonzero(strengths[:, k] < LEAST_STRENGTH)
        start = weak[-1] + 1 if len(weak) else 0  # a track begins where the keypoint last appeared
        color, path = COLORS[k % len(COLORS)], [tuple(place) for place in places[start:, k].tolist()]
        if not path:
            continue
        if len(path) > 1:
            pen.line(path, fill=color, width=max(1, radius // 2))
        _marker(pen, SHAPES[k % len(SHAPES)], *path[-1], radius, color)
    return np.asarray(image)


def _marker(pen: ImageDraw.ImageDraw, shape: str, x: float, y: float, r: int, color) -> None:
    style = {"fill": color, "outline": (0, 0, 0)}
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), **style)
    elif shape == "square":
        pen.rectangle((x - r, y - r, x + r, y + r), **style)
    elif shape == "triangle":
        pen.polygon([(x, y - r), (x + r, y + r), (x - r, y + r)], **style)
    elif shape == "diamond":
        pen.polygon([(x, y - r), (x + r, y), (x, y + r), (x - r, y)], **style)
    else:
        pen.line((x - r, y - r, x + r, y + r), fill=color, width=2)
        pen.line((x - r, y + r, x + r, y - r), fill=color, width=2)
