"""SRVP's figures: what stands in their rows, and who is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from svg_tf.evaluation.figures import frame_rate_clips
from svg_tf.evaluation.metrics import frame
from svg_tf.families.srvp import figures
from tests.svg_tf.tiny_models import SRVP_VARIANTS, TINY, frames_of, made

STEPS, PAST, FUTURE = 6, 3, 3


@pytest.fixture(scope="module")
def model():
    return made(SRVP_VARIANTS["residual"])


@pytest.fixture(scope="module")
def frames():
    return frames_of(batch=2, steps=STEPS)


def test_rows_of_both_rates_show_the_same_moments(model, frames):
    clips, (slow, fast) = frame_rate_clips(model, frames, PAST, 3, seed=4)
    assert slow.shape[2] == FUTURE and fast.shape[2] == 3 * FUTURE
    np.testing.assert_array_equal(fast, model.generate(frames[:, :PAST], FUTURE, 1, 4, frame_rate=3))
    for clip, truth, drawn in zip(clips, frames, slow[:, 0], strict=True):
        rows = dict(clip)
        assert {len(row) for row in rows.values()} == {3 * STEPS}
        np.testing.assert_array_equal(rows["truth, held"][2::3], truth)
        np.testing.assert_array_equal(rows["rate 1, held"][::3][PAST:], drawn)
        np.testing.assert_array_equal(rows["rate 3"][: 3 * PAST], rows["truth, held"][: 3 * PAST])
    np.testing.assert_array_equal(dict(clips[1])["rate 3"][3 * PAST :], fast[1, 0])


def test_frame_rate_figure_compares_frames_of_equal_times(model, frames, tmp_path):
    result = figures.frame_rate_figure(model, frames, tmp_path, n_past=PAST, frame_rate=2, seed=4)
    fast = model.generate(frames[:, :PAST], FUTURE, 1, 4, frame_rate=2).numpy()[:, 0, 1::2]
    assert result["psnr_at_this_rate"] == pytest.approx(np.mean(frame.psnr(frames[:, PAST:], fast)))
    assert json.loads((tmp_path / "frame_rate.json").read_text())["psnr_at_rate_1"] == result["psnr_at_rate_1"]
    with Image.open(tmp_path / "frame_rate.gif") as animation:
        assert animation.n_frames == 2 * STEPS


def test_swap_figure_takes_content_from_the_next_sequence(model, frames, tmp_path, monkeypatch):
    calls = []
    swap = type(model).swap_content

    def recorded(self, content, motion, n_future, seed):
        calls.append((content, motion, n_future, seed))
        return swap(self, content, motion, n_future, seed)

    monkeypatch.setattr(type(model), "swap_content", recorded)
    figures.swap_figure(model, frames, tmp_path, n_past=PAST, seed=9)
    ((content, motion, n_future, seed),) = calls
    np.testing.assert_array_equal(content, frames[::-1, :PAST])
    np.testing.assert_array_equal(motion, frames[:, :PAST])
    assert (n_future, seed) == (FUTURE, 9)
    with Image.open(tmp_path / "swap.gif") as animation:
        assert animation.n_frames == STEPS
    assert {path.name for path in tmp_path.glob("*.png")} == {"swap-0.png", "swap-1.png"}


def test_interpolation_figure_goes_from_each_sequence_to_the_next(model, frames, tmp_path, monkeypatch):
    calls = []
    interpolate = type(model).interpolate

    def recorded(self, *arguments):
        calls.append(arguments)
        return interpolate(self, *arguments)

    monkeypatch.setattr(type(model), "interpolate", recorded)
    figures.interpolation_figure(model, frames, tmp_path, n_past=PAST, n_frames=5)
    ((first, last, n_frames),) = calls
    np.testing.assert_array_equal(first, frames[:, :PAST])
    np.testing.assert_array_equal(last, frames[::-1, :PAST])
    with Image.open(tmp_path / "interpolation.gif") as animation:
        assert animation.n_frames == n_frames == 5


def test_models_without_states_and_single_sequences_are_refused(model, frames, tmp_path):
    svg, gru = made(TINY), made(SRVP_VARIANTS["gru"])
    with pytest.raises(ValueError, match="Frames between frames cannot be had"):
        figures.frame_rate_figure(gru, frames, tmp_path, n_past=PAST)
    for draw in (figures.swap_figure, figures.interpolation_figure):
        with pytest.raises(ValueError, match="a state beside a content cannot be had"):
            draw(svg, frames, tmp_path, n_past=PAST)
        with pytest.raises(ValueError, match="at least 2 sequences, got 1"):
            draw(model, frames[:1], tmp_path, n_past=PAST)
    assert not list(tmp_path.iterdir())
