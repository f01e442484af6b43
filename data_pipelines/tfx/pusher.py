"""TFX's Pusher, to the next number of `saved_models/NAME`, with what a server needs beside it."""

import os
import pathlib
import shutil
import tempfile

from tfx.components.pusher import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, proto_utils


class NumberedExecutor(executor.Executor):
    """As TFX's, but a version is the next number and appears whole, by a rename."""

    def Do(self, input_dict, output_dict, exec_properties) -> None:
        from svg_tf.serving import export

        pushed = artifact_utils.get_single_instance(output_dict[standard_component_specs.PUSHED_MODEL_KEY])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        model, destination = self.GetModelPath(input_dict), pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination)
        served = export.published_as(model)
        path = pathlib.Path(destination.filesystem.base_directory)
        path.mkdir(parents=True, exist_ok=True)
        temporary = pathlib.Path(tempfile.mkdtemp(dir=path, prefix=".push-"))
        try:
            shutil.copytree(model, temporary, dirs_exist_ok=True)
            version = export.publish(temporary, path, served)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        io_utils.copy_dir(model, pushed.uri)
        self._MarkPushed(pushed, pushed_destination=os.fspath(version), pushed_version=version.name)


class NumberedPusher(component.Pusher):
    """Pusher whose versions are 1, 2, 3, ..."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(NumberedExecutor)
