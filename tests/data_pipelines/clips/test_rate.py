"""Frame rates by time stamps."""

import math

import numpy as np
import pytest

from data_pipelines import clips
from data_pipelines.clips.rate import at_rate
from data_pipelines.clips.shaping import Timed
from tests.data_pipelines import media


def timed(times, seconds=None):
    return [Timed(i, time, seconds) for i, time in enumerate(times)]


@pytest.mark.parametrize("source", [10, 23.976, 25, 29.97, 30, 59.94])
@pytest.mark.parametrize("fps", [1, 5, 7, 10, 12.5, 25, 30, 60])
@pytest.mark.parametrize("rounded", [3, 6])
def test_counts_and_order(source, fps, rounded):
    """As many frames as fit into the clip's duration; clocks of milliseconds neither repeat nor drop one."""
    frames = [Timed(i, round(i / source, rounded), round(1 / source, rounded)) for i in range(50)]
    got = list(at_rate(iter(frames), fps, "a"))
    assert abs(len(got) - 50 / source * fps) <= 1
    assert len(got) in (math.ceil(50 / source * fps - 0.1), math.ceil(50 / source * fps))
    if fps == source:
        assert got == list(range(50))
    for tick, number in enumerate(got):
        assert number - 0.1 <= tick / fps * source < number + 1.1


def test_ten_frames_a_second_to_five():
    assert list(at_rate(iter(timed([t / 10 for t in range(20)], 0.1)), 5, "a")) == list(range(0, 20, 2))
    assert len(list(at_rate(iter(timed([t / 10 for t in range(21)], 0.1)), 5, "a"))) == 11
    assert list(at_rate(iter([]), 5, "a")) == []
    assert list(at_rate(iter(timed([3.0], 0.01)), 5, "a")) == [0]


def test_unknown_durations_and_times():
    assert list(at_rate(iter(timed([0, 0.5, 1.0])), 4, "a")) == [0, 0, 1, 1, 2, 2]  # the last one as long as the others
    assert list(at_rate(iter(timed([None] * 4)), 4, "a")) == [0, 1, 2, 3]
    assert list(at_rate(iter(timed([5.0, 4.9, 5.5], 0.5)), 2, "a")) == [1, 2]  # clocks that shake


@pytest.mark.parametrize("times, seconds, message", [
    ([0, 0.1, 3600], 0.1, "from 0.1 to 3600 seconds at frame 2"),
    ([3600, 3600.1, 0], 0.1, "from 0.1 to -3600 seconds at frame 2"),
    ([0, 0.1], 3600.0, "from 0.1 to 3600.1 seconds at frame 2"),
])  # fmt: skip
def test_time_stamps_that_jump(times, seconds, message):
    with pytest.raises(clips.ClipError, match=f"a.mkv: the time stamps jump {message}.*without --fps"):
        list(at_rate(iter(timed(times, seconds)), 10, "a.mkv"))
    assert list(at_rate(iter(timed(times, seconds)), None, "a.mkv")) == list(range(len(times)))


@pytest.mark.parametrize("suffix, codec", [
    (".avi", "ffv1"), (".mkv", "ffv1"), (".mp4", "libx264"), (".flv", "flv"), (".ts", "libx264"), (".mpg", "mpeg2video"),
    (".webm", "libvpx"), (".wmv", "wmv2"),
])  # fmt: skip
@pytest.mark.parametrize("fps, expected", [
    (25, list(range(10))), (50, [t // 2 for t in range(20)]), (12.5, list(range(0, 10, 2))), (5, [0, 5])
])  # fmt: skip
def test_files(tmp_path, suffix, codec, fps, expected):
    pytest.importorskip("av")
    frames = np.stack([np.full((16, 16, 3), 25 * t, np.uint8) for t in range(10)])
    media.write_video(tmp_path / f"a{suffix}", frames, codec, "bgr0" if codec == "ffv1" else "yuv420p")
    got = clips.read_clip(tmp_path / f"a{suffix}", clips.Wanted(16, 16, 1, fps=fps))
    assert [round(int(frame[4, 4, 0]) / 25) for frame in got] == expected


def test_a_file_of_changing_rate_and_one_with_a_gap(tmp_path):
    pytest.importorskip("av")
    frames = np.stack([np.full((16, 16, 3), 25 * t, np.uint8) for t in range(4)])
    for name, milliseconds in (("a.mkv", [0, 100, 600, 700]), ("gap.mkv", [0, 100, 3_600_000, 3_600_100])):
        media.write_video(tmp_path / name, frames, "ffv1", "bgr0", milliseconds=milliseconds)
    got = [round(int(frame[4, 4, 0]) / 25) for frame in clips.read_clip(tmp_path / "a.mkv", clips.Wanted(16, 16, 1, fps=10))]
    assert got[:7] == [0, 1, 1, 1, 1, 1, 2] and set(got[7:]) == {3}
    assert len(list(clips.read_clip(tmp_path / "gap.mkv", clips.Wanted(16, 16, 1)))) == 4
    with pytest.raises(clips.ClipError, match="gap.mkv: the time stamps jump"):
        list(clips.read_clip(tmp_path / "gap.mkv", clips.Wanted(16, 16, 1, fps=10)))
