"""One client for a SavedModel on disk and for TensorFlow Serving's gRPC and REST APIs.

    with client.connect("grpc://localhost:8500", "smmnist_mini") as model:
        futures = client.predict(model, frames, n_future=25, n_samples=10, seed=0)

The three kinds of model have one face: `inputs` and `outputs` of each signature, and `call`.
"""

import logging
import pathlib
import threading
import urllib.parse
from typing import NamedTuple

import numpy as np

from data_pipelines import checks
from data_pipelines.files import located
from svg_tf.serving import DEFAULT, GENERATE, KEYPOINTS, PREDICT_KEYPOINTS, remote
from svg_tf.serving.limits import version_number
from svg_tf.serving.remote import RequestError, Spec

SHIPPED = "smmnist_mini"
_SERVERS = ("grpc", "http", "https")
log = logging.getLogger(__name__)


def connect(where, name: str = "", *, version: int | None = None, timeout: float = 60.0, retries: int = 4):
    """The model at `where`: a folder NAME or NAME/<n> of a SavedModel, grpc://host:port, http://host:port or https://...

    Args:
      name: the model's name on a server.
      version: its version; None: the latest.
      timeout: seconds for a request in all: its repetitions and the reading of the answer included.
      retries: how often a request to a server that is unavailable is repeated (at most 4), after 0.2, 0.4, ... seconds.

    Returns: a `LocalModel`, `grpc_model.GrpcModel` or `rest_model.RestModel`, each a context manager. Only the first loads
      TensorFlow.
    Raises: `ValueError` for a malformed address or a folder without a SavedModel; `RequestError` for a server that does
      not answer or does not know the model.
    """
    checks.number("timeout", timeout, high=86400, above=0)
    checks.integer("retries", retries, 0, 4)
    if version is not None:
        checks.integer("version", version, 0)
    if not _is_address(str(where)):
        return LocalModel(where, version)
    url = urllib.parse.urlsplit(str(where))
    if url.scheme not in _SERVERS or not url.hostname or url.username or url.query or url.fragment:
        raise ValueError(f"A server's address must be grpc://host:port or http://host:port, got {str(where)!r}.")
    try:
        port = url.port
    except ValueError:
        raise ValueError(f"The port in {str(where)!r} must be a number in [0, 65535].") from None
    if url.scheme == "grpc" and (port is None or url.path not in ("", "/")):
        raise ValueError(f"A gRPC address must be grpc://host:port, got {str(where)!r}.")
    if not name or "/" in name or ":" in name:
        raise ValueError(f"A server's model needs its name, got {name!r}.")
    if url.scheme == "grpc":
        from svg_tf.serving.grpc_model import GrpcModel as kind
    else:
        from svg_tf.serving.rest_model import RestModel as kind
    return kind(url, name, version, timeout, retries)


def _is_address(where: str) -> bool:
    """Whether `where` is a server, and no folder on this machine or in a store."""
    scheme, found, _ = where.partition("://")
    if not found or scheme == "file":
        return False
    if scheme in _SERVERS:
        return True
    from data_pipelines import stores

    return scheme not in stores.schemes()


def default_model() -> pathlib.Path:
    """The exported model that comes with a checkout, or lies in `saved_models/` here. Raises `ValueError` where there is none."""
    package = pathlib.Path(__file__).resolve().parents[1]
    for folder in (pathlib.Path("saved_models"), package.parent / "saved_models", package / "shipped"):
        if _versions(folder / SHIPPED):
            return folder / SHIPPED
    raise ValueError(
        "No --model and no --url was given, and no exported model comes with this installation: export one (svg-tf export "
        "RUN_DIR --out saved_models/NAME) and give its folder (--model saved_models/NAME), or a server (--url grpc://host:port)."
    )


class LocalModel(remote.Model):
    """A SavedModel from disk, run in this process by TensorFlow's Python loader; the newest version unless told otherwise."""

    def __init__(self, path, version: int | None = None):
        path = located(path, "the model")
        folder = path if (path / "saved_model.pb").is_file() else _version_folder(path, version)
        import tensorflow as tf

        self._tf, self.folder, self.name = tf, folder, folder.parent.name
        self._functions = _loaded(folder)
        self.inputs, self.outputs = {}, {}
        for key, function in self._functions.items():
            self.inputs[key] = {k: _spec(v) for k, v in function.structured_input_signature[1].items()}
            self.outputs[key] = {k: _spec(v) for k, v in function.structured_outputs.items()}

    def _call(self, signature, arrays):
        tf = self._tf
        try:
            answer = self._functions[signature](**{key: tf.constant(value) for key, value in arrays.items()})
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            raise RequestError("INVALID_ARGUMENT", remote.one_line(str(error))) from error
        return {key: value.numpy() for key, value in answer.items()}


_LOADED: dict[tuple, dict] = {}
"""Signatures of the SavedModels that this process has loaded: TensorFlow keeps a graph for good (90 MB of `smmnist_mini`),
also when nobody has the model any more."""
_LOADING = threading.Lock()


def _loaded(folder: pathlib.Path) -> dict:
    """The signatures of a SavedModel by name, loaded once as long as its files are the same. Raises `ValueError`."""
    import tensorflow as tf

    files = [folder / "saved_model.pb", *sorted((folder / "variables").glob("*"))]
    facts = [(file.stat().st_ino, file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    key = (folder.resolve(), *facts)
    with _LOADING:
        if key not in _LOADED:
            try:
                _LOADED[key] = dict(tf.saved_model.load(str(folder)).signatures.items())
            except (OSError, ValueError, tf.errors.OpError) as error:
                raise ValueError(f"{folder} holds a SavedModel that cannot be loaded ({error}).") from error
        return _LOADED[key]


class Answers(NamedTuple):
    """What a predictor's "serving_default" takes and gives: (H, W, C) of a frame, samples and frames of an answer."""

    frame_shape: tuple[int, int, int]
    n_samples: int
    n_future: int


def answers_of(model) -> Answers:
    """From the declared signatures. Raises `ValueError` for a model that is no video predictor of this package."""
    taken, given = (side.get(DEFAULT, {}).get("frames") for side in (model.inputs, model.outputs))
    both = taken is not None and given is not None and taken.dtype == given.dtype == np.uint8
    if both and len(taken.shape) == 5 and len(given.shape) == 6:
        found = Answers(taken.shape[2:], given.shape[1], given.shape[2])
        if None not in (*found.frame_shape, found.n_samples, found.n_future) and given.shape[3:] == found.frame_shape:
            return found
    raise ValueError(
        f"The model is no video predictor: {DEFAULT!r} must take frames uint8 [batch, time, H, W, C] and give frames uint8 "
        f"[batch, samples, time, H, W, C]; its signatures are {sorted(model.inputs)}."
    )


def predict(model, frames, n_future: int | None = None, n_samples: int | None = None, seed=(0, 0)) -> np.ndarray:
    """Futures of one clip.

    Args:
      model: from `connect`.
      frames: uint8 [T, H, W, C] of the model's size, all of them context.
      n_future, n_samples: frames and samples wanted; None: as exported.
      seed: two int32 numbers; the same seed gives the same futures.

    Returns: uint8 [n_samples, n_future, H, W, C].
    Raises: `ValueError` for frames of another kind, `RequestError` (a ValueError) for what the model refuses.
    """
    inputs = _inputs(model, frames, seed)
    if n_future is None and n_samples is None:
        return model.call(DEFAULT, inputs)["frames"][0]
    return model.call(GENERATE, inputs | _counts(model, n_future, n_samples))["frames"][0]


class Tracks(NamedTuple):
    """Keypoints (x, y, mu). context: float32 [T, K, 3], found in each frame; futures: float32 [S, F, K, 3]."""

    context: np.ndarray
    futures: np.ndarray


def shows_keypoints(model) -> bool:
    """Whether `predict_keypoints` can be asked of it."""
    return {KEYPOINTS, PREDICT_KEYPOINTS} <= set(model.inputs)


def predict_keypoints(model, frames, n_future: int | None = None, n_samples: int | None = None, seed=(0, 0)) -> Tracks:
    """The keypoints of a clip and those that `predict` draws its futures from, for the same arguments.

    Raises as `predict`; `ValueError` for a model without keypoints.
    """
    if not shows_keypoints(model):
        raise ValueError(
            f"The model shows no keypoints: it lacks the signatures {KEYPOINTS!r} and {PREDICT_KEYPOINTS!r}; its signatures are "
            f"{sorted(model.inputs)}."
        )
    inputs = _inputs(model, frames, seed)
    found = model.call(KEYPOINTS, {"frames": inputs["frames"]})["keypoints"][0]
    return Tracks(found, model.call(PREDICT_KEYPOINTS, inputs | _counts(model, n_future, n_samples))["keypoints"][0])


def _inputs(model, frames, seed) -> dict:
    """A request for the futures of one clip. Raises `ValueError` for other frames and seeds."""
    frames, size = np.asarray(frames), answers_of(model).frame_shape
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != size:
        raise ValueError(
            f"frames must be uint8 [time, {size[0]}, {size[1]}, {size[2]}] for this model, got {frames.dtype} of shape "
            f"{frames.shape}."
        )
    pair = np.asarray(seed)
    if pair.shape != (2,) or pair.dtype.kind not in "iu" or (abs(pair.astype(np.int64)) >= 2**31).any():
        raise ValueError(f"seed must be two int32 numbers, got {seed!r}.")
    return {"frames": frames[None], "seed": pair.astype(np.int32)[None]}


def _counts(model, n_future, n_samples) -> dict:
    """The numbers asked for; None: those of "serving_default"."""
    answers = answers_of(model)
    wanted = {"n_future": (n_future, answers.n_future), "n_samples": (n_samples, answers.n_samples)}
    values = {key: default if value is None else value for key, (value, default) in wanted.items()}
    return {key: np.int32(checks.integer(key, value, 1, 2**31 - 1)) for key, value in values.items()}


def _spec(tensor_spec) -> Spec:
    return Spec(np.dtype(tensor_spec.dtype.as_numpy_dtype), tuple(tensor_spec.shape))


def _versions(path: pathlib.Path) -> dict[int, pathlib.Path]:
    """Version -> its folder. A word on folders that look like versions and are none for a server."""
    folders = [p for p in path.iterdir() if p.is_dir()] if path.is_dir() else []
    for folder in folders:
        if folder.name.isnumeric() and version_number(folder.name) is None:
            log.warning("%s is passed over: versions are named by at most 18 digits 0-9.", folder)
    return {number: p for p in sorted(folders) if (number := version_number(p.name)) is not None}


def _version_folder(path: pathlib.Path, version: int | None) -> pathlib.Path:
    found = _versions(path)
    if not found or (version is not None and version not in found):
        wanted = "a version" if version is None else f"version {version}"
        raise ValueError(f"{path} holds no SavedModel: expected {wanted} in a folder named by its number (svg-tf export).")
    folder = found[max(found) if version is None else version]
    if not (folder / "saved_model.pb").is_file():
        raise ValueError(f"{folder} holds no SavedModel: it has no saved_model.pb.")
    return folder
