"""SRVP for the conformance tests."""

import tensorflow as tf

from svg_tf.families.srvp.config import SRVPConfig
from svg_tf.families.srvp.model import SRVP
from tests.conformance.descriptors.interface import Descriptor, Reach
from tests.svg_tf.tiny_models import SRVP_VARIANTS, TINY, frames_of, made

INFERENCE = {"encoder", "first_state"}
Q_Z = {"posterior", "posterior_head"}
CONTENT = {"content_hidden", "content_head"}
ALL_BUT_PRIOR = {"decoder", "transition"} | INFERENCE | CONTENT | Q_Z
WRONG = [
    (lambda m: SRVP(TINY), "expects a SRVPConfig, got SVGConfig"),
    (lambda m: m.generate(frames_of()[:, :1], 3), "time >= 2.*too few frames"),
    (lambda m: m.generate(frames_of(), 3, n_past=1), "n_past must be at least 2, got 1"),
    (lambda m: m.generate(frames_of(), 3, frame_rate=0), "frame_rate must be an integer of at least 1, got 0"),
    (lambda m: m.generate(frames_of(), 3, frame_rate=1.5), "frame_rate must be an integer of at least 1, got 1.5"),
    (lambda m: made(SRVP_VARIANTS["gru"]).generate(frames_of(), 3, frame_rate=2), "frame_rate 2: steps within a frame cannot"),
    (lambda m: m.bound(frames_of()[:, :1]), "time >= 2"),
    (lambda m: m.prior_scale(frames_of()[:, :1]), "time >= 2"),
    (lambda m: m.swap_content(frames_of()[:2], frames_of()), "as many sequences, got 2 and 3"),
    (lambda m: m.swap_content(frames_of()[:, :1], frames_of()), "frames of the content must be .*too few frames"),
    (lambda m: m.swap_content(frames_of(), frames_of()[:, :1]), "frames of the motion must be .*too few frames"),
    (lambda m: m.swap_content(frames_of(), frames_of(), n_future=-1), "n_future must be an integer of at least 1, got -1"),
    (lambda m: m.interpolate(frames_of(), frames_of(), 1), r"n_frames must be at least 2 \(both ends\), got 1"),
    (lambda m: m.interpolate(frames_of(), frames_of(), 2.0), "n_frames must be an integer"),
    (lambda m: m.interpolate(frames_of(), frames_of()[:1], 3), "as many sequences to come from as to go to, got 3, 1"),
    (
        lambda m: m.fit(tf.data.Dataset.from_tensors({"frames": frames_of()[:, :1]}), verbose=0),
        r"at least 2 frames, got 1",
    ),
]
RECOMPUTED = {
    "vgg_skips": SRVPConfig(
        backbone="vgg", width=1, h_dim=5, y_dim=4, z_dim=3, w_dim=5, inference_size=5, transition_size=6, k=2, n_past=2,
        n_euler=2, skips=True, nu=10.0,
    ),
}  # fmt: skip


def loss(config, means):
    latents = config.beta_y * means["kl_y"] + config.beta_z * means["kl_z"]
    return means["nll"] + latents + config.residual_penalty * means["residual"]


DESCRIPTOR = Descriptor(
    configs=SRVP_VARIANTS,
    default="residual",
    recomputed=RECOMPUTED,
    reaches=[
        Reach("residual", "nll", ALL_BUT_PRIOR, {"prior"}),
        Reach("residual", "kl_y", INFERENCE),
        Reach("residual", "kl_z", {"transition", "prior"} | INFERENCE | Q_Z),
        Reach("residual", "residual", {"transition"} | INFERENCE | Q_Z),
        Reach("mlp", "nll", ALL_BUT_PRIOR, {"prior"}),
        Reach("gru", "nll", ALL_BUT_PRIOR, {"prior"}),
        Reach("without_z", "nll", {"decoder", "transition"} | INFERENCE | CONTENT, set()),
    ],
    wrong=WRONG,
    predicted=lambda steps: steps,  # the first one follows from y_1
    loss=loss,
    parts=(("svg_tf.families.srvp.sampling.FRAMES_AT_ONCE", 4),),  # does not divide the frames
)
