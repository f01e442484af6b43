"""Struct-VRNN's named experiments, each as layers of differences from the defaults."""

from svg_tf.families import settings


def _train(epochs: int, steps: int) -> dict:
    """The published optimizer, and its ramp: true codes are fed ever less over the first 80 % of the run."""
    clipped = {"clip_norm": 10.0, "clip_by": "variable"}
    optimizer = {"learning_rate": 1e-3, "epsilon": 1e-7, "epsilon_placement": "keras", **clipped}
    return {
        "model": {"family": "struct_vrnn", "truth_steps": epochs * steps * 4 // 5},
        "data": {"batch_size": 32},
        "train": {"epochs": epochs, "steps_per_epoch": steps, "optimizer": optimizer},
    }


_STRUCT = _train(100, 1000)
_MINI = _train(12, 600) | {"data": {}}
# A quarter of the pixels have a quarter of the squared error, beside which keypoints are pushed apart and held down. The KL's
# weight is the one of 0.003 to 0.1 whose predicted keypoints were nearest on validation digits.
_MINI_SIZES = {
    "model": {
        "width": 16, "rnn_size": 128, "z_dim": 8, "separation_weight": 2.5, "sparsity_weight": 5.0 / 128, "kl_weight": 0.03,
    }
}  # fmt: skip
_MANY = {"model": {"n_keypoints": 48}}
_ABLATIONS = {
    "det": {"model": {"stochastic": False}},
    "cnn": {"model": {"code": "unstructured"}},
    "no_separation": {"model": {"separation_weight": 0.0}},
    "no_sparsity": {"model": {"sparsity_weight": 0.0}},
    "one_sample": {"model": {"belief_samples": 1}},
}
_BASES = {
    "h36m_struct_vrnn": (settings.H36M, _STRUCT, _MANY),
    "kth_struct_vrnn": (settings.KTH, _STRUCT),
    "bair_struct_vrnn": (settings.BAIR, _STRUCT, _MANY),
    "smmnist_struct_vrnn": (settings.SMMNIST, _STRUCT),
    "smmnist_mini_struct_vrnn": (settings.MINI, _MINI, _MINI_SIZES),
}

PRESETS: dict[str, tuple[dict, ...]] = {
    name + suffix: (*layers, *changes)
    for name, layers in _BASES.items()
    for suffix, changes in {"": (), **{f"_{short}": (change,) for short, change in _ABLATIONS.items()}}.items()
}
