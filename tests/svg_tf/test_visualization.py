"""Tiles, GIF and PNG encoding."""

import io

import numpy as np
import pytest
from PIL import Image

from svg_tf import visualization as v


def rows(steps=6, size=32, channels=1, seed=0):
    r = np.random.default_rng(seed)
    return [(label, r.random((steps, size, size, channels))) for label in ("truth", "best", "random 1")]


def decoded(content):
    image = Image.open(io.BytesIO(content))
    return image, [np.asarray(image.convert("RGB")) for i in range(image.n_frames) if image.seek(i) is None]


def contains(picture, frame):
    """Whether `frame` [h, w, 3] stands somewhere in `picture` exactly."""
    h, w = frame.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(picture, (h, w, 3))[:, :, 0]
    corners = np.argwhere((windows[..., 0, 0, :] == frame[0, 0]).all(-1))
    return any((windows[i, j] == frame).all() for i, j in corners)


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_shows_every_frame_of_every_row_and_clip(channels):
    clips = [rows(channels=channels), rows(channels=channels, seed=1)]
    out = v.grid(clips, n_past=2, scale=1)
    assert out.dtype == np.uint8
    assert out.shape[0] == 6
    assert out.shape[-1] == 3
    for clip in clips:
        for _, frames in clip:
            for t in (0, 1, 2, 5):
                assert contains(out[t], v.to_uint8(frames[t]))


def test_context_and_prediction_differ_without_colour():
    blank = [("truth", np.zeros((4, 32, 32, 1))), ("best", np.zeros((4, 32, 32, 1)))]
    out = v.grid([blank], n_past=2, scale=1)
    dark = out.min(-1) < 200
    rows_of_truth, rows_of_best = slice(13, 13 + 38), slice(13 + 40, 13 + 78)
    ink = dark.sum(axis=2)
    # The truth's border never changes; a predicted frame's border is thicker than a context frame's.
    np.testing.assert_array_equal(out[1, rows_of_truth], out[2, rows_of_truth])
    assert ink[2, rows_of_best].sum() > ink[1, rows_of_best].sum() + 4 * 32
    # The text line tells them apart, and the step.
    titles = [out[t, :13] for t in range(4)]
    assert all((titles[a] != titles[b]).any() for a in range(4) for b in range(a))


def test_scale_enlarges_small_frames_by_default():
    small, large = (v.grid([rows(2, size)], 1) for size in (16, 64))
    assert small.shape == large.shape
    assert v.grid([rows(2, 16)], 1, scale=2).shape[1] < small.shape[1]


def test_filmstrip():
    clip = rows()
    strip = v.filmstrip(clip, n_past=2, steps=[0, 1, 3, 5], scale=1)
    assert strip.dtype == np.uint8
    assert strip.ndim == 3
    for _, frames in clip:
        assert contains(strip, v.to_uint8(frames[3]))
        assert not contains(strip, v.to_uint8(frames[2]))
    assert v.filmstrip(clip, 2).shape[1] > strip.shape[1]
    bars = (strip[30:] == 0).all(-1).all(0)  # columns that are black throughout: the bar between context and predictions
    assert bars.sum() == 3
    assert not (v.filmstrip(clip, 6)[30:] == 0).all(-1).all(0).any()


def test_gif_has_all_frames_in_order_and_repeats():
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (9, 12, 20, 3))
    image, got = decoded(v.encode_gif(frames, fps=5))
    assert image.format == "GIF"
    assert image.n_frames == 9
    assert image.info["loop"] == 0
    assert image.info["duration"] == 200
    np.testing.assert_array_equal([g[0, 0, 0] for g in got], levels)


def test_gif_of_a_grid_keeps_grey_levels():
    out = v.grid([rows(3)], 1)
    _, got = decoded(v.encode_gif(out))
    assert len(got) == 3
    assert np.abs(np.stack(got).astype(int) - out).mean() < 2.5


def test_files_are_whole_or_absent(tmp_path, monkeypatch):
    frames = v.grid([rows(3)], 1)
    path = v.save_gif(tmp_path / "new" / "a.gif", frames, fps=4)
    assert Image.open(path).n_frames == 3
    np.testing.assert_array_equal(np.asarray(Image.open(v.save_png(tmp_path / "a.png", frames[0]))), frames[0])
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(v.files.os, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        v.save_gif(path, frames[::-1])
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["a.gif"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: v.grid([], 1), "at least one clip"),
        (lambda: v.grid([[]], 1), "at least one row"),
        (lambda: v.grid([rows(3)], 4), r"n_past must be in \[0, 3\]"),
        (lambda: v.grid([rows(3), rows(4)], 1), "one size"),
        (lambda: v.grid([[("a", np.full((2, 8, 8, 1), 1.5))]], 1), r"\[1.5, 1.5\]"),
        (lambda: v.grid([[("a", np.full((2, 8, 8, 1), np.nan))]], 1), "nan"),
        (lambda: v.grid([[("a", np.zeros((2, 8, 8, 2)))]], 1), r"1 or 3"),
        (lambda: v.grid([[("a", np.zeros((2, 8, 8, 1), np.int64))]], 1), "int64"),
        (lambda: v.grid([rows(3)], 1, scale=0), "scale"),
        (lambda: v.filmstrip(rows(3), 1, steps=[0, 3]), "steps"),
        (lambda: v.filmstrip(rows(3), 1, steps=[2, 1]), "steps"),
        (lambda: v.encode_gif(np.zeros((0, 8, 8, 3), np.uint8)), "non-empty"),
        (lambda: v.encode_gif(np.zeros((2, 8, 8, 3), np.uint8), fps=0), "fps"),
        (lambda: v.encode_gif(np.zeros((8, 8, 3), np.uint8)), r"\[T, H, W"),
        (lambda: v.save_png("/nowhere/x.png", np.zeros((1, 8, 8, 3), np.uint8)), r"\[H, W"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_it_does_not_import_tensorflow():
    import subprocess
    import sys

    code = "import sys, svg_tf.visualization; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
