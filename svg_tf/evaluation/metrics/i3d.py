"""Inception I3D (Carreira & Zisserman 2017, "Quo vadis, action recognition?"), the network of FVD: 400 logits of Kinetics-400.

Layers, names and padding ("SAME", as TensorFlow pads) are the published ones. Each unit is a convolution without bias, batch
normalization without a scale by its moving statistics (epsilon 1e-3), and a ReLU; the last one is a convolution with bias.
The logits are averaged over time. Weights come from the user (`svg-tf import-i3d`): there are no others.
"""

import json
import pathlib
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from svg_tf.evaluation.metrics import weight_files

CLASSES, SIZE, LEAST_FRAMES = 400, 224, 9  # of fewer frames nothing is left for the last pooling
WEIGHTS, FACTS = "i3d.npz", "i3d.json"
_EPSILON = 1e-3
LOGITS = "Logits/Conv3d_0c_1x1"
_MIXED = {
    "Mixed_3b": (192, 64, 96, 128, 16, 32, 32),
    "Mixed_3c": (256, 128, 128, 192, 32, 96, 64),
    "Mixed_4b": (480, 192, 96, 208, 16, 48, 64),
    "Mixed_4c": (512, 160, 112, 224, 24, 64, 64),
    "Mixed_4d": (512, 128, 128, 256, 24, 64, 64),
    "Mixed_4e": (512, 112, 144, 288, 32, 64, 64),
    "Mixed_4f": (528, 256, 160, 320, 32, 128, 128),
    "Mixed_5b": (832, 256, 160, 320, 32, 128, 128),
    "Mixed_5c": (832, 384, 192, 384, 48, 128, 128),
}
"""Input channels, then the channels of Branch_0 1x1, Branch_1 1x1 and 3x3, Branch_2 1x1 and 3x3, Branch_3 1x1."""


class Unit(NamedTuple):
    """A convolution, normalization and ReLU."""

    inputs: int
    outputs: int
    kernel: int
    stride: int = 1


def _branches(name: str) -> list[list[tuple[str, Unit]]]:
    inputs, b0, b1a, b1b, b2a, b2b, b3 = _MIXED[name]
    third = "Conv3d_0a_3x3" if name == "Mixed_5b" else "Conv3d_0b_3x3"  # a slip of the published names
    return [
        [(f"{name}/Branch_0/Conv3d_0a_1x1", Unit(inputs, b0, 1))],
        [(f"{name}/Branch_1/Conv3d_0a_1x1", Unit(inputs, b1a, 1)), (f"{name}/Branch_1/Conv3d_0b_3x3", Unit(b1a, b1b, 3))],
        [(f"{name}/Branch_2/Conv3d_0a_1x1", Unit(inputs, b2a, 1)), (f"{name}/Branch_2/{third}", Unit(b2a, b2b, 3))],
        [(f"{name}/Branch_3/Conv3d_0b_1x1", Unit(inputs, b3, 1))],
    ]


UNITS = {
    "Conv3d_1a_7x7": Unit(3, 64, 7, 2),
    "Conv3d_2b_1x1": Unit(64, 64, 1),
    "Conv3d_2c_3x3": Unit(64, 192, 3),
} | {name: unit for mixed in _MIXED for branch in _branches(mixed) for name, unit in branch}
"""Published name below RGB/inception_i3d -> unit; the logits apart."""


def shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of a weight file's arrays: NAME/w [time, height, width, in, out], NAME/gamma, beta, moving_mean,
    moving_variance [out]; of the logits w and b."""
    found: dict[str, tuple[int, ...]] = {}
    for name, unit in UNITS.items():
        found[f"{name}/w"] = (unit.kernel,) * 3 + (unit.inputs, unit.outputs)
        found |= {f"{name}/{kind}": (unit.outputs,) for kind in ("gamma", "beta", "moving_mean", "moving_variance")}
    return found | {f"{LOGITS}/w": (1, 1, 1, 1024, CLASSES), f"{LOGITS}/b": (CLASSES,)}


def check(arrays: dict[str, np.ndarray]) -> None:
    """Raises `ValueError` where an array is missing, left over, of another shape, or not finite floats."""
    expected = shapes()
    left = sorted(set(arrays) - set(expected))
    if left:
        raise ValueError(f"I3D has no place for {len(left)} arrays: {', '.join(left[:3])}.")
    for name, shape in expected.items():
        got = arrays[name].shape if name in arrays else "nothing"
        if got != shape or arrays[name].dtype.kind != "f" or not np.isfinite(arrays[name]).all():
            raise ValueError(f"I3D needs finite floats {name} of shape {shape}, got {got}.")
    for name in UNITS:
        if (arrays[f"{name}/moving_variance"] < 0).any():
            raise ValueError(f"I3D's {name}/moving_variance is negative.")


def build(arrays: dict[str, np.ndarray]) -> keras.Model:
    """float32 [N, T >= 9, 224, 224, 3] in [-1, 1] -> logits [N, 400]. arrays: as `shapes` says, checked."""
    check(arrays)
    x = clips = keras.Input((None, SIZE, SIZE, 3), name="clips")
    x = _unit("Conv3d_1a_7x7", x)
    x = _pool("MaxPool3d_2a_3x3", x, (1, 3, 3), (1, 2, 2))
    x = _unit("Conv3d_2c_3x3", _unit("Conv3d_2b_1x1", x))
    x = _pool("MaxPool3d_3a_3x3", x, (1, 3, 3), (1, 2, 2))
    pools = {"Mixed_4b": ("MaxPool3d_4a_3x3", 3), "Mixed_5b": ("MaxPool3d_5a_2x2", 2)}
    for name in _MIXED:
        if name in pools:
            x = _pool(pools[name][0], x, pools[name][1], 2)
        x = _mixed(name, x)
    x = keras.layers.AveragePooling3D((2, 7, 7), 1, "valid", name="AvgPool3d")(x)
    x = keras.layers.Conv3D(CLASSES, 1, name=_layer_name(LOGITS))(x)
    x = keras.ops.mean(keras.ops.squeeze(x, (2, 3)), axis=1)
    model = keras.Model(clips, x, name="inception_i3d")
    for name in UNITS:
        model.get_layer(_layer_name(name)).set_weights(_folded(arrays, name))
    model.get_layer(_layer_name(LOGITS)).set_weights([arrays[f"{LOGITS}/w"], arrays[f"{LOGITS}/b"]])
    return model


def _layer_name(name: str) -> str:
    return name.replace("/", ".")


def _unit(name: str, x):
    unit = UNITS[name]
    return keras.layers.Conv3D(unit.outputs, unit.kernel, unit.stride, "same", activation="relu", name=_layer_name(name))(x)


def _pool(name: str, x, size, strides):
    return keras.layers.MaxPooling3D(size, strides, "same", name=name)(x)


def _mixed(name: str, x):
    outputs = []
    for i, branch in enumerate(_branches(name)):
        y = _pool(f"{name}.Branch_3.MaxPool3d_0a_3x3", x, 3, 1) if i == 3 else x
        for unit, _ in branch:
            y = _unit(unit, y)
        outputs.append(y)
    return keras.layers.Concatenate(name=name)(outputs)


def _folded(arrays, name: str) -> list[np.ndarray]:
    """Convolution and normalization as one convolution with a bias: kernel and bias."""
    gamma, beta, mean, variance = (
        arrays[f"{name}/{kind}"].astype(np.float64) for kind in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / np.sqrt(variance + _EPSILON)
    return [arrays[f"{name}/w"] * scale, beta - mean * scale]


def load(folder) -> keras.Model:
    """The network of a folder that `svg-tf import-i3d` wrote. Raises `ValueError` where it is incomplete or damaged."""
    return build(weight_files.read(pathlib.Path(folder) / WEIGHTS, shapes(), "I3D"))


def facts(folder) -> dict:
    """What `svg-tf import-i3d` noted of the file that the weights come from."""
    try:
        return json.loads((pathlib.Path(folder) / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is no folder of I3D's weights: {FACTS} cannot be read ({error}).") from error


def is_folder(folder) -> bool:
    return (pathlib.Path(folder) / WEIGHTS).is_file()


RESIZES = {
    # TensorFlow 1's bilinear resize, whose pixels are points at integer places: FVD's own program, SRVP's
    "tf1": lambda frames: tf.raw_ops.ResizeBilinear(images=frames, size=[SIZE, SIZE]),
    # pixels are areas, as in PyTorch's F.interpolate(align_corners=False): the PyTorch ports
    "half_pixel": lambda frames: tf.image.resize(frames, [SIZE, SIZE]),
}
