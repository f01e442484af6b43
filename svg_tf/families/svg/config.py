"""SVG's configuration. Symbols follow the paper."""

import typing
from dataclasses import dataclass
from typing import Literal

from data_pipelines import frame_size
from data_pipelines.checks import integer, number, require
from svg_tf.config.backbone import BackboneName, check_backbone
from svg_tf.config.base import ModelConfig

Prior = Literal["learned", "fixed", "none"]
SkipSource = Literal["last_context", "second_last_context", "previous"]
BatchStatistics = Literal["folded", "per_step"]
Latents = Literal["vector", "map"]
KLReduction = Literal["sum", "place"]
_COUNTS = (
    "channels", "width", "g_dim", "z_dim", "rnn_size", "predictor_layers", "posterior_layers", "prior_layers", "n_past",
)  # fmt: skip


@dataclass(frozen=True)
class SVGConfig(ModelConfig):
    """The SVG model (paper §3; layer sizes §4). Defaults: SVG-LP on SM-MNIST."""

    family: typing.ClassVar[str] = "svg"
    citation: typing.ClassVar[str] = "Stochastic Video Generation with a Learned Prior (E. Denton and R. Fergus, ICML 2018)"
    prior: Prior = "learned"
    """learned: SVG-LP, p_psi(z_t | x_{1:t-1}); fixed: SVG-FP, N(0, I); none: the deterministic baseline."""
    latents: Latents = "vector"
    """vector: as the paper. map (Villegas et al. 2019): encodings, latents and memories are maps of H/8 x W/8, which convolutions
    move; g_dim, z_dim and rnn_size are their channels. Of backbone "vgg"; frames of any height and width divisible by 8."""
    backbone: BackboneName = "dcgan"
    width: int = 64
    """Feature maps of the first encoder level (nf)."""
    g_dim: int = 128
    """Size of the frame encoding h_t and of the predictor's output g_t."""
    z_dim: int = 10
    rnn_size: int = 256
    predictor_layers: int = 2
    posterior_layers: int = 1
    prior_layers: int = 1
    beta: float = 1e-4
    """Weight of the KL term; its meaning depends on the reductions (mean over pixels, sum over z)."""
    kl_reduction: KLReduction = "sum"
    """What beta weighs: sum: the nats of all latents of a frame; place: their mean over the places of a map, so that beta means
    the same for frames of any size (a vector has one place)."""
    beta_warmup_steps: int = 0
    """beta rises linearly from 0 over this many optimizer steps; 0 = constant."""
    encoding_noise: float = 0.0
    """Standard deviation of Gaussian noise on h_{t-1} as the frame predictor sees it in training (not in the paper, which has
    none). The predictor so learns to go on from encodings that are a little off, as those of its own frames are."""
    skips: SkipSource = "last_context"
    """Frame whose encoder maps the decoder sees at t: x_{min(t-1, n_past-1)} (paper), the reference's
    x_{min(t-1, n_past-2)}, or always the previous frame, generated ones included."""
    batch_statistics: BatchStatistics = "folded"
    """Training batch normalization over B*T frames at once (folded) or, as the reference, per time step over B."""

    bias_before_norm: bool = False
    """Biases in the convolutions that batch normalization follows, as in the reference. They cannot change what the
    model computes in training (the normalization subtracts them), so that they only drift with rounding errors."""

    def __post_init__(self):
        super().__post_init__()
        if self.latents == "map":
            self._check_map()
        else:
            check_backbone(self.backbone, self.image_size)
        for name in _COUNTS:
            integer(name, getattr(self, name), 1)
        number("beta", self.beta, 0.0)
        number("encoding_noise", self.encoding_noise, 0.0)
        integer("beta_warmup_steps", self.beta_warmup_steps, 0)
        require(
            self.n_past >= self.least_context,
            "skips='second_last_context' (a quirk of the reference) needs n_past >= 2.",
        )

    def _check_map(self):
        require(self.backbone == "vgg", f"latents 'map' need backbone 'vgg', got {self.backbone!r}.")
        divisible = all(side % 8 == 0 for side in self.frame_shape[:2])
        shown = frame_size.text(self.image_size)
        require(divisible, f"image_size, height and width, must be divisible by 8 for latents 'map', got {shown}.")

    @property
    def stochastic(self) -> bool:
        """Whether there are latents z_t."""
        return self.prior != "none"

    @property
    def any_size(self) -> bool:
        return self.latents == "map"

    @property
    def kl_coefficient(self) -> float:
        """The weight of a frame's KL in nats, beside the mean squared error of pixels, once it has risen."""
        height, width, _ = self.frame_shape
        places = (height // 8) * (width // 8) if self.latents == "map" else 1
        return self.beta / (places if self.kl_reduction == "place" else 1)

    @property
    def least_context(self) -> int:
        return 2 if self.skips == "second_last_context" else 1

    @property
    def summary(self) -> str:
        sizes = f"{self.backbone} width {self.width}, z {self.z_dim}, g {self.g_dim}, LSTM {self.rnn_size}"
        if self.latents == "map":
            height, width, _ = self.frame_shape
            sizes += f", maps {height // 8}x{width // 8}"
        kind = {"learned": "SVG-LP (learned prior)", "fixed": "SVG-FP (fixed prior)"}.get(self.prior)
        return f"{kind or 'SVG without latents (deterministic)'}, {sizes}, beta {self.beta:g}"
