"""SV2P: one latent map of a video, or one a step, over CDNA's generator (Babaeizadeh et al., ICLR 2018; Finn et al. 2016)."""

from svg_tf.families.interface import Family

FAMILY = Family(
    config="svg_tf.families.sv2p.config:SV2PConfig",
    model="svg_tf.families.sv2p.model:SV2P",
    presets="svg_tf.families.sv2p.presets:PRESETS",
    cost="svg_tf.families.sv2p.cost:Cost",
)
