"""Experiment configuration: frozen dataclasses, JSON in and out.

Standard library only, so that a configuration can be read, compared and checked without TensorFlow. Unknown keys are errors;
every value is checked where it is built. A model's configuration belongs to its family (`svg_tf.families`).
"""

from svg_tf.config.base import Config, ModelConfig, runtime
from svg_tf.config.experiment import (
    DataConfig,
    EvalConfig,
    ExperimentConfig,
    MovingMNISTConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
)
from svg_tf.config.serialization import differences, from_dict, from_json, merge, to_dict, to_json

__all__ = [
    "Config",
    "DataConfig",
    "EvalConfig",
    "ExperimentConfig",
    "ModelConfig",
    "MovingMNISTConfig",
    "OptimizerConfig",
    "ScheduleConfig",
    "TrainConfig",
    "differences",
    "from_dict",
    "from_json",
    "merge",
    "runtime",
    "to_dict",
    "to_json",
]
