"""Struct-VRNN's configuration. Symbols follow the paper."""

import typing
from dataclasses import dataclass
from typing import Literal

from data_pipelines.checks import integer, number, require
from svg_tf.config.base import ModelConfig

HEAT_MAP = 16
"""Height and width of the keypoints' heat maps."""
_COUNTS = (
    "image_size", "channels", "n_past", "n_keypoints", "width", "layers_per_scale", "rnn_size", "hidden_size", "z_dim",
    "belief_samples",
)  # fmt: skip
_WEIGHTS = ("separation_weight", "sparsity_weight", "kl_weight", "l2_weight")
_CHANCES = ("truth_observed", "truth_predicted")


@dataclass(frozen=True)
class StructVRNNConfig(ModelConfig):
    """Unsupervised learning of object structure and dynamics from videos (Minderer et al., NeurIPS 2019)."""

    family: typing.ClassVar[str] = "struct_vrnn"
    citation: typing.ClassVar[str] = (
        "Unsupervised Learning of Object Structure and Dynamics from Videos (M. Minderer et al., NeurIPS 2019)"
    )
    n_keypoints: int = 12
    """K."""
    code: Literal["keypoints", "unstructured"] = "keypoints"
    """What stands for a frame: K keypoints (x, y, mu), or as many numbers without structure (the ablation CNN-VRNN)."""
    stochastic: bool = True
    """False: latents are their distributions' means (the ablation Struct-RNN), all samples are equal."""
    width: int = 32
    """Maps at the size of the frame; twice as many at each halving, down to 16 x 16."""
    layers_per_scale: int = 2
    """Convolutions of an encoder's scale after its first one."""
    blob_sigma: float = 1.5
    """sigma of the Gaussian maps that are drawn from: exp(-d^2 / (2 (sigma / 16)^2)), d in coordinates of [-1, 1]."""
    rnn_size: int = 512
    hidden_size: int = 128
    """Of the hidden layers of prior, posterior and keypoint decoder."""
    z_dim: int = 16
    belief_samples: int = 10
    """Latents drawn at each training step, of which the one goes on whose keypoints are nearest (Bhattacharyya et al. 2018).
    1: plain sampling."""
    separation_weight: float = 10.0
    """Of the loss that pushes keypoints to move differently. 0: none."""
    separation_sigma: float = 0.1
    """Distance of two tracks, in coordinates, at which that loss has fallen to exp(-1/2)."""
    sparsity_weight: float = 5.0 / 32
    """Of the mean activity of the heat maps, summed over frames: the published weight 5 is divided by the batch of 32."""
    kl_weight: float = 0.01
    """Of the mean KL of a step in nats, beside half the squared error of a step's keypoints. (The published file has 0.)"""
    kl_warmup_steps: int = 1000
    """The KL's weight rises linearly from 0. 0: at once."""
    l2_weight: float = 1e-4
    """Of the sum of squares of the convolutions' kernels."""
    truth_observed: float = 0.1
    """Chance that training feeds a step's detected keypoints, not the decoded ones, within the context, at the ramp's end."""
    truth_predicted: float = 0.5
    """The same after the context."""
    truth_steps: int = 8000
    """Training steps over which both chances fall linearly from 1. 0: at once."""

    def __post_init__(self):
        super().__post_init__()
        for name in _COUNTS:
            integer(name, getattr(self, name), 1)
        for name in ("kl_warmup_steps", "truth_steps"):
            integer(name, getattr(self, name), 0)
        for name in _WEIGHTS:
            number(name, getattr(self, name), 0.0)
        for name in _CHANCES:
            number(name, getattr(self, name), 0.0, 1.0)
        for name in ("blob_sigma", "separation_sigma"):
            number(name, getattr(self, name), above=0.0)
        scale, rest = divmod(self.image_size, HEAT_MAP)
        fits = rest == 0 and scale & (scale - 1) == 0
        require(fits, f"image_size must be {HEAT_MAP} times a power of 2 (16, 32, 64, 128, ...), got {self.image_size}.")

    @property
    def halvings(self) -> int:
        """Of the frame's height down to that of the heat maps."""
        return (self.image_size // HEAT_MAP).bit_length() - 1

    @property
    def features(self) -> int:
        """Maps of the encoders' last scale."""
        return self.width * 2**self.halvings

    @property
    def code_size(self) -> int:
        """Numbers that stand for a frame."""
        return 3 * self.n_keypoints

    @property
    def drawn_latents(self) -> int:
        """Latents drawn at each training step."""
        return self.belief_samples if self.stochastic else 1

    @property
    def summary(self) -> str:
        structured = self.code == "keypoints"
        kind = ("Struct" if structured else "CNN") + ("-VRNN" if self.stochastic else "-RNN (deterministic)")
        code = f"{self.n_keypoints} keypoints" if structured else f"a code of {self.code_size}"
        latents = f", z {self.z_dim}, best of {self.belief_samples}, KL weight {self.kl_weight:g}" if self.stochastic else ""
        return f"{kind}, {code}, width {self.width}, GRU {self.rnn_size}{latents}"
