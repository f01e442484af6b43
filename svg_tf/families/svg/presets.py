"""SVG's named experiments (paper §4, appendix), each as layers of differences from the defaults."""

from svg_tf.families import settings

_MINI = {"model": {"width": 16, "rnn_size": 128, "beta": 2e-4, "beta_warmup_steps": 3000}}
_FP, _DET = {"model": {"prior": "fixed"}}, {"model": {"prior": "none"}}
_KTH = {"model": {"backbone": "vgg", "z_dim": 32, "beta": 1e-6}}
_KTH_FP = {"model": {"z_dim": 24}, "train": {"optimizer": {"learning_rate": 8e-4}}}  # as the reference's recipe
_BAIR = {"model": {"backbone": "vgg", "z_dim": 64}}
_SPATIAL = {  # Villegas et al. 2019: K 1, H 256
    "model": {"latents": "map", "backbone": "vgg", "rnn_size": 256},
    "data": {"batch_size": 32},
    "train": {"optimizer": {"learning_rate": 3e-4}},
}
_SPATIAL_MINI = {  # beta: that of the vector's miniature for each place of 4x4
    "model": {"latents": "map", "backbone": "vgg", "width": 8, "g_dim": 32, "rnn_size": 32, "z_dim": 4, "kl_reduction": "place"}
}

PRESETS: dict[str, tuple[dict, ...]] = {
    "smmnist_lp": (settings.SMMNIST,),
    "smmnist_fp": (settings.SMMNIST, _FP),
    "smmnist_det": (settings.SMMNIST, _DET),
    "smmnist_mini": (settings.MINI, _MINI),
    "smmnist_mini_fp": (settings.MINI, _MINI, _FP),
    "smmnist_mini_det": (settings.MINI, _MINI, _DET),
    "mmnist_mini": (settings.MINI, _MINI, settings.REFLECTED),
    "mmnist_mini_det": (settings.MINI, _MINI, settings.REFLECTED, _DET),
    "kth_lp": (settings.KTH, _KTH),
    "kth_fp": (settings.KTH, _KTH, _FP, _KTH_FP),
    "kth_det": (settings.KTH, _KTH, _DET),
    "smmnist_spatial": (settings.SMMNIST, _SPATIAL),
    "smmnist_mini_spatial": (settings.MINI, _MINI, _SPATIAL_MINI),
    "kth_spatial": (settings.KTH, _SPATIAL),
    "bair_spatial": (settings.BAIR, _SPATIAL),
    "bair_lp": (settings.BAIR, _BAIR),
    "bair_fp": (settings.BAIR, _BAIR, _FP),
    "bair_det": (settings.BAIR, _BAIR, _DET),
}
