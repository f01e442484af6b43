"""What two splits share, found by hashes and named by the records."""

import pytest
import tiny_data

from data_pipelines import catalogue, identities, leakage, statistics_gen


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Seven groups are in both splits, one clip, and no source; no group at all is no leak."""
    train = [(f"a{i}", tiny_data.noise(i), {"group": f"person{i}"}) for i in range(8)]
    test = [(f"b{i}", tiny_data.noise(100 + i), {"group": f"person{i}"}) for i in range(7)]
    train.append(("a8", tiny_data.noise(50), {"group": ""}))
    test.append(("b8", tiny_data.noise(50), {"group": ""}))
    folder = tiny_data.build(tmp_path_factory.mktemp("leaky"), {"test": test, "train": train})
    statistics = statistics_gen.run(folder)
    known = {split.name: identities.load(folder, split.name, split.num_examples) for split in statistics.records.datasets}
    return catalogue.open_builder(folder), known


def test_all_that_is_shared_is_named(found):
    shared = {one.field: one for one in leakage.between_splits(*found)}
    assert sorted(shared) == ["content", "group"]
    assert (shared["group"].first, shared["group"].second) == ("train", "test")
    assert "the same group is in 'train' (7 clips) and in 'test' (7 clips): " in shared["group"].text
    assert shared["group"].text.count("'person") == leakage.MAX_NAMED and "and 2 more" in shared["group"].text
    assert "is in 'train' (1 clips) and in 'test' (1 clips): 'a8' = 'b8'." in shared["content"].text


def test_names_given_twice(found):
    clips = found[1]["train"].copy()
    assert leakage.repeated_names(clips) == 0
    clips["clip_id"][:3] = clips["clip_id"][0]
    assert leakage.repeated_names(clips) == 2
