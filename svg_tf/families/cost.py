"""What a family's model costs, derived from its layers: least arithmetic, and memory of a training step.

A family's `Family.cost` names its `Cost`; tools and tables ask `of(model)`, and name no family.

Memory (`TrainingMemory.kept`): which activations the backward pass must keep, each once, in bytes, as the kernels of
`svg_tf.kernels` keep them. Not counted: statistics, noise, distributions, all smaller than a frame. The peak is the largest over
the backward pass of: what is still kept, the maps of the block being recomputed, and the gradient maps on their way through a
block: three of its largest map (that of its result, that of the normalized convolution, that of its input or the
convolution's workspace).
"""

import abc
from dataclasses import dataclass
from typing import NamedTuple

import keras

from data_pipelines.checks import require

ADAM_COPIES = 4  # of each weight, float32: itself, two moments, its gradient


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes on one device. kept: name -> bytes of an activation kept from the forward pass; weights: with optimizer slots and
    gradients; peak_activations: the largest sum of kept, recomputed and gradient maps at any time of the backward pass."""

    kept: dict[str, int]
    weights: int
    peak_activations: int

    @property
    def kept_bytes(self) -> int:
        return sum(self.kept.values())

    @property
    def peak(self) -> int:
        return self.weights + self.peak_activations


class Stage(NamedTuple):
    """A part of the forward pass, in bytes: what is kept by name, what is recomputed in the backward pass, gradients within."""

    kept: dict[str, int]
    recomputed: int = 0
    gradients: int = 0


class Cost(abc.ABC):
    """The costs of `model`. Multiply-adds are those of direct convolutions and matrix products, forward."""

    def __init__(self, model):
        self.model = model

    @abc.abstractmethod
    def training_multiply_adds(self, steps: int) -> int:
        """Of one training sequence of `steps` frames."""

    @abc.abstractmethod
    def sampling_multiply_adds(self, n_past: int, n_future: int, n_samples: int) -> int:
        """Of n_samples futures of one sequence: what does not differ between samples once."""

    def stages(self, batch: int, steps: int, recompute: bool, synchronized: bool) -> list[Stage] | None:
        """A training step's parts in order; None: not known of this family."""
        return None

    def training_memory(self, batch: int, steps: int, recompute: bool = False, synchronized: bool = False) -> TrainingMemory:
        """Memory of a training step on `batch` sequences (on this device) of `steps` frames; synchronized: several replicas
        normalize together. Raises `ValueError` for numbers out of range, and where the family's memory is not known."""
        least = self.model.least_frames
        fits = batch >= 1 and steps >= least
        require(fits, f"training_memory expects batch >= 1 and steps >= {least}, got {batch} and {steps}.")
        timeline = self.stages(batch, steps, recompute, synchronized)
        require(timeline is not None, f"What a training step keeps is not known of this model, {self.model.config.summary}.")
        kept, peak = {}, 0
        for stage in timeline:  # the backward pass runs through these from the end: what comes before is still kept
            kept |= stage.kept
            peak = max(peak, sum(kept.values()) + stage.recomputed + stage.gradients)
        weights = 4 * ADAM_COPIES * sum(v.value.shape.num_elements() for v in self.model.trainable_variables)
        return TrainingMemory({name: size for name, size in kept.items() if size}, weights, peak)


def of(model) -> Cost:
    """The costs of `model`. Raises `ValueError` for a family without."""
    from svg_tf import families

    own = families.get(model.config.family).load("cost")
    require(own is not None, f"The costs of this model are not known: {model.config.summary}.")
    return own(model)


def products(layer) -> int:
    """Multiply-adds of a layer of matrix products, for one step of one sequence: each kernel's entries once."""
    return sum(int(v.value.shape.num_elements()) for v in layer.trainable_variables if len(v.shape) == 2)


def width_of(model) -> int:
    """Bytes of a number in the compute dtype."""
    return {"float32": 4, "bfloat16": 2, "float16": 2}[keras.backend.standardize_dtype(model.compute_dtype)]
