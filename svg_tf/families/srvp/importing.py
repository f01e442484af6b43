"""Checkpoints of the PyTorch reference of SRVP (Franceschi et al. 2020) -> configuration and weights.

Its program saves a state dict, and beside it the configuration as config.json.
"""

import reprlib
from typing import Any

from data_pipelines import checks
from svg_tf.config import (
    DataConfig,
    EvalConfig,
    ExperimentConfig,
    MovingMNISTConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
)
from svg_tf.families.reference import Converted, Reference
from svg_tf.families.srvp.config import SRVPConfig
from svg_tf.layers import torch_weights
from svg_tf.layers.torch_weights import BackboneNames, Source, Weights

_HIGHEST = 49_999_999  # of counts: the sum of two of them names a checkpoint
_DATA = {"smmnist": "moving_mnist", "kth": "kth/64_all", "human": "video_folder/h36m", "bair": "bair"}
_PREDICTED = {"kth": 30, "human": 45, "bair": 28}
_MNIST_PREDICTED = {False: 20, True: 95}  # by `deterministic`


def _matches(value: Any) -> bool:
    return isinstance(value, dict) and {"q_y.module.0.0.weight", "dynamics.module.0.0.weight"} <= set(value)


def convert(arrays: Weights, options: dict, *, data: str = "") -> Converted:
    """Args:
      arrays: the state dict.
      options: the reference's config.json.
      data: name of the data set here; empty: as the option `dataset` says.

    Sizes come from the arrays; an option that says otherwise raises `ValueError`, as does an array too many or too few.
    """
    source = Source(arrays)
    found = torch_weights.sizes(source, _names)
    inference_layers, layers = (_layers(source, module) for module in ("q_y.module", "dynamics.module"))
    last = _mlp_names("q_y.module", inference_layers)[-1]
    model = SRVPConfig(
        backbone=found.backbone,
        image_size=found.image_size,
        channels=found.channels,
        width=found.width,
        h_dim=found.h_dim,
        y_dim=source.shape(f"{last}.bias", 1)[0] // 2,
        z_dim=source.shape("q_z.bias", 1)[0] // 2,
        w_dim=source.shape("w_inf.0.bias", 1)[0],
        inference_size=source.shape("w_proj.0.bias", 1)[0],
        inference_layers=inference_layers,
        transition_size=source.shape("dynamics.module.0.0.bias", 1)[0],
        transition_layers=layers,
        k=source.shape("q_y.module.0.0.weight", 2)[1] // found.h_dim,
        n_past=_count(options, "nt_cond"),
        n_euler=_count(options, "n_euler_steps", 1),
        skips=found.skips,
        nu=_number(options, "obs_scale", 1.0),
        beta_y=_number(options, "beta_y", 1.0),
        beta_z=_number(options, "beta_z", 1.0),
        residual_penalty=_number(options, "l2_res", 1.0),
        residual_gain=_number(options, "res_gain", 1.41),
    )
    _compare(options, model)
    weights = torch_weights.backbones(source, _names(found.backbone, found.levels), found) | _state_space(source, model)
    source.finish()
    return Converted(_experiment(model, options, data), weights)


def _state_space(source: Source, model: SRVPConfig) -> Weights:
    c, width, inner = model, model.inference_size, [model.transition_size] * (model.transition_layers - 1)
    first_state = [c.k * c.h_dim, *[width] * (c.inference_layers - 1), 2 * c.y_dim]
    weights = torch_weights.mlp(source, _mlp_names("q_y.module", c.inference_layers), "first_state", first_state)
    weights |= torch_weights.dense(source, "w_proj.0", "content_hidden", c.h_dim, width)
    weights |= torch_weights.dense(source, "w_inf.0", "content_head", width, c.w_dim)
    weights |= torch_weights.lstm(source, "inf_z", "posterior", c.h_dim, width, "_l0")
    weights |= torch_weights.dense(source, "q_z", "posterior_head", width, 2 * c.z_dim)
    names = {module: _mlp_names(f"{module}.module", c.transition_layers) for module in ("p_z", "dynamics")}
    weights |= torch_weights.mlp(source, names["p_z"], "prior", [c.y_dim, *inner, 2 * c.z_dim])
    return weights | torch_weights.mlp(source, names["dynamics"], "transition/f", [c.y_dim + c.z_dim, *inner, c.y_dim])


def _names(backbone: str, levels: int) -> BackboneNames:
    if backbone == "dcgan":
        return BackboneNames(
            encoder=lambda i, j: f"encoder.conv.{i}",
            head="encoder.last_conv",
            first="decoder.first_upconv",
            decoder=lambda i, j: f"decoder.conv.{i}",
            out=f"decoder.conv.{levels - 1}",
        )
    return BackboneNames(
        encoder=lambda i, j: f"encoder.conv.{i}.{j + (i > 0)}",  # a pooling comes first in all but the first block
        head="encoder.last_conv.1",
        first="decoder.first_upconv.0",
        decoder=lambda i, j: f"decoder.conv.{i}.{j}",
        out=f"decoder.conv.{levels - 1}.1",
    )


def _mlp_names(module: str, layers: int) -> list[str]:
    return [f"{module}.{i}.{int(i > 0)}" for i in range(layers)]  # a ReLU comes first in all but the first layer


def _layers(source: Source, module: str) -> int:
    return source.count(lambda i: f"{module}.{i}.{int(i > 0)}.weight")


def _count(options: dict, name: str, default: int | None = None) -> int:
    return checks.integer(f"Its option {name}", options.get(name, default), 1, _HIGHEST)


def _number(options: dict, name: str, default: float | None = None) -> float:
    return checks.number(f"Its option {name}", options.get(name, default), 0.0)


def _compare(options: dict, model: SRVPConfig) -> None:
    told = {
        "archi": model.backbone, "nx": model.image_size, "nc": model.channels, "nf": model.width, "nhx": model.h_dim,
        "ny": model.y_dim, "nz": model.z_dim, "nt_inf": model.k, "nh_inf": model.inference_size, "nh_res": model.transition_size,
        "nlayers_inf": model.inference_layers, "nlayers_res": model.transition_layers, "skipco": model.skips,
    }  # fmt: skip
    for name, value in told.items():
        if name in options and (type(options[name]) is not type(value) or options[name] != value):
            raise ValueError(f"Its option {name} is {reprlib.repr(options[name])}, its arrays say {value!r}.")


def _experiment(model: SRVPConfig, options: dict, data: str) -> ExperimentConfig:
    dataset = options.get("dataset")
    dataset = dataset if isinstance(dataset, str) else ""
    name = data or _DATA.get(dataset)
    if not name:
        raise ValueError(f"Its data set {dataset[:60]!r} is none of {sorted(_DATA)}: name one of this package's, --data NAME.")
    reflected = options.get("deterministic") is True
    constant = _count(options, "lr_scheduling_burnin", 1_000_000)
    decay = _count(options, "lr_scheduling_n_iter", 100_000)
    every = 1000 if (constant + decay) % 1000 == 0 else 1
    predicted = _MNIST_PREDICTED[reflected] if dataset == "smmnist" else _PREDICTED.get(dataset, EvalConfig.n_future)
    return ExperimentConfig(
        model=model,
        data=DataConfig(
            name=name,
            batch_size=_count(options, "batch_size", 128),
            n_future=max(1, _count(options, "seq_len", model.n_past + 10) - model.n_past),
            frame_stride=_count(options, "subsampling", 8) if dataset == "human" else 1,
            moving_mnist=MovingMNISTConfig(num_digits=_count(options, "ndigits", 2), variant="srvp", deterministic=reflected),
        ),
        train=TrainConfig(
            epochs=max(1, (constant + decay) // every),
            steps_per_epoch=every,
            optimizer=OptimizerConfig(
                learning_rate=_number(options, "lr", 3e-4), schedule=ScheduleConfig(kind="linear", steps=decay)
            ),
        ),
        eval=EvalConfig(n_future=predicted),
    )


REFERENCE = Reference(title="SRVP's state dict", matches=_matches, convert=convert)
