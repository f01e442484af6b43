"""SRVP's named experiments (paper, appendix), each as layers of differences from the defaults."""

from svg_tf.families import settings


def _train(constant: int, decay: int) -> dict:
    """Thousands of steps at a constant rate, and of its linear decay to 0."""
    schedule = {"kind": "linear", "steps": 1000 * decay}
    return {
        "train": {
            "epochs": constant + decay,
            "steps_per_epoch": 1000,
            "optimizer": {"learning_rate": 3e-4, "schedule": schedule},
        }
    }


_SRVP = {"model": {"family": "srvp"}}
_VIDEO = {"model": {"backbone": "vgg", "y_dim": 50, "z_dim": 50, "n_euler": 2, "skips": True, "beta_z": 1.0}}
_KTH = {"model": {"k": 3, "nu": 0.2, "residual_gain": 1.2}}
_BAIR = {"model": {"k": 2, "nu": 0.71}, "data": {"batch_size": 192}}
_DETERMINISTIC = {"data": {"moving_mnist": {"deterministic": True}}, "eval": {"n_future": 95, "n_samples": 1}}
# A small nu, as for videos: with nu 0.5 motion is not learned in this budget.
_MINI = {
    "model": {"width": 16, "inference_size": 128, "transition_size": 256, "nu": 0.15, "residual_gain": 0.7},
}
_MLP, _GRU = {"model": {"transition": "mlp"}}, {"model": {"transition": "gru"}}
_NO_Z = {"model": {"stochastic": False}}

_SMMNIST = (settings.SMMNIST_SRVP, _SRVP, _train(1000, 100))
_SMMNIST_MINI = (settings.MINI, _SRVP, _MINI)
_MMNIST_MINI = (*_SMMNIST_MINI, settings.REFLECTED)
_KTH_ALL = (settings.KTH, _SRVP, _VIDEO, _KTH, {"data": {"name": "kth/64_all"}}, _train(150, 50))

PRESETS: dict[str, tuple[dict, ...]] = {
    "smmnist_srvp": _SMMNIST,
    "smmnist_srvp_mlp": (*_SMMNIST, _MLP),
    "smmnist_srvp_gru": (*_SMMNIST, _GRU),
    "mmnist_srvp": (*_SMMNIST, _DETERMINISTIC, _train(800, 100)),
    "smmnist_mini_srvp": _SMMNIST_MINI,
    "smmnist_mini_srvp_mlp": (*_SMMNIST_MINI, _MLP),
    "smmnist_mini_srvp_gru": (*_SMMNIST_MINI, _GRU),
    "mmnist_mini_srvp": _MMNIST_MINI,
    "mmnist_mini_srvp_mlp": (*_MMNIST_MINI, _MLP),
    "mmnist_mini_srvp_gru": (*_MMNIST_MINI, _GRU),
    "mmnist_mini_srvp_no_z": (*_MMNIST_MINI, _NO_Z),
    "kth_srvp": _KTH_ALL,
    "h36m_srvp": (*_KTH_ALL, settings.H36M, _train(325, 25)),
    "bair_srvp": (settings.BAIR, _SRVP, _VIDEO, _BAIR, _train(1000, 500)),
}
