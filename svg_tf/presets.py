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
_SRVP_TRAIN = {"learning_rate": 3e-4, "steps_per_epoch": 1000}
_SMMNIST_SRVP = {
    "model": {"family": "srvp"},
    "data": {"name": "moving_mnist", "batch_size": 128, "moving_mnist": {"variant": "srvp"}},
    "train": _SRVP_TRAIN | {"epochs": 1100, "linear_decay_steps": 100_000},
    "eval": {"n_future": 20},
}
_MMNIST_SRVP = {
    "data": {"name": "moving_mnist", "batch_size": 128, "moving_mnist": {"variant": "srvp", "deterministic": True}},
    "train": {"epochs": 900},
    "eval": {"n_future": 95, "n_samples": 1},
}
_SRVP_VIDEO = {"family": "srvp", "backbone": "vgg", "y_dim": 50, "z_dim": 50, "n_euler": 2, "skips": True, "beta_z": 1.0}
_KTH_SRVP = {
    "model": _SRVP_VIDEO | {"k": 3, "n_past": 10, "nu": 0.2, "residual_gain": 1.2},
    "data": {"name": "kth/64_all"},
    "train": _SRVP_TRAIN | {"epochs": 200, "linear_decay_steps": 50_000},
    "eval": {"n_future": 30},
}
_H36M_SRVP = {
    "model": {"channels": 3, "n_past": 8},
    "data": {"name": "video_folder/h36m", "n_future": 8, "frame_stride": 8},
    "train": {"epochs": 350, "linear_decay_steps": 25_000},
    "eval": {"n_future": 45},
}
_BAIR_SRVP = {
    "model": _SRVP_VIDEO | {"channels": 3, "k": 2, "n_past": 2, "nu": 0.71},
    "data": {"name": "bair", "batch_size": 192},
    "train": _SRVP_TRAIN | {"epochs": 1500, "linear_decay_steps": 500_000},
    "eval": {"n_future": 28},
}
# SRVP on the data and the budget of _MINI. A small nu, as for videos: with nu 0.5 motion is not learnt in this budget.
_MINI_SRVP = {
    "model": {
        "family": "srvp",
        "image_size": 32,
        "width": 16,
        "inference_size": 128,
        "transition_size": 256,
        "nu": 0.15,
        "residual_gain": 0.7,
    },
    "data": _MINI["data"],
    "train": {"epochs": 12, "steps_per_epoch": 600, "final_learning_rate": 1e-4},
    "eval": _MINI["eval"],
}
_MLP, _GRU = {"model": {"transition": "mlp"}}, {"model": {"transition": "gru"}}
_NO_Z = {"model": {"stochastic": False}}
_REFLECTED = {"data": {"moving_mnist": {"num_digits": 1, "deterministic": True}}}  # deterministic Moving MNIST
_FP, _DET = {"model": {"prior": "fixed"}}, {"model": {"prior": "none"}}
_KTH_FP = {"model": {"prior": "fixed", "z_dim": 24}, "train": {"learning_rate": 8e-4}}

PRESETS: dict[str, tuple[dict, ...]] = {
    "smmnist_lp": (_SMMNIST,),
    "smmnist_fp": (_SMMNIST, _FP),
    "smmnist_det": (_SMMNIST, _DET),
    "smmnist_mini": (_MINI,),
    "smmnist_mini_fp": (_MINI, _FP),
    "smmnist_mini_det": (_MINI, _DET),
    "smmnist_mini_srvp": (_MINI_SRVP,),
    "smmnist_mini_srvp_mlp": (_MINI_SRVP, _MLP),
    "smmnist_mini_srvp_gru": (_MINI_SRVP, _GRU),
    "mmnist_mini": (_MINI, _REFLECTED),
    "mmnist_mini_det": (_MINI, _REFLECTED, _DET),
    "mmnist_mini_srvp": (_MINI_SRVP, _REFLECTED),
    "mmnist_mini_srvp_mlp": (_MINI_SRVP, _REFLECTED, _MLP),
    "mmnist_mini_srvp_gru": (_MINI_SRVP, _REFLECTED, _GRU),
    "mmnist_mini_srvp_no_z": (_MINI_SRVP, _REFLECTED, _NO_Z),
    "smmnist_srvp": (_SMMNIST_SRVP,),
    "smmnist_srvp_mlp": (_SMMNIST_SRVP, _MLP),
    "smmnist_srvp_gru": (_SMMNIST_SRVP, _GRU),
    "mmnist_srvp": (_SMMNIST_SRVP, _MMNIST_SRVP),
    "kth_lp": (_KTH,),
    "kth_fp": (_KTH, _KTH_FP),
    "kth_det": (_KTH, _DET),
    "bair_lp": (_BAIR,),
    "bair_fp": (_BAIR, _FP),
    "bair_det": (_BAIR, _DET),
    "kth_srvp": (_KTH_SRVP,),
    "h36m_srvp": (_KTH_SRVP, _H36M_SRVP),
    "bair_srvp": (_BAIR_SRVP,),
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
