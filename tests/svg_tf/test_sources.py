"""Sources: what is asked of the data layer, and what is known of the data."""

import dataclasses

import pytest

from svg_tf import presets, sources


def test_generated_and_prepared_data():
    digits, kth = sources.of(presets.get("smmnist_mini")), sources.of(presets.get("kth_lp"))
    assert (digits.name, digits.sized, kth.name, kth.sized) == ("moving_mnist", False, "kth", True)
    assert digits.options["canvas"] == 32 and digits.options["num_digits"] == 1 and "canvas" not in kth.options
    assert digits.description == "Moving MNIST (stochastic, variant reference), 1 digit(s) of MNIST"
    assert "collisions" in digits.states and kth.states == ()
    assert digits.max_speed == 2
    assert digits.selection(8, True) == {"num_sequences": 8, "moving": True}
    assert kth.selection(8, random_windows=7) == {"random_windows": 7} and kth.selection(8) == {}
    fixed = sources.of(sources.at(presets.get("smmnist_mini"), "moving_mnist/srvp"))
    assert fixed.sized and fixed.options == {"data_dir": None}


def test_what_a_source_cannot_do_is_refused():
    with pytest.raises(ValueError, match="--random-windows is for prepared"):
        sources.of(presets.get("smmnist_mini")).selection(random_windows=3)
    with pytest.raises(ValueError, match="--moving is for generated"):
        sources.of(presets.get("kth_lp")).selection(moving=True)
    for place in ({"data_dir": "hdfs://bucket"}, {"digits_dir": "s3://bucket"}):
        with pytest.raises(ValueError, match="is not supported"):
            sources.at(presets.get("smmnist_mini"), **place)


def test_data_moves_and_loses_its_folders():
    experiment = presets.get("smmnist_mini")
    moved = sources.at(experiment, data_dir="a", digits_dir="b")
    assert (moved.data.data_dir, moved.data.moving_mnist.digits_dir) == ("a", "b")
    assert sources.at(moved) == moved
    assert sources.without_folders(moved) == experiment
    assert dataclasses.replace(moved, data=experiment.data) == experiment
