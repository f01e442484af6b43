"""Trains a preset on bundled digits and measures it: best of S samples, mean of samples, and two trivial predictors.

Run by tools/demo.sh. The table is computed from held-out digits after training; nothing in it is stored.
"""

import dataclasses
import logging
import pathlib
import time
from typing import Annotated

import numpy as np
import tyro

from svg_tf import config, presets, training, visualization
from svg_tf.evaluation.metrics import frame, video
from svg_tf.training import callbacks

PRESET = presets.get("smmnist_mini")
DEFAULT = dataclasses.replace(
    PRESET,
    train=dataclasses.replace(PRESET.train, epochs=10),  # 6,000 steps in place of 7,200: within 12 minutes on two cores
    data=dataclasses.replace(PRESET.data, moving_mnist=dataclasses.replace(PRESET.data.moving_mnist, digits="uci")),
)


def score(truth, samples) -> dict[str, float]:
    """truth [N, T, H, W, C], samples [N, S, T, H, W, C] -> mean PSNR (dB) and SSIM (srvp) of each sequence's best sample."""
    truth = np.broadcast_to(truth[:, None], samples.shape)
    return {
        name: float(video.best_of(np.asarray(metric(truth, samples)))[0].mean())
        for name, metric in (("PSNR", frame.psnr), ("SSIM", frame.ssim))
    }


def main(
    run_dir: pathlib.Path = pathlib.Path("runs/demo"),
    smoke: bool = False,
    sequences: int = 64,
    experiment: Annotated[config.ExperimentConfig, tyro.conf.arg(name="")] = DEFAULT,
):
    """Train, sample, measure.

    Args:
        run_dir: folder of the run; an interrupted demo continues there.
        smoke: 40 training steps, to see that everything works.
        sequences: held-out test sequences (unseen digits, none of which stands still).
        experiment: every setting of the preset smmnist_mini.
    """
    if smoke:
        experiment = dataclasses.replace(experiment, train=dataclasses.replace(experiment.train, epochs=1, steps_per_epoch=40))
        run_dir = run_dir.with_name(run_dir.name + "-smoke")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("absl").setLevel(logging.WARNING)
    n_past, n_future, n_samples = experiment.model.n_past, experiment.eval.n_future, experiment.eval.n_samples
    steps = experiment.train.steps
    print(f"Training SVG-LP on moving digits for {steps} steps in {run_dir}", flush=True)
    start = time.monotonic()
    model = training.train(experiment, run_dir)
    print(f"Trained in {(time.monotonic() - start) / 60:.1f} minutes; sampling {n_samples} futures of {sequences} sequences")

    arguments = {"batch_size": sequences, "shuffle": False, "num_sequences": sequences, "moving": True}
    frames = next(iter(training.load_data(experiment, "test", n_past + n_future, **arguments)))["frames"].numpy()
    context, truth = frames[:, :n_past], frames[:, n_past:]
    samples = model.generate(context, n_future, n_samples, seed=experiment.train.seed).numpy()
    rows = {
        f"model, best of {n_samples} samples": samples,
        f"model, mean of {n_samples} samples": samples.mean(axis=1, keepdims=True),
        "last frame copied": np.repeat(context[:, -1:], n_future, axis=1)[:, None],
        "blank frame": np.zeros_like(truth)[:, None],
    }
    print(f"\nHeld-out digits, {n_past} -> {n_future} frames, {sequences} sequences, protocol srvp:")
    print(f"{'':28}  PSNR (dB)   SSIM")
    for name, predicted in rows.items():
        scores = score(truth, predicted)
        print(f"{name:28}  {scores['PSNR']:9.2f}  {scores['SSIM']:.4f}")
    picture = visualization.save_gif(
        run_dir / "samples.gif", callbacks.sample_grid(model, frames[:6], n_past, n_samples, experiment.train.seed), fps=6
    )
    print(f"\nSamples: {picture}\nRun:     {run_dir}\nWatch:   .venv/bin/tensorboard --logdir {run_dir / 'logs'}")


if __name__ == "__main__":
    tyro.cli(main)
