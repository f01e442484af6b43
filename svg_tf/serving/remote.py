"""What a model on disk and models on servers have in common: a face, checks of requests and answers, errors.

Servers are TensorFlow Serving's: `grpc_model` and `rest_model`. None of these modules loads TensorFlow.
"""

import ipaddress
import re
from typing import NamedTuple

import numpy as np

from svg_tf.serving import KEYPOINTS, PREDICT_KEYPOINTS, RECONSTRUCT, UNCERTAINTY

MAX_MESSAGE = 1 << 30  # bytes of an answer
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 3.0  # seconds between repetitions, doubling
_HINTS = {
    "input tensors must have at least one dimension": "This server batches requests (--enable_batching), and can then take no "
    "scalars: leave n_future and n_samples out, or start it without batching.",
    "from different tasks have different shapes": "This server batches requests, and clips of different lengths met in one "
    "batch: send clips of one length, or start it without batching.",
}


class RequestError(ValueError):
    """A request that the model or the server did not answer; `code` is gRPC's name of the reason."""

    def __init__(self, code: str, message: str):
        hint = next((text for part, text in _HINTS.items() if part in message), "")
        super().__init__(f"{code}: {message}" + (f" {hint}" if hint else ""))
        self.code = code


class Spec(NamedTuple):
    """A tensor of a signature; None in the shape: any size."""

    dtype: np.dtype
    shape: tuple


class Model:
    """A model with signatures. inputs, outputs: {signature: {key: Spec}}. Subclasses give `_call`."""

    inputs: dict[str, dict[str, Spec]]
    outputs: dict[str, dict[str, Spec]]

    def call(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays in, arrays out. Raises `ValueError` for an unknown signature or other keys or dtypes than it has,
        `RequestError` for what the model refuses, a server that does not answer in time, or an answer of the wrong kind."""
        if signature not in self.inputs:
            raise ValueError(f"The model has the signatures {sorted(self.inputs)}, not {signature!r}.")
        specs = self.inputs[signature]
        if set(inputs) != set(specs):
            raise ValueError(f"Signature {signature!r} takes the inputs {sorted(specs)}, got {sorted(inputs)}.")
        arrays = {key: np.asarray(value) for key, value in inputs.items()}
        for key, array in arrays.items():
            if array.dtype != specs[key].dtype:
                raise ValueError(f"Input {key!r} of {signature!r} must be {specs[key].dtype}, got {array.dtype}.")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ValueError(f"Input {key!r} of {signature!r} must be finite.")
        answer = self._call(signature, arrays)
        _check_answer(signature, self.outputs.get(signature, {}), arrays, answer)
        return answer

    def _call(self, signature, arrays) -> dict[str, np.ndarray]:
        raise ValueError(f"{type(self).__name__} cannot be called.")

    def close(self) -> None:
        """Frees connections."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _check_answer(signature: str, specs: dict[str, Spec], arrays: dict, answer: dict) -> None:
    """Raises `RequestError` for an answer of other keys, dtypes or shapes than were declared and asked for, or with NaN."""
    missing = sorted(set(specs) - set(answer))
    if missing:
        raise RequestError("INTERNAL", f"The answer of {signature!r} lacks {missing}; it has {sorted(answer)}.")
    for key, spec in specs.items():
        found, wanted = answer[key], _wanted(signature, spec.shape, arrays)
        fits = len(found.shape) == len(wanted) and all(w in (None, n) for w, n in zip(wanted, found.shape, strict=True))
        if found.dtype != spec.dtype or not fits or not found.size:
            got = f"{found.dtype} {list(found.shape)}"
            raise RequestError("INTERNAL", f"{key!r} of {signature!r} must be {spec.dtype} {list(wanted)}, got {got}.")
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise RequestError("INTERNAL", f"{key!r} of {signature!r} has values that are not finite.")
        if found.dtype.kind == "f" and key == "frames" and not (found.min() >= 0 and found.max() <= 1):
            got = f"[{found.min():g}, {found.max():g}]"
            raise RequestError("INTERNAL", f"{key!r} of {signature!r} must be in [0, 1], got values in {got}.")


def _wanted(signature: str, shape: tuple, arrays: dict) -> tuple:
    """The declared shape with what the request fixes: its batch, the frames given or those that follow them, and samples and
    frames where it asks for a number of them."""
    wanted = list(shape)
    frames = arrays.get("frames")
    if wanted and wanted[0] is None and frames is not None and frames.ndim:
        wanted[0] = frames.shape[0]
    given = signature in (RECONSTRUCT, UNCERTAINTY, KEYPOINTS)  # an answer for each frame, or each but the first
    if given and wanted[1:2] == [None] and frames is not None and frames.ndim > 1:
        wanted[1] = frames.shape[1] - (signature != KEYPOINTS)
    if len(wanted) == 6 or (signature == PREDICT_KEYPOINTS and len(wanted) > 2):  # futures [B, S, F, ...]
        for axis, key in ((1, "n_samples"), (2, "n_future")):
            if key in arrays and wanted[axis] is None:
                wanted[axis] = int(arrays[key])
    return tuple(wanted)


def require_serving_api() -> None:
    """Raises `ValueError`, naming the extra, where TensorFlow Serving's protos or gRPC are missing."""
    try:
        import grpc  # noqa: F401
        import tensorflow_serving.apis.predict_pb2  # noqa: F401
    except ImportError as error:
        raise ValueError('TensorFlow Serving\'s protos are missing: pip install "svg_tf[serving]".') from error


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def one_line(message: str) -> str:
    """An error's text without the graph's node names, at most 500 characters."""
    text = re.sub(r"\s*\[\[\{\{.*", "", message, flags=re.DOTALL)
    _, found, asserted = text.partition("assertion failed: [")
    if found:  # "assertion failed: [what was expected; got] [value]" -> "what was expected; got [value]"
        text = asserted.replace("] [", " [", 1).replace("\\'", "'")
    return " ".join(text.split())[:500]
