"""TFRecord files and `tf.train.Example` messages without TensorFlow, so that what decodes and stores clips starts at once.

The message is described here and built by protobuf in a pool of its own, so that TensorFlow's, of the same name, may be there
too. Serialized with sorted names: equal features are equal bytes.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import google_crc32c
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

HEADER_BYTES, FOOTER_BYTES = 12, 4
"""Framing: length of the data and checksum of the length before the data, checksum of the data behind it."""
MAX_RECORD_BYTES = (1 << 31) - 1
"""protobuf's own limit."""


def _example_class():
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tensorflow", syntax="proto3")

    def field(message, name, number, kind, type_name="", repeated=False, oneof=False):
        label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
        added = message.field.add(name=name, number=number, type=kind, label=label)
        if type_name:
            added.type_name = type_name
        if oneof:
            added.oneof_index = 0

    for name, kind in (("BytesList", kinds.TYPE_BYTES), ("FloatList", kinds.TYPE_FLOAT), ("Int64List", kinds.TYPE_INT64)):
        field(file.message_type.add(name=name), "value", 1, kind, repeated=True)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("BytesList", "FloatList", "Int64List"), start=1):
        entry = name.replace("List", "_list").lower()
        field(feature, entry, number, kinds.TYPE_MESSAGE, f".tensorflow.{name}", oneof=True)
    features = file.message_type.add(name="Features")
    pair = features.nested_type.add(name="FeatureEntry")
    pair.options.map_entry = True
    field(pair, "key", 1, kinds.TYPE_STRING)
    field(pair, "value", 2, kinds.TYPE_MESSAGE, ".tensorflow.Feature")
    field(features, "feature", 1, kinds.TYPE_MESSAGE, ".tensorflow.Features.FeatureEntry", repeated=True)
    field(file.message_type.add(name="Example"), "features", 1, kinds.TYPE_MESSAGE, ".tensorflow.Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


_Example = _example_class()


def serialize(features: Mapping[str, list[bytes] | np.ndarray]) -> bytes:
    """A `tf.train.Example`: lists of bytes, float32 and int64 arrays (any shape, row by row) by name."""
    example = _Example()
    for name, value in features.items():
        feature = example.features.feature[name]
        if isinstance(value, list):
            feature.bytes_list.value.extend(value)
        elif value.dtype == np.float32:
            feature.float_list.value.extend(value.ravel().tolist())
        else:
            feature.int64_list.value.extend(value.ravel().tolist())
    return example.SerializeToString(deterministic=True)


def parse(data: bytes) -> Mapping[str, Any]:
    """The features of a `tf.train.Example` by name, as protobuf's messages. Raises `ValueError` for other bytes."""
    try:
        return _Example.FromString(data).features.feature
    except Exception as error:  # protobuf's DecodeError differs between its implementations
        raise ValueError(f"not a tf.train.Example ({error})") from error


class Damaged(ValueError):
    """A file of records is cut short, or has other bits than were written."""

    def __init__(self, position: int, reason: str):
        super().__init__(f"damaged at byte {position}: {reason}")
        self.position, self.reason = position, reason


class Found(NamedTuple):
    """position: byte offset of the record in its (inflated) file."""

    position: int
    data: bytes


def _checksum(data: bytes) -> int:
    value = google_crc32c.value(data)
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def framed(data: bytes) -> bytes:
    """A record as it lies in a file."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, struct.pack("<I", _checksum(length)), data, struct.pack("<I", _checksum(data))))


def read(stream: BinaryIO, size: int | None = None) -> Iterator[Found]:
    """The records of an open file of `size` bytes (None: not known, it is inflated). Takes memory for one of them.

    Raises `Damaged` at the first damaged one, and what the stream raises.
    """
    position = 0
    while header := stream.read(HEADER_BYTES):
        if len(header) != HEADER_BYTES:
            raise Damaged(position, "a record that ends behind the end of the file")
        length, checksum = struct.unpack("<QI", header)
        if size is not None and length > size - position - HEADER_BYTES - FOOTER_BYTES:
            raise Damaged(position, "a record that ends behind the end of the file")
        if checksum != _checksum(header[:8]):
            raise Damaged(position, "the checksum of a record's length is wrong")
        if length > MAX_RECORD_BYTES:
            raise Damaged(position, f"a record of {length} bytes")
        data, footer = stream.read(length), stream.read(FOOTER_BYTES)
        if len(data) != length or len(footer) != FOOTER_BYTES:
            raise Damaged(position, "a record that ends behind the end of the file")
        if struct.unpack("<I", footer)[0] != _checksum(data):
            raise Damaged(position, "the checksum of a record is wrong")
        yield Found(position, data)
        position += HEADER_BYTES + length + FOOTER_BYTES


def size_of(stream: BinaryIO) -> int:
    """Bytes of an open file."""
    return os.fstat(stream.fileno()).st_size
