"""How PyTorch lays out the weights of the layers here: arrays by PyTorch's names -> arrays by the paths of this package.

What differs: kernels are [out, in, height, width] there (transposed convolutions [in, out, height, width]), dense kernels
[out, in]; an LSTM has two bias vectors, of which the sum is meant, and the gates in the order of `kernels.lstm`; a decoder's
convolution of concat(previous, skip) is two kernels here. NumPy only.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Weights = dict[str, np.ndarray]
_COUNTERS = "num_batches_tracked"


class Source:
    """The arrays of a file by name. Each that is there must be used, but for counters of batches."""

    def __init__(self, arrays: Weights):
        self._arrays = arrays
        self._used: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def take(self, name: str, rank: int) -> np.ndarray:
        """A float32 array of `rank` dimensions. Raises `ValueError` where it is missing, or not finite floats of that rank."""
        if name not in self._arrays:
            near = [other for other in self._arrays if other.split(".")[0] == name.split(".")[0]] or list(self._arrays)
            raise ValueError(f"It has no {name}; it holds {', '.join(sorted(near)[:4])} ...")
        array = self._arrays[name]
        if array.dtype.kind != "f" or array.ndim != rank or array.size == 0:
            raise ValueError(f"{name} must be floats of {rank} dimensions, got {array.dtype} of shape {array.shape}.")
        array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds values that are not finite.")
        self._used.add(name)
        return array

    def finish(self) -> None:
        """Raises `ValueError` where arrays are left over: the model would not be the whole one of the file."""
        left = sorted(name for name in self._arrays if name not in self._used and not name.endswith(_COUNTERS))
        if left:
            raise ValueError(f"It holds {len(left)} arrays that the model has no place for: {', '.join(left[:4])}.")


def convolution(source: Source, name: str) -> np.ndarray:
    """Conv2d's kernel -> [height, width, in, out]."""
    return source.take(f"{name}.weight", 4).transpose(2, 3, 1, 0)


def transposed(source: Source, name: str) -> np.ndarray:
    """ConvTranspose2d's kernel -> [height, width, out, in]."""
    return source.take(f"{name}.weight", 4).transpose(2, 3, 1, 0)


def dense(source: Source, name: str, path: str) -> Weights:
    return {f"{path}/kernel": source.take(f"{name}.weight", 2).T, f"{path}/bias": source.take(f"{name}.bias", 1)}


def mlp(source: Source, names: list[str], path: str) -> Weights:
    weights = {}
    for i, name in enumerate(names):
        weights |= dense(source, name, f"{path}/dense/{i}")
    return weights


def lstm(source: Source, name: str, path: str, suffix: str = "") -> Weights:
    """An LSTMCell, or a layer of an LSTM (suffix "_l0")."""
    first, second = (source.take(f"{name}.bias_{kind}{suffix}", 1) for kind in ("ih", "hh"))
    if first.shape != second.shape:
        raise ValueError(f"The two bias vectors of {name} differ in length: {first.shape}, {second.shape}.")
    return {
        f"{path}/kernel": source.take(f"{name}.weight_ih{suffix}", 2).T,
        f"{path}/recurrent_kernel": source.take(f"{name}.weight_hh{suffix}", 2).T,
        f"{path}/bias": first + second,
    }


def batch_norm(source: Source, name: str, path: str) -> Weights:
    names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    return {f"{path}/{ours}": source.take(f"{name}.{theirs}", 1) for ours, theirs in names.items()}


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
    channels: int
    width: int
    h_dim: int
    decoder_inputs: int
    skips: bool
    bias_before_norm: bool


def sizes(source: Source, names: Callable[[str, int], BackboneNames], normalized_convolution: str) -> Sizes:
    """names: (backbone, levels) -> names. normalized_convolution: one that a normalization follows, which has a bias or none."""
    for backbone, kernel in (("dcgan", 4), ("vgg", 3)):
        first = f"{names(backbone, 4).encoder(0, 0)}.0.weight"
        if first in source and source.take(first, 4).shape[2] == kernel:
            break
    else:
        raise ValueError(f"It has no {first} of 4x4 (dcgan) or 3x3 (vgg) pixels.")
    width, channels = source.take(first, 4).shape[:2]
    inner = int(backbone == "vgg")  # the first convolution of a level may have another place; the second has not
    levels = sum(f"{names(backbone, 4).encoder(level, inner)}.0.weight" in source for level in range(3, 8)) + 3
    place = names(backbone, levels)
    into = source.take(f"{place.decoder(0, 0)}.0.weight", 4).shape[0 if backbone == "dcgan" else 1]
    inputs, before = source.take(f"{place.first}.0.weight", 4).shape[:2]
    return Sizes(
        backbone=backbone,
        image_size=4 << levels,
        channels=channels,
        width=width,
        h_dim=source.take(f"{place.head}.0.weight", 4).shape[0],
        decoder_inputs=inputs,
        skips=into > before,
        bias_before_norm=f"{normalized_convolution}.bias" in source,
    )


def backbones(source: Source, names: BackboneNames, found: Sizes, convolutions: tuple[list[int], list[int]]) -> Weights:
    """Encoder and decoder. convolutions: how many in each encoder level, finest first, and in each decoder level, coarsest first,
    the frame's not counted."""
    vgg = found.backbone == "vgg"
    weights, encoder, decoder = {}, *convolutions
    for level, count in enumerate(encoder):
        for j in range(count):
            path = f"encoder/blocks/{level}/{j}" if vgg else f"encoder/levels/{level}"
            weights |= _block(source, names.encoder(level, j), path, convolution)
    weights |= _block(source, names.head, "encoder/head", convolution)
    weights |= _block(source, names.first, "decoder/head", transposed)
    before = weights["decoder/head/conv/kernel"].shape[2]
    for level, count in enumerate(decoder):
        for j in range(count):
            path = f"decoder/{'first' if vgg else 'levels'}/{level}/block" if j == 0 else f"decoder/rest/{level}/{j - 1}"
            block = _block(source, names.decoder(level, j), path, convolution if vgg else transposed)
            if j == 0 and found.skips:
                block |= _halves(block.pop(f"{path}/conv/kernel"), before, 2 if vgg else 3, path)
            weights |= block
            before = len(weights.get(f"{path}/norm/gamma", ()))
    kernel = transposed(source, names.out)
    if vgg:  # stride 1: a convolution with the kernel turned round
        weights["decoder/out/kernel"] = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    elif found.skips:
        weights["decoder/out/kernel"], weights["decoder/out_skip/kernel"] = kernel[..., :before], kernel[..., before:]
    else:
        weights["decoder/out/kernel"] = kernel
    if f"{names.out}.bias" in source:
        weights["decoder/out/bias"] = source.take(f"{names.out}.bias", 1)
    return weights


def _block(source: Source, name: str, path: str, kernel) -> Weights:
    weights = {f"{path}/conv/kernel": kernel(source, f"{name}.0")}
    if f"{name}.0.bias" in source:
        weights[f"{path}/conv/bias"] = source.take(f"{name}.0.bias", 1)
    return weights | (batch_norm(source, f"{name}.1", f"{path}/norm") if f"{name}.1.weight" in source else {})


def _halves(kernel: np.ndarray, before: int, axis: int, path: str) -> Weights:
    """The kernel of concat(previous, skip), of which `before` channels are the previous map's."""
    previous, skip = np.split(kernel, [before], axis)
    return {f"{path}/conv/kernel": previous, f"{path.removesuffix('/block')}/skip_conv/kernel": skip}
