"""SAVP: a convolutional LSTM with latents at every layer, trained as a VAE, a GAN, or both (Lee et al., 2018)."""

from svg_tf.families.interface import Family

FAMILY = Family(
    config="svg_tf.families.savp.config:SAVPConfig",
    model="svg_tf.families.savp.model:SAVP",
    presets="svg_tf.families.savp.presets:PRESETS",
    cost="svg_tf.families.savp.cost:Cost",
)
