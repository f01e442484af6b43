"""ExampleGen for KTH: ranges, splits, bad sources; the real clips where they are at hand."""

import dataclasses
import os
import pathlib

import clip_files
import numpy as np
import pytest
from PIL import Image

from data_pipelines.clip_storage import decode_clip
from data_pipelines.example_gen import base, kth
from data_pipelines.example_gen.jobs import kth as jobs
from tests.data_pipelines import media

TRAIN, TEST = "person01_boxing_d1", "person21_walking_d2"


def builder(source, out, *, size=24, ranges="sequences", **options):
    options = base.BuildOptions(source=os.fspath(source), **options)
    return kth.Kth(config=kth.KthConfig.of(size, ranges), data_dir=os.fspath(out), options=options)


def gray(seed, frames):
    return media.moving(seed, frames, 24, 24, 1)


@pytest.fixture
def source(tmp_path):
    """A small source with what the genuine file has: explanations, CRLF, overlaps, *missing*, clips that are absent."""
    sequences = (
        "Explanations, e.g. that frames are counted from 1.\r\n\r\n"
        f"{TRAIN}\t\tframes\t1-5, 4-9, 10-12\r\n{TEST}  frames 2-6\r\n"
        "person13_handclapping_d3\t\t*missing*\r\nperson02_running_d4\tframes\t1-20,21-30\r\n\r\n"
    )
    return clip_files.write_kth(tmp_path / "kth", {TRAIN: gray(0, 12), TEST: gray(1, 8)}, sequences)


def test_ranges_become_records(source, tmp_path):
    build = builder(source, tmp_path / "out")
    splits = clip_files.parsed(base.build(build))
    assert build.notes == [
        "2 clips found; listed in 00sequences.txt but not in the folder: 1; marked *missing*: 1; found but not listed "
        "(left out): 0"
    ]
    by_id = {example["clip_id"].decode(): example for example in splits["train"]}
    assert sorted(by_id) == [f"{TRAIN}/{r}" for r in ("1-5", "10-12", "4-9")]
    for first, last in ((1, 5), (4, 9), (10, 12)):
        example = by_id[f"{TRAIN}/{first}-{last}"]
        np.testing.assert_array_equal(decode_clip(example), gray(0, 12)[first - 1 : last])  # lossless, same size: bit-equal
        assert example["first_frame"] == first - 1 and example["num_frames"] == last - first + 1
        assert (example["group"], example["action"], example["scenario"]) == (b"person01", b"boxing", b"d1")
        assert example["source"] == f"{TRAIN}_uncomp.avi".encode()
    (example,) = splits["test"]
    np.testing.assert_array_equal(decode_clip(example), gray(1, 8)[1:6])



def test_frames_of_any_height_and_width(source, tmp_path):
    """24x24 clips squashed to 16x32: as Pillow squashes them; a square given as a pair is the square."""
    build = builder(source, tmp_path / "out", size=(16, 32))
    assert kth.KthConfig.of((120, 160), "all").name == "120x160_all"
    assert kth.KthConfig.of((64, 64)) == kth.KthConfig.of(64)
    examples = clip_files.parsed(base.build(build))["test"]
    assert build.data_dir.endswith("kth/16x32/1.0.0")
    frames = decode_clip(examples[0])
    wanted = [Image.fromarray(frame[..., 0]).resize((32, 16), Image.Resampling.BILINEAR) for frame in gray(1, 8)[1:6]]
    assert frames.shape == (5, 16, 32, 1)
    np.testing.assert_allclose(frames[..., 0].astype(int), np.stack([np.asarray(p, int) for p in wanted]), atol=2)
    with pytest.raises(ValueError, match=r"width of size must be an integer in \[8, 512\], got 1024"):
        kth.KthConfig.of((64, 1024))


def test_whole_clips_without_the_list(source, tmp_path):
    (source / "00sequences.txt").unlink()
    splits = clip_files.parsed(base.build(builder(source, tmp_path / "out", ranges="all")))
    assert {name: [int(e["num_frames"]) for e in split] for name, split in splits.items()} == {"train": [12], "test": [8]}


def test_a_rebuilt_data_set_has_equal_records(source, tmp_path):
    first, second = (base.build(builder(source, tmp_path / out)) for out in ("a", "b"))
    clip_files.same_records(first, second)
    with pytest.raises(ValueError, match="already built.*--overwrite"):
        base.build(builder(source, tmp_path / "a"))
    clip_files.same_records(base.build(builder(source, tmp_path / "a"), overwrite=True), second)


def test_names_of_configurations():
    assert [c.name for c in kth.Kth.BUILDER_CONFIGS] == ["64", "64_all", "128", "128_all"]
    for arguments, message in (({"size": 4}, "an integer in .8, 512"), ({"ranges": "some"}, "ranges must be one of")):
        with pytest.raises(ValueError, match=message):
            kth.KthConfig.of(**arguments)
    with pytest.raises(ValueError, match="has other values"):
        kth.Kth(config=kth.KthConfig(name="64", size=32), data_dir="unused")


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "00sequences.txt is missing. Put the data set's own .* or build with --ranges all"),
        ("", "lists no clip"),
        ("a recipe for soup\n", "lists no clip"),
        (f"{TRAIN} frames 1-5, 6\n", "line 1.*expected 'frames' and ranges"),
        (f"\n{TRAIN} 1-5\n", "line 2.*expected 'frames' and ranges"),
        (f"{TRAIN} frames\n", "expected 'frames' and ranges"),
        (f"{TRAIN} frames 5-1\n", "one-based ranges"),
        (f"{TRAIN} frames 0-4\n", "one-based ranges"),
        (f"{TRAIN} frames 1-4\n{TRAIN} frames 1-4\n", "line 2.*second time"),
    ],
)
def test_missing_or_malformed_list(source, tmp_path, text, message):
    (source / "00sequences.txt").unlink()
    if text is not None:
        (source / "00sequences.txt").write_text(text)
    with pytest.raises(ValueError, match=f"(?s)00sequences.txt.*{message}|{message}"):
        base.build(builder(source, tmp_path / "out"))
    clip_files.nothing_built(tmp_path / "out")


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-1200])


def as_text(path):
    path.write_text("This is no video.\n" * 200)


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "damage, message",
    [
        (as_text, "not a video that can be decoded"),
        (emptied, "the file is empty"),
        (lambda path: media.write_video(path, gray(0, 7), "ffv1", "gray"), "asks for frames 4-9, the clip has 7"),
        (
            lambda path: media.write_videos(path, [media.moving(0, 9), media.moving(1, 9, 48, 64)]),
            "frame 9 has 64x48 pixels, the first one 32x24; expected one size",
        ),
    ],
)
def test_a_bad_clip_is_named_and_may_be_left_out(source, tmp_path, damage, message):
    media.write_video(source / "person02_running_d4_uncomp.avi", gray(3, 30), "ffv1", "gray")
    damage(source / f"{TRAIN}_uncomp.avi")
    with pytest.raises(base.ClipError, match=f"(?s){TRAIN}_uncomp.avi.*{message}.*--max-bad-clips"):
        base.build(builder(source, tmp_path / "out"))
    clip_files.nothing_built(tmp_path / "out")
    build = builder(source, tmp_path / "out", max_bad_clips=1)
    path = pathlib.Path(base.build(build))
    listed = (path / "skipped-train.json").read_text()
    assert f"{TRAIN}_uncomp.avi" in listed and any(TRAIN in note for note in build.notes)
    assert len(clip_files.parsed(path)["train"]) == 2


def test_a_split_whose_clips_are_all_bad(source, tmp_path):
    as_text(source / f"{TRAIN}_uncomp.avi")
    with pytest.raises(base.ClipError, match="'train' has no usable clip; all 1 are bad, the first: .*not a video"):
        base.build(builder(source, tmp_path / "out", max_bad_clips=9))
    clip_files.nothing_built(tmp_path / "out")


def test_single_frames_and_limits(source, tmp_path):
    for text, options, message in (
        (f"{TRAIN} frames 3-3\n", {}, "frames 3-3 are a single frame"),
        (f"{TRAIN} frames 1-12\n", {"max_frames": 11}, "more than 11 frames .option --max-frames"),
        (f"{TRAIN} frames 1-12\n", {"max_pixels": 500}, "24x24 pixels; expected 1 to 500 pixels .*--max-pixels"),
    ):
        (source / "00sequences.txt").write_text(text)
        with pytest.raises(base.ClipError, match=f"{TRAIN}.*{message}"):
            base.build(builder(source, tmp_path / "out", **options))
    with pytest.raises(ValueError, match="max_frames must be an integer of at least 1"):
        builder(source, tmp_path / "out", max_frames=0)


def test_a_very_long_clip_is_refused_before_it_fills_the_memory(source, monkeypatch):
    monkeypatch.setattr(jobs, "MAX_CLIP_BYTES", 24 * 24 * 10)
    job = builder(source, "unused").plan().jobs["train"][0]
    with pytest.raises(base.ClipError, match="more than 10 frames"):
        list(kth.read_kth_clip(dataclasses.replace(job, max_frames=10**6)))


def test_bad_folders(source, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder, message in (
        (empty, "holds no .avi file; expected the KTH clips as they are published"),
        (tmp_path / "absent", "which is not there"),
        (source / "00sequences.txt", "which is a file"),
        ("", "needs the folder of the original files"),
    ):
        with pytest.raises(ValueError, match=message):
            base.build(builder(folder, tmp_path / "out"))
    media.write_video(source / "copy" / f"{TRAIN}_uncomp.avi", gray(0, 12), "ffv1", "gray")
    with pytest.raises(ValueError, match="the same clip is also there"):
        base.build(builder(source, tmp_path / "out"))
    media.write_video(empty / "holiday.avi", gray(0, 4), "ffv1", "gray")
    with pytest.raises(ValueError, match="holiday.avi: not a KTH clip"):
        base.build(builder(empty, tmp_path / "out"))
    clip_files.nothing_built(tmp_path)


def test_another_form_of_the_data_set_is_named(tmp_path):
    """KTH as MP4 or as pictures: what was found, what is wanted, what to do."""
    for suffix in (".mp4", ".png"):
        folder = tmp_path / suffix[1:] / "boxing"
        folder.mkdir(parents=True)
        for i in range(3):
            (folder / f"person01_boxing_d{i + 1}{suffix}").write_bytes(b"x")
        found = rf"no .avi file.*video_folder; found: 3 of the kind {suffix} \(e.g. boxing/person01_boxing_d1{suffix}\)"
        with pytest.raises(ValueError, match=found):
            base.build(builder(tmp_path / suffix[1:], tmp_path / "out"))
    clip_files.nothing_built(tmp_path)


def test_what_file_managers_leave_is_no_clip(source, tmp_path):
    (source / "__MACOSX").mkdir()
    for name in (f"._{TRAIN}_uncomp.avi", f"__MACOSX/._{TRAIN}_uncomp.avi", "Thumbs.db", f".{TRAIN}_uncomp.avi"):
        (source / name).write_bytes(b"Mac OS X")
    build = builder(source, tmp_path / "out")
    assert len(clip_files.parsed(base.build(build))["train"]) == 3
    name = f"{TRAIN}_uncomp.avi"
    assert build.notes[1] == f"left out: 3 files of a file manager (e.g. ._{name}); 1 hidden (e.g. .{name})"


def test_a_clip_cut_to_70_percent_is_bad(source, tmp_path):
    path = source / f"{TRAIN}_uncomp.avi"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
    with pytest.raises(base.ClipError, match=f"{TRAIN}_uncomp.avi: cut short"):
        base.build(builder(source, tmp_path / "out", ranges="all"))


@pytest.fixture(scope="module")
def real(shared_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("real")
    options = base.BuildOptions(source=str(shared_data / "kth"))
    return shared_data / "kth", base.build(kth.Kth(config="64", data_dir=os.fspath(out), options=options))


def test_real_list(shared_data):
    sequences = kth.read_sequences(shared_data / "kth" / "00sequences.txt")
    assert sum(map(len, sequences.values())) == 2391
    assert len(sequences) == 600 and [clip for clip, ranges in sequences.items() if not ranges] == ["person13_handclapping_d3"]


def test_real_frame_counts_and_splits(real):
    source, path = real
    sequences = kth.read_sequences(source / "00sequences.txt")
    splits = clip_files.parsed(path)
    clips = {file.name.removesuffix("_uncomp.avi") for file in source.glob("*.avi")}
    expected = {f"{clip}/{a}-{b}": b - a + 1 for clip in clips for a, b in sequences[clip]}
    found = {e["clip_id"].decode(): int(e["num_frames"]) for split in splits.values() for e in split}
    assert found == expected and len(found) == 56
    assert {e["group"] for e in splits["test"]} == {b"person21", b"person23"}


def test_real_frames_against_a_second_decoder(real):
    """OpenCV's build of FFmpeg decodes and scales with code of its own: pixels agree but for the filters' rounding."""
    cv2 = pytest.importorskip("cv2")
    source, path = real
    checked = 0
    for example in clip_files.parsed(path)["test"] + clip_files.parsed(path)["train"][:6]:
        capture = cv2.VideoCapture(str(source / example["source"].decode()))
        frames = []
        while (got := capture.read())[0]:
            frames.append(cv2.cvtColor(got[1], cv2.COLOR_BGR2GRAY))
        frames = frames[int(example["first_frame"]) :][: int(example["num_frames"])]
        ours = decode_clip(example)[..., 0].astype(float)
        assert len(frames) == len(ours)
        theirs = np.stack([cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA) for frame in frames]).astype(float)
        assert np.abs(ours - theirs).mean() < 2
        lags = {k: np.abs(ours[2:-2] - theirs[2 + k : len(theirs) - 2 + k]).mean() for k in (-2, -1, 0, 1, 2)}
        assert min(lags, key=lags.get) == 0  # no frame is lost, repeated or shifted
        checked += len(ours)
    assert checked > 800
