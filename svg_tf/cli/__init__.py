"""`svg-tf`: its commands are in the modules of this folder."""

import logging
import os
import sys
from dataclasses import dataclass

import tyro

from data_pipelines import command_line
from svg_tf import presets, require_backend, sources
from svg_tf.cli import importing
from svg_tf.cli.arguments import localized
from svg_tf.cli.digit_network import TrainDigitNetwork
from svg_tf.cli.evaluation import Compare, Evaluate, Figures
from svg_tf.cli.runs import Generate, Slim
from svg_tf.cli.serving import Export, Predict
from svg_tf.cli.training import train
from svg_tf.version import __version__


@dataclass(frozen=True)
class Presets:
    """List the named experiments."""

    def run(self):
        width = max(map(len, presets.names()))
        for name in presets.names():
            experiment = presets.get(name)
            (height, wide, channels), data = experiment.model.frame_shape, experiment.data
            print(
                f"{name:{width}}  {sources.of(experiment).name}, {height} x {wide} px x {channels}, {experiment.model.summary}, "
                f"{experiment.model.n_past} -> {data.n_future} frames, batch {data.batch_size}"
            )


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
    "train-digit-network": TrainDigitNetwork,
}


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `svg-tf`. Returns the exit status.

    Errors in what the user gave print one line and return 2; a training that only has to be started again (SIGTERM, a lost
    worker, another process in its folder) returns 75; ctrl-C 130.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    return command_line.run("svg-tf", lambda: _run(arguments), (ValueError, FloatingPointError, OSError))


def _run(arguments: list[str]) -> int | None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for library in ("absl", "tensorflow"):
        logging.getLogger(library).setLevel(logging.WARNING)
    if arguments == ["--version"]:
        print(f"svg-tf {__version__}")
        return 0
    require_backend()
    if arguments[:1] == ["train"]:
        return train(arguments[1:])
    commands = {**COMMANDS, "train": _train_help}
    command = tyro.extras.subcommand_cli_from_dict(
        commands, prog="svg-tf", description="Stochastic video prediction.", args=arguments
    )
    return localized(command).run()


def _train_help(preset: tyro.conf.Positional[str]):
    """Train an experiment (svg-tf train PRESET --help lists its flags)."""
