"""The client's own messages are TensorFlow Serving's, byte for byte; what does not belong together is refused."""

import numpy as np
import pytest

from svg_tf.serving import wire

ARRAYS = [
    np.arange(6, dtype=np.uint8).reshape(2, 3),
    np.array([[-1, 2**31 - 1]], np.int32),
    np.array(-7, np.int32),
    np.array([1.5, -2.0, 3e-9], np.float32),
    np.array([[1e300]]),
    np.array([2**40, -(2**40)]),
    np.array([True, False]),
    np.array([0.5, -65504], np.float16),
    np.array([2**63], np.uint64),
    np.zeros([0, 3], np.float32),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}-{array.shape}")
def test_tensors_go_both_ways(array):
    tf = pytest.importorskip("tensorflow")
    from tensorflow.core.framework import tensor_pb2

    own = wire.PredictRequest()
    wire.put(own.inputs["x"], array)
    official = tensor_pb2.TensorProto.FromString(own.inputs["x"].SerializeToString())
    np.testing.assert_array_equal(tf.make_ndarray(official), array)
    # A server sends bytes, or a list of values.
    as_bytes, as_values = tf.make_tensor_proto(array), tensor_pb2.TensorProto()
    as_values.CopyFrom(tf.make_tensor_proto(array.ravel()[:1], shape=[1])) if array.size else None
    for message, expected in ((as_bytes, array), (as_values, array.ravel()[:1])):
        if not array.size and message is as_values:
            continue
        answer = wire.PredictResponse()
        answer.outputs["x"].ParseFromString(message.SerializeToString())
        found = wire.array_of(answer.outputs["x"])
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, expected)


def test_requests_and_metadata_are_the_servers_messages():
    pytest.importorskip("tensorflow_serving")
    from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

    own = wire.PredictRequest()
    own.model_spec.name, own.model_spec.version.value, own.model_spec.signature_name = "a", 3, "generate"
    wire.put(own.inputs["x"], ARRAYS[0])
    official = predict_pb2.PredictRequest.FromString(own.SerializeToString())
    spec = official.model_spec
    assert (spec.name, spec.version.value, spec.signature_name, list(official.inputs)) == ("a", 3, "generate", ["x"])
    request = wire.MetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "a"
    official = get_model_metadata_pb2.GetModelMetadataRequest.FromString(request.SerializeToString())
    assert (official.model_spec.name, list(official.metadata_field)) == ("a", ["signature_def"])


def tensor(shape=(2, 3), **fields):
    answer = wire.PredictResponse()
    message = answer.outputs["x"]
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return message


def test_the_last_value_stands_for_those_left_out():
    np.testing.assert_array_equal(wire.array_of(tensor(dtype=4, int_val=[1, 7])), [[1, 7, 7], [7, 7, 7]])


@pytest.mark.parametrize(
    "message, expected",
    [
        (tensor(dtype=4, tensor_content=b"12345"), r"5 bytes for uint8 \[2, 3\]"),
        (tensor((2**40, 4), dtype=1, tensor_content=b"1234"), "4 bytes for float32"),
        (tensor((2**40,), dtype=1, float_val=[1.0]), "as a list of values"),
        (tensor(dtype=4), "0 values for uint8"),
        (tensor(dtype=4, int_val=[1] * 7), "7 values for uint8"),
        (tensor(dtype=4, int_val=[1, 300]), "numbers from 1 to 300 for uint8"),
        (tensor(dtype=4, float_val=[0.5] * 6), "0 values for uint8"),
        (tensor((-1, 3), dtype=4, int_val=[1]), "that is not known"),
        (tensor(dtype=7), "type '7', which this client does not know"),
        (tensor(dtype=0), "which this client does not know"),
    ],
)
def test_tensors_that_do_not_belong_together(message, expected):
    with pytest.raises(ValueError, match=expected):
        wire.array_of(message)


def test_unknown_ranks_and_types():
    message = tensor()
    message.tensor_shape.unknown_rank = True
    with pytest.raises(ValueError, match="unknown rank"):
        wire.shape_of(message.tensor_shape)
    for kind in ("DT_STRING", "float", 99, None):
        with pytest.raises(ValueError, match="which this client does not know"):
            wire.dtype_of(kind)
