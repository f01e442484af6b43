"""Checkpoints of the PyTorch reference of SRVP (Franceschi et al. 2020) -> configuration and weights.

Its program saves a state dict, and beside it the configuration as config.json.
"""

from typing import Any, NamedTuple

from svg_tf.config import DataConfig, EvalConfig, ExperimentConfig, MovingMNISTConfig, SRVPConfig, TrainConfig
from svg_tf.layers import torch_weights, vgg
from svg_tf.layers.torch_weights import BackboneNames, Source, Weights

_DATA = {"smmnist": "moving_mnist", "kth": "kth/64_all", "human": "video_folder/h36m", "bair": "bair"}
_PREDICTED = {"kth": 30, "human": 45, "bair": 28}
_MNIST_PREDICTED = {False: 20, True: 95}  # by `deterministic`


class Converted(NamedTuple):
    experiment: ExperimentConfig
    weights: Weights
    """By the attribute paths of `svg_tf.families.srvp.model.SRVP`."""


def is_checkpoint(value: Any) -> bool:
    """Whether a file's value looks like such a checkpoint."""
    return isinstance(value, dict) and {"q_y.module.0.0.weight", "dynamics.module.0.0.weight"} <= set(value)


def convert(arrays: Weights, options: dict, *, data: str = "") -> Converted:
    """Args:
      arrays: the state dict.
      options: the reference's config.json.
      data: name of the data set here; empty: as the option `dataset` says.

    Sizes come from the arrays; an option that says otherwise raises `ValueError`, as does an array too many or too few.
    """
    source = Source(arrays)
    first = "encoder.conv.1.0" if "encoder.conv.1.0.weight" in source else "encoder.conv.0.0.0"
    found = torch_weights.sizes(source, _names, first)
    y_dim = _rows(source, "q_y.module", _layers(source, "q_y.module") - 1) // 2
    frames, rest = divmod(source.take("q_y.module.0.0.weight", 2).shape[1], found.h_dim)
    if rest:
        raise ValueError(f"q_y takes {frames} and a bit encodings of {found.h_dim}.")
    model = SRVPConfig(
        backbone=found.backbone,
        image_size=found.image_size,
        channels=found.channels,
        width=found.width,
        h_dim=found.h_dim,
        y_dim=y_dim,
        z_dim=len(source.take("q_z.bias", 1)) // 2,
        w_dim=len(source.take("w_inf.0.bias", 1)),
        inference_size=len(source.take("w_proj.0.bias", 1)),
        inference_layers=_layers(source, "q_y.module"),
        transition_size=_rows(source, "dynamics.module", 0),
        transition_layers=_layers(source, "dynamics.module"),
        k=frames,
        n_past=_option(options, "nt_cond", int),
        n_euler=_option(options, "n_euler_steps", int, 1),
        skips=found.skips,
        nu=float(_option(options, "obs_scale", (int, float), 1.0)),
        beta_y=float(_option(options, "beta_y", (int, float), 1.0)),
        beta_z=float(_option(options, "beta_z", (int, float), 1.0)),
        residual_penalty=float(_option(options, "l2_res", (int, float), 1.0)),
        residual_gain=float(_option(options, "res_gain", (int, float), 1.41)),
    )
    _compare(options, model)
    levels = model.image_size.bit_length() - 3
    weights = torch_weights.backbones(source, _names(found.backbone, levels), found, _convolutions(found, levels))
    weights |= torch_weights.mlp(source, _mlp_names("q_y.module", model.inference_layers), "first_state")
    weights |= torch_weights.dense(source, "w_proj.0", "content_hidden") | torch_weights.dense(source, "w_inf.0", "content_head")
    weights |= torch_weights.lstm(source, "inf_z", "posterior", "_l0") | torch_weights.dense(source, "q_z", "posterior_head")
    weights |= torch_weights.mlp(source, _mlp_names("p_z.module", model.transition_layers), "prior")
    weights |= torch_weights.mlp(source, _mlp_names("dynamics.module", model.transition_layers), "transition/f")
    source.finish()
    return Converted(_experiment(model, options, data), weights)


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


def _convolutions(found, levels: int) -> tuple[list[int], list[int]]:
    if found.backbone == "dcgan":
        return [1] * levels, [1] * (levels - 1)
    blocks = vgg.encoder_blocks(found.image_size, 1), vgg.decoder_blocks(found.image_size, 1)
    return [len(block) for block in blocks[0]], [len(block) for block in blocks[1]]


def _mlp_names(module: str, layers: int) -> list[str]:
    return [f"{module}.{i}.{int(i > 0)}" for i in range(layers)]  # a ReLU comes first in all but the first layer


def _layers(source: Source, module: str) -> int:
    return next(i for i in range(100) if f"{module}.{i}.{int(i > 0)}.weight" not in source)


def _rows(source: Source, module: str, layer: int) -> int:
    return source.take(f"{_mlp_names(module, layer + 1)[layer]}.weight", 2).shape[0]


def _option(options: dict, name: str, kinds, default=None):
    value = options.get(name, default)
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise ValueError(f"Its option {name} must be a number, got {value!r:.80}.")
    return value


def _compare(options: dict, model: SRVPConfig) -> None:
    told = {
        "archi": model.backbone, "nx": model.image_size, "nc": model.channels, "nf": model.width, "nhx": model.h_dim,
        "ny": model.y_dim, "nz": model.z_dim, "nt_inf": model.k, "nh_inf": model.inference_size, "nh_res": model.transition_size,
        "nlayers_inf": model.inference_layers, "nlayers_res": model.transition_layers, "skipco": model.skips,
    }  # fmt: skip
    for name, value in told.items():
        if name in options and options[name] != value:
            raise ValueError(f"Its option {name} is {options[name]!r:.80}, its arrays say {value!r}.")


def _experiment(model: SRVPConfig, options: dict, data: str) -> ExperimentConfig:
    dataset = options.get("dataset")
    dataset = dataset if isinstance(dataset, str) else ""
    name = data or _DATA.get(dataset)
    if not name:
        raise ValueError(f"Its data set {dataset!r:.80} is none of {sorted(_DATA)}: name one of this package's, --data NAME.")
    reflected = options.get("deterministic") is True
    constant = _option(options, "lr_scheduling_burnin", int, 1_000_000)
    decay = _option(options, "lr_scheduling_n_iter", int, 100_000)
    every = 1000 if (constant + decay) % 1000 == 0 else 1
    predicted = _MNIST_PREDICTED[reflected] if dataset == "smmnist" else _PREDICTED.get(dataset, EvalConfig.n_future)
    return ExperimentConfig(
        model=model,
        data=DataConfig(
            name=name,
            batch_size=_option(options, "batch_size", int, 128),
            n_future=max(1, _option(options, "seq_len", int, model.n_past + 10) - model.n_past),
            frame_stride=_option(options, "subsampling", int, 8) if dataset == "human" else 1,
            moving_mnist=MovingMNISTConfig(
                num_digits=_option(options, "ndigits", int, 2), variant="srvp", deterministic=reflected
            ),
        ),
        train=TrainConfig(
            epochs=max(1, (constant + decay) // every),
            steps_per_epoch=every,
            learning_rate=float(_option(options, "lr", (int, float), 3e-4)),
            linear_decay_steps=decay,
        ),
        eval=EvalConfig(n_future=predicted),
    )
