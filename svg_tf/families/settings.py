"""Layers of presets that families share: data sets, and the budget of the miniatures. Differences from the defaults only."""

SMMNIST = {"data": {"name": "moving_mnist"}}
SMMNIST_SRVP = {  # Moving MNIST as in SRVP's paper: exact collisions, batches of 128, 20 predicted frames
    "data": {"name": "moving_mnist", "batch_size": 128, "moving_mnist": {"variant": "srvp"}},
    "eval": {"n_future": 20},
}
KTH = {"model": {"n_past": 10}, "data": {"name": "kth"}, "eval": {"n_future": 30}}
BAIR = {"model": {"channels": 3, "n_past": 2}, "data": {"name": "bair"}, "eval": {"n_future": 28}}
H36M = {  # every eighth frame
    "model": {"channels": 3, "n_past": 8},
    "data": {"name": "video_folder/h36m", "n_future": 8, "frame_stride": 8},
    "eval": {"n_future": 45},
}
MINI = {  # one digit on 32x32, minutes on two cores
    "model": {"image_size": 32},
    "data": {"name": "moving_mnist", "batch_size": 16, "moving_mnist": {"num_digits": 1}},
    "train": {
        "epochs": 12,
        "steps_per_epoch": 600,
        "optimizer": {"schedule": {"kind": "cosine", "final": 1e-4}},
    },
    "eval": {"n_samples": 10},
}
REFLECTED = {"data": {"moving_mnist": {"num_digits": 1, "deterministic": True}}}  # deterministic Moving MNIST
