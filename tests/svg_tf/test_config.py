import dataclasses

import pytest

from svg_tf import config, presets
from svg_tf.config import DataConfig, ExperimentConfig, ModelConfig, TrainConfig


@pytest.mark.parametrize("name", presets.names())
def test_presets_survive_json(name):
    experiment = presets.get(name)
    assert config.from_json(ExperimentConfig, config.to_json(experiment)) == experiment


def test_presets_hold_the_papers_settings():
    smmnist, kth, bair = (presets.get(n) for n in ("smmnist_lp", "kth_lp", "bair_lp"))
    assert (smmnist.model.backbone, smmnist.model.z_dim, smmnist.model.beta, smmnist.model.n_past) == ("dcgan", 10, 1e-4, 5)
    assert (kth.model.backbone, kth.model.z_dim, kth.model.beta, kth.model.n_past) == ("vgg", 32, 1e-6, 10)
    assert (bair.model.backbone, bair.model.z_dim, bair.model.beta, bair.model.n_past) == ("vgg", 64, 1e-4, 2)
    assert bair.model.channels == 3
    for experiment in (smmnist, kth, bair):
        assert (experiment.data.batch_size, experiment.data.n_future, experiment.model.g_dim) == (100, 10, 128)
        t = experiment.train
        assert (t.epochs, t.steps_per_epoch, t.learning_rate, t.adam_epsilon) == (300, 600, 2e-3, 1e-8)
    assert presets.get("smmnist_fp").model.prior == "fixed"
    assert presets.get("smmnist_det").model.prior == "none"


def test_unknown_preset_lists_those_that_exist():
    with pytest.raises(ValueError, match="smnist_lp.*smmnist_lp"):
        presets.get("smnist_lp")


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (ModelConfig, {"backbone": "resnet"}, "backbone must be one of"),
        (ModelConfig, {"image_size": 48}, r"\(32, 64, 128\), got 48"),
        (ModelConfig, {"backbone": "vgg", "image_size": 32}, r"\(64, 128\), got 32"),
        (ModelConfig, {"z_dim": 0}, "z_dim must be at least 1, got 0"),
        (ModelConfig, {"beta": -1.0}, "beta must not be negative"),
        (ModelConfig, {"prior": "gaussian"}, "prior must be one of"),
        (ModelConfig, {"skips": "second_last_context", "n_past": 1}, "n_past >= 2"),
        (DataConfig, {"batch_size": 0}, "batch_size must be at least 1"),
        (TrainConfig, {"learning_rate": 0.0}, "learning_rate must be positive"),
        (TrainConfig, {"seed": -1}, "seed must be in"),
    ],
)
def test_values_out_of_range(cls, values, message):
    with pytest.raises(ValueError, match=message):
        cls(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"zdim": 3}}, r"Unknown field\(s\) \['zdim'\] in model"),
        ({"model": {"z_dim": "three"}}, "model.z_dim must be int"),
        ({"train": {"deterministic": 1}}, "train.deterministic must be bool"),
        ({"model": 3}, "model must be a mapping"),
    ],
)
def test_wrong_dictionaries(values, message):
    with pytest.raises(ValueError, match=message):
        config.from_dict(ExperimentConfig, values)


def test_malformed_json():
    with pytest.raises(ValueError, match="Not a ModelConfig in JSON"):
        config.from_json(ModelConfig, "{")


def test_differences_name_each_field():
    a = ExperimentConfig()
    b = dataclasses.replace(a, model=dataclasses.replace(a.model, beta=0.5))
    assert config.differences(a, b) == ["model.beta: 0.0001 -> 0.5"]
    assert config.differences(a, a) == []
