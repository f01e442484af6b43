"""TensorFlow Serving's two network APIs behind one face (prediction_service.proto; tensorflow.org/tfx/serving/api_rest).

Requests to a server that is UNAVAILABLE are repeated with growing pauses, by gRPC's retry policy and by urllib3.
"""

import ipaddress
import json
import queue
import re
import threading
import time
from typing import NamedTuple

import numpy as np

MAX_MESSAGE = 1 << 30  # bytes of an answer
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 3.0  # seconds between repetitions, doubling
_HTTP_CODES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 412: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED",
               501: "UNIMPLEMENTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}  # fmt: skip
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
        _check_answer(signature, self.outputs[signature], arrays, answer)
        return answer

    def _call(self, signature, arrays) -> dict[str, np.ndarray]:
        raise ValueError(f"{type(self).__name__} cannot be called.")

    def close(self) -> None:
        """Frees connections."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class GrpcModel(Model):
    """A model on a server's gRPC port."""

    def __init__(self, url, name: str, version: int | None, timeout: float, retries: int):
        require_serving_api()
        import grpc
        import tensorflow as tf
        from google.protobuf.message import DecodeError
        from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

        self._grpc, self._tf, self._predict_pb2 = grpc, tf, predict_pb2
        self.name, self._version, self._timeout, self._address = name, version, timeout, url.netloc
        policy = {"maxAttempts": retries + 1, "initialBackoff": f"{FIRST_PAUSE}s", "maxBackoff": f"{LONGEST_PAUSE}s",
                  "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}  # fmt: skip
        service = {"methodConfig": [{"name": [{}]} | ({"retryPolicy": policy} if retries else {})]}
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.max_send_message_length", MAX_MESSAGE),
            ("grpc.service_config", json.dumps(service)),
            ("grpc.enable_http_proxy", 0 if is_loopback(url.hostname) else 1),
        ]
        self._channel = grpc.insecure_channel(url.netloc, options=options)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._address_model(request.model_spec)
        try:
            answer = self._send(self._stub.GetModelMetadata, request)
            definitions = get_model_metadata_pb2.SignatureDefMap()
            if not answer.metadata["signature_def"].Unpack(definitions):
                raise RequestError("INTERNAL", f"{self._address} sent metadata of another kind.")
            self.inputs, self.outputs = {}, {}
            for key, definition in definitions.signature_def.items():
                for specs, infos in ((self.inputs, definition.inputs), (self.outputs, definition.outputs)):
                    specs[key] = {k: _spec(tf, info.dtype, info.tensor_shape) for k, info in infos.items()}
        except (TypeError, KeyError, DecodeError) as error:
            self.close()
            raise RequestError("INTERNAL", f"{self._address} sent metadata of another kind ({error}).") from error
        except BaseException:
            self.close()
            raise

    def _address_model(self, spec) -> None:
        spec.name = self.name
        if self._version is not None:
            spec.version.value = self._version

    def _send(self, method, request):
        try:
            return method(request, timeout=self._timeout)
        except self._grpc.RpcError as error:
            raise RequestError(error.code().name, f"{self._address}: {one_line(error.details() or '')}") from error

    def _call(self, signature, arrays):
        request = self._predict_pb2.PredictRequest()
        self._address_model(request.model_spec)
        request.model_spec.signature_name = signature
        for key, array in arrays.items():
            request.inputs[key].CopyFrom(self._tf.make_tensor_proto(array))
        answer = self._send(self._stub.Predict, request)
        try:
            return {key: self._tf.make_ndarray(value) for key, value in answer.outputs.items()}
        except (TypeError, ValueError, MemoryError) as error:
            raise RequestError("INTERNAL", f"{self._address}: outputs of another kind ({error}).") from error

    def close(self):
        self._channel.close()


class RestModel(Model):
    """A model on a server's REST port. Requests and answers are JSON in the column format ("inputs", "outputs")."""

    def __init__(self, url, name: str, version: int | None, timeout: float, retries: int):
        try:
            import requests
        except ImportError as error:
            raise ValueError('The REST client needs requests: pip install "svg_tf[serving]".') from error
        import tensorflow as tf

        self._requests, self.name, self._timeout = requests, name, timeout
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(url.hostname)  # no proxy between this machine and itself
        # Answers that do not come in time are not asked for again (read=False); refused connections and 503 are.
        repeat = requests.adapters.Retry(
            total=retries, read=False, backoff_factor=FIRST_PAUSE, backoff_max=LONGEST_PAUSE, status_forcelist=[503],
            allowed_methods=None, raise_on_status=False,
        )  # fmt: skip
        self._session.mount(f"{url.scheme}://", requests.adapters.HTTPAdapter(max_retries=repeat))
        root = f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"
        self._address = f"{root}/v1/models/{name}" + ("" if version is None else f"/versions/{version}")
        try:
            metadata = self._send("GET", f"{self._address}/metadata")
            definitions = metadata["metadata"]["signature_def"]["signature_def"]
            self.inputs, self.outputs = (
                {key: {k: _json_spec(tf, i) for k, i in d[side].items()} for key, d in definitions.items() if d.get(side)}
                for side in ("inputs", "outputs")
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            self.close()
            if isinstance(error, RequestError):
                raise
            raise RequestError("INTERNAL", f"{self._address} sent metadata of another kind ({error}).") from error

    def _send(self, method: str, address: str, body: str | None = None):
        """Within `timeout` in all, repetitions and reading included: a server that sends a byte now and then is given up, too."""
        done: queue.SimpleQueue = queue.SimpleQueue()

        def work():
            try:
                done.put((self._exchange(method, address, body), None))
            except BaseException as error:  # raised again where the caller waits
                done.put((None, error))

        threading.Thread(target=work, daemon=True).start()
        try:
            value, error = done.get(timeout=self._timeout)
        except queue.Empty:
            raise RequestError("DEADLINE_EXCEEDED", f"{address}: no answer within {self._timeout:g} s.") from None
        if error is not None:
            raise error
        return value

    def _exchange(self, method: str, address: str, body: str | None):
        until = time.monotonic() + self._timeout
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._session.request(
                method, address, data=body, headers=headers, timeout=self._timeout, stream=True, allow_redirects=False
            )
            with answer:
                content = bytearray()
                for part in answer.iter_content(1 << 16):
                    content += part
                    if time.monotonic() > until:
                        raise RequestError("DEADLINE_EXCEEDED", f"{address}: no whole answer within {self._timeout:g} s.")
                    if len(content) > MAX_MESSAGE:
                        raise RequestError("RESOURCE_EXHAUSTED", f"{address}: an answer of more than {MAX_MESSAGE} bytes.")
        except self._requests.exceptions.Timeout as error:
            raise RequestError("DEADLINE_EXCEEDED", f"{address}: no answer within {self._timeout:g} s.") from error
        except self._requests.exceptions.RequestException as error:
            raise RequestError("UNAVAILABLE", f"{address}: {one_line(str(error))}") from error
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            value = {"error": f"an answer that is not JSON (HTTP {answer.status_code})"}
        if answer.status_code != 200 or not isinstance(value, dict) or "error" in value:
            message = str(value.get("error", "")) if isinstance(value, dict) else "an answer that is no JSON object"
            raise RequestError(_HTTP_CODES.get(answer.status_code, "UNKNOWN"), f"{address}: {one_line(message)}")
        return value

    def _call(self, signature, arrays):
        body = {"signature_name": signature, "inputs": {key: array.tolist() for key, array in arrays.items()}}
        answer = self._send("POST", f"{self._address}:predict", json.dumps(body, allow_nan=False))
        specs = self.outputs[signature]
        try:
            outputs = answer["outputs"]
            if len(specs) == 1:  # a single output comes without its name
                outputs = {next(iter(specs)): outputs}
            return {key: _from_json(outputs[key], spec.dtype) for key, spec in specs.items()}
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise RequestError("INTERNAL", f"{self._address}: outputs of another kind ({error}).") from error

    def close(self):
        self._session.close()


def _from_json(value, dtype: np.dtype) -> np.ndarray:
    """Numbers of JSON as `dtype`, exactly. Raises `ValueError` for others: casts would turn 0.7 into 0, and 300 into 44."""
    found = np.asarray(value)
    if found.dtype.kind not in "biuf" or (dtype.kind in "iu" and found.dtype.kind not in "iu"):
        raise ValueError(f"expected {dtype.name}, got {found.dtype}")
    if dtype.kind in "iu" and found.size and not np.iinfo(dtype).min <= found.min() <= found.max() <= np.iinfo(dtype).max:
        raise ValueError(f"expected {dtype.name}, got numbers from {found.min()} to {found.max()}")
    return found.astype(dtype)


def _check_answer(signature: str, specs: dict[str, Spec], arrays: dict, answer: dict) -> None:
    """Raises `RequestError` for an answer of other keys, dtypes or shapes than were declared and asked for, or with NaN."""
    missing = sorted(set(specs) - set(answer))
    if missing:
        raise RequestError("INTERNAL", f"The answer of {signature!r} lacks {missing}; it has {sorted(answer)}.")
    for key, spec in specs.items():
        found, wanted = answer[key], _wanted(spec.shape, arrays)
        fits = len(found.shape) == len(wanted) and all(w in (None, n) for w, n in zip(wanted, found.shape, strict=True))
        if found.dtype != spec.dtype or not fits or not found.size:
            got = f"{found.dtype} {list(found.shape)}"
            raise RequestError("INTERNAL", f"{key!r} of {signature!r} must be {spec.dtype} {list(wanted)}, got {got}.")
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise RequestError("INTERNAL", f"{key!r} of {signature!r} has values that are not finite.")


def _wanted(shape: tuple, arrays: dict) -> tuple:
    """The declared shape with what the request fixes: its batch, and samples and frames where it asks for a number of them."""
    wanted = list(shape)
    frames = arrays.get("frames")
    if wanted and wanted[0] is None and frames is not None and frames.ndim:
        wanted[0] = frames.shape[0]
    if len(wanted) == 6:  # futures [B, S, F, H, W, C]
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


def _spec(tf, dtype: int, shape) -> Spec:
    if shape.unknown_rank:
        raise TypeError("a tensor of unknown rank")
    dims = tuple(None if d.size < 0 else d.size for d in shape.dim)
    return Spec(np.dtype(tf.as_dtype(dtype).as_numpy_dtype), dims)


def _json_spec(tf, info: dict) -> Spec:
    if info["tensor_shape"].get("unknown_rank"):
        raise TypeError("a tensor of unknown rank")
    dims = tuple(None if int(d["size"]) < 0 else int(d["size"]) for d in info["tensor_shape"].get("dim", []))
    return Spec(np.dtype(tf.as_dtype(info["dtype"].removeprefix("DT_").lower()).as_numpy_dtype), dims)
