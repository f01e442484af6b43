"""Named experiments. Each lists only its differences from the defaults of `config` (METHOD: paper §4, appendix)."""

from svg_tf.config import ExperimentConfig, from_dict

_SMMNIST = {"data": {"name": "moving_mnist"}}
_MINI = {
    "model": {"image_size": 32, "width": 16, "rnn_size": 128, "beta": 2e-4, "beta_warmup_steps": 3000},
    "data": {"name": "moving_mnist", "batch_size": 16, "moving_mnist": {"num_digits": 1}},
    "train": {"epochs": 12, "steps_per_epoch": 600, "final_learning_rate": 1e-4},
    "eval": {"n_samples": 10},
}
_KTH = {
    "model": {"backbone": "vgg", "z_dim": 32, "beta": 1e-6, "n_past": 10},
    "data": {"name": "kth"},
    "eval": {"n_future": 30},
}
_BAIR = {
    "model": {"backbone": "vgg", "channels": 3, "z_dim": 64, "n_past": 2},
    "data": {"name": "bair"},
    "eval": {"n_future": 28},
}
_FP, _DET = {"model": {"prior": "fixed"}}, {"model": {"prior": "none"}}
_KTH_FP = {"model": {"prior": "fixed", "z_dim": 24}, "train": {"learning_rate": 8e-4}}

PRESETS: dict[str, tuple[dict, ...]] = {
    "smmnist_lp": (_SMMNIST,),
    "smmnist_fp": (_SMMNIST, _FP),
    "smmnist_det": (_SMMNIST, _DET),
    "smmnist_mini": (_MINI,),
    "smmnist_mini_fp": (_MINI, _FP),
    "smmnist_mini_det": (_MINI, _DET),
    "kth_lp": (_KTH,),
    "kth_fp": (_KTH, _KTH_FP),
    "kth_det": (_KTH, _DET),
    "bair_lp": (_BAIR,),
    "bair_fp": (_BAIR, _FP),
    "bair_det": (_BAIR, _DET),
}


def names() -> list[str]:
    return sorted(PRESETS)


def get(name: str) -> ExperimentConfig:
    """The experiment called `name`. Raises `ValueError` for an unknown name, listing those that exist."""
    if name not in PRESETS:
        raise ValueError(f"Unknown preset {name!r}; presets: {', '.join(names())}.")
    parts: dict[str, dict] = {}
    for layer in PRESETS[name]:
        for part, values in layer.items():
            parts[part] = parts.get(part, {}) | values
    return from_dict(ExperimentConfig, parts)
