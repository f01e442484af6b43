"""Hashes of clips: kept, compared, and refused where they are another's."""

import numpy as np
import pytest

from data_pipelines import identities


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "dataset_info.json").write_text("{}")
    return tmp_path


def test_round_trip_and_exact_comparison(folder):
    clips = np.zeros(3, identities.DTYPE)
    contents = [b"\0" * 15 + b"\1", b"\1" + b"\0" * 15, b"\1" + b"\0" * 15]  # zeros at either end
    for row, content in enumerate(contents):
        clips[row]["content"], clips[row]["clip_id"] = np.void(content), identities.hash_text(str(row).encode())
    identities.save(folder, "train", clips)
    found = identities.load(folder, "train", 3)
    np.testing.assert_array_equal(found, clips)
    assert len(np.unique(identities.keys(found, "content"))) == 2 and len(np.unique(identities.keys(found, "clip_id"))) == 3
    with pytest.raises(ValueError, match="must hold 4 clips, got 3. Make the statistics again"):
        identities.load(folder, "train", 4)
    with pytest.raises(ValueError, match="identities-test.npy cannot be read.*Make the statistics again"):
        identities.load(folder, "test", 3)


def test_a_hash_is_the_same_everywhere():
    assert identities.hash_text(b"person01") == 7235670644911580965  # as written by version 1
    assert identities.hash_text(b"") != identities.NONE
