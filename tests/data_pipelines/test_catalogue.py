"""Which data sets are there, and which one a name means."""

import json

import pytest

from data_pipelines import catalogue


@pytest.fixture
def folder(tmp_path):
    for place in ("kth/64/1.0.0", "kth/64/1.10.0", "kth/64/1.9.0", "kth/32/1.0.0", "plain/2.0.0", "half/1.0.0", "odd/latest"):
        (tmp_path / place).mkdir(parents=True)
        for name in ("features.json", "dataset_info.json")[: 1 if place.startswith("half") else 2]:
            (tmp_path / place / name).write_text("{}")
    (tmp_path / "kth" / ".config").mkdir()
    (tmp_path / "kth" / ".config" / "metadata.json").write_text(json.dumps({"default_config_name": "64"}))
    return tmp_path


def test_all_whole_ones_in_order(folder):
    found = [(entry.name, entry.version) for entry in catalogue.prepared(folder)]
    assert found == [("kth/32", "1.0.0"), ("kth/64", "1.0.0"), ("kth/64", "1.9.0"), ("kth/64", "1.10.0"), ("plain", "2.0.0")]


@pytest.mark.parametrize(
    "name, path",
    [("kth", "kth/64/1.10.0"), ("kth/32", "kth/32/1.0.0"), ("kth/64:1.9.0", "kth/64/1.9.0"), ("plain", "plain/2.0.0")],
)
def test_find(folder, name, path):
    assert catalogue.find(name, folder).path == str(folder / path)


@pytest.mark.parametrize("name", ["../kth", "kth/..", "kth/../..", "/etc", "kth:1", "kth:١.٠.٠", "", "kth/64:1.0.0/x", "KTH"])
def test_names_that_are_none(folder, name):
    with pytest.raises(ValueError, match="A data set is named"):
        catalogue.find(name, folder)


def test_choices(folder):
    (folder / "kth" / ".config" / "metadata.json").write_text("[]")
    with pytest.raises(ValueError, match="several configurations: kth/32, kth/64"):
        catalogue.find("kth", folder)
    with pytest.raises(ValueError, match="No data set 'half'.*prepared there: kth/32, kth/64, plain"):
        catalogue.find("half", folder)
    with pytest.raises(ValueError, match="s3:// is not supported"):
        catalogue.find("kth", "s3://bucket/data")
    with pytest.raises(ValueError, match="is no folder"):
        catalogue.open_builder(folder / "nowhere")
