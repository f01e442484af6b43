"""Figs. 3, 4, 10 and 11: truth, deterministic prediction, best and random samples of a sequence."""

from typing import NamedTuple

import numpy as np

from data_pipelines.files import located
from svg_tf import visualization
from svg_tf.evaluation.figures import common
from svg_tf.evaluation.figures.figure import Figure, Setting, evaluated_clips
from svg_tf.evaluation.metrics import frame
from svg_tf.families.compiled import check_counts

_LONG_FUTURE = 100


class Drawn(NamedTuple):
    """Of N sequences and S samples: psnr float64 [N, S], means over the predicted frames; best float32 [N, T', H, W, C], the
    sample of the highest; numbers int [N, R], which ones were chosen at random; random float32 [N, R, T', H, W, C], those."""

    psnr: np.ndarray
    best: np.ndarray
    numbers: np.ndarray
    random: np.ndarray


def best_and_random(model, frames, n_past: int, n_samples: int, n_random: int, seed: int) -> Drawn:
    """Draws S samples of each sequence, of which it keeps the best one by PSNR and min(n_random, S) random ones."""
    n, future = len(frames), frames.shape[1] - n_past
    chosen = np.random.default_rng(seed)
    numbers = np.stack([chosen.choice(n_samples, min(n_random, n_samples), replace=False) for _ in range(n)])
    psnr = np.full((n, n_samples), -np.inf)
    best = np.empty((n, future, *frames.shape[2:]), np.float32)
    random = np.empty((*numbers.shape, *best.shape[1:]), np.float32)
    for rows, samples, drawn in common.draw(model, frames, n_past, n_samples, seed):
        psnr[rows, samples] = frame.psnr(frames[rows, None, n_past:], drawn).numpy().mean(axis=-1)
        for b in range(rows.start, rows.stop):
            s = int(psnr[b].argmax())
            if samples.start <= s < samples.stop:
                best[b] = drawn[b - rows.start, s - samples.start]
            for place, s in enumerate(numbers[b]):
                if samples.start <= s < samples.stop:
                    random[b, place] = drawn[b - rows.start, s - samples.start]
    return Drawn(psnr, best, numbers, random)


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
    out_dir = located(out_dir)
    n, total = frames.shape[:2]
    drawn = best_and_random(model, frames, n_past, n_samples, n_random, seed)
    baseline = [d[:, 0] for *_, d in common.draw(deterministic, frames, n_past, 1, seed)] if deterministic is not None else []
    baseline = np.concatenate(baseline) if baseline else None
    clips, files = [], {}
    for b in range(n):
        rows = [("truth", frames[b])]
        predictions = [("deterministic", baseline[b])] if baseline is not None else []
        predictions += [(f"best of {n_samples}", drawn.best[b])]
        predictions += [(f"random {i + 1}", sample) for i, sample in enumerate(drawn.random[b])]
        rows += [(label, np.concatenate([frames[b, :n_past], p])) for label, p in predictions]
        clips.append(rows)
        path = out_dir / f"{name}-{b}.png"
        files[f"{name}/{b}"] = visualization.save_png(path, visualization.filmstrip(rows, n_past, range(0, total, every)))
    files[f"{name}/animation"] = visualization.save_gif(out_dir / f"{name}.gif", visualization.grid(clips, n_past), fps)
    sequences = [
        {
            "sequence": b,
            "best_sample": int(drawn.psnr[b].argmax()),
            "random_samples": drawn.numbers[b].tolist(),
            "psnr": drawn.psnr[b].tolist(),
        }
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
    "3", "samples", evaluated_clips, lambda setting, batch: _draw(setting, batch, deterministic=setting.baseline), n_samples=100,
    others=("baseline",),
)  # fmt: skip
FIGURE_11 = Figure(
    "11", "long", lambda setting: setting.clips(setting.n_past + _LONG_FUTURE),
    lambda setting, batch: _draw(setting, batch, "figure11", every=5), sequences=2,
)  # fmt: skip
