"""A stand-in for TensorFlow Serving, for contract tests of the client: NOT TensorFlow Serving.

It has the same gRPC services (the servicers and protos of the package tensorflow-serving-api) and the same REST paths, and
runs a SavedModel in this process by TensorFlow's Python loader. It listens on localhost alone.
"""

import contextlib
import json
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

HTTP = {grpc.StatusCode.INVALID_ARGUMENT: 400, grpc.StatusCode.NOT_FOUND: 404, grpc.StatusCode.UNAVAILABLE: 503}


class Refused(Exception):
    """args = (grpc.StatusCode, message)."""


class Backend:
    """One SavedModel. The next `unavailable` requests are refused as UNAVAILABLE; answers wait for `hold`, if it is an event."""

    def __init__(self, folder, name: str):
        self.name, self.unavailable, self.requests, self.hold = name, 0, 0, None
        self._lock, self._model = threading.Lock(), tf.saved_model.load(str(folder))
        content = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        definitions = content.meta_graphs[0].signature_def
        self.definitions = {key: value for key, value in definitions.items() if not key.startswith("__")}

    def enter(self, name: str) -> None:
        with self._lock:
            self.requests += 1
            if self.unavailable:
                self.unavailable -= 1
                raise Refused(grpc.StatusCode.UNAVAILABLE, "the stand-in is not available")
        if self.hold is not None:
            self.hold.wait()
        if name != self.name:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({name})")

    def predict(self, signature: str, inputs: dict) -> dict:
        if signature not in self.definitions:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"Serving signature name: {signature!r} not found in signature def")
        definition = self.definitions[signature]
        if set(inputs) != set(definition.inputs):
            expected = sorted(definition.inputs)
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"expected inputs {expected}, got {sorted(inputs)}")
        for key, array in inputs.items():
            dtype = tf.as_dtype(definition.inputs[key].dtype).as_numpy_dtype
            if array.dtype != dtype:
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"input {key} expected {np.dtype(dtype)}, got {array.dtype}")
        try:
            answer = self._model.signatures[signature](**{key: tf.constant(array) for key, array in inputs.items()})
        except (tf.errors.InvalidArgumentError, ValueError, TypeError) as error:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
        return {key: value.numpy() for key, value in answer.items()}


class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, backend: Backend):
        self._backend = backend

    def Predict(self, request, context):
        try:
            self._backend.enter(request.model_spec.name)
            inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            outputs = self._backend.predict(request.model_spec.signature_name or "serving_default", inputs)
        except Refused as refused:
            context.abort(*refused.args)
        answer = predict_pb2.PredictResponse()
        for key, array in outputs.items():
            answer.outputs[key].CopyFrom(tf.make_tensor_proto(array))
        return answer

    def GetModelMetadata(self, request, context):
        try:
            self._backend.enter(request.model_spec.name)
        except Refused as refused:
            context.abort(*refused.args)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        definitions = get_model_metadata_pb2.SignatureDefMap()
        for key, value in self._backend.definitions.items():
            definitions.signature_def[key].CopyFrom(value)
        answer.metadata["signature_def"].Pack(definitions)
        return answer


def _handler(backend: Backend):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer("/metadata", self._metadata)

        def do_POST(self):
            self._answer(":predict", self._predict)

        def _answer(self, ending: str, function):
            try:
                if not (self.path.startswith("/v1/models/") and self.path.endswith(ending)):
                    raise Refused(grpc.StatusCode.NOT_FOUND, f"Malformed request: {self.command} {self.path}")
                backend.enter(self.path.removeprefix("/v1/models/").removesuffix(ending))
                status, value = 200, function()
            except Refused as refused:
                status, value = HTTP[refused.args[0]], {"error": refused.args[1]}
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # a client that has given up
                self.wfile.write(content)

        def _metadata(self):
            spec = {"name": backend.name, "signature_name": "", "version": "1"}
            options = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}
            definitions = {key: json_format.MessageToDict(value, **options) for key, value in backend.definitions.items()}
            return {"model_spec": spec, "metadata": {"signature_def": {"signature_def": definitions}}}

        def _predict(self):
            try:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                signature = body.get("signature_name", "serving_default")
                infos = backend.definitions[signature].inputs
                inputs = {
                    key: np.asarray(value, tf.as_dtype(infos[key].dtype).as_numpy_dtype) for key, value in body["inputs"].items()
                }
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"JSON parse error: {error!r}") from error
            outputs = {key: value.tolist() for key, value in backend.predict(signature, inputs).items()}
            return {"outputs": next(iter(outputs.values())) if len(outputs) == 1 else outputs}

        def log_message(self, *_):
            pass

    return Handler


@contextlib.contextmanager
def serve(folder, name: str):
    """with serve(version_folder, name) as (backend, grpc_address, rest_address): both on free ports of localhost."""
    backend = Backend(folder, name)
    server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", 1 << 30)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Servicer(backend), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    rest = ThreadingHTTPServer(("localhost", 0), _handler(backend))
    thread = threading.Thread(target=rest.serve_forever, daemon=True)
    thread.start()
    try:
        yield backend, f"grpc://localhost:{port}", f"http://localhost:{rest.server_address[1]}"
    finally:
        server.stop(0)
        rest.shutdown()
        rest.server_close()
        thread.join()
