"""A model on TensorFlow Serving's REST port (tensorflow.org/tfx/serving/api_rest). Loads no TensorFlow.

Requests and answers are JSON in the column format ("inputs", "outputs").
"""

import json

import numpy as np

from svg_tf.serving import deadlines, wire
from svg_tf.serving.remote import FIRST_PAUSE, LONGEST_PAUSE, MAX_MESSAGE, Model, RequestError, Spec, is_loopback, one_line

_HTTP_CODES = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 412: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED",
               501: "UNIMPLEMENTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}  # fmt: skip
# No compression: what is small on the wire must not become large here.
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}


class RestModel(Model):
    """timeout: seconds for a request, its repetitions and the reading of the answer included. Requests to a server that is
    UNAVAILABLE are repeated with growing pauses, by urllib3."""

    def __init__(self, url, name: str, version: int | None, timeout: float, retries: int):
        try:
            import requests
        except ImportError as error:
            raise ValueError('The REST client needs requests: pip install "svg_tf[serving]".') from error

        self._requests, self.name, self._timeout = requests, name, timeout
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(url.hostname)  # no proxy between this machine and itself
        # Answers that do not come in time are not asked for again (read=False); refused connections and 503 are.
        repeat = requests.adapters.Retry(
            total=retries, read=False, backoff_factor=FIRST_PAUSE, backoff_max=LONGEST_PAUSE, status_forcelist=[503],
            allowed_methods=None, raise_on_status=False, respect_retry_after_header=False,
        )  # fmt: skip
        self._session.mount(f"{url.scheme}://", deadlines.adapter(max_retries=repeat))
        root = f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}"
        self._address = f"{root}/v1/models/{name}" + ("" if version is None else f"/versions/{version}")
        try:
            self._learn()
        except BaseException:
            self.close()
            raise

    def _learn(self) -> None:
        """Asks the server for the signatures."""
        metadata = self._send("GET", f"{self._address}/metadata")
        try:
            definitions = metadata["metadata"]["signature_def"]["signature_def"]
            self.inputs, self.outputs = (
                {key: {k: _spec(info) for k, info in d[side].items()} for key, d in definitions.items() if d.get(side)}
                for side in ("inputs", "outputs")
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise RequestError("INTERNAL", f"{self._address} sent metadata of another kind ({error}).") from error

    def _send(self, method: str, address: str, body: str | None = None) -> dict:
        try:
            status, content = deadlines.within(self._timeout, self._exchange, method, address, body)
        except TimeoutError:
            raise RequestError("DEADLINE_EXCEEDED", f"{address}: no answer within {self._timeout:g} s.") from None
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            value = {"error": f"an answer that is not JSON (HTTP {status})"}
        if status != 200 or not isinstance(value, dict) or "error" in value:
            message = str(value.get("error", "")) if isinstance(value, dict) else "an answer that is no JSON object"
            raise RequestError(_HTTP_CODES.get(status, "UNKNOWN"), f"{address}: {one_line(message)}")
        return value

    def _exchange(self, method: str, address: str, body: str | None) -> tuple[int, bytes]:
        """The status and the content of the answer."""
        from urllib3.exceptions import HTTPError

        content = bytearray()
        try:
            with self._session.request(
                method, address, data=body, headers=_HEADERS, timeout=self._timeout, stream=True, allow_redirects=False
            ) as answer:
                for part in answer.raw.stream(1 << 16, decode_content=False):
                    content += part
                    if len(content) > MAX_MESSAGE:
                        raise RequestError("RESOURCE_EXHAUSTED", f"{address}: an answer of more than {MAX_MESSAGE} bytes.")
        except self._requests.exceptions.Timeout as error:
            raise TimeoutError from error
        except (self._requests.exceptions.RequestException, HTTPError) as error:
            raise RequestError("UNAVAILABLE", f"{address}: {one_line(str(error))}") from error
        return answer.status_code, bytes(content)

    def _call(self, signature, arrays):
        body = {"signature_name": signature, "inputs": {key: array.tolist() for key, array in arrays.items()}}
        answer = self._send("POST", f"{self._address}:predict", json.dumps(body, allow_nan=False))
        specs = self.outputs[signature]
        try:
            outputs = answer["outputs"]
            if len(specs) == 1:  # a single output comes without its name
                outputs = {next(iter(specs)): outputs}
            return {key: from_json(outputs[key], spec.dtype) for key, spec in specs.items()}
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise RequestError("INTERNAL", f"{self._address}: outputs of another kind ({error}).") from error

    def close(self):
        self._session.close()


def from_json(value, dtype: np.dtype) -> np.ndarray:
    """Numbers of JSON as `dtype`, exactly. Raises `ValueError` for others: casts would turn 0.7 into 0, and 300 into 44."""
    found = np.asarray(value)
    if not found.size:
        return np.zeros(found.shape, dtype)
    kinds = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[dtype.kind]
    if found.dtype.kind not in kinds:
        raise ValueError(f"expected {dtype.name}, got {found.dtype}")
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= found.min() <= found.max() <= np.iinfo(dtype).max:
        raise ValueError(f"expected {dtype.name}, got numbers from {found.min()} to {found.max()}")
    with np.errstate(over="ignore"):  # to infinity, which is refused
        return found.astype(dtype)


def _spec(info: dict) -> Spec:
    shape = info["tensor_shape"]
    if shape.get("unknown_rank"):
        raise ValueError("a tensor of unknown rank")
    sizes = [int(dim["size"]) for dim in shape.get("dim", [])]
    return Spec(wire.dtype_of(info["dtype"]), tuple(None if size < 0 else size for size in sizes))
