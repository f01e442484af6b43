"""SRVP's configuration. Symbols follow the paper."""

import typing
from dataclasses import dataclass
from typing import Literal

from data_pipelines.checks import integer, number, require
from svg_tf.config.backbone import BackboneName, check_backbone
from svg_tf.config.base import ModelConfig

Transition = Literal["residual", "mlp", "gru"]
_COUNTS = (
    "channels", "width", "h_dim", "y_dim", "z_dim", "w_dim", "inference_size", "inference_layers", "transition_size", "k",
    "n_past", "n_euler",
)  # fmt: skip


@dataclass(frozen=True)
class SRVPConfig(ModelConfig):
    """Stochastic latent residual video prediction (Franceschi et al., ICML 2020). Defaults: SM-MNIST."""

    family: typing.ClassVar[str] = "srvp"
    citation: typing.ClassVar[str] = "Stochastic Latent Residual Video Prediction (J.-Y. Franceschi et al., ICML 2020)"
    transition: Transition = "residual"
    """residual: y + dt f(y, z); the ablations mlp: f(y, z), and gru: a GRU cell of state y and input z."""
    stochastic: bool = True
    """Latents z_t; without them (an ablation) the only random variable is the first state y_1."""
    backbone: BackboneName = "dcgan"
    width: int = 64
    """Feature maps of the first encoder level (nf)."""
    h_dim: int = 128
    """Size of the frame encoding."""
    y_dim: int = 20
    z_dim: int = 20
    w_dim: int = 256
    """Size of the content w."""
    inference_size: int = 256
    """Width of the MLP of q(y_1), of the LSTM of q(z_t) and of the content's hidden layer."""
    inference_layers: int = 3
    """Dense layers of the MLP of q(y_1)."""
    transition_size: int = 512
    """Width of the MLPs f and prior."""
    transition_layers: int = 4
    """Dense layers of each of these."""
    k: int = 5
    """Frames that q(y_1) and the content w are inferred from; n_past, the conditioning frames, are at least k."""
    n_euler: int = 1
    """Euler steps for each frame: dt = 1 / n_euler."""
    skips: bool = False
    """The decoder is fed the encoder's maps of one frame: a random one in training, the last conditioning frame at test."""
    nu: float = 1.0
    """Standard deviation of the observation: x_t ~ N(g(w, y_t), nu)."""
    beta_y: float = 1.0
    """Weight of KL(q(y_1) || N(0, I))."""
    beta_z: float = 2.0
    """Weight of the KL of z_t, summed over t."""
    residual_penalty: float = 1.0
    """lambda: weight of the norms of the steps taken, dt * f, summed over Euler steps."""
    residual_gain: float = 1.41
    """Gain of f's orthogonal initialization."""

    def __post_init__(self):
        super().__post_init__()
        check_backbone(self.backbone, self.image_size)
        for name in _COUNTS:
            integer(name, getattr(self, name), 1)
        integer("transition_layers", self.transition_layers, 2)
        for name in ("beta_y", "beta_z", "residual_penalty"):
            number(name, getattr(self, name), 0.0)
        for name in ("nu", "residual_gain"):
            number(name, getattr(self, name), above=0.0)
        require(self.n_past >= self.k, f"n_past must be at least k = {self.k}, from which y_1 is inferred; got {self.n_past}.")
        require(
            self.n_euler == 1 or self.transition == "residual",
            f"n_euler must be 1 for transition={self.transition!r}, which has no step size; got {self.n_euler}.",
        )

    @property
    def least_context(self) -> int:
        return self.k

    @property
    def summary(self) -> str:
        kind = {"residual": "SRVP", "mlp": "SRVP, MLP transition", "gru": "SRVP, GRU transition"}[self.transition]
        without = "" if self.stochastic else " without z"
        sizes = f"{self.backbone} width {self.width}, y {self.y_dim}, z {self.z_dim}, {self.n_euler} Euler step(s)"
        return f"{kind}{without}, {sizes}, nu {self.nu:g}, beta {self.beta_z:g}"
