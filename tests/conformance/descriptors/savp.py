"""SAVP for the conformance tests."""

import dataclasses

from svg_tf.families.savp.config import SAVPConfig
from svg_tf.families.savp.model import SAVP
from tests.conformance.descriptors.interface import Descriptor
from tests.svg_tf.tiny_models import TINY, frames_of, made

TINY_SAVP = SAVPConfig(
    image_size=32, width=2, encoder_width=2, discriminator_width=1, n_past=2, z_dim=3, lstm_kernel_size=3, kernel_size=3,
    transformed_images=2, clip_length=4, l1_weight=1.0, beta=1e-2, beta_start_step=0, beta_end_step=0,
)  # fmt: skip
CONFIGS = {
    "vae": dataclasses.replace(TINY_SAVP, variant="vae"),
    "vae_gan": dataclasses.replace(
        TINY_SAVP, learned_prior=True, recurrent_posterior=True, inference_size=4, transformation="dna", latent_places="middle"
    ),
    "gan": dataclasses.replace(TINY_SAVP, variant="gan"),
    "deterministic": dataclasses.replace(TINY_SAVP, variant="deterministic", transformation="flow"),
}
WRONG = [
    (lambda m: SAVP(TINY), "expects a SAVPConfig, got SVGConfig"),
    (lambda m: made(CONFIGS["gan"]).reconstruct(frames_of()), "A reconstruction cannot be had of this model, SAVP's GAN"),
    (lambda m: made(CONFIGS["gan"]).bound(frames_of()), "A bound of the likelihood cannot be had of this model"),
    (lambda m: m.reconstruct(frames_of()[:, :2], closed_loop=True), "time >= 3"),
    (lambda m: m.generate(frames_of(), 3, frame_rate=2), "frame_rate 2: steps within a frame cannot"),
]
DESCRIPTOR = Descriptor(
    configs=CONFIGS,
    default="vae",
    recomputed={},  # whole steps are recomputed, not blocks: a test of the family
    reaches=[],  # what each update reaches: tests of the family
    wrong=WRONG,
    predicted=lambda steps: steps - 1,
    loss=lambda config, means: means["l1"] + means["weighted_kl"],
    batch_normalized=False,
)
