"""TensorFlow Serving's messages, as far as this client needs them, and their tensors as NumPy arrays.

The package tensorflow-serving-api has them all, but loads TensorFlow, which takes a client half a gigabyte and several seconds.
Sources: prediction_service.proto, predict.proto, get_model_metadata.proto, model.proto (tensorflow/serving), tensor.proto,
tensor_shape.proto, types.proto, meta_graph.proto (tensorflow). Numbers of fields are theirs; names of messages are ours.
"""

import math

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PREDICT = "/tensorflow.serving.PredictionService/Predict"
GET_METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _FIELD.TYPE_STRING, "bytes": _FIELD.TYPE_BYTES, "bool": _FIELD.TYPE_BOOL, "float": _FIELD.TYPE_FLOAT,
    "double": _FIELD.TYPE_DOUBLE, "int32": _FIELD.TYPE_INT32, "int64": _FIELD.TYPE_INT64, "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
}  # fmt: skip
# Message -> field -> (number, kind): "kind", "repeated kind", or "map kind" for a map from strings. Enums are int32.
_MESSAGES = {
    "Version": {"value": (1, "int64")},
    "ModelSpec": {"name": (1, "string"), "version": (2, "Version"), "signature_name": (3, "string")},
    "Dim": {"size": (1, "int64")},
    "Shape": {"dim": (2, "repeated Dim"), "unknown_rank": (3, "bool")},
    "Tensor": {
        "dtype": (1, "int32"), "tensor_shape": (2, "Shape"), "tensor_content": (4, "bytes"), "float_val": (5, "repeated float"),
        "double_val": (6, "repeated double"), "int_val": (7, "repeated int32"), "int64_val": (10, "repeated int64"),
        "bool_val": (11, "repeated bool"), "half_val": (13, "repeated int32"), "uint32_val": (16, "repeated uint32"),
        "uint64_val": (17, "repeated uint64"),
    },
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "map Tensor")},
    "PredictResponse": {"outputs": (1, "map Tensor")},
    "MetadataRequest": {"model_spec": (1, "ModelSpec"), "metadata_field": (2, "repeated string")},
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "MetadataResponse": {"metadata": (2, "map Any")},
    "TensorInfo": {"dtype": (2, "int32"), "tensor_shape": (3, "Shape")},
    "SignatureDef": {"inputs": (1, "map TensorInfo"), "outputs": (2, "map TensorInfo")},
    "SignatureDefMap": {"signature_def": (1, "map SignatureDef")},
}  # fmt: skip
# DataType -> (its name, NumPy's, the tensor's field of values).
_DTYPES = {
    1: ("FLOAT", "float32", "float_val"), 2: ("DOUBLE", "float64", "double_val"), 3: ("INT32", "int32", "int_val"),
    4: ("UINT8", "uint8", "int_val"), 5: ("INT16", "int16", "int_val"), 6: ("INT8", "int8", "int_val"),
    9: ("INT64", "int64", "int64_val"), 10: ("BOOL", "bool", "bool_val"), 17: ("UINT16", "uint16", "int_val"),
    19: ("HALF", "float16", "half_val"), 22: ("UINT32", "uint32", "uint32_val"), 23: ("UINT64", "uint64", "uint64_val"),
}  # fmt: skip


def _classes() -> dict[str, type]:
    package = "svg_tf.serving.wire"
    file = descriptor_pb2.FileDescriptorProto(name="svg_tf/serving/wire.proto", package=package, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label, _, of = kind.rpartition(" ")
            if label == "map":
                entry = message.nested_type.add(name="".join(part.capitalize() for part in field.split("_")) + "Entry")
                entry.options.map_entry = True
                _add(entry, package, "key", 1, "string")
                _add(entry, package, "value", 2, of)
                of, label = f"{name}.{entry.name}", "repeated"
            _add(message, package, field, number, of, label == "repeated")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in _MESSAGES}


def _add(message, package: str, name: str, number: int, kind: str, repeated: bool = False) -> None:
    field = message.field.add(name=name, number=number, label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL)
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{package}.{kind}"


_CLASSES = _classes()
MetadataRequest, MetadataResponse = _CLASSES["MetadataRequest"], _CLASSES["MetadataResponse"]
PredictRequest, PredictResponse = _CLASSES["PredictRequest"], _CLASSES["PredictResponse"]
SignatureDefMap = _CLASSES["SignatureDefMap"]


def dtype_of(kind: int | str) -> np.dtype:
    """NumPy's dtype of a DataType, a number or "DT_..." of JSON. Raises `ValueError` for others than numbers and booleans."""
    for number, (name, dtype, _) in _DTYPES.items():
        if kind in (number, f"DT_{name}"):
            return np.dtype(dtype)
    raise ValueError(f"a tensor of type {str(kind)[:40]!r}, which this client does not know")


def shape_of(shape) -> tuple[int | None, ...]:
    """A shape message's dimensions, None where any is. Raises `ValueError` where the rank is unknown."""
    if shape.unknown_rank:
        raise ValueError("a tensor of unknown rank")
    return tuple(None if dim.size < 0 else dim.size for dim in shape.dim)


def put(message, array: np.ndarray) -> None:
    """Writes `array` into a tensor message."""
    array = np.asarray(array)
    message.dtype = next(number for number, (_, dtype, _) in _DTYPES.items() if array.dtype == np.dtype(dtype))
    for size in array.shape:
        message.tensor_shape.dim.add(size=size)
    message.tensor_content = array.astype(array.dtype.newbyteorder("<"), order="C").tobytes()


def array_of(message) -> np.ndarray:
    """A tensor message's array. Raises `ValueError` where its shape and its content do not belong together.

    Content is bytes, or a list of values, whose last one stands for all that are left out.
    """
    dtype, shape = dtype_of(message.dtype), shape_of(message.tensor_shape)
    if None in shape:
        raise ValueError(f"a shape {list(shape)} that is not known")
    count = math.prod(shape)
    if message.tensor_content:
        if len(message.tensor_content) != count * dtype.itemsize:
            raise ValueError(f"{len(message.tensor_content)} bytes for {dtype} {list(shape)}")
        return np.frombuffer(message.tensor_content, dtype.newbyteorder("<")).astype(dtype).reshape(shape)
    values = getattr(message, _DTYPES[message.dtype][2])
    if len(values) > count or (count and not values):
        raise ValueError(f"{len(values)} values for {dtype} {list(shape)}")
    if count > 1 << 28:
        raise ValueError(f"{dtype} {list(shape)} as a list of values")
    array = np.asarray(values, np.uint16).view(np.float16) if dtype == np.float16 else _cast(np.asarray(values), dtype)
    return np.concatenate([array, np.repeat(array[-1:], count - len(array))]).reshape(shape)


def _cast(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind in "iu" and values.size and not np.iinfo(dtype).min <= values.min() <= values.max() <= np.iinfo(dtype).max:
        raise ValueError(f"numbers from {values.min()} to {values.max()} for {dtype}")
    return values.astype(dtype)
