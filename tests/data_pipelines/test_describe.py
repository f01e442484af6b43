"""What a data set holds, in lines and as a picture."""

import pathlib

import numpy as np
import pytest
import tiny_data
from PIL import Image

from data_pipelines import catalogue, describe


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    jobs = {"train": [("a0", tiny_data.noise(0, 70), {}), ("a1", tiny_data.noise(1, 5), {})], "test": tiny_data.clips("b", 2)}
    tiny_data.build(folder, jobs)
    return catalogue.find("tiny", folder)


def test_lines(entry):
    lines = describe.describe(entry)
    assert "frames: 8x8x1 uint8, in zlib chunks of 4" in lines and "of each frame: actions, collisions" in lines
    assert any(line.startswith("train: 2 clips, 75 frames; lengths 5 to 70, median 37; 1 shard(s)") for line in lines)
    assert "of each clip: clip_id, digit_ids, first_frame, group, label, num_frames, source" in lines
    assert lines[-1] == "license: None."


def test_preview(entry, tmp_path):
    describe.preview(entry, tmp_path / "new" / "a.gif", clips=2, max_frames=60, scale=3)
    with Image.open(tmp_path / "new" / "a.gif") as picture:
        assert picture.n_frames == 60 and picture.size == (48, 24)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.gif"]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"path": "a.png"}, "must be a .gif file, got 'a.png'"),
        ({"clips": 0}, "clips must be an integer in .1, 64., got 0"),
        ({"clips": 65}, "clips must be"),
        ({"max_frames": 0}, "max_frames must be"),
        ({"scale": 1.5}, "scale must be"),
    ],
)
def test_bad_preview(entry, tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        describe.preview(entry, **{"path": "a.gif"} | change)
    monkeypatch.setattr(describe, "_MAX_PREVIEW_BYTES", 10_000)
    with pytest.raises(ValueError, match="A preview of 8 clips would take 0.0 GB; take fewer clips"):
        describe.preview(entry, "a.gif")
    assert not list(tmp_path.iterdir())


def test_empty_splits(tmp_path):
    folder = tiny_data.build(tmp_path, {"train": tiny_data.clips("a", 2), "test": tiny_data.clips("b", 2)})
    entry = catalogue.find("tiny", tmp_path)
    tiny_data.make_empty(folder, "train")
    assert "train: no clips" in describe.describe(entry)
    describe.preview(entry, tmp_path / "a.gif", clips=2)
    with Image.open(tmp_path / "a.gif") as picture:
        assert np.asarray(picture.convert("L")).shape == (16, 32)  # of the test split
    tiny_data.make_empty(folder, "test")
    with pytest.raises(ValueError, match="tiny has no clips to show"):
        describe.preview(entry, tmp_path / "b.gif")
    assert not pathlib.Path(tmp_path / "b.gif").exists()
