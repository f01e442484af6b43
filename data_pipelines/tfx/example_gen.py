"""ExampleGen for our builders, with TFX's spans, versions and fingerprints.

Its driver resolves `{SPAN}` and `{VERSION}` of the source as TFX's FileBasedExampleGen does, and takes the fingerprint of the
content in place of that of modification times. (Kubeflow and Vertex run TFX's own driver.) Its executor builds the data set
(`examples`), and names its splits.
"""

import json
import os
from typing import Any

from google.protobuf import struct_pb2
from tfx.components.example_gen import component, driver, input_processor
from tfx.components.example_gen import utils as example_gen_utils
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor, executor_spec
from tfx.proto import example_gen_pb2, range_config_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils

from data_pipelines.tfx import examples, fingerprint, progress
from data_pipelines.tfx.settings import Build, Source

CLIPS, DATA_SET = "clips", "data_set"
"""Custom properties of the Examples artifact: its clips as JSON, and its data set's name."""


def _source(base: str, pattern: str) -> str:
    return os.path.join(base, os.path.dirname(pattern))


class _Processor(input_processor.FileBasedInputProcessor):
    """TFX's own, with the fingerprint of the content."""

    def get_input_fingerprint(self, span: int, version: int | None) -> str:
        (split,) = self._splits
        pattern = self.get_pattern_for_span_version(split.pattern, span, version)
        source = _source(self._input_base_uri, pattern)
        if not os.path.isdir(source):
            raise ValueError(f"{source} is no folder; where numbers have leading zeros, say their width, as in {{SPAN:2}}.")
        return fingerprint.of_folder(source, _hashes())


class ClipDriver(driver.FileBasedDriver):
    """Spans and versions by TFX, the fingerprint by content."""

    def get_input_processor(self, splits, range_config=None, input_base_uri=None) -> _Processor:
        return _Processor(input_base_uri, splits, range_config)


def _hashes() -> fingerprint.Hashes:
    """Remembered in the folder of the user's caches."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return fingerprint.Hashes(os.path.join(cache, "svg_tf", "source-hashes.json"))


class ClipExecutor(base_beam_executor.BaseBeamExecutor):
    """Builds the data set of clips as an Examples artifact."""

    def Do(self, input_dict, output_dict, exec_properties: dict[str, Any]) -> None:
        artifact = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        config, custom = example_gen_pb2.Input(), example_gen_pb2.CustomConfig()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.INPUT_CONFIG_KEY], config)
        proto_utils.json_to_proto(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY], custom)
        told = struct_pb2.Struct()
        custom.custom_config.Unpack(told)
        source = _source(exec_properties[standard_component_specs.INPUT_BASE_KEY], config.splits[0].pattern)
        with progress.bars() as bars:
            splits = examples.write(artifact.uri, Build.from_json(told["build"]), source, _hashes(), bars)
        artifact.split_names = artifact_utils.encode_split_names(splits)
        examples_utils.set_payload_format(artifact, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
        for key in (
            example_gen_utils.FINGERPRINT_PROPERTY_NAME,
            example_gen_utils.SPAN_PROPERTY_NAME,
            example_gen_utils.VERSION_PROPERTY_NAME,
        ):
            value = exec_properties.get(key)
            if isinstance(value, int):
                artifact.set_int_custom_property(key, value)
            elif value:
                artifact.set_string_custom_property(key, value)
        artifact.set_string_custom_property(DATA_SET, examples.data_set(artifact.uri).name)
        artifact.set_string_custom_property(CLIPS, json.dumps(examples.clips(artifact.uri)))


class ClipExampleGen(component.FileBasedExampleGen):
    """Videos, KTH, BAIR or Moving MNIST as Examples. The splits are those of the builder."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(ClipExecutor)
    DRIVER_CLASS = ClipDriver

    def __init__(self, source: Source, build: Build, span: int | None = None):
        """source: see `Source.of`. build: which builder, and how. span: of a source with {SPAN}; None: the latest."""
        told, custom = struct_pb2.Struct(), example_gen_pb2.CustomConfig()
        told.update({"build": build.to_json()})
        custom.custom_config.Pack(told)
        wanted = None
        if span is not None:
            static = range_config_pb2.StaticRange(start_span_number=span, end_span_number=span)
            wanted = range_config_pb2.RangeConfig(static_range=static)
        splits = [example_gen_pb2.Input.Split(name="clips", pattern=source.pattern)]
        super().__init__(
            input_base=source.base,
            input_config=example_gen_pb2.Input(splits=splits),
            output_config=example_gen_pb2.Output(),
            custom_config=custom,
            range_config=wanted,
        )
