"""I3D's Kinetics-400 weights, in the forms in which they are published -> the folder that `metrics.perceptual.FVD` takes.

torchscript  i3d_torchscript.pt: its arrays are read, its program is not
pytorch      a state dict, like rgb_imagenet.pt or i3d_pretrained_400.pt
tensorflow   the original checkpoint, rgb_imagenet/model.ckpt.*
savedmodel   TF-Hub's deepmind/i3d-kinetics-400/1: its variables are read, its graph is not

Names are taken from either of the two PyTorch ports, or from TensorFlow, below any prefix.
"""

import hashlib
import pathlib
import re
from typing import NamedTuple

import numpy as np

from data_pipelines import files
from svg_tf.evaluation.metrics import i3d
from svg_tf.evaluation.metrics.perceptual import checksum
from svg_tf.importing import folders, torch_files
from svg_tf.importing.pickles import Record

_RESIZES = {"torchscript": "half_pixel", "pytorch": "half_pixel", "tensorflow": "tf1", "savedmodel": "tf1"}
_KINDS = {
    ("conv", "weight"): "w",
    ("conv", "bias"): "b",
    ("norm", "weight"): "gamma",
    ("norm", "bias"): "beta",
    ("norm", "running_mean"): "moving_mean",
    ("norm", "running_var"): "moving_variance",
}
_TORCH = re.compile(
    r"(?:.*\.)?(?P<unit>conv3d_(?:1a_7x7|2b_1x1|2c_3x3|0c_1x1)|logits|mixed_(?P<block>[345][b-f])\."
    r"(?:b(?P<short>0|1a|1b|2a|2b|3b)|branch_(?P<branch>[0-3])(?:\.(?P<place>[01]))?))"
    r"\.(?P<layer>conv3d|bn|batch3d)\.(?P<kind>weight|bias|running_mean|running_var)",
    re.IGNORECASE,
)
_SHORT = {"0": ("0", 0), "1a": ("1", 0), "1b": ("1", 1), "2a": ("2", 0), "2b": ("2", 1), "3b": ("3", 0)}
_TENSORFLOW = re.compile(
    r"(?:.*/)?RGB/inception_i3d/(?P<unit>.+)/(?:conv_3d|batch_norm)/(?P<kind>w|b|beta|moving_mean|moving_variance)"
)
_COUNTERS = ("num_batches_tracked", "global_step")


class _Found(NamedTuple):
    form: str
    sha256: str
    arrays: dict[str, np.ndarray]


def import_i3d(path, out) -> dict:
    """Writes the folder `out`: i3d.npz (see `metrics.i3d.shapes`) and i3d.json. Returns what i3d.json says.

    path: one of the forms above; of a TensorFlow checkpoint its prefix, its .index file, or its folder. Raises `ValueError` for a
    file that holds something else, saying what, and where `out` holds something.
    """
    out = folders.vacant(out, "--out")
    path = files.local(path, "the file")
    found = _read(path)
    arrays = _placed(path, found)
    facts = {
        "network": "Inception I3D, RGB, Kinetics-400",
        "source": path.name,
        "source_sha256": found.sha256,
        "form": found.form,
        "resize": _RESIZES[found.form],
    }
    with files.whole_folder(out, i3d.WEIGHTS) as temporary:
        np.savez(temporary / i3d.WEIGHTS, **arrays)
        files.write_json(temporary / i3d.FACTS, facts)
    return facts


def _read(path: pathlib.Path) -> _Found:
    if (path / "saved_model.pb").is_file():
        return _Found("savedmodel", checksum(path), _variables(path / "variables" / "variables"))
    prefix = _checkpoint_prefix(path)
    if prefix is not None:
        parts = sorted(prefix.parent.glob(f"{prefix.name}.index")) + sorted(prefix.parent.glob(f"{prefix.name}.data-*"))
        digest = hashlib.sha256("".join(checksum(part) for part in parts).encode()).hexdigest()
        return _Found("tensorflow", digest, _variables(prefix))
    if path.is_dir():
        raise ValueError(f"{path} is a folder without a saved_model.pb and without one TensorFlow checkpoint.")
    file = torch_files.read(path)
    if file.container == "torchscript" and isinstance(file.value, Record):
        return _Found("torchscript", file.sha256, torch_files.scripted_arrays(file.value))
    value = file.value
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(value, dict) and isinstance(value.get(wrapper), dict):
            value = value[wrapper]
    if not isinstance(value, dict):
        raise ValueError(f"{path} is no state dict of I3D: it holds {type(value).__name__}.")
    return _Found("pytorch", file.sha256, {str(name): array for name, array in value.items() if isinstance(array, np.ndarray)})


def _checkpoint_prefix(path: pathlib.Path) -> pathlib.Path | None:
    if path.is_dir():
        indices = sorted(path.glob("*.index"))
        return indices[0].with_suffix("") if len(indices) == 1 else None
    if path.suffix == ".index" and path.is_file():
        return path.with_suffix("")
    return path if path.with_name(path.name + ".index").is_file() else None


def _variables(prefix: pathlib.Path) -> dict[str, np.ndarray]:
    """The variables of a TensorFlow checkpoint; nothing but arrays is in it."""
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(prefix))
        names = reader.get_variable_to_shape_map()
        total = sum(int(np.prod(shape, dtype=np.float64)) for shape in names.values())
        if total > 1 << 26:
            raise ValueError(f"it holds {total} numbers, many more than I3D has")
        kinds = reader.get_variable_to_dtype_map()
        return {name: np.asarray(reader.get_tensor(name)) for name in names if kinds[name].is_floating}
    except (tf.errors.OpError, ValueError, RuntimeError, MemoryError) as error:
        raise ValueError(f"{prefix} cannot be read as a TensorFlow checkpoint ({str(error)[:200]}).") from error


def _placed(path: pathlib.Path, found: _Found) -> dict[str, np.ndarray]:
    """The arrays under I3D's published names, in TensorFlow's layout."""
    place = _tensorflow_place if found.form in ("tensorflow", "savedmodel") else _torch_place
    arrays: dict[str, np.ndarray] = {}
    unknown = []
    for name, array in found.arrays.items():
        target = place(name)
        if target is None:
            unknown += [] if name.endswith(_COUNTERS) else [name]
        elif target in arrays:
            raise ValueError(f"{path} holds {target} of I3D twice.")
        else:
            arrays[target] = np.ascontiguousarray(_laid_out(array, target, place is _torch_place), np.float32)
    if unknown or not arrays:
        examples = ", ".join(sorted(unknown)[:4]) or "nothing"
        raise ValueError(f"{path} does not hold the weights of I3D ({found.form}): it holds {examples}, which I3D has not.")
    for name, unit in i3d.UNITS.items():
        arrays.setdefault(f"{name}/gamma", np.ones(unit.outputs, np.float32))  # TensorFlow's normalization has none
    try:
        i3d.check(arrays)
    except ValueError as error:
        raise ValueError(f"{path} does not hold the weights of I3D for Kinetics-400: {error}") from error
    return arrays


def _laid_out(array: np.ndarray, target: str, torch: bool) -> np.ndarray:
    """Kernels [time, height, width, in, out]; vectors, which TensorFlow keeps as [1, 1, 1, 1, n], as [n]."""
    if torch:
        return array.transpose(2, 3, 4, 1, 0) if array.ndim == 5 else array
    if not target.endswith("/w") and array.shape[:-1] == (1,) * (array.ndim - 1):
        return array.reshape(-1)
    return array


def _torch_place(name: str) -> str | None:
    match = _TORCH.fullmatch(name)
    if match is None:
        return None
    kind = _KINDS.get(("conv" if match["layer"].lower() == "conv3d" else "norm", match["kind"]))
    unit = match["unit"].lower()
    if kind is None:
        return None
    if unit in ("logits", "conv3d_0c_1x1"):
        return f"{i3d.LOGITS}/{kind}"
    if match["block"] is None:
        return f"Conv3d_{unit.removeprefix('conv3d_')}/{kind}"
    branch, place = _SHORT[match["short"]] if match["short"] else (match["branch"], int(match["place"] or 0))
    if branch == "3":
        place = 0  # a pooling comes first in one port
    published = _UNIT_AT.get((f"Mixed_{match['block'].lower()}", branch, place))
    return f"{published}/{kind}" if published else None


def _tensorflow_place(name: str) -> str | None:
    match = _TENSORFLOW.fullmatch(name)
    return f"{match['unit']}/{match['kind']}" if match else None


def _unit_at() -> dict[tuple[str, str, int], str]:
    """(block, branch, place in it) -> published name."""
    found: dict[tuple[str, str, int], str] = {}
    for name in i3d.UNITS:
        if name.startswith("Mixed"):
            block, branch, _ = name.split("/")
            number = branch[-1]
            found[block, number, sum(key[:2] == (block, number) for key in found)] = name
    return found


_UNIT_AT = _unit_at()
