"""Fig. 6: sigma_psi of the learned prior over time, against true collisions."""


import numpy as np

from data_pipelines import files
from svg_tf.evaluation import plots, report
from svg_tf.evaluation.figures import common
from svg_tf.evaluation.figures.figure import Figure, Setting
from svg_tf.evaluation.figures.moving_digits import needs_collisions, trajectory, visible_collisions
from svg_tf.families.interface import ForecastsUncertainty

_FRAMES = 100


def roc_auc(scores, labels) -> float:
    """Area under the ROC curve: the probability that a positive scores above a negative, ties counting half.

    scores: float [M]; labels: bool [M]. Raises `ValueError` unless both classes occur.
    """
    scores, labels = np.asarray(scores, np.float64).ravel(), np.asarray(labels, bool).ravel()
    positives = int(labels.sum())
    negatives = labels.size - positives
    if scores.shape != labels.shape or not positives or not negatives:
        raise ValueError(f"The ROC curve needs positives and negatives, got {positives} and {negatives} (scores {scores.shape}).")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # mean rank of ties, from 1
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def uncertainty_figure(model, frames, new_velocity, out_dir, *, first_step: int | None = None, name: str = "figure6") -> dict:
    """Writes {name}.png, {name}.csv (t, mean, sd, collisions) and {name}.json (AUC of sigma_psi as a collision detector).

    Args:
      model: a `VideoPredictor` with a learned prior.
      frames: float [N, T, H, W, C], fed as true frames.
      new_velocity: bool [N, T, D], where digit d's new velocity first shows (see `visible_collisions`). Where it is the same in
        all sequences (synchronized trajectories, as in the paper) the curve is mean ± sd over sequences; else sequence 0.
      first_step: AUC counts t >= first_step; None: the model's n_past. Before the prior has seen a few frames it does not know
        the velocity, and its sigma is large for another reason.

    Returns {"files", "auc" over all sequences and steps, "auc_of_mean" (None unless synchronized), ...}.
    """
    model.need(ForecastsUncertainty, "Fig. 6: sigma of a learned prior")
    frames = common.check_frames(model, frames, 3)
    new_velocity = np.asarray(new_velocity)
    n, total = frames.shape[:2]
    if new_velocity.dtype != bool or new_velocity.ndim != 3 or new_velocity.shape[:2] != (n, total):
        raise ValueError(f"new_velocity must be bool [{n}, {total}, D], got {new_velocity.dtype} of shape {new_velocity.shape}.")
    first = model.config.n_past if first_step is None else first_step
    if not 1 <= first < total:
        raise ValueError(f"first_step must be in [1, {total}), got {first}.")
    labels = new_velocity.any(axis=2)[:, 1:]  # aligned with sigma: t = 1 ... T-1
    counted = np.arange(1, total) >= first
    positives = int(labels[:, counted].sum())
    if positives in (0, labels[:, counted].size):
        raise ValueError(f"From t = {first} on, frames with and without a new velocity must occur; {positives} frames have one.")
    report.require_matplotlib()
    parts = [
        np.asarray(model.prior_scale(frames[i : i + common.SEQUENCES_AT_ONCE])) for i in range(0, n, common.SEQUENCES_AT_ONCE)
    ]
    sigma = np.concatenate(parts).astype(np.float64).mean(axis=2)  # [N, T-1], mean over z
    synchronized = bool((new_velocity == new_velocity[:1]).all())
    mean, sd = (sigma.mean(axis=0), sigma.std(axis=0)) if synchronized else (sigma[0], np.zeros(total - 1))
    result = {
        "n_sequences": n,
        "n_frames": total,
        "first_step": first,
        "synchronized": synchronized,
        "auc": roc_auc(sigma[:, counted], labels[:, counted]),
        "auc_of_mean": roc_auc(mean[counted], labels[0, counted]) if synchronized else None,
        "n_new_velocity": positives,
        "n_counted": int(labels[:, counted].size),
        "mean_sigma_at_new_velocity": float(sigma[:, counted][labels[:, counted]].mean()),
        "mean_sigma_elsewhere": float(sigma[:, counted][~labels[:, counted]].mean()),
    }
    out_dir = files.located(out_dir)
    columns = ("t", "sigma_mean", "sigma_sd", *(f"new_velocity_digit_{d + 1}" for d in range(new_velocity.shape[2])))
    rows = [(t, mean[t - 1], sd[t - 1], *new_velocity[0, t].astype(int).tolist()) for t in range(1, total)]
    common.write_csv(out_dir / f"{name}.csv", columns, rows)
    common.write_json(out_dir / f"{name}.json", result)
    return result | {"files": {name: _plot(out_dir / f"{name}.png", mean, sd, new_velocity[0], result)}}


def _plot(path, mean, sd, new_velocity, result):
    fig, axes = plots.figure(1, 1, 10, 3)
    ax, t = axes[0, 0], np.arange(1, len(mean) + 1)
    ax.plot(t, mean, color=plots.COLORS[4], label="mean ± sd over sequences" if result["synchronized"] else "sequence 0")
    ax.fill_between(t, mean - sd, mean + sd, color=plots.COLORS[4], alpha=0.2, linewidth=0)
    for d in range(new_velocity.shape[1]):
        for i, step in enumerate(np.flatnonzero(new_velocity[:, d])):
            label = f"new velocity of digit {d + 1}" if i == 0 else None
            ax.axvline(step, color=plots.COLORS[d % 4], linestyle=plots.STYLES[1 + d % 3], linewidth=1.3, label=label)
    ax.set_xlabel("time step")
    ax.set_ylabel("σ of the prior, mean over z")
    ax.set_title(
        f"Area under the ROC curve {result['auc']:.3f} ({result['n_sequences']} sequences, t ≥ {result['first_step']})",
        fontsize=10,
    )
    ax.legend(fontsize=8, loc="upper right")
    return plots.save(fig, path)


def _data(setting: Setting) -> dict:
    number, _ = trajectory(setting, _FRAMES, lambda t: t[0] > setting.n_past and len(t) >= 4)
    batch = setting.clips(_FRAMES, shared="motion", trajectory=number, with_states=True)
    shows = visible_collisions(batch["collisions"], setting.source.variant)
    return {"frames": batch["frames"], "new_velocity": shows}


def _draw(setting: Setting, batch) -> dict:
    return uncertainty_figure(setting.model, batch["frames"], batch["new_velocity"], setting.out_dir)


def _say(result: dict) -> str:
    return f"area under the ROC curve {result['auc']:.3f} over all sequences, {result['auc_of_mean']:.3f} of their mean"


FIGURE = Figure(
    "6", "uncertainty", _data, _draw, needs=(needs_collisions, ForecastsUncertainty), sequences=500, say=_say,
)  # fmt: skip
