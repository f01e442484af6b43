"""Checkpoints of the PyTorch reference of SVG (Denton & Fergus 2018) -> configuration and weights.

Its programs save whole modules: encoder, decoder, frame_predictor, posterior, in SVG-LP also prior, and the program's options.
Their classes are named here and never imported.
"""

import reprlib
from typing import Any

from data_pipelines import checks
from svg_tf.config import DataConfig, EvalConfig, ExperimentConfig, MovingMNISTConfig, OptimizerConfig, TrainConfig
from svg_tf.families.reference import Converted, Reference
from svg_tf.families.svg.config import SVGConfig
from svg_tf.layers import torch_weights
from svg_tf.layers.torch_weights import BackboneNames, Source, Weights

_BACKBONES = {
    "dcgan_64": ("dcgan_conv", "dcgan_upconv"),
    "dcgan_128": ("dcgan_conv", "dcgan_upconv"),
    "vgg_64": ("vgg_layer",),
    "vgg_128": ("vgg_layer",),
}
_CLASSES = {f"models.{module}.{name}" for module, layers in _BACKBONES.items() for name in ("encoder", "decoder", *layers)}
_CLASSES |= {"models.lstm.lstm", "models.lstm.gaussian_lstm", "argparse.Namespace"}
_HIGHEST = 9_999  # of epochs, steps of one, and other counts: the product names a checkpoint
_DATA = {"smmnist": "moving_mnist", "kth": "kth", "bair": "bair"}


def _matches(value: Any) -> bool:
    return isinstance(value, dict) and {"encoder", "decoder", "frame_predictor", "opt"} <= set(value)


def convert(arrays: Weights, opt: dict, *, data: str = "", skips: str = "") -> Converted:
    """Args:
      arrays: "MODULE.NAME" -> array, the state dicts of the modules that are there.
      opt: the options of the reference's program.
      data: name of the data set here; empty: as `opt.dataset` says.
      skips: as `SVGConfig.skips`; empty: as the reference trained, the second-last context frame's, or the previous frame's under
        `last_frame_skip`.

    Sizes come from the arrays; an option that says otherwise raises `ValueError`, as does an array too many or too few.
    """
    source = Source(arrays)
    found = torch_weights.sizes(source, _names)
    prior = "learned" if "prior.embed.weight" in source else "fixed" if "posterior.embed.weight" in source else "none"
    z_dim = source.shape("posterior.mu_net.bias", 1)[0] if prior != "none" else 0
    model = SVGConfig(
        prior=prior,
        backbone=found.backbone,
        image_size=found.image_size,
        channels=found.channels,
        width=found.width,
        g_dim=found.h_dim,
        z_dim=z_dim or SVGConfig.z_dim,
        rnn_size=source.shape("frame_predictor.embed.bias", 1)[0],
        predictor_layers=_layers(source, "frame_predictor"),
        posterior_layers=max(1, _layers(source, "posterior")),
        prior_layers=max(1, _layers(source, "prior")),
        n_past=_count(opt, "n_past"),
        beta=_number(opt, "beta") if prior != "none" else SVGConfig.beta,
        skips=skips or ("previous" if opt.get("last_frame_skip") is True else "second_last_context"),
        batch_statistics="per_step",
        bias_before_norm=found.bias_before_norm,
    )
    _compare(opt, model)
    weights = torch_weights.backbones(source, _names(found.backbone, found.levels), found)
    outputs = {"output.0": ("head", model.g_dim)}
    weights |= _stack(source, "frame_predictor", "", model.g_dim + z_dim, model.rnn_size, model.predictor_layers, outputs)
    heads = {"mu_net": ("mean", z_dim), "logvar_net": ("log_variance", z_dim)}
    if prior != "none":
        weights |= _stack(source, "posterior", "latent/", model.g_dim, model.rnn_size, model.posterior_layers, heads)
    if prior == "learned":
        weights |= _stack(source, "prior", "latent/", model.g_dim, model.rnn_size, model.prior_layers, heads)
    source.finish()
    return Converted(_experiment(model, opt, data), weights)


def _names(backbone: str, levels: int) -> BackboneNames:
    inner = backbone == "vgg"
    return BackboneNames(
        encoder=lambda i, j: f"encoder.c{i + 1}.{j}.main" if inner else f"encoder.c{i + 1}.main",
        head=f"encoder.c{levels + 1}",
        first="decoder.upc1",
        decoder=lambda i, j: f"decoder.upc{i + 2}.{j}.main" if inner else f"decoder.upc{i + 2}.main",
        out=f"decoder.upc{levels + 1}.{int(inner)}",
    )


def _layers(source: Source, module: str) -> int:
    return source.count(lambda i: f"{module}.lstm.{i}.weight_ih")


def _stack(source: Source, module: str, room: str, inputs: int, units: int, layers: int, heads: dict) -> Weights:
    """Embedding, cells and heads, {their name: (ours, outputs)}."""
    path = room + module
    weights = torch_weights.dense(source, f"{module}.embed", f"{path}/embed", inputs, units)
    for i in range(layers):
        weights |= torch_weights.lstm(source, f"{module}.lstm.{i}", f"{path}/cells/{i}", units, units)
    for theirs, (ours, outputs) in heads.items():
        weights |= torch_weights.dense(source, f"{module}.{theirs}", f"{path}/{ours}", units, outputs)
    return weights


def _count(opt: dict, name: str, default: int | None = None) -> int:
    return checks.integer(f"Its option {name}", opt.get(name, default), 1, _HIGHEST)


def _number(opt: dict, name: str, default: float | None = None) -> float:
    return checks.number(f"Its option {name}", opt.get(name, default), 0.0)


def _compare(opt: dict, model: SVGConfig) -> None:
    """The options that its arrays tell too."""
    told = {"image_width": model.image_size, "channels": model.channels, "g_dim": model.g_dim, "rnn_size": model.rnn_size}
    told |= {"model": model.backbone, "predictor_rnn_layers": model.predictor_layers}
    if model.prior != "none":
        told |= {"z_dim": model.z_dim, "posterior_rnn_layers": model.posterior_layers}
    if model.prior == "learned":
        told["prior_rnn_layers"] = model.prior_layers
    for name, value in told.items():
        if name in opt and (type(opt[name]) is not type(value) or opt[name] != value):
            raise ValueError(f"Its option {name} is {reprlib.repr(opt[name])}, its arrays say {value!r}.")


def _experiment(model: SVGConfig, opt: dict, data: str) -> ExperimentConfig:
    dataset = opt.get("dataset")
    name = data or _DATA.get(dataset if isinstance(dataset, str) else "")
    if not name:
        raise ValueError(
            f"Its data set {reprlib.repr(dataset)} is none of {sorted(_DATA)}: name one of this package's, --data NAME."
        )
    if name == "kth" and model.image_size != 64:
        name = f"kth/{model.image_size}"
    n_future = _count(opt, "n_future", 10)
    return ExperimentConfig(
        model=model,
        data=DataConfig(
            name=name,
            batch_size=_count(opt, "batch_size", 100),
            n_future=n_future,
            moving_mnist=MovingMNISTConfig(num_digits=_count(opt, "num_digits", 2)),
        ),
        train=TrainConfig(
            epochs=_count(opt, "niter", 300),
            steps_per_epoch=_count(opt, "epoch_size", 600),
            optimizer=OptimizerConfig(learning_rate=_number(opt, "lr", 2e-3), beta_1=_number(opt, "beta1", 0.9)),
        ),
        eval=EvalConfig(n_future=max(1, _count(opt, "n_eval", model.n_past + n_future) - model.n_past)),
    )


REFERENCE = Reference(
    title="SVG's modules",
    matches=_matches,
    convert=convert,
    modules=("encoder", "decoder", "frame_predictor", "posterior", "prior"),
    classes=frozenset(_CLASSES),
    names=frozenset({"torch.optim.adam.Adam", "torch.optim.rmsprop.RMSprop", "torch.optim.sgd.SGD"}),  # of `opt.optimizer`
    options=("skips",),
)
