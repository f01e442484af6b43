"""What the latents say beside what there was to say: KL per step against the information of the true motion.

On Moving MNIST the rules give the nats of each frame's motion (`data_pipelines.motion_belief`): nothing where digits move on, the
logarithm of the possible velocities where a new one shows. Latents need no more; nats above that carry what the past had told.
"""

import numpy as np

from svg_tf.evaluation.metrics import video

TERM = "kl"


def summary(kl, nats, shows, n_past: int) -> dict:
    """Of the predicted steps. kl: float [N, K], of the last K frames; nats float [N, T], shows bool [N, T] (a new velocity).

    Returns {"kl", "true", each {"mean", "half_width"} in nats a step; "ratio"; "kl_at_new_velocity", "kl_elsewhere" in nats a
    step, "share_of_kl_at_new_velocity", "share_of_steps"; "per_step"}.
    """
    steps = min(kl.shape[1], nats.shape[1] - n_past)
    kl, nats, shows = (np.asarray(part)[:, -steps:] for part in (kl, nats, shows))
    kl, nats = kl.astype(np.float64), nats.astype(np.float64)
    at, all_kl = float(kl[shows].sum()), float(kl.sum())
    entries = {}
    for name, values in (("kl", kl), ("true", nats)):
        mean, half = video.mean_interval(values.mean(axis=1))
        entries[name] = {"mean": float(mean), "half_width": float(half) if np.isfinite(half) else None}
    return entries | {
        "ratio": all_kl / float(nats.sum()) if nats.sum() > 0 else None,
        "share_of_kl_at_new_velocity": at / all_kl if all_kl > 0 else None,
        "share_of_steps": float(shows.mean()),
        "kl_at_new_velocity": at / int(shows.sum()) if shows.any() else None,
        "kl_elsewhere": (all_kl - at) / int((~shows).sum()) if not shows.all() else None,
        "per_step": {"kl": kl.mean(axis=0).tolist(), "true": nats.mean(axis=0).tolist()},
    }


def sentence(entry: dict, text) -> str:
    """text: {"mean", "half_width"} -> a number with its interval."""
    line = f"Information a predicted step: KL {text(entry['kl'])} nats; the true motion brings {text(entry['true'])} nats"
    line += f", a ratio of {entry['ratio']:.2f}." if entry["ratio"] is not None else "."
    if entry["share_of_kl_at_new_velocity"] is not None and entry["kl_at_new_velocity"] is not None:
        line += (
            f" {100 * entry['share_of_kl_at_new_velocity']:.0f} % of the KL fall on the {100 * entry['share_of_steps']:.0f} % of "
            f"steps in which a new velocity first shows ({entry['kl_at_new_velocity']:.2f} nats each"
        )
        line += f", {entry['kl_elsewhere']:.2f} elsewhere)." if entry["kl_elsewhere"] is not None else ")."
    return line
