"""`svg-tf train`: a preset, with every field of its configuration as a flag."""

import pathlib
import signal
import sys
from typing import Annotated

import tyro

from data_pipelines import command_line, files, flags
from svg_tf import config, presets

EXIT_AGAIN = 75  # "temporary failure; the user is invited to retry" (sysexits.h)

_HELP = """usage: svg-tf train PRESET --run-dir DIR [OPTIONS]

Train an experiment, or continue it where it stopped. Every field of its configuration is an option:

  svg-tf train PRESET --help    lists them, with the preset's values
  svg-tf presets                describes the presets

presets: {}"""


def train(arguments: list[str]) -> int:
    """`svg-tf train PRESET --run-dir DIR [--model.beta 2e-4 ...]`. Returns the exit status."""
    if arguments[:1] in (["--help"], ["-h"]):
        print(_HELP.format(", ".join(presets.names())))
        return 0
    name = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if name is None:
        raise ValueError(f"svg-tf train needs a preset: {', '.join(presets.names())}.")
    default = presets.get(name)

    # The model's flags are those of the preset's family.
    every_field = tyro.conf.AvoidSubcommands[Annotated[config.ExperimentConfig, tyro.conf.arg(name="")]]

    def parsed(run_dir: pathlib.Path, experiment: every_field = default):
        """Train an experiment, or continue it where it stopped.

        Args:
            run_dir: folder of the run: configuration, checkpoints, TensorBoard logs.
            experiment: the preset, with every field as a flag.
        """
        return _train(experiment, run_dir)

    return tyro.cli(parsed, prog=f"svg-tf train {name}", args=arguments[1:], registry=flags.REGISTRY)


def _train(experiment: config.ExperimentConfig, run_dir: pathlib.Path) -> int:
    from svg_tf.training import multi_worker

    run_dir = files.located(run_dir, "--run-dir")
    status = _status_of(experiment, run_dir)
    if experiment.train.strategy == "multi_worker":
        multi_worker.leave(status)
    return status


def _status_of(experiment: config.ExperimentConfig, run_dir: pathlib.Path) -> int:
    from data_pipelines import service
    from svg_tf import training
    from svg_tf.training import callbacks, multi_worker

    try:
        training.train(experiment, run_dir)
    except (callbacks.Preempted, multi_worker.WorkerLost, files.InUseError, service.OutOfTurnError) as stopped:
        print(f"svg-tf: {stopped}", file=sys.stderr)
        return command_line.INTERRUPTED if getattr(stopped, "signal", None) == signal.SIGINT else EXIT_AGAIN
    print(f"Run: {run_dir}\nWatch: tensorboard --logdir {run_dir / 'logs'}")
    return 0
