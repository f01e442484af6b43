"""Experiment configuration: frozen dataclasses, JSON in and out.

Standard library only, so that a configuration can be read, compared and checked without TensorFlow.
Unknown keys are errors; every value is checked where it is built. Symbols follow the papers:
Denton & Fergus, "Stochastic Video Generation with a Learned Prior", ICML 2018; Franceschi et al., "Stochastic Latent Residual
Video Prediction", ICML 2020.
"""

from svg_tf.config.experiment import DataConfig, EvalConfig, ExperimentConfig, MovingMNISTConfig, TrainConfig
from svg_tf.config.models import FAMILIES, Model, SRVPConfig, SVGConfig
from svg_tf.config.serialization import differences, from_dict, from_json, to_dict, to_json

__all__ = [
    "FAMILIES",
    "DataConfig",
    "EvalConfig",
    "ExperimentConfig",
    "Model",
    "MovingMNISTConfig",
    "SRVPConfig",
    "SVGConfig",
    "TrainConfig",
    "differences",
    "from_dict",
    "from_json",
    "to_dict",
    "to_json",
]
