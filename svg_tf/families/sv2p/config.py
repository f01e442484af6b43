"""SV2P's configuration. Symbols follow the paper."""

import typing
from dataclasses import dataclass
from typing import Literal

from data_pipelines import frame_size
from data_pipelines.checks import integer, number, require
from svg_tf.config.base import ModelConfig

Latents = Literal["time_invariant", "time_variant", "none"]
KLReduction = Literal["sum", "height", "mean"]
_COUNTS = ("channels", "n_past", "width", "z_channels", "kernels", "kernel_size", "lstm_kernel_size")
_ODD = ("kernel_size", "lstm_kernel_size")


@dataclass(frozen=True)
class SV2PConfig(ModelConfig):
    """Stochastic variational video prediction (Babaeizadeh et al., ICLR 2018). Defaults: SM-MNIST's windows."""

    family: typing.ClassVar[str] = "sv2p"
    citation: typing.ClassVar[str] = "Stochastic Variational Video Prediction (M. Babaeizadeh et al., ICLR 2018)"
    latents: Latents = "time_invariant"
    """time_invariant: one z for a video; time_variant: one for each step, of the same posterior; none: CDNA (Finn et al. 2016),
    the deterministic baseline."""
    n_frames: int = 15
    """T, frames of a training window: the posterior reads all of them at once. Without latents any number trains."""
    width: int = 32
    """Maps of the first level; the others have 2 and 4 times as many, those of the last two decoder levels 2 and 3."""
    z_channels: int = 1
    """Channels of z, a map of H/8 x W/8."""
    lstm_kernel_size: int = 5
    kernels: int = 10
    """CDNA kernels of an example."""
    kernel_size: int = 5
    """Of CDNA: nothing moves further than kernel_size // 2 pixels a step."""
    drop_last_kernel: bool = False
    """One mask too few, as published: the last kernel's image is never shown, and its weights get no gradient."""
    padding: Literal["zero", "symmetric"] = "zero"
    """Of the images that kernels are applied to. zero (published): borders darken."""
    normalize_heads: bool = False
    """Layer normalization of the posterior's mean and log-variance maps, as published by the authors."""
    norm_epsilon: float = 1e-12
    """Of layer normalization."""
    beta: float = 1.25e-4
    """Weight of the KL beside the mean squared error of pixels, see kl_reduction."""
    kl_reduction: KLReduction = "sum"
    """sum: beta weighs the KL of a whole video in nats; height (the authors' program): its sum over the map's height, averaged
    over width and channels; mean: its mean over the map. `kl_coefficient` is the weight of a video's KL under each."""
    loss_frames: Literal["all", "future"] = "all"
    """Predictions that the squared error is taken of: all T - 1, or those after the context."""
    generator_steps: int = 50_000
    """Phase 1: z from N(0, I), no posterior."""
    latent_steps: int = 50_000
    """Phase 2: z from the posterior, no KL."""
    beta_warmup_steps: int = 20_000
    """Of phase 3: beta rises linearly from 0, then it is constant. 0: at once."""
    scheduled_sampling: Literal["per_example", "count"] = "per_example"
    """Which examples of a training batch see the true frame after the context: each by a draw of its own, or a fixed share of
    the batch (published)."""
    sampling_k: float = 900.0
    """The chance of a true frame at training step s is k / (k + exp(s / k))."""

    def __post_init__(self):
        super().__post_init__()
        for name in _COUNTS:
            integer(name, getattr(self, name), 1)
        for name in ("generator_steps", "latent_steps", "beta_warmup_steps"):
            integer(name, getattr(self, name), 0)
        number("beta", self.beta, 0.0)
        number("norm_epsilon", self.norm_epsilon, above=0.0)
        number("sampling_k", self.sampling_k, above=0.0)
        height, width, _ = self.frame_shape
        size = frame_size.text(self.image_size)
        require(height % 8 == 0 and width % 8 == 0, f"image_size, height and width, must be divisible by 8, got {size}.")
        for name in _ODD:
            require(getattr(self, name) % 2 == 1, f"{name} must be odd, got {getattr(self, name)}.")
        require(
            self.kernel_size <= min(height, width),
            f"kernel_size must be at most image_size, {size}; got {self.kernel_size}.",
        )
        require(not self.drop_last_kernel or self.kernels > 1, "drop_last_kernel needs kernels >= 2, of which one remains.")
        require(
            self.n_frames > self.n_past,
            f"n_frames, of a training window, must be more than n_past = {self.n_past}; got {self.n_frames}.",
        )

    @property
    def stochastic(self) -> bool:
        """Whether there are latents."""
        return self.latents != "none"

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of z."""
        height, width, _ = self.frame_shape
        return height // 8, width // 8, self.z_channels

    @property
    def masks(self) -> int:
        """Compositing masks: of the previous frame, the scratch image, and each kernel's image that is shown."""
        return self.kernels + (1 if self.drop_last_kernel else 2)

    @property
    def kl_coefficient(self) -> float:
        """The weight of a video's KL in nats, beside the mean squared error of pixels, once it has risen."""
        height, width, channels = self.latent_shape
        return self.beta / {"sum": 1, "height": width * channels, "mean": height * width * channels}[self.kl_reduction]

    def check_run(self, n_frames: int, steps: int) -> None:
        if self.stochastic:
            require(
                n_frames == self.n_frames,
                f"model.n_frames must be n_past + data.n_future = {n_frames}, the frames of a training window, all of which the "
                f"posterior reads; got {self.n_frames}.",
            )
            phases = self.generator_steps + self.latent_steps + self.beta_warmup_steps
            require(
                phases <= steps,
                f"model.generator_steps + latent_steps + beta_warmup_steps = {phases} must be at most the run's {steps} steps "
                "(train.epochs x train.steps_per_epoch): beta must be reached.",
            )

    @property
    def summary(self) -> str:
        kind = {"time_invariant": "SV2P (one z a video)", "time_variant": "SV2P (one z a step)", "none": "CDNA (deterministic)"}
        sizes = f"width {self.width}, {self.kernels} kernels of {self.kernel_size}"
        latents = f", z {'x'.join(map(str, self.latent_shape))}, beta {self.kl_coefficient:g}" if self.stochastic else ""
        return f"{kind[self.latents]}, {sizes}{latents}"
