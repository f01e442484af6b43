"""A model on TensorFlow Serving's gRPC port (prediction_service.proto). Loads no TensorFlow."""

import json

from svg_tf.serving import wire
from svg_tf.serving.remote import FIRST_PAUSE, LONGEST_PAUSE, MAX_MESSAGE, Model, RequestError, Spec, is_loopback, one_line


class GrpcModel(Model):
    """timeout: seconds for a request, its repetitions included. Requests to a server that is UNAVAILABLE are repeated with
    growing pauses, by gRPC's retry policy."""

    def __init__(self, url, name: str, version: int | None, timeout: float, retries: int):
        try:
            import grpc
        except ImportError as error:
            raise ValueError('The gRPC client needs grpcio: pip install "svg_tf[serving]".') from error

        self._grpc = grpc
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
        self._predict = self._method(wire.PREDICT, wire.PredictRequest, wire.PredictResponse)
        try:
            self._learn()
        except BaseException:
            self.close()
            raise

    def _method(self, path: str, request, answer):
        write, read = request.SerializeToString, answer.FromString
        return self._channel.unary_unary(path, request_serializer=write, response_deserializer=read)

    def _learn(self) -> None:
        """Asks the server for the signatures."""
        from google.protobuf.message import DecodeError

        request = wire.MetadataRequest(metadata_field=["signature_def"])
        self._address_model(request.model_spec)
        answer = self._send(self._method(wire.GET_METADATA, wire.MetadataRequest, wire.MetadataResponse), request)
        try:
            if "signature_def" not in answer.metadata:
                raise ValueError("no signature_def")
            definitions = wire.SignatureDefMap.FromString(answer.metadata["signature_def"].value).signature_def
            self.inputs, self.outputs = (
                {name: {key: _spec(info) for key, info in getattr(found, side).items()} for name, found in definitions.items()}
                for side in ("inputs", "outputs")
            )
        except (ValueError, DecodeError) as error:
            raise RequestError("INTERNAL", f"{self._address} sent metadata of another kind ({error}).") from error

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
        request = wire.PredictRequest()
        self._address_model(request.model_spec)
        request.model_spec.signature_name = signature
        for key, array in arrays.items():
            wire.put(request.inputs[key], array)
        answer = self._send(self._predict, request)
        try:
            return {key: wire.array_of(value) for key, value in answer.outputs.items()}
        except (ValueError, MemoryError) as error:
            raise RequestError("INTERNAL", f"{self._address}: outputs of another kind ({error}).") from error

    def close(self):
        self._channel.close()


def _spec(info) -> Spec:
    return Spec(wire.dtype_of(info.dtype), wire.shape_of(info.tensor_shape))
