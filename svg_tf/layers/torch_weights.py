"""How PyTorch lays out the weights of the layers here: arrays by PyTorch's names -> arrays by the paths of this package.

What differs: kernels are [out, in, height, width] there (transposed convolutions [in, out, height, width]), dense kernels
[out, in]; an LSTM has two bias vectors, of which the sum is meant, and the gates in the order of `kernels.lstm`; a decoder's
convolution of concat(previous, skip) is two kernels here.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from svg_tf.layers import dcgan, vgg

Weights = dict[str, np.ndarray]
_COUNTERS = "num_batches_tracked"


class Source:
    """The arrays of a file by name. Each that is there must be used, but for counters of batches."""

    def __init__(self, arrays: Weights):
        self._arrays = arrays
        self._used: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def shape(self, name: str, rank: int) -> tuple[int, ...]:
        """Raises `ValueError` where there is no array of `rank` dimensions of that name."""
        if name not in self._arrays:
            near = [other for other in self._arrays if other.split(".")[0] == name.split(".")[0]] or list(self._arrays)
            raise ValueError(f"It has no {name}; it holds {', '.join(sorted(near)[:4])} ...")
        array = self._arrays[name]
        if array.dtype.kind != "f" or array.ndim != rank or array.size == 0:
            raise ValueError(f"{name} must be floats of {rank} dimensions, got {array.dtype} of shape {array.shape}.")
        return array.shape

    def take(self, name: str, *shape: int) -> np.ndarray:
        """The array as float32. Raises `ValueError` where it is missing, of another shape, or not finite."""
        if self.shape(name, len(shape)) != shape:
            raise ValueError(f"{name} must have shape {shape} beside the other arrays, got {self._arrays[name].shape}.")
        array = self._arrays[name].astype(np.float32)
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds values that are not finite.")
        self._used.add(name)
        return array

    def count(self, name: Callable[[int], str]) -> int:
        """How many of name(0), name(1), ... are there."""
        found = 0
        while name(found) in self._arrays:
            found += 1
        return found

    def finish(self) -> None:
        """Raises `ValueError` where arrays are left over: the model would not be the whole one of the file."""
        left = sorted(name for name in self._arrays if name not in self._used and not name.endswith(_COUNTERS))
        if left:
            raise ValueError(f"It holds {len(left)} arrays that the model has no place for: {', '.join(left[:4])}.")


def dense(source: Source, name: str, path: str, inputs: int, outputs: int) -> Weights:
    return {
        f"{path}/kernel": source.take(f"{name}.weight", outputs, inputs).T,
        f"{path}/bias": source.take(f"{name}.bias", outputs),
    }


def mlp(source: Source, names: list[str], path: str, sizes: list[int]) -> Weights:
    """sizes: inputs, and outputs of each layer."""
    weights = {}
    for i, name in enumerate(names):
        weights |= dense(source, name, f"{path}/dense/{i}", sizes[i], sizes[i + 1])
    return weights


def lstm(source: Source, name: str, path: str, inputs: int, units: int, suffix: str = "") -> Weights:
    """An LSTMCell, or a layer of an LSTM (suffix "_l0")."""
    gates = 4 * units
    return {
        f"{path}/kernel": source.take(f"{name}.weight_ih{suffix}", gates, inputs).T,
        f"{path}/recurrent_kernel": source.take(f"{name}.weight_hh{suffix}", gates, units).T,
        f"{path}/bias": source.take(f"{name}.bias_ih{suffix}", gates) + source.take(f"{name}.bias_hh{suffix}", gates),
    }


class BackboneNames(NamedTuple):
    """Where a file keeps its backbones. A prefix stands for PREFIX.0, a convolution, and PREFIX.1, its normalization."""

    encoder: Callable[[int, int], str]
    """(level, convolution in it), finest level first -> prefix."""
    head: str
    first: str
    decoder: Callable[[int, int], str]
    """(level, convolution in it), coarsest level first -> prefix."""
    out: str
    """The frame's convolution, itself."""


class Sizes(NamedTuple):
    """What the arrays tell of the backbones."""

    backbone: str
    image_size: int
    levels: int
    channels: int
    width: int
    h_dim: int
    decoder_inputs: int
    skips: bool
    bias_before_norm: bool

    @property
    def vgg(self) -> bool:
        return self.backbone == "vgg"

    def widths(self) -> tuple[list[list[int]], list[list[int]]]:
        """Channels of the convolutions of each encoder level, finest first, and of each decoder level, coarsest first, without
        the frame's convolution."""
        if self.vgg:
            return vgg.encoder_blocks(self.image_size, self.width), vgg.decoder_blocks(self.image_size, self.width)
        levels = dcgan.level_widths(self.image_size, self.width)
        return [[width] for width in levels], [[width] for width in levels[-2::-1]]


def sizes(source: Source, names: Callable[[str, int], BackboneNames]) -> Sizes:
    """names: (backbone, levels) -> names. Raises `ValueError` for arrays that are of no DCGAN or VGG of 64 or 128 pixels."""
    kernels = {"dcgan": 4, "vgg": 3}
    for backbone, kernel in kernels.items():
        first = f"{names(backbone, 4).encoder(0, 0)}.0.weight"
        if first in source and source.shape(first, 4)[2] == kernel:
            break
    else:
        raise ValueError(f"It has no {first} of 4x4 (dcgan) or 3x3 (vgg) pixels.")
    width, channels, *_ = source.shape(first, 4)
    inner = int(backbone == "vgg")  # the first convolution of a level may have another place; the second has not
    levels = source.count(lambda level: f"{names(backbone, 4).encoder(level, inner)}.0.weight")
    if levels not in (4, 5):
        raise ValueError(f"Its encoder has {levels} levels; 4 (64 pixels) or 5 (128 pixels) are read.")
    place = names(backbone, levels)
    into = source.shape(f"{place.decoder(0, 0)}.0.weight", 4)[0 if backbone == "dcgan" else 1]
    inputs, before, *_ = source.shape(f"{place.first}.0.weight", 4)
    return Sizes(
        backbone=backbone,
        image_size=4 << levels,
        levels=levels,
        channels=channels,
        width=width,
        h_dim=source.shape(f"{place.head}.0.weight", 4)[0],
        decoder_inputs=inputs,
        skips=into > before,
        bias_before_norm=f"{place.head}.0.bias" in source,
    )


def backbones(source: Source, names: BackboneNames, found: Sizes) -> Weights:
    """Encoder and decoder."""
    weights, before, tops = {}, found.channels, []
    encoder, decoder = found.widths()
    size = 3 if found.vgg else 4
    for level, widths in enumerate(encoder):
        for j, width in enumerate(widths):
            path = f"encoder/blocks/{level}/{j}" if found.vgg else f"encoder/levels/{level}"
            weights |= _block(source, names.encoder(level, j), path, (width, before, size, size))
            before = width
        tops.append(before)
    weights |= _block(source, names.head, "encoder/head", (found.h_dim, before, 4, 4))
    weights |= _block(source, names.first, "decoder/head", (found.decoder_inputs, before, 4, 4), transposed=True)
    for level, widths in enumerate(decoder):
        for j, width in enumerate(widths):
            path = f"decoder/{'first' if found.vgg else 'levels'}/{level}/block" if j == 0 else f"decoder/rest/{level}/{j - 1}"
            skip = tops[-1 - level] * (found.skips and j == 0)
            shape = (width, before + skip) if found.vgg else (before + skip, width)
            block = _block(source, names.decoder(level, j), path, (*shape, size, size), transposed=not found.vgg)
            if skip:
                kernel = block.pop(f"{path}/conv/kernel")
                parts = np.split(kernel, [before], axis=2 if found.vgg else 3)
                block[f"{path}/conv/kernel"], block[f"{path.removesuffix('/block')}/skip_conv/kernel"] = parts
            weights |= block
            before = width
    return weights | _frame(source, names.out, found, before, tops[0])


def _frame(source: Source, name: str, found: Sizes, before: int, skip: int) -> Weights:
    """The last convolution, a transposed one in both backbones."""
    bias = {"decoder/out/bias": source.take(f"{name}.bias", found.channels)} if f"{name}.bias" in source else {}
    if found.vgg:  # of stride 1: a convolution with the kernel turned round
        kernel = source.take(f"{name}.weight", before, found.channels, 3, 3).transpose(2, 3, 0, 1)
        return bias | {"decoder/out/kernel": kernel[::-1, ::-1]}
    inputs = before + skip * found.skips
    kernel = source.take(f"{name}.weight", inputs, found.channels, 4, 4).transpose(2, 3, 1, 0)
    if not found.skips:
        return bias | {"decoder/out/kernel": kernel}
    return bias | {"decoder/out/kernel": kernel[..., :before], "decoder/out_skip/kernel": kernel[..., before:]}


def _block(source: Source, name: str, path: str, shape: tuple[int, ...], transposed: bool = False) -> Weights:
    """Convolution, its bias where there is one, and its normalization where there is one."""
    weights, outputs = {}, shape[1 if transposed else 0]
    # Conv2d's [out, in, h, w] -> [h, w, in, out]; ConvTranspose2d's [in, out, h, w] -> [h, w, out, in]
    weights[f"{path}/conv/kernel"] = source.take(f"{name}.0.weight", *shape).transpose(2, 3, 1, 0)
    if f"{name}.0.bias" in source:
        weights[f"{path}/conv/bias"] = source.take(f"{name}.0.bias", outputs)
    if f"{name}.1.weight" in source:
        kinds = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
        weights |= {f"{path}/norm/{ours}": source.take(f"{name}.1.{theirs}", outputs) for ours, theirs in kinds.items()}
    return weights
