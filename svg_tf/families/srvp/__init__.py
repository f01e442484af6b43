"""SRVP: a state-space model with residual updates (Franceschi et al., ICML 2020)."""

from svg_tf.families.interface import Family

FAMILY = Family(
    config="svg_tf.families.srvp.config:SRVPConfig",
    model="svg_tf.families.srvp.model:SRVP",
    presets="svg_tf.families.srvp.presets:PRESETS",
    figures="svg_tf.families.srvp.figures:FIGURES",
    cost="svg_tf.families.srvp.cost:Cost",
    reference="svg_tf.families.srvp.importing:REFERENCE",
)
