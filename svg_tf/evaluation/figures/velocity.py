"""Fig. 5: per time step, the distribution of a digit's displacement in the model's samples and in truth.

The digit is located in each frame by cross-correlation with the digit of the last context frame, in samples and in true
frames alike, so that the locating error is the same for both.
"""


import numpy as np

from data_pipelines import files
from svg_tf.evaluation import plots, report
from svg_tf.evaluation.figures import common
from svg_tf.evaluation.figures.figure import Figure, Setting
from svg_tf.evaluation.figures.moving_digits import needs_one_digit, needs_samples, trajectory
from svg_tf.families.compiled import check_counts

_FUTURE = 15
_INK = 0.1  # pixels above this belong to the digit


def digit_templates(frames) -> list[np.ndarray]:
    """The bounding box of what is drawn in each frame: float [N, H, W] in [0, 1] -> N arrays [h, w].

    Raises `ValueError` for an empty frame.
    """
    templates = []
    for n, image in enumerate(np.asarray(frames)):
        ys, xs = np.nonzero(image > _INK)
        if not len(ys):
            raise ValueError(f"The last context frame of sequence {n} is empty: there is no digit to locate.")
        templates.append(image[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1])
    return templates


def locate(frames, template) -> np.ndarray:
    """Where `template` [h, w] correlates best: float [M, H, W] -> int64 [M, 2], (x, y) of its top left corner."""
    frames, template = np.asarray(frames, np.float32), np.asarray(template, np.float32)
    (height, width), (h, w) = frames.shape[1:], template.shape
    if h > height or w > width:
        raise ValueError(f"The template {template.shape} is larger than the frames {frames.shape[1:]}.")
    spectrum = np.conj(np.fft.rfft2(template, (height, width)))
    correlation = np.fft.irfft2(np.fft.rfft2(frames) * spectrum, (height, width))
    valid = correlation[:, : height - h + 1, : width - w + 1]  # the rest wraps around
    y, x = np.unravel_index(valid.reshape(len(frames), -1).argmax(axis=1), valid.shape[1:])
    return np.stack([x, y], axis=1)


def displacement_histograms(displacements, limit: int) -> np.ndarray:
    """int [M, T, 2] of (dx, dy) -> float64 [T, 2L+1, 2L+1], L = limit, probabilities indexed [dy + L, dx + L].

    Displacements beyond the limit count in the outermost bins.
    """
    displacements = np.clip(np.asarray(displacements), -limit, limit) + limit
    side = 2 * limit + 1
    flat = displacements[..., 1] * side + displacements[..., 0]
    counts = np.stack([np.bincount(flat[:, t], minlength=side * side) for t in range(flat.shape[1])])
    return counts.reshape(-1, side, side) / len(displacements)


def total_variation(p, q) -> np.ndarray:
    """Distance of distributions over the last two axes: half the sum of absolute differences, in [0, 1]."""
    return 0.5 * np.abs(np.asarray(p) - np.asarray(q)).sum(axis=(-2, -1))


def velocity_figure(
    model, frames, out_dir, *, n_past: int, max_speed: int, n_samples: int = 10, seed: int = 0, shown_steps=None,
    new_velocity_steps=(), name: str = "figure5",
) -> dict:  # fmt: skip
    """Writes {name}.png (distributions, truth above model), {name}.csv (probabilities), {name}.json (distances).

    Args:
      model: a `VideoPredictor`, one channel.
      frames: float [N, T, H, W, 1]: single-digit sequences of different digits that share one trajectory in the context and up
        to a collision, after which each goes its own drawn way.
      max_speed: largest true velocity component in pixels a frame; the histograms reach one pixel farther.
      n_samples: samples for each sequence.
      shown_steps: time steps drawn; None: about six, evenly spread.
      new_velocity_steps: time steps at which a new velocity first shows, marked in the titles.

    Returns {"files", "t", "total_variation", "total_variation_of_truth_halves", "entropy_truth", "entropy_model" (bits), ...}.
    The distance between two halves of the truth says how much of the model's distance is owed to finite numbers.
    """
    check_counts(n_past=n_past, max_speed=max_speed, n_samples=n_samples)
    frames = common.check_frames(model, frames, n_past + 1)
    if frames.shape[-1] != 1 or len(frames) < 2:
        raise ValueError(f"velocity_figure needs at least 2 sequences with one channel, got shape {frames.shape}.")
    total = frames.shape[1]
    steps = list(range(n_past, total))
    shown = sorted({int(t) for t in (np.linspace(n_past, total - 1, 6) if shown_steps is None else shown_steps)})
    if not set(shown) <= set(steps):
        raise ValueError(f"shown_steps must be predicted time steps in [{n_past}, {total}), got {shown}.")
    report.require_matplotlib()
    templates = digit_templates(frames[:, n_past - 1, ..., 0])
    start = np.stack([locate(f[n_past - 1 : n_past, ..., 0], t)[0] for f, t in zip(frames, templates, strict=True)])

    def displacements(b, futures):
        """futures [..., T', H, W] of sequence b -> [..., T', 2]"""
        flat = futures.reshape(-1, *futures.shape[-2:])
        path = locate(flat, templates[b]).reshape(*futures.shape[:-2], 2)
        before = np.broadcast_to(start[b], (*path.shape[:-2], 1, 2))
        return np.diff(np.concatenate([before, path], axis=-2), axis=-2)

    truth = np.stack([displacements(b, f[n_past:, ..., 0]) for b, f in enumerate(frames)])
    model_rows = np.empty((len(frames), n_samples, len(steps), 2), np.int64)
    for rows, samples, drawn in common.draw(model, frames, n_past, n_samples, seed):
        for b in range(rows.start, rows.stop):
            model_rows[b, samples] = displacements(b, drawn[b - rows.start, ..., 0])
    limit = max_speed + 1
    p = displacement_histograms(truth, limit)
    q = displacement_histograms(model_rows.reshape(-1, len(steps), 2), limit)
    halves = total_variation(displacement_histograms(truth[::2], limit), displacement_histograms(truth[1::2], limit))
    result = {
        "n_sequences": len(frames),
        "n_samples": n_samples,
        "seed": seed,
        "t": steps,
        "new_velocity_steps": [int(t) for t in new_velocity_steps],
        "total_variation": total_variation(p, q).tolist(),
        "total_variation_of_truth_halves": halves.tolist(),
        "entropy_truth": _entropy(p).tolist(),
        "entropy_model": _entropy(q).tolist(),
    }
    out_dir = files.located(out_dir)
    rows = [
        (t, source, dx - limit, dy - limit, float(histogram[i, dy, dx]))
        for source, histogram in (("truth", p), ("model", q))
        for i, t in enumerate(steps)
        for dy, dx in np.argwhere(histogram[i] > 0).tolist()
    ]
    common.write_csv(out_dir / f"{name}.csv", ("t", "source", "dx", "dy", "probability"), rows)
    common.write_json(out_dir / f"{name}.json", result)
    path = _plot(out_dir / f"{name}.png", p, q, result, shown, limit)
    return result | {"files": {name: path}}


def _entropy(p) -> np.ndarray:
    """Bits, over the last two axes."""
    return -np.sum(p * np.log2(np.where(p > 0, p, 1.0)), axis=(-2, -1)) + 0.0


def _plot(path, p, q, result, shown, limit):
    fig, axes = plots.figure(2, len(shown), 2.1, 2.4)
    first = result["t"][0]
    for column, t in enumerate(shown):
        for row, (source, histogram) in enumerate((("truth", p), ("model", q))):
            ax = axes[row, column]
            extent = (-limit - 0.5, limit + 0.5, limit + 0.5, -limit - 0.5)
            ax.imshow(
                histogram[t - first], cmap="cividis", vmin=0.0, vmax=max(p[t - first].max(), q[t - first].max()), extent=extent
            )
            if column == 0:
                ax.set_ylabel(f"{source}\nΔy (px)")
            if row == 1:
                ax.set_xlabel("Δx (px)")
        mark = "\nnew velocity" if t in result["new_velocity_steps"] else ""
        axes[0, column].set_title(f"t={t}{mark}", fontsize=9)
        axes[1, column].set_title(f"TV {result['total_variation'][t - first]:.2f}", fontsize=9)
    return plots.save(fig, path)


def _data(setting: Setting) -> dict:
    total = setting.n_past + _FUTURE
    number, shows = trajectory(setting, total, lambda t: setting.n_past + 3 <= t[0] < total - 4)
    frames = setting.clips(total, shared="start", trajectory=number)["frames"]
    return {"frames": frames, "new_velocity_step": shows[0]}


def _draw(setting: Setting, batch) -> dict:
    shows, last = batch["new_velocity_step"], batch["frames"].shape[1] - 1
    return velocity_figure(
        setting.model, batch["frames"], setting.out_dir, n_past=setting.n_past, max_speed=setting.source.max_speed,
        n_samples=setting.n_samples, seed=setting.seed,
        shown_steps=sorted({setting.n_past, shows - 1, shows, shows + 1, shows + 3, last}), new_velocity_steps=[shows],
    )  # fmt: skip


def _say(result: dict) -> str:
    values = zip(result["t"], result["total_variation"], result["total_variation_of_truth_halves"], strict=True)
    lines = [f"  t={t}: {model:.3f} ({halves:.3f})" for t, model, halves in values]
    return "total variation of the model from the truth (of two halves of the truth):\n" + "\n".join(lines)


FIGURE = Figure("5", "velocity", _data, _draw, needs=(needs_one_digit, needs_samples), sequences=500, say=_say)
