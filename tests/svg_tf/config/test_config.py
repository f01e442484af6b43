import dataclasses

import pytest

from svg_tf import config, presets
from svg_tf.config import DataConfig, ExperimentConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from svg_tf.config.upgrade import upgraded
from svg_tf.families.srvp.config import SRVPConfig
from svg_tf.families.svg.config import SVGConfig


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
        assert (t.epochs, t.steps_per_epoch, t.optimizer.learning_rate, t.optimizer.epsilon) == (300, 600, 2e-3, 1e-8)
    assert presets.get("smmnist_fp").model.prior == "fixed"
    assert presets.get("smmnist_det").model.prior == "none"


@pytest.mark.parametrize(
    ("name", "sizes", "observation", "steps"),
    [  # y, z, k, n_past, n_euler, skips / nu, beta_z, gain / batch, T train, T test, constant steps, decay
        ("smmnist_srvp", (20, 20, 5, 5, 1, False), (1, 2, 1.41), (128, 15, 25, 1_000_000, 100_000)),
        ("mmnist_srvp", (20, 20, 5, 5, 1, False), (1, 2, 1.41), (128, 15, 100, 800_000, 100_000)),
        ("kth_srvp", (50, 50, 3, 10, 2, True), (0.2, 1, 1.2), (100, 20, 40, 150_000, 50_000)),
        ("h36m_srvp", (50, 50, 3, 8, 2, True), (0.2, 1, 1.2), (100, 16, 53, 325_000, 25_000)),
        ("bair_srvp", (50, 50, 2, 2, 2, True), (0.71, 1, 1.41), (192, 12, 30, 1_000_000, 500_000)),
    ],
)
def test_presets_hold_the_settings_of_srvp(name, sizes, observation, steps):
    experiment = presets.get(name)
    m, d, t = experiment.model, experiment.data, experiment.train
    assert (m.y_dim, m.z_dim, m.k, m.n_past, m.n_euler, m.skips) == sizes
    assert (m.nu, m.beta_z, m.residual_gain) == observation
    decay = t.optimizer.schedule.steps
    assert t.optimizer.schedule.kind == "linear" and t.optimizer.schedule.final == 0
    assert (d.batch_size, m.n_past + d.n_future, m.n_past + experiment.eval.n_future, t.steps - decay, decay) == steps
    assert (m.h_dim, m.w_dim, m.inference_size, m.inference_layers, m.transition_size, m.transition_layers, m.width) == (
        128, 256, 256, 3, 512, 4, 64,
    )  # fmt: skip
    assert (m.beta_y, m.residual_penalty, t.optimizer.learning_rate) == (1, 1, 3e-4)
    assert m.backbone == ("dcgan" if "mmnist" in name else "vgg")


LATE = OptimizerConfig(schedule=ScheduleConfig("linear", steps=601))


def test_unknown_preset_lists_those_that_exist():
    with pytest.raises(ValueError, match="smnist_lp.*smmnist_lp"):
        presets.get("smnist_lp")


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (SVGConfig, {"backbone": "resnet"}, "backbone must be one of"),
        (SVGConfig, {"image_size": 48}, r"\(32, 64, 128\), of a square; got 48"),
        (SVGConfig, {"image_size": (64, 80)}, r"\(32, 64, 128\), of a square; got 64x80"),
        (SVGConfig, {"image_size": (64,)}, r"a pair \(height, width\), got \(64,\)"),
        (SVGConfig, {"image_size": [64, "80"]}, "width of image_size must be an integer of at least 1, got '80'"),
        (SVGConfig, {"backbone": "vgg", "image_size": 32}, r"\(64, 128\), of a square; got 32"),
        (SVGConfig, {"z_dim": 0}, "z_dim must be an integer of at least 1, got 0"),
        (SVGConfig, {"beta": -1.0}, "beta must be a finite number in .0, inf., got -1.0"),
        (SVGConfig, {"prior": "gaussian"}, "prior must be one of"),
        (SVGConfig, {"skips": "second_last_context", "n_past": 1}, "n_past >= 2"),
        (SRVPConfig, {"n_past": 4}, "n_past must be at least k = 5, from which y_1 is inferred; got 4"),
        (SRVPConfig, {"k": 0}, "k must be an integer of at least 1, got 0"),
        (SRVPConfig, {"n_euler": 0}, "n_euler must be an integer of at least 1, got 0"),
        (SRVPConfig, {"n_euler": 1.5}, "n_euler must be int, got 1.5"),
        (
            SRVPConfig,
            {"n_euler": 2, "transition": "mlp"},
            "n_euler must be 1 for transition='mlp', which has no step size; got 2",
        ),
        (SRVPConfig, {"n_euler": 2, "transition": "gru"}, "n_euler must be 1 for transition='gru'"),
        (SRVPConfig, {"transition": "lstm"}, "transition must be one of .*got 'lstm'"),
        (SRVPConfig, {"transition_layers": 1}, "transition_layers must be an integer of at least 2, got 1"),
        (SRVPConfig, {"nu": 0.0}, "nu must be a finite number greater than 0, got 0.0"),
        (SRVPConfig, {"residual_gain": -1.0}, "residual_gain must be a finite number greater than 0, got -1.0"),
        (SRVPConfig, {"beta_z": -1.0}, "beta_z must be a finite number in .0, inf., got -1.0"),
        (SRVPConfig, {"backbone": "vgg", "image_size": 32}, r"\(64, 128\), of a square; got 32"),
        (DataConfig, {"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        (DataConfig, {"frame_stride": True}, "frame_stride must be int, got True"),
        (SVGConfig, {"beta": float("nan")}, "beta must be float, got nan"),
        (OptimizerConfig, {"learning_rate": 0.0}, "learning_rate must be a finite number greater than 0, got 0.0"),
        (OptimizerConfig, {"epsilon_placement": "torch"}, "epsilon_placement must be one of .*got 'torch'"),
        (TrainConfig, {"precision": "float64"}, "precision must be one of .*got 'float64'"),
        (TrainConfig, {"strategy": "mirrored", "jit_compile": True}, "jit_compile needs strategy='single'"),
        (TrainConfig, {"seed": -1}, "seed must be an integer in"),
        (TrainConfig, {"epochs": 1, "optimizer": LATE}, r"optimizer.schedule.steps must be in \[1, 600\], .*got 601"),
        (TrainConfig, {"optimizer": 3}, "optimizer must be a OptimizerConfig, got 3"),
        (TrainConfig, {"optimizers": {"critic": 3}}, "optimizers.critic must be a OptimizerConfig, got 3"),
        (TrainConfig, {"optimizers": {3: OptimizerConfig()}}, "a name in optimizers must be str, got 3"),
        (TrainConfig, {"optimizers": [1]}, "optimizers must be a dict"),
        (OptimizerConfig, {"schedule": "cosine"}, "schedule must be a ScheduleConfig, got 'cosine'"),
        (ExperimentConfig, {"model": 3}, "model must be a ModelConfig, got 3"),
        (ExperimentConfig, {"data": None}, "data must be a DataConfig, got None"),
        (ScheduleConfig, {"steps": 9}, "needs kind 'cosine' or 'linear'"),
        (OptimizerConfig, {"schedule": ScheduleConfig("cosine", 1.0)}, "schedule.final 1.0 must not exceed learning_rate"),
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
        ({"model": {"family": "nobody"}}, r"model.family must be one of \[.*'srvp', .*'svg'.*\], got 'nobody'"),
        ({"model": {"family": "srvp", "g_dim": 8}}, r"Unknown field\(s\) \['g_dim'\] in model"),
        ({"model": {"family": "srvp", "skips": "last_context"}}, "model.skips must be bool"),
        ({"model": {"family": "srvp", "n_euler": 0.5}}, "model.n_euler must be int"),
    ],
)
def test_wrong_dictionaries(values, message):
    with pytest.raises(ValueError, match=message):
        config.from_dict(ExperimentConfig, values)


def test_a_family_is_kept_by_json_and_is_no_choice_of_another():
    model = SRVPConfig(transition="gru", stochastic=False, k=3, nu=0.2)
    experiment = ExperimentConfig(model=model)
    assert config.from_json(ExperimentConfig, config.to_json(experiment)) == experiment
    assert config.from_json(SRVPConfig, config.to_json(model)) == model
    assert config.from_dict(ExperimentConfig, {"model": {"z_dim": 3}}).model == SVGConfig(z_dim=3)  # files of before
    with pytest.raises(ValueError, match="family must be 'svg', got 'srvp'"):
        config.from_json(SVGConfig, config.to_json(model))
    assert "model.family: 'svg' -> 'srvp'" in config.differences(ExperimentConfig(), experiment)


def test_malformed_json():
    for text in ("{", "[" * 100_000, '{"z_dim": ' + "9" * 5000 + "}"):
        with pytest.raises(ValueError, match="Not a SVGConfig in JSON"):
            config.from_json(SVGConfig, text)


def test_differences_name_each_field():
    a = ExperimentConfig()
    b = dataclasses.replace(a, model=dataclasses.replace(a.model, beta=0.5))
    assert config.differences(a, b) == ["model.beta: 0.0001 -> 0.5"]
    assert config.differences(a, a) == []


def test_layers_of_presets_merge_deeply():
    """A second layer that sets one field of `moving_mnist` leaves the others as they are."""
    assert presets.get("mmnist_srvp").data.moving_mnist.variant == "srvp"
    assert config.merge({"a": {"b": 1, "c": {"d": 2}}}, {"a": {"c": {"e": 3}}}) == {"a": {"b": 1, "c": {"d": 2, "e": 3}}}


def test_what_defines_a_run_is_apart_from_how_it_runs_here():
    a = ExperimentConfig()
    here = {"strategy": "mirrored", "keep_checkpoints": 5, "checkpoint_every": 7, "recompute": True, "log_every": 1}
    b = dataclasses.replace(
        a, train=dataclasses.replace(a.train, **here), data=dataclasses.replace(a.data, data_dir="x", moving_mnist=DIGITS)
    )
    assert config.differences(a, b, "definition") == []
    assert len(config.differences(a, b)) == len(here) + 2
    parts = config.to_dict(b, "definition"), config.to_dict(b, "runtime")
    assert config.from_dict(ExperimentConfig, config.merge(*parts)) == b
    assert parts[1]["train"] == {**here, "jit_compile": False, "deterministic": False}
    assert parts[1]["data"]["moving_mnist"] == {"digits_dir": "y"}


DIGITS = dataclasses.replace(ExperimentConfig().data.moving_mnist, digits_dir="y")


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ({"learning_rate": 1e-3}, OptimizerConfig(1e-3, epsilon_placement="keras")),
        (
            {"learning_rate": 2e-3, "final_learning_rate": 1e-4, "clip_norm": 2.0, "adam_epsilon": 1e-7, "adam_beta_1": 0.5},
            OptimizerConfig(
                beta_1=0.5, epsilon=1e-7, epsilon_placement="keras", clip_norm=2.0, schedule=ScheduleConfig("cosine", 1e-4)
            ),
        ),
        (
            {"learning_rate": 3e-4, "linear_decay_steps": 50, "final_learning_rate": 0.0, "clip_norm": 0.0},
            OptimizerConfig(3e-4, epsilon_placement="keras", schedule=ScheduleConfig("linear", steps=50)),
        ),
    ],
)
def test_experiments_of_0_1_0_are_read(train, expected):
    digits = {"num_digits": 1, "max_speed": 0, "digits_dir": "", "variant": "srvp"}
    old = {"model": {"z_dim": 3}, "data": {"data_dir": "", "moving_mnist": digits}, "train": {"epochs": 2, **train}}
    found = config.from_dict(ExperimentConfig, upgraded(old))
    assert found.train.optimizer == expected and found.train.epochs == 2 and found.model.z_dim == 3
    assert (found.data.data_dir, found.data.moving_mnist.max_speed, found.data.moving_mnist.digits_dir) == (None, None, None)
    assert upgraded(config.to_dict(found)) == config.to_dict(found) and upgraded(3) == 3


def test_an_optimizer_of_an_update_by_name():
    train = config.from_dict(TrainConfig, {"optimizers": {"critic": {"learning_rate": 1e-4}}})
    assert train.optimizer_of("critic").learning_rate == 1e-4 and train.optimizer_of("other") == train.optimizer
    with pytest.raises(ValueError, match=r"Unknown field.*'rate'.* in optimizers.critic"):
        config.from_dict(TrainConfig, {"optimizers": {"critic": {"rate": 1}}})
