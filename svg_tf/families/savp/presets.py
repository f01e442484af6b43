"""SAVP's named experiments, each as layers of differences from the defaults."""

from svg_tf.families import settings


def _optimizer(rate: float, beta_1: float, batch: int) -> dict:
    """Constant for 200,000 steps, then linearly to 0 within 100,000."""
    schedule = {"kind": "linear", "steps": 100_000}
    optimizer = {"learning_rate": rate, "beta_1": beta_1, "epsilon_placement": "keras", "schedule": schedule}
    return {"data": {"batch_size": batch}, "train": {"epochs": 300, "steps_per_epoch": 1000, "optimizer": optimizer}}


_SAVP = ({"model": {"family": "savp"}}, _optimizer(2e-4, 0.5, 16))
_GAN = {"model": {"variant": "gan", "gan_features": 10.0}}
_PIXELS = {"model": {"l1_weight": 1.0}}
_VAE = (_optimizer(1e-3, 0.9, 32), _PIXELS, {"model": {"variant": "vae", "beta": 1e-3}})
_DET = (_optimizer(1e-3, 0.9, 32), _PIXELS, {"model": {"variant": "deterministic"}})
_2018 = {
    "model": {
        "gan_loss": "cross_entropy", "gan_weight": 1.0, "vae_gan_weight": 1.0, "gan_features": 0.0, "vae_gan_features": 0.0,
        "loss_frames": "future", "context_latents": "prior", "beta": 0.1,
    },
}  # fmt: skip
_KTH = {"model": {"z_dim": 32, "beta": 0.01}}
_MINI_RUN = {
    "model": {
        "width": 8, "encoder_width": 16, "discriminator_width": 4, "z_dim": 4, "sampling_k": 100.0, "beta_start_step": 1200,
        "beta_end_step": 2400,
    },
    "data": {"batch_size": 8},
}  # fmt: skip


def _mini_rate(rate: float) -> dict:
    """As published, a third of the run falls to 0."""
    schedule = {"kind": "linear", "final": 0.0, "steps": 2400}
    return {"train": {"epochs": 12, "steps_per_epoch": 600, "optimizer": {"learning_rate": rate, "schedule": schedule}}}


def _mini(layers: tuple[dict, ...], rate: float) -> tuple[dict, ...]:
    return (settings.MINI, *layers, _MINI_RUN, _mini_rate(rate))


_BAIR_ALL, _KTH_ALL = (settings.BAIR, *_SAVP), (settings.KTH, *_SAVP)
_FAR = {"model": {"kernel_size": 9}}  # digits move up to 4 pixels a step
_SMMNIST = (settings.SMMNIST, *_SAVP, _FAR)
_OF_KTH = {"model": {"beta": 1e-5}}

PRESETS: dict[str, tuple[dict, ...]] = {
    "bair_savp": _BAIR_ALL,
    "bair_savp_2018": (*_BAIR_ALL, _2018),
    "bair_savp_gan": (*_BAIR_ALL, _GAN),
    "bair_savp_gan_2018": (*_BAIR_ALL, _GAN, _2018),
    "bair_savp_vae": (*_BAIR_ALL, *_VAE),
    "bair_savp_det": (*_BAIR_ALL, *_DET),
    "kth_savp": (*_KTH_ALL, _KTH),
    "kth_savp_2018": (*_KTH_ALL, _2018, {"model": {"beta": 1e-3}}),
    "kth_savp_gan": (*_KTH_ALL, _KTH, _GAN),
    "kth_savp_vae": (*_KTH_ALL, _KTH, *_VAE, _OF_KTH),
    "kth_savp_det": (*_KTH_ALL, *_DET),
    "smmnist_savp": _SMMNIST,
    "smmnist_savp_gan": (*_SMMNIST, _GAN),
    "smmnist_savp_vae": (*_SMMNIST, *_VAE),
    "smmnist_savp_det": (*_SMMNIST, *_DET),
    "smmnist_mini_savp": _mini(_SAVP, 5e-4),
    "smmnist_mini_savp_gan": _mini((*_SAVP, _GAN), 5e-4),
    "smmnist_mini_savp_vae": _mini((*_SAVP, *_VAE), 1e-3),
    "smmnist_mini_savp_det": _mini((*_SAVP, *_DET), 1e-3),
}
