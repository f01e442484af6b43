"""Struct-VRNN for the conformance tests."""

import dataclasses

from svg_tf.families.struct_vrnn.config import StructVRNNConfig
from svg_tf.families.struct_vrnn.model import StructVRNN
from tests.conformance.descriptors.interface import Descriptor, Reach
from tests.svg_tf.tiny_models import TINY, frames_of

TINY_VRNN = StructVRNNConfig(
    image_size=32, n_past=2, n_keypoints=4, width=2, layers_per_scale=1, rnn_size=6, hidden_size=8, z_dim=3, belief_samples=3,
    kl_weight=0.1, kl_warmup_steps=0, truth_steps=0,
)  # fmt: skip
CONFIGS = {
    "keypoints": TINY_VRNN,
    "unstructured_deterministic": dataclasses.replace(TINY_VRNN, code="unstructured", stochastic=False),
}
VISION = {"detector", "renderer"}
MOVES = {"posterior", "code_decoder", "recurrence"}
WRONG = [
    (lambda m: StructVRNN(TINY), "expects a StructVRNNConfig, got SVGConfig"),
    (lambda m: m.generate(frames_of(), 3, frame_rate=2), "frame_rate 2: steps within a frame cannot"),
    (lambda m: m.keypoints(frames_of()[0]), r"got shape \(5, 32, 32, 1\)"),
    (lambda m: m.redraw(frames_of()[:, :1]), "time >= 2"),
    (lambda m: m.predict_keypoints(frames_of(), 0), "n_future must be an integer of at least 1, got 0"),
]


def loss(config, means):
    vision = means["image"] + config.separation_weight * means["separation"] + config.sparsity_weight * means["sparsity"]
    return vision + config.l2_weight * means["l2"] + means["keypoints"] + means["beta_kl"]


DESCRIPTOR = Descriptor(
    configs=CONFIGS,
    default="keypoints",
    recomputed={},  # scales are recomputed, too few at 32 pixels to be counted: a test of the family
    reaches=[
        Reach("keypoints", "image", VISION, MOVES | {"prior"}),
        Reach("keypoints", "separation", {"detector"}),
        Reach("keypoints", "sparsity", {"detector"}),
        Reach("keypoints", "l2", VISION),
        Reach("keypoints", "keypoints", MOVES, VISION | {"prior"}),
        Reach("keypoints", "keypoints_observed", MOVES),  # but the recurrent kernel: h is 0 before the first of two steps
        Reach("keypoints", "keypoints_predicted", MOVES, VISION | {"prior"}),
        Reach("keypoints", "kl", MOVES | {"prior"}),
        Reach("unstructured_deterministic", "image", VISION, MOVES | {"prior"}),
        Reach("unstructured_deterministic", "keypoints", MOVES),
    ],
    wrong=WRONG,
    predicted=lambda steps: steps,  # the first frame has its keypoints, too
    loss=loss,
    parts=(("svg_tf.families.struct_vrnn.sampling.FRAMES_AT_ONCE", 4),),
    batch_normalized=False,
)
