"""The models: one configuration for each family, with what it tells of itself. Symbols follow the papers."""

import typing
from dataclasses import dataclass
from typing import Literal

from svg_tf.config.checks import require, require_at_least, require_counts

Prior = Literal["learned", "fixed", "none"]
BackboneName = Literal["dcgan", "vgg"]
SkipSource = Literal["last_context", "second_last_context", "previous"]
BatchStatistics = Literal["folded", "per_step"]

Transition = Literal["residual", "mlp", "gru"]

_IMAGE_SIZES = {"dcgan": (32, 64, 128), "vgg": (64, 128)}


def _require_backbone(config) -> None:
    sizes = _IMAGE_SIZES.get(config.backbone)
    require(sizes is not None, f"backbone must be one of {sorted(_IMAGE_SIZES)}, got {config.backbone!r}.")
    require(
        config.image_size in sizes,
        f"image_size of backbone {config.backbone!r} must be one of {sizes}, got {config.image_size}.",
    )


@dataclass(frozen=True)
class SVGConfig:
    """The SVG model (paper §3; layer sizes §4). Defaults: SVG-LP on SM-MNIST."""

    family: typing.ClassVar[str] = "svg"
    prior: Prior = "learned"
    """learned: SVG-LP, p_psi(z_t | x_{1:t-1}); fixed: SVG-FP, N(0, I); none: the deterministic baseline."""
    backbone: BackboneName = "dcgan"
    image_size: int = 64
    """Height and width of a frame in pixels: 32, 64 or 128 for dcgan, 64 or 128 for vgg."""
    channels: int = 1
    width: int = 64
    """Feature maps of the first encoder level (nf)."""
    g_dim: int = 128
    """Size of the frame encoding h_t and of the predictor's output g_t."""
    z_dim: int = 10
    rnn_size: int = 256
    predictor_layers: int = 2
    posterior_layers: int = 1
    prior_layers: int = 1
    n_past: int = 5
    """Context frames in training and, unless told otherwise, in generation."""
    beta: float = 1e-4
    """Weight of the KL term; its meaning depends on the reductions (mean over pixels, sum over z)."""
    beta_warmup_steps: int = 0
    """beta rises linearly from 0 over this many optimizer steps; 0 = constant."""
    skips: SkipSource = "last_context"
    """Frame whose encoder maps the decoder sees at t: x_{min(t-1, n_past-1)} (paper), the reference's
    x_{min(t-1, n_past-2)}, or always the previous frame, generated ones included."""
    batch_statistics: BatchStatistics = "folded"
    """Training batch normalisation over B*T frames at once (folded) or, as the reference, per time step over B."""

    bias_before_norm: bool = False
    """Biases in the convolutions that batch normalisation follows, as in the reference. They cannot change what the
    model computes in training (the normalisation subtracts them), so that they only drift with rounding errors."""

    def __post_init__(self):
        _require_backbone(self)
        for name, choices in (("prior", Prior), ("skips", SkipSource), ("batch_statistics", BatchStatistics)):
            value, allowed = getattr(self, name), typing.get_args(choices)
            require(value in allowed, f"{name} must be one of {allowed}, got {value!r}.")
        require_counts(1, self, "channels", "width", "g_dim", "z_dim", "rnn_size", "predictor_layers", "posterior_layers")
        require_counts(1, self, "prior_layers", "n_past")
        require(self.beta >= 0, f"beta must not be negative, got {self.beta}.")
        require(self.beta_warmup_steps >= 0, f"beta_warmup_steps must not be negative, got {self.beta_warmup_steps}.")
        require(
            self.n_past >= self.least_context,
            "skips='second_last_context' (a quirk of the reference) needs n_past >= 2.",
        )

    # What both families tell of themselves:

    @property
    def least_context(self) -> int:
        """Context frames without which there is no generation."""
        return 2 if self.skips == "second_last_context" else 1

    @property
    def stochastic(self) -> bool:
        """Whether there are latents z_t."""
        return self.prior != "none"

    @property
    def samples_differ(self) -> bool:
        """Whether a sequence has more than one future."""
        return self.stochastic

    citation: typing.ClassVar[str] = "Stochastic Video Generation with a Learned Prior (E. Denton and R. Fergus, ICML 2018)"

    @property
    def learned_prior(self) -> bool:
        """Whether the prior's sigma forecasts uncertainty (Fig. 6)."""
        return self.prior == "learned"

    reconstruction: typing.ClassVar[str] = "each frame from the true one before it, latents from the posterior"
    """What `reconstruct` conditions on, for model cards."""
    has_states: typing.ClassVar[bool] = False
    """Whether all that moves lives in a small state beside a content (swapped content, interpolation)."""
    any_frame_rate: typing.ClassVar[bool] = False
    """Whether there are frames between frames."""

    @property
    def kl_weight(self) -> float | None:
        """Weight of the KL divergence beside the mean squared error of a frame, where these two are the objective."""
        return self.beta if self.samples_differ else 0.0

    @property
    def likelihood_variance(self) -> float | None:
        """Variance of the Gaussian observation for which the objective is, up to a factor, a negative ELBO, if any."""
        return self.kl_weight * self.image_size**2 * self.channels / 2 or None

    @property
    def summary(self) -> str:
        sizes = f"{self.backbone} width {self.width}, z {self.z_dim}, g {self.g_dim}, LSTM {self.rnn_size}"
        kind = {"learned": "SVG-LP (learned prior)", "fixed": "SVG-FP (fixed prior)"}.get(self.prior)
        return f"{kind or 'SVG without latents (deterministic)'}, {sizes}, beta {self.beta:g}"


@dataclass(frozen=True)
class SRVPConfig:
    """Stochastic latent residual video prediction (Franceschi et al., ICML 2020). Defaults: SM-MNIST."""

    family: typing.ClassVar[str] = "srvp"
    transition: Transition = "residual"
    """residual: y + dt f(y, z); the ablations mlp: f(y, z), and gru: a GRU cell of state y and input z."""
    stochastic: bool = True
    """Latents z_t; without them (an ablation) the only random variable is the first state y_1."""
    backbone: BackboneName = "dcgan"
    image_size: int = 64
    """Height and width of a frame in pixels: 32, 64 or 128 for dcgan, 64 or 128 for vgg."""
    channels: int = 1
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
    """Frames that q(y_1) and the content w are inferred from."""
    n_past: int = 5
    """Conditioning frames, at least k."""
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
    """lambda: weight of the norms of the residuals, summed over Euler steps."""
    residual_gain: float = 1.41
    """Gain of f's orthogonal initialisation."""

    def __post_init__(self):
        _require_backbone(self)
        kinds = typing.get_args(Transition)
        require(self.transition in kinds, f"transition must be one of {kinds}, got {self.transition!r}.")
        require_counts(1, self, "channels", "width", "h_dim", "y_dim", "z_dim", "w_dim", "inference_size", "transition_size")
        require_counts(1, self, "k", "n_past", "n_euler", "inference_layers")  # dt = 1 / n_euler
        require_counts(2, self, "transition_layers")
        require_at_least(0, self, "beta_y", "beta_z", "residual_penalty")
        for name in ("nu", "residual_gain"):
            require(getattr(self, name) > 0, f"{name} must be positive, got {getattr(self, name)}.")
        require(self.n_past >= self.k, f"n_past must be at least k = {self.k}, from which y_1 is inferred; got {self.n_past}.")
        require(
            self.n_euler == 1 or self.transition == "residual",
            f"n_euler must be 1 for transition={self.transition!r}, which has no step size; got {self.n_euler}.",
        )

    @property
    def least_context(self) -> int:
        return self.k

    citation: typing.ClassVar[str] = "Stochastic Latent Residual Video Prediction (J.-Y. Franceschi et al., ICML 2020)"

    @property
    def samples_differ(self) -> bool:
        return True  # y_1 is a sample even where there is no z

    @property
    def learned_prior(self) -> bool:
        return self.stochastic

    reconstruction: typing.ClassVar[str] = "decoded from states whose first one and latents are the posteriors'"
    has_states: typing.ClassVar[bool] = True

    @property
    def any_frame_rate(self) -> bool:
        return self.transition == "residual"

    kl_weight: typing.ClassVar[float | None] = None  # y_1 and z_t have weights of their own

    @property
    def likelihood_variance(self) -> float:
        return self.nu**2

    @property
    def summary(self) -> str:
        kind = {"residual": "SRVP", "mlp": "SRVP, MLP transition", "gru": "SRVP, GRU transition"}[self.transition]
        without = "" if self.stochastic else " without z"
        sizes = f"{self.backbone} width {self.width}, y {self.y_dim}, z {self.z_dim}, {self.n_euler} Euler step(s)"
        return f"{kind}{without}, {sizes}, nu {self.nu:g}, beta {self.beta_z:g}"


Model = SVGConfig | SRVPConfig
FAMILIES = {c.family: c for c in (SVGConfig, SRVPConfig)}
