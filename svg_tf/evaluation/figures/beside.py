"""Fig. 9: samples of several models for the same sequences, under one truth."""

from collections.abc import Mapping

import numpy as np

from data_pipelines.checks import require
from data_pipelines.files import located
from svg_tf import visualization
from svg_tf.evaluation.figures import common
from svg_tf.evaluation.figures.figure import Figure, Setting, evaluated_clips
from svg_tf.evaluation.figures.samples import best_and_random
from svg_tf.families.compiled import check_counts


def beside_figure(
    models: Mapping, frames, out_dir, *, n_past: int, n_samples: int = 100, seed: int = 0, name: str = "figure9",
    n_random: int = 2, every: int = 1, fps: int = 6,
) -> dict:  # fmt: skip
    """Rows truth; then of each model its best of S by PSNR and random samples, or its prediction where it has but one.

    Args:
      models: label -> `VideoPredictor`, two or more, in the order of the rows. All are given the same n_past frames.
      frames: float [N, T, H, W, C] in [0, 1]: N true sequences.
      out_dir: gets {name}-{i}.png (a filmstrip of each sequence), {name}.gif (all of them), {name}.json (PSNR of each sample).
      every: the filmstrip shows each `every`-th step.

    Returns {"files": {tag: path}, "psnr_best": {label: [of each sequence]}}. Raises `ValueError` for what does not fit a
    model.
    """
    check_counts(n_past=n_past, n_samples=n_samples, n_random=n_random, every=every)
    require(len(models) >= 2, f"Models side by side are two or more, got {list(models)}.")
    for label, model in models.items():
        frames = common.check_frames(model, frames, n_past + 1, f"frames of {label}")
        least = model.config.least_context
        require(least <= n_past, f"{label} needs at least {least} context frames, got n_past {n_past}.")
    out_dir = located(out_dir)
    drawn = {}
    for label, model in models.items():
        drawn[label] = best_and_random(model, frames, n_past, 1 if model.deterministic else n_samples, n_random, seed)
    clips, files = [], {}
    for b, truth in enumerate(frames):
        rows = [("truth", truth)]
        for label, one in drawn.items():
            alone = one.psnr.shape[1] == 1
            rows.append((label if alone else f"{label}, best of {n_samples}", one.best[b]))
            rows += [] if alone else [(f"{label}, random {i + 1}", sample) for i, sample in enumerate(one.random[b])]
        clips.append(rows[:1] + [(label, np.concatenate([truth[:n_past], future])) for label, future in rows[1:]])
        steps = range(0, frames.shape[1], every)
        strip = visualization.filmstrip(clips[-1], n_past, steps)
        files[f"{name}/{b}"] = visualization.save_png(out_dir / f"{name}-{b}.png", strip)
    files[f"{name}/animation"] = visualization.save_gif(out_dir / f"{name}.gif", visualization.grid(clips, n_past), fps)
    numbers = {
        label: {"best_sample": one.psnr.argmax(1).tolist(), "random_samples": one.numbers.tolist(), "psnr": one.psnr.tolist()}
        for label, one in drawn.items()
    }
    common.write_json(out_dir / f"{name}.json", {"n_past": n_past, "n_frames": frames.shape[1], "seed": seed, "models": numbers})
    return {"files": files, "psnr_best": {label: one.psnr.max(1).tolist() for label, one in drawn.items()}}


def _draw(setting: Setting, batch) -> dict:
    models = {setting.label: setting.model, **setting.beside}
    return beside_figure(
        models, batch["frames"], setting.out_dir, n_past=setting.n_past, n_samples=setting.n_samples, seed=setting.seed, every=2
    )


def _say(result: dict) -> str:
    means = {label: np.mean(values) for label, values in result["psnr_best"].items()}
    return "PSNR of the best, mean over sequences: " + ", ".join(f"{label} {mean:.2f} dB" for label, mean in means.items())


FIGURE = Figure("9", "side by side", evaluated_clips, _draw, others=("beside",), n_samples=100, say=_say)
