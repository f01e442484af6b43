"""`svg-tf generate` and `slim`: what else one does with a run."""

import pathlib
from dataclasses import dataclass
from typing import Literal

import tyro

from data_pipelines import files
from data_pipelines.checks import require
from svg_tf.cli.arguments import check_counts, size_of

RunDir = tyro.conf.Positional[pathlib.Path]


@dataclass(frozen=True)
class Generate:
    """Sample futures with a trained run, and write them as an animated GIF."""

    run_dir: RunDir
    out: pathlib.Path = pathlib.Path("samples.gif")
    n_future: int | None = None
    """Frames to predict; default: as configured (eval.n_future)."""
    n_samples: int | None = None
    """Samples drawn for each sequence, of which the best and three random ones are shown; default: 10."""
    sequences: int = 4
    data: str | None = None
    """Data set, e.g. kth/64x80; default: the run's own."""
    data_dir: pathlib.Path | None = None
    """Folder of prepared data sets; default: the run's own, or TFDS's."""
    split: Literal["test", "validation", "train"] = "test"
    seed: int = 0
    frame_rate: int = 1
    """Frames for each frame step, of models that have frames between frames; one sample, beside the same one at rate 1."""
    image_size: str | None = None
    """Frames of another size than the run's, as 64 or 64x80, of models whose weights do not depend on it (latents "map")."""

    def run(self):
        check_counts(self, names=("sequences", "frame_rate", "n_future", "n_samples"))
        check_counts(self, 0, 2**31 - 1, names=("seed",))
        require(
            self.frame_rate == 1 or self.n_samples in (None, 1),
            f"--frame-rate {self.frame_rate} shows one sample of each sequence, got --n-samples {self.n_samples}.",
        )
        require(self.out.suffix.lower() == ".gif", f"--out must end in .gif, got {self.out}.")
        from svg_tf import sources, training, visualization
        from svg_tf.evaluation import figures
        from svg_tf.training import callbacks

        model, experiment, step = training.load_run(self.run_dir, image_size=size_of(self.image_size))
        experiment = sources.at(experiment, self.data, self.data_dir)
        n_past = experiment.model.n_past
        data = training.load_data(
            experiment, self.split, n_past + (self.n_future or experiment.eval.n_future), batch_size=self.sequences, shuffle=False
        )
        frames = next(iter(data.take(1)))["frames"].numpy()
        if self.frame_rate == 1:
            grid = callbacks.sample_grid(model, frames, n_past, self.n_samples or 10, self.seed)
        else:
            clips, _ = figures.frame_rate_clips(model, frames, n_past, self.frame_rate, self.seed)
            grid = visualization.grid(clips, n_past * self.frame_rate)
        visualization.save_gif(self.out, grid, fps=min(50, 6 * self.frame_rate))
        print(f"{self.out}: {len(frames)} sequences, model at step {step}")


@dataclass(frozen=True)
class Slim:
    """Copy a run to use it elsewhere, not to train on: configuration and weights in half precision, a sixth of the size."""

    run_dir: RunDir
    out: pathlib.Path
    weights: Literal["averaged", "last", "best"] | None = None
    """best: those of the lowest validation loss; default: averaged ones where the run has them, else the last."""

    def run(self):
        files.distinct_outputs([self.out], [self.run_dir])
        require(not self.out.exists() or self.out.is_dir(), f"--out must be a folder, {self.out} is none.")
        require(not self.out.exists() or not any(self.out.iterdir()), f"{self.out} exists and is not empty.")
        from svg_tf import sources, training
        from svg_tf.training import checkpoints, run_config

        model, experiment, step = training.load_run(self.run_dir, self.weights)
        path = checkpoints.save_weights(self.out / "checkpoints", model, step)
        run_config.write_config(self.out, sources.without_folders(experiment))
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
