"""Frames as they are to be shown: turned, mirrored, with their pixels' aspect, of any depth, over black."""

import numpy as np
import pytest

from data_pipelines import clips
from data_pipelines.clips.shaping import crop_box
from data_pipelines.clips.video_frames import Turn
from tests.data_pipelines import media

av = pytest.importorskip("av")
pytestmark = pytest.mark.filterwarnings("error")

STORED = np.zeros((2, 32, 48, 3), np.uint8)
STORED[:, :16, :24, 0] = STORED[:, 16:, :24, 1] = STORED[:, :16, 24:, 2] = 255
# (a, b, c, d) of the display matrix: stored (x, y) is shown at (a x + c y, b x + d y)
TURNS = {
    "upright": ((1, 0, 0, 1), lambda x: x),
    "clockwise": ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),
    "half": ((-1, 0, 0, -1), lambda x: x[::-1, ::-1]),
    "counterclockwise": ((0, -1, 1, 0), lambda x: np.rot90(x)),
    "mirrored": ((-1, 0, 0, 1), lambda x: x[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda x: x[::-1]),
    "transposed": ((0, 1, 1, 0), lambda x: x.swapaxes(0, 1)),
    "transverse": ((0, -1, -1, 0), lambda x: x[::-1, ::-1].swapaxes(0, 1)),
}


def read(path, height, width, channels=3, fit="squash"):
    return next(iter(clips.read_clip(path, clips.Wanted(height, width, channels, fit=fit))))


def write(path, frames=STORED, codec="libx264", pixels="yuv444p", **options):
    if options.get("matrix") and not hasattr(av.VideoStream, "set_display_matrix"):
        pytest.skip("this PyAV writes no display matrix")
    media.write_video(path, frames, codec, pixels, **options)
    return path


@pytest.mark.parametrize("name", sorted(TURNS))
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_display_matrix(tmp_path, name, suffix):
    matrix, turn = TURNS[name]
    path, shown = write(tmp_path / f"a{suffix}", matrix=matrix), turn(STORED[0])
    height, width = shown.shape[:2]
    whole = read(path, height, width)
    assert np.abs(whole.astype(int) - shown).mean() < 2
    top, left = (height - 32) // 2, (width - 32) // 2
    np.testing.assert_array_equal(read(path, 32, 32, fit="crop"), whole[top : top + 32, left : left + 32])
    squashed = read(path, 16, 16).astype(int)
    assert np.abs(squashed - shown[:: height // 16, :: width // 16]).mean() < 30


def test_opencv_agrees_on_rotations(tmp_path):
    cv2 = pytest.importorskip("cv2")
    for name in ("clockwise", "half", "counterclockwise"):
        path = write(tmp_path / f"{name}.mp4", matrix=TURNS[name][0])
        theirs = cv2.VideoCapture(str(path)).read()[1][..., ::-1]
        assert np.abs(read(path, *theirs.shape[:2]).astype(int) - theirs).mean() < 2


def test_other_angles_are_refused(tmp_path):
    path = write(tmp_path / "a.mp4", matrix=(0.7071, 0.7071, -0.7071, 0.7071))
    with pytest.raises(clips.ClipError, match="a.mp4: is shown turned by an angle that is no multiple of 90"):
        read(path, 16, 16)


@pytest.mark.parametrize("matrix, aspect", [(None, "3/2"), (None, "2/3"), ((0, 1, -1, 0), "3/2"), ((0, 1, -1, 0), "1")])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_aspect_of_pixels(tmp_path, matrix, aspect, suffix):
    """A square, 24 on a side where it is shown, stays square in a crop, whatever the stored pixels are."""
    numerator, denominator = (int(part) for part in (aspect + "/1").split("/")[:2])
    width, height = 96 * denominator // numerator, 96
    stored = np.zeros((2, height, width, 3), np.uint8)
    half = 12 * denominator // numerator
    stored[:, height // 2 - 12 : height // 2 + 12, width // 2 - half : width // 2 + half] = 255
    path = write(tmp_path / f"a{suffix}", stored, aspect=aspect, matrix=matrix)
    crop = read(path, 64, 64, 1, "crop")[..., 0] > 127
    rows, columns = crop.any(1).sum(), crop.any(0).sum()
    assert abs(int(rows) - 16) <= 2 and abs(int(columns) - 16) <= 2  # 24 of 96, on 64
    squash = read(path, 64, 64, 1)[..., 0] > 127
    assert abs(int(squash.sum()) - 16 * 16) <= 48


RAMP = np.linspace(0, 65535, 32 * 48).round().astype(np.uint16).reshape(1, 32, 48).repeat(2, 0)


@pytest.mark.parametrize("layout", ["gray16le", "rgb48le", "gbrp16le"])
def test_samples_of_16_bits_are_rounded(tmp_path, layout):
    frames = RAMP if layout == "gray16le" else np.stack([RAMP, RAMP[:, ::-1], RAMP[:, :, ::-1]], -1)
    path = write(tmp_path / "a.mkv", frames, "ffv1", layout, layout="gray16le" if layout == "gray16le" else "rgb48le")
    wanted = np.rint(frames[0] / 257)
    np.testing.assert_array_equal(read(path, 32, 48, 3), wanted if wanted.ndim == 3 else wanted[..., None].repeat(3, 2))
    if layout == "gray16le":
        np.testing.assert_array_equal(read(path, 32, 48, 1)[..., 0], wanted)


@pytest.mark.parametrize("pixels", ["gray10le", "gray12le", "yuv420p10le", "yuv422p12le", "yuv444p16le"])
@pytest.mark.parametrize("level", [0, 100, 255])
def test_other_depths(tmp_path, pixels, level):
    frames = np.full((2, 32, 48, 3), level, np.uint8)
    path = write(tmp_path / "a.mkv", frames, "ffv1", pixels)
    for channels in (1, 3):
        assert np.abs(read(path, 32, 48, channels).astype(int) - level).max() <= 2, channels


@pytest.mark.parametrize(
    "suffix, codec, pixels", [(".mkv", "ffv1", "bgra"), (".mov", "qtrle", "argb"), (".mov", "prores_ks", "yuva444p10le")]
)
def test_transparency_is_over_black(tmp_path, suffix, codec, pixels):
    frames = np.zeros((2, 32, 48, 4), np.uint8)
    frames[..., 0], frames[:, :, :24, 3] = 200, 128
    shown = read(write(tmp_path / f"a{suffix}", frames, codec, pixels), 32, 48).astype(int)
    assert np.abs(shown[:, :22] - [100, 0, 0]).max() <= 3 and shown[:, 26:].max() <= 3


def test_boxes():
    assert crop_box(48, 16, 16, 16) == (16, 0, 32, 16)
    assert crop_box(32, 16, 16, 16, aspect=1.5) == (10, 0, 21, 16)
    assert Turn(True, True, False).array(np.arange(6).reshape(2, 3)).tolist() == np.rot90(np.arange(6).reshape(2, 3), -1).tolist()


def test_very_narrow_pixels(tmp_path):
    """Scaled before it is cropped, such a frame would have 300 million pixels; the crop itself is 2 pixels high."""
    frames = np.zeros((2, 2048, 16, 3), np.uint8)
    frames[:, 1000:1048] = 255
    path = write(tmp_path / "a.mp4", frames, aspect="1/10")
    assert read(path, 512, 512, fit="crop").min() > 250
