"""LPIPS's weights: torchvision's AlexNet and the v0.1 heads of the `lpips` package -> the .npz file that LPIPS takes."""

import json

import numpy as np

from data_pipelines import files
from svg_tf.evaluation.metrics.perceptual import lpips_shapes
from svg_tf.importing import torch_files

SOURCES = "sources"
PUBLISHED = {"7be5be79": "torchvision's alexnet-owt-7be5be79.pth", "4df8aa71": "torchvision's alexnet-owt-4df8aa71.pth"}
"""First digits of the SHA-256 of AlexNet files, which torchvision has in their names."""


def import_lpips(alexnet, heads, out) -> dict:
    """Writes the file `out` (.npz): the arrays of `perceptual.lpips_shapes()`, and as `sources` (JSON, bytes) their origin.

    Args:
      alexnet: torchvision's file, a state dict with features.0.weight ... ; its classifier is left out.
      heads: lpips/weights/v0.1/alex.pth of the `lpips` package, lin0.model.1.weight ...

    Returns the sources: name, SHA-256 and, where its checksum is a published one, which file it is. Raises `ValueError` for
    files that hold something else.
    """
    out = files.located(out, "--out")
    if out.suffix != ".npz":
        raise ValueError(f"--out must end in .npz, got {out}.")
    arrays, sources = {}, {}
    for role, path, ignored in (("alexnet", alexnet, "classifier."), ("heads", heads, "")):
        file = torch_files.read(path)
        found = _arrays(path, file.value)
        wanted = {name: shape for name, shape in lpips_shapes().items() if name.startswith("lin") == (role == "heads")}
        _check(path, role, found, wanted, ignored)
        arrays |= {name: found[name].astype(np.float32) for name in wanted}
        published = PUBLISHED.get(file.sha256[:8]) if role == "alexnet" else None
        sources[role] = {"file": files.local(path).name, "sha256": file.sha256, "published_as": published}
    content = np.frombuffer(json.dumps(sources).encode(), np.uint8)
    with files.whole(out) as temporary:
        np.savez(temporary, **{SOURCES: content}, **arrays)
    return sources


def _arrays(path, value) -> dict[str, np.ndarray]:
    named = isinstance(value, dict) and value and all(isinstance(name, str) for name in value)
    if not named or not all(isinstance(array, np.ndarray) for array in value.values()):
        raise ValueError(f"{path} is no state dict: it holds {type(value).__name__}.")
    return value


def _check(path, role: str, found: dict, wanted: dict, ignored: str) -> None:
    what = "AlexNet's weights" if role == "alexnet" else "LPIPS's v0.1 heads for AlexNet"
    names = ", ".join(sorted(found)[:3])
    for name, shape in wanted.items():
        if name not in found:
            raise ValueError(f"{path} does not hold {what}: there is no {name}; it holds {names} ...")
        if found[name].shape != shape or found[name].dtype.kind != "f" or not np.isfinite(found[name]).all():
            raise ValueError(
                f"{path} does not hold {what}: {name} must be finite floats of shape {shape}, got {found[name].dtype} of shape "
                f"{found[name].shape}."
            )
    others = sorted(name for name in found if name not in wanted and not (ignored and name.startswith(ignored)))
    if others:
        raise ValueError(f"{path} does not hold {what} alone: {', '.join(others[:3])}.")
