"""SVG: learned prior, fixed prior, deterministic baseline (Denton & Fergus, ICML 2018)."""

from svg_tf.families.interface import Family

FAMILY = Family(
    config="svg_tf.families.svg.config:SVGConfig",
    model="svg_tf.families.svg.model:SVG",
    presets="svg_tf.families.svg.presets:PRESETS",
    cost="svg_tf.families.svg.cost:Cost",
    reference="svg_tf.families.svg.importing:REFERENCE",
)
