"""Struct-VRNN: keypoints found without labels, and a VRNN that says where they go (Minderer et al., NeurIPS 2019)."""

from svg_tf.families.interface import Family

FAMILY = Family(
    config="svg_tf.families.struct_vrnn.config:StructVRNNConfig",
    model="svg_tf.families.struct_vrnn.model:StructVRNN",
    presets="svg_tf.families.struct_vrnn.presets:PRESETS",
    figures="svg_tf.families.struct_vrnn.figures:FIGURES",
    cost="svg_tf.families.struct_vrnn.cost:Cost",
)
