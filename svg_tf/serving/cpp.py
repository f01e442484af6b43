"""A SavedModel tried in TensorFlow's C++ loader, in a process of its own (`cpp_loader`)."""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

TIMEOUT_SECONDS = 600


def signatures(version) -> dict:
    """Name -> its `SignatureDef`, of the signatures that a client may call. Raises `ValueError` where there is no SavedModel."""
    path = pathlib.Path(version) / "saved_model.pb"
    if not path.is_file():
        raise ValueError(f"{version} is no SavedModel: it has no saved_model.pb.")
    content = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    found = content.meta_graphs[0].signature_def.items()
    return {name: definition for name, definition in found if not name.startswith("__")}


def answers(version, requests, *, threads: int = 1) -> list[dict[str, np.ndarray] | tuple[int, str]]:
    """What the C++ loader answers, in a process without TensorFlow in Python and without this package.

    Args:
      version: folder of the SavedModel.
      requests: (signature, {key: array}) each.
    Returns: for each request its arrays by key, or (TF_Code, message) where it was refused.
    Raises: ValueError where the model cannot be loaded.
    """
    names = {
        name: {side: {key: value.name for key, value in getattr(found, side).items()} for side in ("inputs", "outputs")}
        for name, found in signatures(version).items()
    }
    arrays = {f"{i}/{name}/{key}": value for i, (name, inputs) in enumerate(requests) for key, value in inputs.items()}
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        np.savez(work / "requests.npz", **arrays)
        job = {
            "library": str(pathlib.Path(tf.__file__).parent), "model": str(pathlib.Path(version).resolve()), "signatures": names,
            "threads": threads, "requests": str(work / "requests.npz"), "answers": str(work / "answers.npz"),
        }  # fmt: skip
        (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
        command = [sys.executable, "-I", str(pathlib.Path(__file__).with_name("cpp_loader.py")), str(work / "job.json")]
        process = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, cwd=work, check=False)
        if process.returncode:
            raise ValueError(f"The C++ loader cannot run {version}: {process.stderr.strip()[-2000:]}")
        found: list[dict] = [{} for _ in requests]
        with np.load(work / "answers.npz", allow_pickle=False) as file:
            for name in file.files:
                number, key = name.split("/")
                found[int(number)][key] = file[name]
    return [tuple(json.loads(str(answer["error"]))) if "error" in answer else answer for answer in found]


def requests_of(version, frame_shape, n_past: int, *, batch: int = 2, seed: int = 0) -> list[tuple[str, dict[str, np.ndarray]]]:
    """One request for each signature of an export, by the inputs that it declares: noise in place of frames.

    Of inputs that a family adds, dimensions that are open are [batch, n_past, 1, ...].
    """
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (batch, max(n_past, 2), *frame_shape), np.uint8)
    values = {
        ("frames", tf.uint8): pixels,
        ("frames", tf.float32): pixels.astype(np.float32) / 255,
        ("seed", tf.int32): np.stack([np.zeros(batch), np.arange(batch)], axis=1).astype(np.int32),
        ("n_future", tf.int32): np.int32(2),
        ("n_samples", tf.int32): np.int32(2),
    }
    requests = []
    for name, found in sorted(signatures(version).items()):
        inputs = {}
        for key, info in found.inputs.items():
            kind = tf.as_dtype(info.dtype)
            opened = [batch, max(n_past, 2), *[1] * len(info.tensor_shape.dim)]
            sizes = [dim.size if dim.size >= 0 else opened[i] for i, dim in enumerate(info.tensor_shape.dim)]
            inputs[key] = np.asarray(values[key, kind] if (key, kind) in values else np.ones(sizes, kind.as_numpy_dtype))
        requests.append((name, inputs))
    return requests


def faults(version, frame_shape, n_past: int) -> list[str]:
    """What is wrong with the answers of a SavedModel in the C++ loader, signature by signature; empty where all is well.

    Each signature must answer, twice the same, with finite values in the shapes and dtypes that it declares.
    """
    requests = requests_of(version, frame_shape, n_past)
    if not requests:
        return [f"{version} has no signature."]
    try:
        found = answers(version, [*requests, *requests])
    except ValueError as error:
        return [str(error)]
    declared, result = signatures(version), []
    for (name, _), first, second in zip(requests, found, found[len(requests) :], strict=False):
        if isinstance(first, tuple) or isinstance(second, tuple):
            result.append(f"{name}: refused a good request: {first if isinstance(first, tuple) else second}")
            continue
        for key, info in declared[name].outputs.items():
            result += [f"{name}: {key} {text}" for text in _faults(first[key], second[key], info)]
    return result


def _faults(first: np.ndarray, second: np.ndarray, info) -> list[str]:
    wanted, kind = tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype)
    found = []
    if first.dtype != kind.as_numpy_dtype or not wanted.is_compatible_with(first.shape) or not first.size:
        found.append(f"is {first.dtype} {list(first.shape)}; {kind.name} {wanted} was declared")
    if not np.isfinite(first.astype(np.float64)).all():
        found.append("is not finite")
    if not np.array_equal(first, second):
        found.append("differs between two equal requests")
    return found
