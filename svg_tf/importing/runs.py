"""Checkpoints of the SVG and SRVP references -> ordinary run directories, to evaluate, generate from and export."""

import dataclasses
import json
import pathlib
from typing import NamedTuple

import numpy as np

from data_pipelines import files
from svg_tf.config import ExperimentConfig
from svg_tf.families.srvp import importing as srvp
from svg_tf.families.svg import importing as svg
from svg_tf.importing import folders, torch_files
from svg_tf.importing.pickles import Record
from svg_tf.training import checkpoints
from svg_tf.training import run as training

SOURCE = "imported.json"
_MAX_OPTIONS = 1 << 20


class Imported(NamedTuple):
    """A run that was made from a file."""

    experiment: ExperimentConfig
    step: int
    facts: dict
    """What `imported.json` of the run says: the file's name, SHA-256, container and family."""


def import_run(path, out, *, config="", data="", data_dir="", digits_dir="", skips="") -> Imported:
    """Makes the run directory `out`, whole or not at all, of a PyTorch checkpoint; nothing in the file is run.

    Args:
      path: SVG's model.pth (whole modules and options) or SRVP's model.pt (a state dict).
      config: SRVP's config.json; empty: the one beside the file, FILE.json or config.json.
      data: data set of the run, e.g. "kth"; empty: as the checkpoint says.
      data_dir, digits_dir: where that data is, as in the configuration of any run.
      skips: SVG: as `SVGConfig.skips`; empty: as the reference trained.

    The run counts as finished, has the reference's settings of training, and fresh optimizer moments. Raises `ValueError` for a
    file that is damaged, is no such checkpoint or names other globals, for options that contradict its arrays, and where `out`
    holds something.
    """
    path, out = files.local(path, "the checkpoint"), folders.vacant(out, "the run directory")
    file = torch_files.read(path, classes=svg.CLASSES, names=svg.NAMES)
    try:
        if svg.is_checkpoint(file.value):
            family, converted = "svg", svg.convert(*_whole_modules(file.value), data=data, skips=skips)
        elif srvp.is_checkpoint(file.value):
            if skips:
                raise ValueError("skips is SVG's option; SRVP's skips are as its arrays say.")
            family, converted = "srvp", srvp.convert(_state_dict(file.value), _options(path, config), data=data)
        else:
            raise ValueError(f"It holds neither SVG's modules nor SRVP's state dict, but {_found(file.value)}.")
        experiment = _placed(converted.experiment, str(data_dir), str(digits_dir))
        model = training.build(experiment)
        assign(model, converted.weights)
    except ValueError as error:
        raise ValueError(f"{path} is not a checkpoint that can be imported. {error}") from error
    facts = {"file": path.name, "sha256": file.sha256, "container": file.container, "family": family}
    step = experiment.train.steps
    _write(out, model, experiment, step, facts)
    return Imported(experiment, step, facts)


def _placed(experiment: ExperimentConfig, data_dir: str, digits_dir: str) -> ExperimentConfig:
    """The experiment with its data where the user has it."""
    digits = dataclasses.replace(experiment.data.moving_mnist, digits_dir=digits_dir)
    return dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, data_dir=data_dir, moving_mnist=digits))


def assign(model, weights: dict[str, np.ndarray]) -> None:
    """Gives every variable of a model its array. Raises `ValueError` where one is missing, left over, or of another shape."""
    variables = checkpoints.named_variables(model)
    missing, left = sorted(set(variables) - set(weights)), sorted(set(weights) - set(variables))
    if missing or left:
        raise ValueError(f"Its layers are not those of {model.config.summary}: missing {missing[:2]}, left over {left[:2]}.")
    for path, variable in variables.items():
        if weights[path].shape != tuple(variable.shape):
            raise ValueError(
                f"Its {path} has shape {weights[path].shape}, {tuple(variable.shape)} was expected for {model.config.summary}."
            )
    for path, variable in variables.items():
        variable.assign(np.ascontiguousarray(weights[path], np.float32))


def _write(out: pathlib.Path, model, experiment, step: int, facts: dict) -> None:
    with folders.whole(out) as temporary:
        training.open_run(experiment, temporary)
        model.optimizer.iterations.assign(step)
        checkpoints.save(temporary / "checkpoints", model, step, {}, keep=1)
        files.write_json(temporary / SOURCE, facts)


def _whole_modules(value: dict) -> tuple[dict[str, np.ndarray], dict]:
    """({"MODULE.NAME": array}, options)."""
    arrays = {}
    for module in (*svg.MODULES, *svg.OPTIONAL):
        if module in value:
            if not isinstance(value[module], Record):
                raise ValueError(f"Its {module} is no module.")
            arrays |= torch_files.arrays_of(value[module], f"{module}.")
    options = value["opt"]
    if not isinstance(options, Record) or options.name != "argparse.Namespace":
        raise ValueError("Its options are no argparse.Namespace.")
    return arrays, options.state


def _state_dict(value: dict) -> dict[str, np.ndarray]:
    if not all(isinstance(name, str) and isinstance(array, np.ndarray) for name, array in value.items()):
        raise ValueError("Its state dict holds other things than arrays.")
    return value


def _options(path: pathlib.Path, config) -> dict:
    candidates = [files.local(config, "config")] if config else [path.with_suffix(".json"), path.with_name("config.json")]
    for candidate in candidates:
        if candidate.is_file():
            if candidate.stat().st_size > _MAX_OPTIONS:
                raise ValueError(f"{candidate} is larger than a configuration.")
            try:
                options = json.loads(candidate.read_text(encoding="utf-8"))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{candidate} is not JSON ({error}).") from error
            if not isinstance(options, dict):
                raise ValueError(f"{candidate} must hold a mapping of options.")
            return options
    missing = " and no ".join(map(str, candidates))
    raise ValueError(f"SRVP's configuration is wanted (--config config.json): there is no {missing}.")


def _found(value) -> str:
    if isinstance(value, dict):
        return f"{len(value)} entries: {', '.join(str(name)[:60] for name in list(value)[:5])}" + " ..." * (len(value) > 5)
    return value.name if isinstance(value, Record) else f"a {type(value).__name__}"
