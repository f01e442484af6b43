"""What is found below a folder, in which split, and what is left out and counted."""

import os

import pytest

from data_pipelines import clips
from data_pipelines.clips import kinds, sources
from tests.data_pipelines import media


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def survey(root):
    found = sources.survey(root)
    return {clip.name: clip.split for clip in found.clips}, found.left_out


def test_every_kind_of_clip(tmp_path):
    names = [f"deep/er/{i}{suffix.upper() if i % 2 else suffix}" for i, suffix in enumerate(sorted(kinds.VIDEO_SUFFIXES))]
    touch(tmp_path, *names, "a.gif", "b.apng")
    for i, suffix in enumerate(sorted(kinds.PICTURE_SUFFIXES)):
        media.write_pictures(tmp_path / f"p{i}", media.moving(0, 2), suffix)
    media.write_animation(tmp_path / "c.webp", media.moving(0, 2))
    media.write_animation(tmp_path / "d.tif", media.moving(0, 2))
    found, left_out = survey(tmp_path)
    folders = {f"p{i}" for i in range(len(kinds.PICTURE_SUFFIXES))}
    assert set(found) == {*names, "a.gif", "b.apng", "c.webp", "d.tif"} | folders and set(found.values()) == {None}
    assert left_out == ""


def test_what_is_left_out_is_counted_by_kind_with_an_example(tmp_path):
    touch(tmp_path, "a.mp4", "notes.txt", "x/y.txt", "data.npz", "README", ".secret.mp4", ".cache/b.mp4", "._a.mp4", "Thumbs.db",
          "__MACOSX/a.mp4", "x/.DS_Store", "posters/a.jpg", "a.jpg", "b.jpg")  # fmt: skip
    os.mkfifo(tmp_path / "pipe.mp4")
    found, left_out = survey(tmp_path)
    assert set(found) == {"a.mp4"}
    assert left_out == (
        "left out: 4 files of a file manager (e.g. ._a.mp4); 2 hidden (e.g. .cache); "
        "1 neither files nor folders (e.g. pipe.mp4); 1 of the kind .npz (e.g. data.npz); "
        "2 of the kind .txt (e.g. notes.txt); 1 of the kind without a suffix (e.g. README); "
        "2 pictures beside videos (e.g. a.jpg); 1 single pictures (e.g. posters/a.jpg)"
    )


@pytest.mark.parametrize("split, spellings", [
    ("train", "train training Train TRAINING trn train_set trainset train-data"),
    ("validation", "validation val valid Validate dev val_set validation-videos"),
    ("test", "test testing Test tst eval evaluation holdout held_out test_data tests"),
    (None, "trainer contest testimony value developer training_dogs retrain attest va"),
])  # fmt: skip
def test_spellings(split, spellings):
    assert {name: sources.split_of(name) for name in spellings.split()} == dict.fromkeys(spellings.split(), split)


def test_splits_by_folder_and_what_is_outside(tmp_path):
    touch(tmp_path, "Train/a.mp4", "training/b.mp4", "val/c.mp4", "valid/d.mp4")
    touch(tmp_path, "testing/test/e.mp4", "eval/train/f.mp4", "g.mp4")
    found, left_out = survey(tmp_path)
    assert found == {
        "Train/a.mp4": "train", "training/b.mp4": "train", "val/c.mp4": "validation", "valid/d.mp4": "validation",
        "testing/test/e.mp4": "test", "eval/train/f.mp4": "test",
    }  # fmt: skip
    assert left_out == "left out: 1 clips outside of the splits' folders (e.g. g.mp4)"
    assert sources.survey(tmp_path).spelled == {
        "train": ["Train", "training"], "validation": ["val", "valid"], "test": ["eval", "testing"]
    }  # fmt: skip


def test_splits_below_other_folders_and_without_train(tmp_path):
    """Never a hash where a folder says test: its clips would land among the training ones."""
    touch(tmp_path, "data/v1/train/a.mp4", "data/v1/test/b.mp4")
    assert survey(tmp_path)[0] == {"data/v1/train/a.mp4": "train", "data/v1/test/b.mp4": "test"}
    (tmp_path / "data/v1/train").rename(tmp_path / "data/v1/walking")
    assert survey(tmp_path)[0] == {"data/v1/walking/a.mp4": None, "data/v1/test/b.mp4": "test"}


def test_pictures_directly_in_the_source_or_in_a_split(tmp_path):
    touch(tmp_path / "frames", "0.png", "1.png")
    assert survey(tmp_path / "frames") == ({"frames": None}, "")
    touch(tmp_path / "two", "train/0.png", "train/1.png", "test/0.png", "test/1.png")
    assert survey(tmp_path / "two") == ({"train": "train", "test": "test"}, "")
    touch(tmp_path / "three", "0.png", "1.png", "clips/a.mp4")
    assert survey(tmp_path / "three") == ({"clips/a.mp4": None}, "left out: 2 pictures beside the folders of clips (e.g. 0.png)")
    touch(tmp_path / "four", "train/0.png", "train/1.png", "train/a/0.png", "train/a/1.png", "train/b/0.png")
    assert survey(tmp_path / "four") == (
        {"train/a": "train"},
        "left out: 2 pictures beside the folders of clips (e.g. train/0.png); 1 single pictures (e.g. train/b/0.png)",
    )


def test_links(tmp_path):
    """Inside: taken, once. Out of the source, into nothing, in a circle: counted."""
    source = tmp_path / "source"
    touch(tmp_path, "outside/secret.mp4", "source/pool/a.mp4", "source/pool/frames/0.png", "source/pool/frames/1.png")
    (source / "out.mp4").symlink_to(tmp_path / "outside" / "secret.mp4")
    (source / "outer").symlink_to(tmp_path / "outside")
    (source / "broken.mp4").symlink_to(tmp_path / "none.mp4")
    (source / "circle.mp4").symlink_to(source / "circle.mp4")
    (source / "pool" / "loop").symlink_to(source)
    (source / "b.mp4").symlink_to("pool/a.mp4")
    found, left_out = survey(source)
    assert found == {"pool/a.mp4": None, "pool/frames": None}
    assert "2 links that lead out of the source (copy the files, or give their folder) (e.g. out.mp4)" in left_out
    assert "2 links that lead nowhere (e.g. broken.mp4)" in left_out
    assert "1 links to files that are taken already (e.g. b.mp4)" in left_out
    assert "1 links to folders that are taken already (e.g. pool/loop)" in left_out


def test_splits_made_of_links_to_a_pool(tmp_path):
    touch(tmp_path, "pool/a.mp4", "pool/b.mp4", "pool/c.mp4", "pool/frames/0.png", "pool/frames/1.png")
    for split, name in (("train", "a.mp4"), ("train", "frames"), ("test", "b.mp4")):
        (tmp_path / split).mkdir(exist_ok=True)
        (tmp_path / split / name).symlink_to(tmp_path / "pool" / name)
    found, left_out = survey(tmp_path)
    assert found == {"train/a.mp4": "train", "train/frames": "train", "test/b.mp4": "test"}
    assert "4 clips outside of the splits' folders" in left_out
    (tmp_path / "test" / "copy.mp4").symlink_to(tmp_path / "pool" / "a.mp4")
    with pytest.raises(ValueError, match="train/a.mp4 and test/copy.mp4 are one file in two splits .train and test."):
        survey(tmp_path)


def test_a_source_that_is_a_link(tmp_path):
    touch(tmp_path, "real/a.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert survey(tmp_path / "link") == ({"a.mp4": None}, "")


def test_names_of_other_scripts_and_bytes(tmp_path):
    """Names are text that can be stored and hashed; digits that `int` does not read are letters."""
    for name in ("5²1.png", "5²10.png", "５.png", "٣.png", os.fsdecode(b"\xff1.png")):
        media.write_pictures(tmp_path / "x", media.moving(0, 1)) if not (tmp_path / "x").exists() else None
        (tmp_path / "x" / name).write_bytes((tmp_path / "x" / "frame0.png").read_bytes())
    touch(tmp_path, os.fsdecode(b"caf\xe9.mp4"))
    assert set(survey(tmp_path)[0]) == {"x", "caf\\xe9.mp4"}
    assert len(list(clips.read_clip(tmp_path / "x", clips.Wanted(8, 8, 1)))) == 6


@pytest.mark.parametrize("suffix", [".webp", ".tif"])
def test_cut_animations_are_not_left_out_as_pictures(tmp_path, suffix):
    """They are clips, so that the build names them; but a cut frame among frames stays one."""
    for name in ("alone/a", "films/a", "films/b"):
        media.write_animation(tmp_path / (name + suffix), media.moving(0, 6, 16, 16))
    media.write_pictures(tmp_path / "frames", media.moving(0, 3, 16, 16), suffix)
    for name in ("alone/a", "films/b", "frames/frame1"):
        file = tmp_path / (name + suffix)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    assert survey(tmp_path) == (dict.fromkeys([f"alone/a{suffix}", f"films/a{suffix}", f"films/b{suffix}", "frames"]), "")
    for name in (f"alone/a{suffix}", f"films/b{suffix}", "frames"):
        with pytest.raises(clips.ClipError):
            list(clips.read_clip(tmp_path / name, clips.Wanted(8, 8, 1)))


def test_natural_order():
    names = ["f10.png", "f2.png", "f1.png", "f01.png", "f.png", "5²1.png", "F3.png", "f2a.png", "f2-1.png", "10.png", "9.png"]
    assert sorted(names, key=kinds.natural_key) == [
        "F3.png", "f01.png", "f1.png", "f2-1.png", "f2.png", "f2a.png", "f10.png", "f.png", "5²1.png", "9.png", "10.png"
    ]  # fmt: skip
