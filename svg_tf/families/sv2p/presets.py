"""SV2P's named experiments, each as layers of differences from the defaults."""

from svg_tf.families import settings

_SV2P = {
    "model": {"family": "sv2p"},
    "data": {"batch_size": 32},
    "train": {"epochs": 200, "steps_per_epoch": 1000, "optimizer": {"learning_rate": 1e-3, "epsilon_placement": "keras"}},
}
_KTH = {"model": {"n_frames": 20}, "data": {"batch_size": 16}}
_BAIR = {"model": {"n_frames": 12}}
_FAR = {"model": {"kernel_size": 9}}  # digits move up to 4 pixels a step
_MINI = {
    "model": {
        "width": 8, "lstm_kernel_size": 3, "kernels": 6, "norm_epsilon": 1e-5, "beta": 5e-4, "sampling_k": 100.0,
        "generator_steps": 1800, "latent_steps": 1800, "beta_warmup_steps": 720,
    },
    "train": {"optimizer": {"schedule": {"kind": "constant", "final": 0.0}}},
}  # fmt: skip
_VARIANT, _DET = {"model": {"latents": "time_variant"}}, {"model": {"latents": "none"}}

_SMMNIST = (settings.SMMNIST, _SV2P, _FAR)
_SMMNIST_MINI = (settings.MINI, {"model": _SV2P["model"]}, {"train": {"optimizer": _SV2P["train"]["optimizer"]}}, _MINI)
_MMNIST_MINI = (*_SMMNIST_MINI, settings.REFLECTED)
_KTH_ALL = (settings.KTH, _SV2P, _KTH)
_BAIR_ALL = (settings.BAIR, _SV2P, _BAIR)

PRESETS: dict[str, tuple[dict, ...]] = {
    "smmnist_sv2p": _SMMNIST,
    "smmnist_sv2p_variant": (*_SMMNIST, _VARIANT),
    "smmnist_sv2p_det": (*_SMMNIST, _DET),
    "smmnist_mini_sv2p": _SMMNIST_MINI,
    "smmnist_mini_sv2p_variant": (*_SMMNIST_MINI, _VARIANT),
    "smmnist_mini_sv2p_det": (*_SMMNIST_MINI, _DET),
    "mmnist_mini_sv2p": _MMNIST_MINI,
    "mmnist_mini_sv2p_det": (*_MMNIST_MINI, _DET),
    "kth_sv2p": _KTH_ALL,
    "kth_sv2p_variant": (*_KTH_ALL, _VARIANT),
    "kth_sv2p_det": (*_KTH_ALL, _DET),
    "bair_sv2p": _BAIR_ALL,
    "bair_sv2p_variant": (*_BAIR_ALL, _VARIANT),
    "bair_sv2p_det": (*_BAIR_ALL, _DET),
}
