"""Clips in and futures out."""

import io
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from data_pipelines import clips as reader
from data_pipelines.clips import arrays
from svg_tf.serving import clips
from tests.data_pipelines import media

SIZE = (32, 32, 1)
FRAMES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 1), np.uint8)


def save_gif(path, frames):
    images = [Image.fromarray(f) for f in frames]
    images[0].save(path, save_all=True, append_images=images[1:], duration=100)


def test_npz_of_uint8_and_floats(tmp_path):
    np.savez(tmp_path / "a.npz", frames=FRAMES)
    np.testing.assert_array_equal(clips.read(tmp_path / "a.npz", SIZE), FRAMES)
    np.testing.assert_array_equal(clips.read(tmp_path / "a.npz", SIZE, n_past=2), FRAMES[:2])
    np.savez(tmp_path / "b.npz", frames=FRAMES.astype(np.float32) / 255)
    np.testing.assert_array_equal(clips.read(tmp_path / "b.npz", SIZE), FRAMES)


def test_gif_and_pictures(tmp_path):
    gray = np.full((4, 40, 80), 0, np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None] * 60
    gray[:, :, :16] = 255  # the crop to a square leaves it out
    save_gif(tmp_path / "a.gif", gray)
    (tmp_path / "folder").mkdir()
    for i, frame in enumerate(gray):
        Image.fromarray(frame).save(tmp_path / "folder" / f"{i}.png")
    for source in ("a.gif", "folder"):
        read = clips.read(tmp_path / source, SIZE)
        assert read.shape == (4, 32, 32, 1) and read.dtype == np.uint8
        np.testing.assert_allclose(read[:, 16, 16, 0], [0, 60, 120, 180], atol=1)
        assert abs(read[1].astype(int) - 60).max() <= 1
        assert clips.read(tmp_path / source, SIZE, fit="squash")[1, 16, 2, 0] == 255
    assert clips.read(tmp_path / "a.gif", (32, 32, 3)).shape == (4, 32, 32, 3)


def test_training_and_prediction_read_alike(tmp_path):
    """A transparent GIF differed by up to 219 of 255: two decoders, two backgrounds."""
    frames = np.zeros((4, 40, 80, 4), np.uint8)
    frames[..., 0], frames[:, 10:30, 20:60, 3] = 200, 255
    media.write_animation(tmp_path / "a.gif", frames, disposal=2)
    media.write_pictures(tmp_path / "folder", frames)
    for name in ("a.gif", "folder"):
        for channels in (1, 3):
            for fit in ("crop", "squash"):
                trained = list(reader.read_clip(tmp_path / name, reader.Wanted(32, 32, channels, fit=fit)))
                np.testing.assert_array_equal(clips.read(tmp_path / name, (32, 32, channels), fit=fit), trained)
    assert clips.read(tmp_path / "a.gif", (32, 32, 3))[0, 0].max() == 0  # black where it is transparent


def test_arrays_pictures_and_other_animations(tmp_path):
    np.save(tmp_path / "a.npy", FRAMES)
    np.testing.assert_array_equal(clips.read(tmp_path / "a.npy", SIZE, n_past=3), FRAMES[:3])
    Image.fromarray(FRAMES[0, ..., 0]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(clips.read(tmp_path / "a.png", SIZE), FRAMES[:1])
    media.write_animation(tmp_path / "a.webp", FRAMES[..., 0], lossless=True)
    np.testing.assert_array_equal(clips.read(tmp_path / "a.webp", SIZE), FRAMES)


def test_a_folder_that_is_no_clip(tmp_path):
    media.write_animation(tmp_path / "b.gif", FRAMES[..., 0])
    with pytest.raises(ValueError, match="holds 1 video.s. .e.g. b.gif.: give the file itself"):
        clips.read(tmp_path, SIZE)
    Image.fromarray(FRAMES[0, ..., 0]).save(tmp_path / "poster.png")
    with pytest.raises(ValueError, match="give the file itself"):
        clips.read(tmp_path, SIZE)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.txt").write_text("")
    with pytest.raises(ValueError, match="holds no frames: expected numbered pictures; it holds 1 other.s., e.g. a.txt"):
        clips.read(tmp_path / "x", SIZE)


def test_the_client_loads_neither_tensorflow_nor_tfds():
    program = "import sys, svg_tf.serving.client, svg_tf.serving.clips; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow", "tensorflow_datasets", "keras", "av"} & set(loaded) and "svg_tf" in loaded


def test_an_address_is_no_file():
    for address in ("s3://bucket/a.gif", pathlib.Path("s3://bucket/a.gif"), "https://host/a.mp4"):
        with pytest.raises(ValueError, match=":// is not supported"):
            clips.read(address, SIZE)


def test_video_written_and_read_again(tmp_path):
    pytest.importorskip("av")
    futures = FRAMES[None, :2].repeat(2, 0)
    path = clips.write(tmp_path / "out.mp4", FRAMES, futures)
    read = clips.read(path, (64, 64, 3))
    assert read.shape == (8, 64, 64, 3)


def test_outputs(tmp_path):
    futures = FRAMES[None, :2].repeat(7, 0)
    with Image.open(clips.write(tmp_path / "out.gif", FRAMES, futures, shown=2)) as picture:
        height = picture.height
        assert picture.n_frames == 8
    with Image.open(clips.write(tmp_path / "all.gif", FRAMES, futures, shown=7)) as picture:
        assert picture.height > 3 * height
    with np.load(clips.write(tmp_path / "out.npz", FRAMES, futures), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["futures"], futures)
        np.testing.assert_array_equal(file["context"], FRAMES)
    with pytest.raises(ValueError, match="written as .gif, .mp4, .npz"):
        clips.write(tmp_path / "out.avi", FRAMES, futures)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.gif", "out.gif", "out.npz"]


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def pickled():
    stream = io.BytesIO()
    np.savez(stream, frames=np.array([{}], dtype=object))
    return stream.getvalue()


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.npz", b"", "must be an .npz with 'frames' uint8"),
        ("a.npz", b"text", "cannot be read"),
        ("a.npz", npz(other=FRAMES), "cannot be read"),
        ("a.npz", pickled(), "Object arrays cannot be loaded"),
        ("a.npz", npz(frames=FRAMES[0]), r"got uint8 of shape \(32, 32, 1\)"),
        ("a.npz", npz(frames=FRAMES[:, :16]), r"got uint8 of shape \(6, 16, 32, 1\)"),
        ("a.npz", npz(frames=FRAMES[:0]), r"got uint8 of shape \(0, 32, 32, 1\)"),
        ("a.npz", npz(frames=FRAMES.astype(int)), "got int64"),
        ("a.npz", npz(frames=FRAMES.astype(np.uint16)), "got uint16"),
        ("a.npz", npz(frames=FRAMES.astype(np.float32)), r"got values in \[0, 255\]"),
        ("a.npz", npz(frames=np.full(FRAMES.shape, np.nan)), r"got values in \[nan"),
        ("a.npz", npz(frames=FRAMES.repeat(50, 0)), "more than 256 frames.*--n-past"),
        ("a.gif", b"", "the file is empty"),
        ("a.gif", b"GIF89a and no more", "a.gif: (cut short|not a picture)"),
        ("a.npy", b"", "must be an .npy of uint8"),
        ("a.npy", npz(frames=FRAMES), "cannot be read"),
        ("a.png", b"text", "a.png: not a picture"),
        ("a.txt", b"text", "must be a folder of pictures or a file of the kinds"),
        ("none.gif", None, "does not exist"),
    ],
)
def test_bad_inputs(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        clips.read(tmp_path / name, SIZE)


def test_an_array_that_unpacks_to_more_than_the_cap_is_not_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", frames=np.zeros_like(FRAMES))
    monkeypatch.setattr(arrays, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="at most 1000 are read"):
        clips.read(tmp_path / "a.npz", SIZE)


def test_too_short_empty_and_damaged(tmp_path):
    np.savez(tmp_path / "a.npz", frames=FRAMES)
    with pytest.raises(ValueError, match="has 6 frames; 7 were asked for"):
        clips.read(tmp_path / "a.npz", SIZE, n_past=7)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no frames"):
        clips.read(tmp_path / "empty", SIZE)
    with pytest.raises(ValueError, match="2 channels: .* must be an .npz"):
        clips.read(tmp_path / "empty", (32, 32, 2))
    pytest.importorskip("av")
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    with pytest.raises(ValueError, match="not a video that can be decoded"):
        clips.read(tmp_path / "a.mp4", SIZE)


def test_the_clip_beside_the_shipped_model():
    read = clips.read(pathlib.Path(__file__).resolve().parents[3] / "saved_models" / "clip.gif", SIZE)
    assert read.shape == (5, 32, 32, 1) and read.max() > 200
    assert all((a != b).any() for a, b in zip(read[:-1], read[1:], strict=True))


def test_real_videos(shared_data):
    pytest.importorskip("av")
    for path in sorted((shared_data / "video").iterdir())[:4]:
        if path.suffix in (".mp4", ".gif"):
            assert clips.read(path, (64, 64, 3), n_past=5).shape == (5, 64, 64, 3)
