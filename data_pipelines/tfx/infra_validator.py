"""InfraValidator without Docker: TensorFlow's C++ loader, which TensorFlow Serving uses, must answer every signature."""

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import io_utils, path_utils

from data_pipelines.tfx import training


@component
def CppInfraValidator(
    model: InputArtifact[standard_artifacts.Model],
    infra_blessing: OutputArtifact[standard_artifacts.InfraBlessing],
):
    """Blesses a model whose signatures all answer in the C++ loader, as TFX's InfraValidator marks it."""
    from svg_tf.serving import cpp
    from svg_tf.training.run_config import read_config

    config = read_config(training.run_of(model.uri)).model
    faults = cpp.faults(path_utils.serving_model_path(model.uri), config.frame_shape, config.n_past)
    io_utils.write_string_file(f"{infra_blessing.uri}/{'INFRA_NOT_BLESSED' if faults else 'INFRA_BLESSED'}", "\n".join(faults))
    infra_blessing.set_int_custom_property("blessed", 0 if faults else 1)
    infra_blessing.set_string_custom_property("faults", "\n".join(faults))
