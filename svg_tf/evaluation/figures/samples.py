"""Figs. 3, 4, 9, 10 and 11: truth, deterministic prediction, best and random samples of a sequence."""

import pathlib

import numpy as np

from svg_tf import visualization
from svg_tf.evaluation.figures import common
from svg_tf.evaluation.figures.figure import Figure, Setting, evaluated_clips
from svg_tf.evaluation.metrics import frame
from svg_tf.families.compiled import check_counts

_LONG_FUTURE = 100


def sample_figure(
    model, frames, out_dir, *, n_past: int, n_samples: int = 100, seed: int = 0, name: str = "figure3", deterministic=None,
    n_random: int = 3, every: int = 1, fps: int = 6,
) -> dict:  # fmt: skip
    """Rows truth, deterministic (where a model is given), best of S by PSNR, random samples.

    Args:
      model, deterministic: `VideoPredictor`s; `deterministic` is the baseline trained without latents, or None.
      frames: float [N, T, H, W, C] in [0, 1]: N true sequences, of which n_past frames are given; Fig. 11 is T = n_past + 100.
      out_dir: gets {name}-{i}.png (a filmstrip of each sequence), {name}.gif (all of them), {name}.json (PSNR of each sample).
      every: the filmstrip shows each `every`-th step.

    Returns {"files": {tag: path}, "sequences": [...]}. Raises `ValueError` for what does not fit the models.
    """
    check_counts(n_past=n_past, n_samples=n_samples, n_random=n_random, every=every)
    frames = common.check_frames(model, frames, n_past + 1)
    if deterministic is not None:
        common.check_frames(deterministic, frames, n_past + 1, "frames of the deterministic model")
    out_dir = pathlib.Path(out_dir)
    n, total = frames.shape[:2]
    chosen = np.random.default_rng(seed)
    random = [chosen.choice(n_samples, min(n_random, n_samples), replace=False) for _ in range(n)]
    scores = np.empty((n, n_samples), np.float64)
    best: list[np.ndarray] = [np.empty(0)] * n
    shown: list[dict[int, np.ndarray]] = [{} for _ in range(n)]
    for rows, samples, drawn in common.draw(model, frames, n_past, n_samples, seed):
        scores[rows, samples] = frame.psnr(frames[rows, None, n_past:], drawn).numpy().mean(axis=-1)
        for b in range(rows.start, rows.stop):
            for s in range(samples.start, samples.stop):
                if scores[b, s] >= scores[b, : s + 1].max():
                    best[b] = drawn[b - rows.start, s - samples.start].copy()
                if s in random[b]:
                    shown[b][s] = drawn[b - rows.start, s - samples.start].copy()
    baseline = [d[:, 0] for *_, d in common.draw(deterministic, frames, n_past, 1, seed)] if deterministic is not None else []
    baseline = np.concatenate(baseline) if baseline else None
    clips, files = [], {}
    for b in range(n):
        rows = [("truth", frames[b])]
        predictions = [("deterministic", baseline[b])] if baseline is not None else []
        predictions += [(f"best of {n_samples}", best[b])]
        predictions += [(f"random {i + 1}", shown[b][int(s)]) for i, s in enumerate(random[b])]
        rows += [(label, np.concatenate([frames[b, :n_past], p])) for label, p in predictions]
        clips.append(rows)
        path = out_dir / f"{name}-{b}.png"
        files[f"{name}/{b}"] = visualization.save_png(path, visualization.filmstrip(rows, n_past, range(0, total, every)))
    files[f"{name}/animation"] = visualization.save_gif(out_dir / f"{name}.gif", visualization.grid(clips, n_past), fps)
    sequences = [
        {"sequence": b, "best_sample": int(scores[b].argmax()), "random_samples": random[b].tolist(), "psnr": scores[b].tolist()}
        for b in range(n)
    ]
    common.write_json(
        out_dir / f"{name}.json",
        {"n_past": n_past, "n_frames": total, "seed": seed, "n_samples": n_samples, "sequences": sequences},
    )
    return {"files": files, "sequences": sequences}


def _draw(setting: Setting, batch, name="figure3", every=2, deterministic=None) -> dict:
    count = 1 if setting.model.deterministic else setting.n_samples
    return sample_figure(
        setting.model, batch["frames"], setting.out_dir, n_past=setting.n_past, n_samples=count, seed=setting.seed, name=name,
        deterministic=deterministic, every=every,
    )  # fmt: skip


FIGURE_3 = Figure(
    "3", "samples", evaluated_clips, lambda setting, batch: _draw(setting, batch, deterministic=setting.baseline), n_samples=100
)
FIGURE_11 = Figure(
    "11", "long", lambda setting: setting.clips(setting.n_past + _LONG_FUTURE),
    lambda setting, batch: _draw(setting, batch, "figure11", every=5), sequences=2,
)  # fmt: skip
