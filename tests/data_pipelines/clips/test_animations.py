"""GIFs and other animations: one reader, one background, the file's own times."""

import numpy as np
import pytest

from data_pipelines import clips
from data_pipelines.clips import animations
from tests.data_pipelines import media

BLUE, RED, GREEN, WHITE = range(4)


def read(path, channels=3, size=16, **options):
    return list(clips.read_clip(path, clips.Wanted(size, size, channels, **options)))


def plane(index, size=16):
    return np.full((size, size), index)


def decoded(path):
    """By FFmpeg, its alpha over black."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        rgba = [frame.to_ndarray(format="rgba").astype(int) for frame in container.decode(video=0)]
    return [(frame[..., :3] * frame[..., 3:] + 127) // 255 for frame in rgba]


@pytest.mark.parametrize("transparent", [None, WHITE])
@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_disposal_of_a_gif_s_frames(tmp_path, disposal, transparent):
    """The picture that the standard composes, by hand, and by FFmpeg's decoder."""
    first = plane(RED)
    first[:, :8] = WHITE
    patches = [(2, 2, plane(GREEN, 4), disposal), (9, 9, plane(BLUE, 4), disposal), (4, 4, plane(GREEN, 4), 1)]
    path = tmp_path / "a.gif"
    path.write_bytes(media.gif([(0, 0, first, 1, transparent, 4)] + [(*patch, transparent, 4) for patch in patches]))
    colors = np.array(media.GIF_COLORS)
    if transparent is not None:
        colors[transparent] = 0
    canvas = colors[first]
    wanted = [canvas.copy()]
    for left, top, indices, then in patches:
        before, at = canvas.copy(), (slice(top, top + 4), slice(left, left + 4))
        canvas[at] = colors[indices]
        wanted.append(canvas.copy())
        if then == 2:  # to the background: transparent where the file knows it, else its background color
            canvas[at] = 0 if transparent is not None else media.GIF_COLORS[0]
        elif then == 3:
            canvas = before
    np.testing.assert_array_equal(read(path), wanted)
    np.testing.assert_array_equal(decoded(path), wanted)


@pytest.mark.parametrize("suffix", [".webp", ".apng", ".gif"])
def test_transparent_animations_are_over_black(tmp_path, suffix):
    frames = np.zeros((3, 16, 16, 4), np.uint8)
    for t, frame in enumerate(frames):
        frame[..., 0] = 200
        frame[:, :8, 3] = 255 if suffix == ".gif" else 128
        frame[4 * t : 4 * t + 4, :, 3] = 255
    options = {".webp": {"lossless": True, "exact": True}, ".gif": {"disposal": 2}, ".apng": {}}[suffix]
    media.write_animation(tmp_path / f"a{suffix}", frames, **options)
    opacity = frames[..., 3:].astype(float) / 255
    np.testing.assert_array_equal(read(tmp_path / f"a{suffix}"), np.rint(frames[..., :3] * opacity))


@pytest.mark.parametrize("delays, fps, expected", [
    ([10, 50, 10, 100], 10, [0] + [1] * 5 + [2] + [3] * 10),
    ([0, 0, 1, 0], 10, [0, 1, 2, 3]),  # frames without a delay stand for 0.1 s, as in browsers
    ([4] * 5, 12.5, [0, 2, 4]),
])  # fmt: skip
def test_delays_of_a_gif(tmp_path, delays, fps, expected):
    (tmp_path / "a.gif").write_bytes(media.gif([(0, 0, plane(i % 4), 1, None, delay) for i, delay in enumerate(delays)]))
    got = [media.GIF_COLORS.index(tuple(frame[0, 0])) for frame in read(tmp_path / "a.gif", fps=fps)]
    assert got == [number % 4 for number in expected]
    assert len(read(tmp_path / "a.gif")) == len(delays)


@pytest.mark.parametrize("suffix, count", [(".webp", 17), (".apng", 17), (".tif", 4)])
def test_other_animations_and_stacks(tmp_path, suffix, count):
    """A TIFF has no times: all of its pages are frames at any rate."""
    frames = np.stack([np.full((16, 16, 3), (50 * i, 10, 0), np.uint8) for i in range(4)])
    path = tmp_path / f"a{suffix}"
    media.write_animation(path, frames, [100, 500, 100, 1000], **({"lossless": True} if suffix == ".webp" else {}))
    np.testing.assert_array_equal(read(path), frames)
    assert len(read(path, fps=10)) == count
    assert animations.is_animation(path)


def test_a_deep_stack(tmp_path):
    frames = np.stack([np.full((16, 16), 13107 * i, np.uint16) for i in range(4)])
    media.write_animation(tmp_path / "a.tif", frames)
    assert [int(frame[0, 0, 0]) for frame in read(tmp_path / "a.tif", 1)] == [0, 51, 102, 153]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".apng", ".tif"])
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.98])
def test_cut_animations_are_bad(tmp_path, suffix, kept):
    path = tmp_path / f"a{suffix}"
    media.write_animation(path, np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    if suffix == ".tif":  # no longer told from a picture by its pages
        with pytest.raises(clips.ClipError, match="a.tif: "):
            read(path)
        return
    with pytest.raises(clips.ClipError, match=f"a{suffix}: cut short"):
        read(path)


def test_a_gif_cut_between_two_frames(tmp_path):
    """Only the missing trailer tells."""
    content = media.gif([(0, 0, plane(i), 1, None, 4) for i in range(4)])
    (tmp_path / "a.gif").write_bytes(content[: content.rindex(b"\x21\xf9")])
    with pytest.raises(clips.ClipError, match="a.gif: cut short"):
        read(tmp_path / "a.gif")
    (tmp_path / "b.gif").write_bytes(content + b"left behind the trailer")
    assert len(read(tmp_path / "b.gif")) == 4


def test_limits(tmp_path):
    media.write_animation(tmp_path / "a.gif", media.moving(0, 5, 16, 16))
    with pytest.raises(clips.ClipError, match="a.gif: more than 4 frames"):
        read(tmp_path / "a.gif", max_frames=4)
    with pytest.raises(clips.ClipError, match="a.gif: frames of 16x16 pixels; expected 1 to 255"):
        read(tmp_path / "a.gif", max_pixels=255)
    with pytest.raises(clips.ClipError, match="more than 9 frames"):
        read(tmp_path / "a.gif", max_frames=9, fps=50)


def test_real_gif_against_ffmpeg(shared_data):
    path = shared_data / "video" / "imageio_newtonscradle.gif"
    ours = list(clips.read_clip(path, clips.Wanted(150, 200, 3, fit="squash")))
    np.testing.assert_array_equal(ours, decoded(path))
    assert len(ours) == 36
