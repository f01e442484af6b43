"""SV2P for the conformance tests."""

import dataclasses

from svg_tf.families.sv2p.config import SV2PConfig
from svg_tf.families.sv2p.model import SV2P
from tests.conformance.descriptors.interface import Descriptor
from tests.svg_tf.tiny_models import TINY, frames_of

TINY_SV2P = SV2PConfig(
    image_size=32, width=2, n_past=2, n_frames=5, lstm_kernel_size=3, kernels=3, kernel_size=3, norm_epsilon=1e-5, beta=1e-3,
    generator_steps=0, latent_steps=0, beta_warmup_steps=0,
)  # fmt: skip
CONFIGS = {
    "time_invariant": TINY_SV2P,
    "time_variant": dataclasses.replace(TINY_SV2P, latents="time_variant"),
    "no_latents": dataclasses.replace(TINY_SV2P, latents="none"),
}
WRONG = [
    (lambda m: SV2P(TINY), "expects a SV2PConfig, got SVGConfig"),
    (lambda m: m.reconstruct(frames_of(steps=6)), "all 5 frames .*, got 6 frames"),
    (lambda m: m.bound(frames_of(steps=4)), "all 5 frames .*, got 4 frames"),
    (lambda m: m.generate(frames_of(), 3, frame_rate=2), "frame_rate 2: steps within a frame cannot"),
]
DESCRIPTOR = Descriptor(
    configs=CONFIGS,
    default="time_invariant",
    recomputed={},  # whole steps are recomputed, not blocks: a test of the family
    reaches=[],  # phases and what each reaches: tests of the family
    wrong=WRONG,
    predicted=lambda steps: steps - 1,
    loss=lambda config, means: means["mse"] + means["beta_kl"],
    batch_normalized=False,
)
