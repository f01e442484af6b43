"""`assets.extra/tf_serving_warmup_requests`: requests that TensorFlow Serving replays before a version becomes available,
so that the first real one does not wait for the graph's optimisation.

A record that fails keeps the server from loading the version. A server that batches (`--enable_batching`) refuses scalar
inputs, so the records are for the signatures without them.
"""

import pathlib

import numpy as np
import tensorflow as tf

from svg_tf.serving import DEFAULT, RECONSTRUCT, UNCERTAINTY
from svg_tf.serving.remote import require_serving_api

FILE = "tf_serving_warmup_requests"


def requests(model, names) -> list[tuple[str, dict[str, np.ndarray]]]:
    """(signature, inputs) of one sequence of black frames for each signature in `names` that takes no scalar."""
    c = model.config
    frames = np.zeros([1, max(c.n_past, 2), c.image_size, c.image_size, c.channels], np.uint8)
    seed = np.zeros([1, 2], np.int32)
    inputs = {
        DEFAULT: {"frames": frames[:, : c.n_past], "seed": seed},
        RECONSTRUCT: {"frames": frames, "seed": seed},
        UNCERTAINTY: {"frames": frames},
    }
    return [(name, value) for name, value in inputs.items() if name in names]


def write(path: pathlib.Path, name: str, model, signature_names) -> None:
    """Writes the PredictionLog records for the model served as `name`."""
    require_serving_api()
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests(model, signature_names):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key, array in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(array))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
