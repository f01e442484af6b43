"""`assets.extra/tf_serving_warmup_requests`: requests that TensorFlow Serving replays before a version becomes available,
so that the first real one does not wait for the graph's optimization.

A record that fails keeps the server from loading the version. A server that batches (`--enable_batching`) refuses scalar
inputs, so the records are for the signatures without them.
"""

import pathlib

import numpy as np
import tensorflow as tf

from svg_tf.serving import DEFAULT
from svg_tf.serving.remote import require_serving_api

FILE = "tf_serving_warmup_requests"


def requests(model, functions: dict) -> list[tuple[str, dict[str, np.ndarray]]]:
    """(signature, inputs) of one sequence of black frames for each of `functions` (`signatures.build`) that takes frames, or
    frames and seeds, and nothing else."""
    least = max(model.config.n_past, model.least_frames)
    found = []
    for name, function in functions.items():
        specs = {spec.name: spec for spec in function.structured_input_signature[0]}
        if "frames" in specs and set(specs) <= {"frames", "seed"}:
            steps = model.config.n_past if name == DEFAULT else least
            sizes = {"frames": [1, steps, *model.config.frame_shape], "seed": [1, 2]}
            found.append((name, {key: np.zeros(sizes[key], spec.dtype.as_numpy_dtype) for key, spec in specs.items()}))
    return found


def write(path: pathlib.Path, name: str, model, functions: dict) -> None:
    """Writes the PredictionLog records for the model served as `name`."""
    require_serving_api()
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests(model, functions):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key, array in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(array))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
