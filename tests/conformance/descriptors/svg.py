"""SVG for the conformance tests."""

import dataclasses

from svg_tf.families.svg.config import SVGConfig
from svg_tf.families.svg.model import SVG
from tests.conformance.descriptors.interface import Descriptor, Reach
from tests.svg_tf.tiny_models import SVG_VARIANTS, TINY_SRVP, frames_of

WRONG = [
    (lambda m: m.reconstruct(frames_of()[:, :2], closed_loop=True), "time >= 3"),
    (lambda m: SVG({"prior": "learned"}), "expects a SVGConfig, got dict"),
    (lambda m: SVG(TINY_SRVP), "expects a SVGConfig, got SRVPConfig"),
]
RECOMPUTED = {
    "dcgan": SVGConfig(image_size=32, channels=2, width=2, g_dim=5, z_dim=3, rnn_size=4, n_past=2, beta=0.3),
    "map": SVGConfig(latents="map", backbone="vgg", image_size=32, channels=2, width=1, g_dim=4, z_dim=2, rnn_size=3, n_past=2),
    "vgg": SVGConfig(
        backbone="vgg", width=1, g_dim=5, z_dim=3, rnn_size=4, n_past=2, skips="previous", batch_statistics="per_step"
    ),
}
SPATIAL = SVGConfig(latents="map", backbone="vgg", image_size=32, width=1, g_dim=4, z_dim=2, rnn_size=3, n_past=2, beta=1e-3)
SPATIAL_VARIANTS = {
    "spatial": SPATIAL,
    "spatial_fixed": dataclasses.replace(SPATIAL, prior="fixed", kl_reduction="place"),
    "spatial_none": dataclasses.replace(SPATIAL, prior="none"),
}
DESCRIPTOR = Descriptor(
    configs=SVG_VARIANTS | SPATIAL_VARIANTS,
    default="learned",
    recomputed=RECOMPUTED,
    reaches=[
        Reach("learned", "mse", {"encoder", "decoder", "frame_predictor", "posterior"}, {"prior"}),
        Reach("learned", "kl", {"encoder", "posterior", "prior"}),
        Reach("fixed", "kl", {"encoder", "posterior"}),
        Reach("none", "mse", {"encoder", "decoder", "frame_predictor"}, set()),
        Reach("spatial", "mse", {"encoder", "decoder", "frame_predictor", "posterior"}, {"prior"}),
        Reach("spatial", "kl", {"encoder", "posterior", "prior"}),
    ],
    wrong=WRONG,
    predicted=lambda steps: steps - 1,
    loss=lambda config, means: means["mse"] + means["beta_kl"],
)
