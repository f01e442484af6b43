"""SAVP's configuration."""

import typing
from dataclasses import dataclass
from typing import Literal

from data_pipelines import frame_size
from data_pipelines.checks import integer, number, require
from svg_tf.config.base import ModelConfig

Variant = Literal["vae_gan", "vae", "gan", "deterministic"]
LEAST_CLIP = 4  # frames, which three convolutions of 4 frames, the last one with stride 2, leave something of
LEAST_SIDE, SIDES_BELOW = 16, 128  # pixels of the shorter side; from the second on the authors' program has other levels
_COUNTS = ("channels", "n_past", "z_dim", "width", "transformed_images", "kernel_size", "lstm_kernel_size",
           "encoder_width", "discriminator_width", "inference_size")  # fmt: skip
_WEIGHTS = ("l1_weight", "l2_weight", "beta", "gan_weight", "vae_gan_weight", "gan_features", "vae_gan_features", "flow_penalty")


@dataclass(frozen=True)
class SAVPConfig(ModelConfig):
    """Stochastic adversarial video prediction (Lee et al. 2018). Defaults: the authors' later program (2019), Moving MNIST."""

    family: typing.ClassVar[str] = "savp"
    citation: typing.ClassVar[str] = "Stochastic Adversarial Video Prediction (A. X. Lee et al., 2018)"
    variant: Variant = "vae_gan"
    """vae_gan: posterior and two video discriminators, one for futures from the posterior, one for those from the prior; vae: the
    posterior alone; gan: one discriminator, all latents from N(0, I); deterministic: no latents."""
    z_dim: int = 8
    """Numbers of z_t, one vector a step."""
    width: int = 32
    """Maps of the generator's first level; each further level has twice as many."""
    lstm_kernel_size: int = 5
    transformation: Literal["cdna", "dna", "flow"] = "cdna"
    """How the previous frame moves: by kernels of a whole image, by kernels of each pixel, or along a flow."""
    transformed_images: int = 4
    kernel_size: int = 5
    """Of cdna and dna: nothing moves further than kernel_size // 2 pixels a step."""
    previous_image: bool = True
    """Whether the blend has the previous frame as it is."""
    first_image: bool = True
    """Whether it has the first true frame."""
    scratch_image: bool = True
    """Whether it has an image painted anew."""
    dependent_masks: bool = True
    """The masks of the blend follow from the images, too."""
    latent_places: Literal["all", "input", "middle"] = "all"
    """Which layers see z: all, the first one, or the first one of the decoder."""
    latent_lstm: bool = True
    """z goes through an LSTM of z_dim units."""
    learned_prior: bool = False
    """An LSTM over the context's frames in place of N(0, I)."""
    context_latents: Literal["posterior", "prior"] = "posterior"
    """Of futures from the prior: latents within the context, from the posterior of its frames (2019) or from the prior (2018)."""
    encoder_width: int = 64
    recurrent_posterior: bool = False
    """An LSTM over time in the posterior, which else sees two frames."""
    inference_size: int = 256
    """Units of the LSTMs of a learned prior and a recurrent posterior."""
    l1_weight: float = 100.0
    l2_weight: float = 0.0
    loss_frames: Literal["all", "future"] = "all"
    """Predictions that the pixels' losses and the discriminators see: all T - 1 (2019), or those after the context (2018)."""
    beta: float = 1.0
    """Weight of the KL, summed over z and averaged over steps."""
    beta_start_step: int = 50_000
    beta_end_step: int = 100_000
    """Between these steps beta rises linearly from 0."""
    gan_loss: Literal["lsgan", "cross_entropy"] = "lsgan"
    gan_weight: float = 0.1
    """Of the discriminator of futures from the prior."""
    vae_gan_weight: float = 0.1
    """Of the discriminator of futures from the posterior."""
    gan_features: float = 0.0
    """Weight of the cosine distance of that discriminator's features of true and generated clips."""
    vae_gan_features: float = 10.0
    discriminator_width: int = 32
    clip_length: int = 10
    """Frames of the clips that discriminators see."""
    shared_clip_start: bool = True
    """A true and a generated clip show the same time; False (2019): each its own, also where features are matched."""
    sampling_k: float = 900.0
    """The chance of a true frame after the context at training step s is k / (k + exp(s / k))."""
    flow_penalty: float = 1e-3
    """Weight of the flow's total variation."""
    bias_before_norm: bool = False
    """Biases before normalizations, which subtract them again: published, and without effect."""

    def __post_init__(self):
        super().__post_init__()
        for name in _COUNTS:
            integer(name, getattr(self, name), 1)
        for name in ("beta_start_step", "beta_end_step"):
            integer(name, getattr(self, name), 0)
        for name in _WEIGHTS:
            number(name, getattr(self, name), 0.0)
        number("sampling_k", self.sampling_k, above=0.0)
        self._check_sizes()
        require(self.l1_weight + self.l2_weight > 0, "l1_weight or l2_weight must be greater than 0.")
        require(
            self.beta_start_step <= self.beta_end_step,
            f"beta_end_step must be at least beta_start_step = {self.beta_start_step}, got {self.beta_end_step}.",
        )
        integer("clip_length", self.clip_length, LEAST_CLIP)
        for name in self.discriminators:
            weight = getattr(self, f"{name}_weight")
            require(weight > 0, f"{name}_weight must be greater than 0 where variant is {self.variant!r}, got {weight}.")
        for name in ("learned_prior", "recurrent_posterior"):
            fits = self.infers or not getattr(self, name)
            require(fits, f"{name} needs a posterior: variant 'vae' or 'vae_gan', not {self.variant!r}.")

    def _check_sizes(self):
        shown, sides = frame_size.text(self.image_size), self.frame_shape[:2]
        fits = all(side % 8 == 0 for side in sides) and LEAST_SIDE <= self.shorter_side < SIDES_BELOW
        require(
            fits,
            f"image_size, height and width, must be divisible by 8, the shorter one at least {LEAST_SIDE} and less than "
            f"{SIDES_BELOW}; got {shown}.",
        )
        for name in ("kernel_size", "lstm_kernel_size"):
            size = getattr(self, name)
            fits = size % 2 == 1 and size <= self.shorter_side
            require(fits, f"{name} must be odd and at most image_size, {shown}; got {size}.")

    @property
    def shorter_side(self) -> int:
        """Of a frame, in pixels."""
        return min(self.frame_shape[:2])

    @property
    def levels(self) -> int:
        """Halvings of the frame: as many as its shorter side has in the authors' program."""
        return 3 if self.shorter_side >= 64 else 2

    @property
    def stochastic(self) -> bool:
        """Whether there are latents."""
        return self.variant != "deterministic"

    @property
    def any_size(self) -> bool:
        """Kernels of a whole image, and a discriminator's judgement, are products with all of a map."""
        return self.transformation != "cdna" and not self.discriminators

    @property
    def infers(self) -> bool:
        """Whether there is a posterior."""
        return self.variant in ("vae", "vae_gan")

    @property
    def discriminators(self) -> tuple[str, ...]:
        """Names: "gan" judges futures from the prior, "vae_gan" those from the posterior."""
        return {"vae_gan": ("gan", "vae_gan"), "gan": ("gan",)}.get(self.variant, ())

    @property
    def z_size(self) -> int:
        """Numbers of z_t: 0 without latents."""
        return self.z_dim if self.stochastic else 0

    @property
    def images(self) -> int:
        """Images of the blend."""
        return self.transformed_images + self.previous_image + self.first_image + self.scratch_image

    @property
    def infers_context(self) -> bool:
        """Whether futures have their latents within the context from the posterior."""
        return self.infers and self.context_latents == "posterior" and not self.learned_prior

    def check_run(self, n_frames: int, steps: int) -> None:
        if self.discriminators:
            shown = n_frames - (1 if self.loss_frames == "all" else self.n_past)
            require(
                self.clip_length <= shown,
                f"model.clip_length must be at most the {shown} predicted frames of a training window that loss_frames "
                f"{self.loss_frames!r} leaves; got {self.clip_length}.",
            )
        if self.infers:
            require(
                self.beta_end_step <= steps,
                f"model.beta_end_step {self.beta_end_step} must be at most the run's {steps} steps (train.epochs x "
                "train.steps_per_epoch): beta must be reached.",
            )

    @property
    def summary(self) -> str:
        kind = {"vae_gan": "SAVP (VAE-GAN)", "vae": "SAVP's VAE", "gan": "SAVP's GAN", "deterministic": "SAVP without latents"}
        latents = f", z {self.z_dim}" if self.stochastic else ""
        beta = f", beta {self.beta:g}" if self.infers else ""
        moved = f"{self.transformed_images} images by {self.transformation}"
        return f"{kind[self.variant]}, width {self.width}, {moved}{latents}{beta}"
