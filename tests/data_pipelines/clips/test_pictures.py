"""Pictures of every depth, orientation and transparency; broken and huge ones."""

import numpy as np
import pytest
from PIL import Image

from data_pipelines import clips
from tests.data_pipelines import media

RAMP = np.linspace(0, 65535, 32 * 32).round().astype(np.uint16).reshape(32, 32)
EXACT = np.rint(RAMP / 257).astype(np.uint8)


def read(path, channels=1, height=32, width=32, fit="squash", **limits):
    frames = list(clips.read_clip(path, clips.Wanted(height, width, channels, fit=fit, **limits)))
    assert all(frame.dtype == np.uint8 and frame.shape == (height, width, channels) for frame in frames)
    return frames[0] if len(frames) == 1 else frames


def save(path, array, mode=None, **options):
    Image.fromarray(array).save(path, **options)


@pytest.mark.parametrize(
    "name, array",
    [
        ("gray.png", RAMP),
        ("gray.tif", RAMP),
        ("gray.tiff", RAMP.astype(">u2")),
        ("integers.tif", RAMP.astype(np.int32)),
        ("floats.tif", (RAMP / 65535).astype(np.float32)),
    ],
)
def test_gray_of_more_than_8_bits(tmp_path, name, array):
    """value / 257, rounded: Pillow's own conversion turns 99.6 % of the ramp white."""
    save(tmp_path / name, array)
    np.testing.assert_array_equal(read(tmp_path / name)[..., 0], EXACT)
    np.testing.assert_array_equal(read(tmp_path / name, 3), np.repeat(EXACT[..., None], 3, 2))


def test_twelve_bits_and_zero_is_white(tmp_path):
    """TIFFs that Pillow does not write: 12 bits in a sample, and the inverse scale."""
    values = (np.arange(32 * 32) * 4).reshape(32, 32)  # 0 to 4092
    pairs = values.reshape(-1, 2)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], -1).astype(np.uint8)
    (tmp_path / "a.tif").write_bytes(tiff(packed.tobytes(), 12, 1))
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[..., 0], np.rint(values / 4095 * 255))
    (tmp_path / "b.tif").write_bytes(tiff(RAMP.astype("<u2").tobytes(), 16, 0))
    np.testing.assert_array_equal(read(tmp_path / "b.tif")[..., 0], np.rint((65535 - RAMP) / 257))


def test_pgm_of_12_bits_and_gray_with_alpha_of_16(tmp_path):
    values = (np.arange(32 * 32) * 4).reshape(32, 32)
    (tmp_path / "a.pgm").write_bytes(b"P5 32 32 4095\n" + values.astype(">u2").tobytes())
    np.testing.assert_array_equal(read(tmp_path / "a.pgm")[..., 0], np.rint(values / 4095 * 255))
    (tmp_path / "key.png").write_bytes(media.png16(RAMP[..., None], transparent=(int(RAMP[9, 9]),)))
    key = RAMP[9, 9]
    keyed = np.where(key == RAMP, 0, EXACT)
    np.testing.assert_array_equal(read(tmp_path / "key.png")[..., 0], keyed)
    pytest.importorskip("av")
    alpha = np.full((32, 32), 32768, np.uint16)
    (tmp_path / "la.png").write_bytes(media.png16(np.stack([RAMP, alpha], -1)))
    assert np.abs(read(tmp_path / "la.png")[..., 0] - np.rint(RAMP * (32768 / 65535) / 257)).max() == 0


def tiff(data, bits, photometric):
    tags = {256: 32, 257: 32, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 32, 279: len(data)}
    directory = len(tags).to_bytes(2, "little")
    for tag, value in tags.items():
        directory += tag.to_bytes(2, "little") + b"\4\0\1\0\0\0" + value.to_bytes(4, "little")
    return b"II*\0" + (8 + len(data)).to_bytes(4, "little") + data + directory + bytes(4)


@pytest.mark.parametrize("channels", [3, 4])
def test_color_of_16_bits(tmp_path, channels):
    pytest.importorskip("av")
    color = np.stack([RAMP, RAMP[::-1], RAMP.T], -1)
    wanted = np.rint(color / 257)
    if channels == 4:
        color = np.concatenate([color, np.full((32, 32, 1), 32768, np.uint16)], -1)
        wanted = np.rint(color[..., :3] * (32768 / 65535) / 257)
    (tmp_path / "a.png").write_bytes(media.png16(color))
    assert np.abs(read(tmp_path / "a.png", 3) - wanted).max() == 0


@pytest.mark.parametrize(
    "array, message",
    [
        (RAMP.astype(np.float32), r"floats in \[0, 65535\]; expected \[0, 1\]"),
        (np.full((32, 32), np.nan, np.float32), "floats in .nan, nan.; expected"),
        (RAMP.astype(np.int32) * 2, r"integers in \[0, 131070\]; expected \[0, 65535\]"),
        (RAMP.astype(np.int32) - 1, r"integers in \[-1, 65534\]"),
    ],
)
def test_values_without_a_known_scale_are_refused(tmp_path, array, message):
    save(tmp_path / "a.tif", array)
    with pytest.raises(clips.ClipError, match=f"a.tif: {message}"):
        read(tmp_path / "a.tif")


def transparent():
    """Left half red 200 of half opacity, right half without."""
    array = np.zeros((32, 32, 4), np.uint8)
    array[..., 0], array[:, :16, 3] = 200, 128
    shown = np.zeros((32, 32, 3), np.uint8)
    shown[:, :16, 0] = 100
    return array, shown


@pytest.mark.parametrize("name, options", [("a.png", {}), ("a.tif", {}), ("a.webp", {"lossless": True, "exact": True})])
def test_alpha_is_composited_over_black(tmp_path, name, options):
    array, shown = transparent()
    save(tmp_path / name, array, **options)
    np.testing.assert_array_equal(read(tmp_path / name, 3), shown)


def test_transparency_of_gray_palette_and_key_color(tmp_path):
    array, shown = transparent()
    save(tmp_path / "la.png", np.ascontiguousarray(array[..., [0, 3]]))
    np.testing.assert_array_equal(read(tmp_path / "la.png", 3), shown[..., :1].repeat(3, 2))
    stripes = Image.fromarray((np.arange(32) % 2).astype(np.uint8)[None].repeat(32, 0))
    stripes.putpalette([10, 20, 30, 200, 100, 50])
    stripes.save(tmp_path / "p.png", transparency=1)
    np.testing.assert_array_equal(read(tmp_path / "p.png", 3)[0, :2], [[10, 20, 30], [0, 0, 0]])
    save(tmp_path / "key.png", np.full((32, 32, 3), 7, np.uint8), transparency=(7, 7, 7))
    assert read(tmp_path / "key.png", 3).max() == 0


TURNS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_orientation_of_exif(tmp_path, suffix):
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:8, :16], stored[8:, 16:] = 255, 120
    for number, turn in TURNS.items():
        exif = Image.Exif()
        exif[274] = number
        save(tmp_path / f"a{suffix}", stored, exif=exif, quality=95)
        shown = turn(stored)
        got = read(tmp_path / f"a{suffix}", 3, *shown.shape[:2])
        assert np.abs(got.astype(int) - shown).mean() < 4, number
    save(tmp_path / "deep.png", RAMP, exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "deep.png")[..., 0], np.rot90(EXACT))


def test_opencv_agrees_on_orientation(tmp_path):
    cv2 = pytest.importorskip("cv2")
    stored = media.moving(0, 1, 16, 32)[0]
    for number in TURNS:
        exif = Image.Exif()
        exif[274] = number
        save(tmp_path / "a.jpg", stored, exif=exif, quality=98)
        theirs = cv2.imread(str(tmp_path / "a.jpg"))[..., ::-1]
        assert np.abs(read(tmp_path / "a.jpg", 3, *theirs.shape[:2]).astype(int) - theirs).mean() < 2


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp", ".ppm"])
@pytest.mark.parametrize("kept", [0, 0.4, 0.97])
def test_cut_pictures_are_bad(tmp_path, suffix, kept):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    media.write_pictures(tmp_path / "p", pictures, suffix)
    bad = tmp_path / "p" / f"frame1{suffix}"
    bad.write_bytes(bad.read_bytes()[: int(bad.stat().st_size * kept)])
    with pytest.raises(clips.ClipError, match=f"frame1{suffix}: (cut short|not a picture|the file is empty)"):
        read(tmp_path / "p", 3)


@pytest.mark.parametrize("side", [5000, 11_000, 20_000])
def test_huge_pictures_are_not_decoded(tmp_path, side, recwarn):
    """Few bytes that unpack to gigabytes; also with limits above Pillow's own."""
    header_only = media.png(side, side, 1, 0, b"\0")
    (tmp_path / "a.png").write_bytes(header_only)
    with pytest.raises(clips.ClipError, match=r"a.png: (frames of \d+x\d+ pixels|the picture is too large)"):
        read(tmp_path / "a.png")
    if side == 20_000:
        with pytest.raises(clips.ClipError, match="a.png: the picture is too large"):
            read(tmp_path / "a.png", max_pixels=1 << 40)
    assert not recwarn.list


def test_animated_png_among_pictures(tmp_path):
    frames = media.moving(0, 3, 16, 16)
    media.write_animation(tmp_path / "a.apng", frames)
    (tmp_path / "a.apng").rename(tmp_path / "a.png")
    with pytest.raises(clips.ClipError, match="a.png: holds 3 frames; expected one .*suffix .apng"):
        read(tmp_path / "a.png")


def test_other_formats_behind_a_picture_s_name_are_not_opened(tmp_path):
    """Pillow would run Ghostscript for PostScript."""
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n")
    with pytest.raises(clips.ClipError, match="a.png: not a picture"):
        read(tmp_path / "a.png")
