"""`svg-tf`: presets, train, generate; the other commands are in `cli_evaluation` and `cli_serving`."""

import json
import logging
import os
import pathlib
import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from svg_tf import config, presets
from svg_tf.cli import importing
from svg_tf.cli.evaluation import Compare, Evaluate, Figures
from svg_tf.cli.serving import Export, Predict

EXIT_PREEMPTED = 75  # "temporary failure; the user is invited to retry" (sysexits.h)


@dataclass(frozen=True)
class Presets:
    """List the named experiments."""

    def run(self):
        width = max(map(len, presets.names()))
        for name in presets.names():
            m, d = presets.get(name).model, presets.get(name).data
            print(
                f"{name:{width}}  {d.name}, {m.image_size} px x {m.channels}, {m.summary}, "
                f"{m.n_past} -> {d.n_future} frames, batch {d.batch_size}"
            )


@dataclass(frozen=True)
class Generate:
    """Sample futures with a trained run, and write them as an animated GIF."""

    run_dir: tyro.conf.Positional[pathlib.Path]
    out: pathlib.Path = pathlib.Path("samples.gif")
    n_future: int = 0
    """Frames to predict; 0 = as configured (eval.n_future)."""
    n_samples: int = 0
    """Samples drawn for each sequence, of which the best and three random ones are shown; 0 = 10."""
    sequences: int = 4
    split: str = "test"
    seed: int = 0
    frame_rate: int = 1
    """SRVP: frames for each frame step, by smaller Euler steps than in training; one sample, beside the same one at rate 1."""

    def run(self):
        for name in ("sequences", "frame_rate"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}.")
        for name in ("n_future", "n_samples"):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name.replace('_', '-')} must not be negative, got {getattr(self, name)}.")
        if self.frame_rate > 1 and self.n_samples > 1:
            raise ValueError(
                f"--frame-rate {self.frame_rate} shows one sample of each sequence, got --n-samples {self.n_samples}."
            )
        if self.out.suffix.lower() != ".gif":
            raise ValueError(f"--out must end in .gif, got {self.out}.")
        from svg_tf import training, visualization
        from svg_tf.evaluation import figures
        from svg_tf.training import callbacks

        model, experiment, step = training.load_run(self.run_dir)
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

    run_dir: tyro.conf.Positional[pathlib.Path]
    out: pathlib.Path
    best: bool = False
    """The weights of the lowest validation loss, in place of the last ones."""

    def run(self):
        if self.out.exists() and any(self.out.iterdir()):
            raise ValueError(f"{self.out} exists and is not empty.")
        from svg_tf import training, visualization
        from svg_tf.training import checkpoints

        model, _, step = training.load_run(self.run_dir, best=self.best)
        path = checkpoints.save_weights(self.out / "checkpoints", model, step)
        facts = json.loads((self.run_dir / "config.json").read_text(encoding="utf-8"))
        data = facts["config"]["data"]
        data["data_dir"] = data["moving_mnist"]["digits_dir"] = ""  # folders of this machine
        text = json.dumps(facts, indent=2, sort_keys=True) + "\n"
        visualization.write_atomically(self.out / "config.json", text.encode())
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def _train(arguments: list[str]) -> int:
    """`svg-tf train PRESET --run-dir DIR [--model.beta 2e-4 ...]`: every configuration field is a flag."""
    name = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if name is None:
        raise ValueError(f"svg-tf train needs a preset: {', '.join(presets.names())}.")
    default = presets.get(name)

    # The model's flags are those of the preset's family.
    flags = tyro.conf.AvoidSubcommands[Annotated[config.ExperimentConfig, tyro.conf.arg(name="")]]

    def train(run_dir: pathlib.Path, experiment: flags = default):
        """Train an experiment, or continue it where it stopped.

        Args:
            run_dir: folder of the run: configuration, checkpoints, TensorBoard logs.
            experiment: the preset, with every field as a flag.
        """
        from svg_tf import training
        from svg_tf.training import callbacks, multi_worker

        try:
            training.train(experiment, run_dir)
        except (callbacks.Preempted, multi_worker.WorkerLost) as stopped:
            print(f"svg-tf: {stopped}", file=sys.stderr)
            return EXIT_PREEMPTED
        print(f"Run: {run_dir}\nWatch: tensorboard --logdir {run_dir / 'logs'}")
        return 0

    return tyro.cli(train, prog=f"svg-tf train {name}", args=arguments[1:])


COMMANDS = {
    "presets": Presets,
    "generate": Generate,
    "evaluate": Evaluate,
    "compare": Compare,
    "figures": Figures,
    "slim": Slim,
    "export": Export,
    "predict": Predict,
    **importing.COMMANDS,
}


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `svg-tf`. Errors in what the user gave print one line and return 2; a training that only has to be started
    again (SIGTERM, a lost worker) returns 75."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("absl").setLevel(logging.WARNING)
    try:
        if arguments[:1] == ["train"]:
            return _train(arguments[1:])
        else:
            command = tyro.extras.subcommand_cli_from_dict(
                {**COMMANDS, "train": _train_help}, prog="svg-tf", description="Stochastic video generation.", args=arguments
            )
            command.run()
    except (ValueError, FloatingPointError, OSError) as error:
        print(f"svg-tf: {error}", file=sys.stderr)
        return 2
    return 0


def _train_help(preset: tyro.conf.Positional[str]):
    """Train an experiment (svg-tf train PRESET --help lists its flags)."""


