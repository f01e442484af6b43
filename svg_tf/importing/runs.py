"""Checkpoints of the families' published programs -> ordinary run directories, to evaluate, generate from and export."""

import dataclasses
import json
import pathlib
from typing import NamedTuple

import numpy as np

from data_pipelines import files
from svg_tf import families
from svg_tf.config import ExperimentConfig
from svg_tf.families.reference import Converted, Reference
from svg_tf.importing import folders, torch_files
from svg_tf.importing.pickles import Record
from svg_tf.training import checkpoints
from svg_tf.training import run as training
from svg_tf.training.state import TrainingState, named_variables

SOURCE = "imported.json"
_MAX_OPTIONS = 1 << 20


class Imported(NamedTuple):
    """A run that was made from a file."""

    experiment: ExperimentConfig
    step: int
    facts: dict
    """What `imported.json` of the run says: the file's name, SHA-256, container and family."""


def import_run(path, out, *, config="", data: str = "", data_dir=None, digits_dir=None, **own) -> Imported:
    """Makes the run directory `out`, whole or not at all, of a PyTorch checkpoint; nothing in the file is run.

    Args:
      path: a checkpoint of a family's published program: SVG's model.pth (whole modules and options), SRVP's model.pt (a state
        dict).
      config: the program's config.json, where the options are not in the file; empty: the one beside it, FILE.json or
        config.json.
      data: data set of the run, e.g. "kth"; empty: as the checkpoint says.
      data_dir, digits_dir: where that data is, as in the configuration of any run.
      **own: options of the family's reference; SVG: skips, as `SVGConfig.skips`; empty: as the reference trained.

    The run counts as finished, has the reference's settings of training, and fresh optimizer moments. Raises `ValueError` for a
    file that is damaged, is no such checkpoint or names other globals, for options that contradict its arrays, and where `out`
    holds something.
    """
    path, out = files.local(path, "the checkpoint"), folders.vacant(out, "the run directory")
    references = _references()
    file = torch_files.read(
        path,
        classes=frozenset().union(*(reference.classes for reference in references.values())),
        names=frozenset().union(*(reference.names for reference in references.values())),
    )
    try:
        family = next((name for name, reference in references.items() if reference.matches(file.value)), None)
        if family is None:
            known = " nor ".join(reference.title for reference in references.values())
            raise ValueError(f"It holds neither {known}, but {_found(file.value)}.")
        converted = _converted(references[family], file.value, path, config, data, own)
        experiment = _placed(converted.experiment, data_dir, digits_dir)
        model = training.build(experiment)
        assign(model, converted.weights)
    except ValueError as error:
        raise ValueError(f"{path} is not a checkpoint that can be imported. {error}") from error
    facts = {"file": path.name, "sha256": file.sha256, "container": file.container, "family": family}
    step = experiment.train.steps
    _write(out, model, experiment, step, facts)
    return Imported(experiment, step, facts)


def _references() -> dict[str, Reference]:
    """Family -> how its published checkpoints are read, of the families that have such."""
    found = {name: families.get(name).load("reference") for name in families.names()}
    return {name: reference for name, reference in found.items() if reference is not None}


def _converted(reference: Reference, value, path: pathlib.Path, config, data: str, own: dict) -> Converted:
    given = {name: choice for name, choice in own.items() if choice}
    unknown = sorted(set(given) - set(reference.options))
    if unknown:
        raise ValueError(f"It is {reference.title}, for which there is no option {unknown[0]!r}.")
    if reference.modules:
        arrays, options = _whole_modules(value, reference.modules)
    else:
        arrays, options = _state_dict(value), _options(path, config)
    return reference.convert(arrays, options, data=data, **given)


def _placed(experiment: ExperimentConfig, data_dir, digits_dir) -> ExperimentConfig:
    """The experiment with its data where the user has it."""
    data_dir, digits_dir = (str(folder) if folder else None for folder in (data_dir, digits_dir))
    digits = dataclasses.replace(experiment.data.moving_mnist, digits_dir=digits_dir)
    return dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, data_dir=data_dir, moving_mnist=digits))


def assign(model, weights: dict[str, np.ndarray]) -> None:
    """Gives every variable of a model its array. Raises `ValueError` where one is missing, left over, or of another shape."""
    variables = named_variables(model)
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
    with files.whole_folder(out, "config.json") as temporary:
        training.open_run(experiment, temporary)
        state = TrainingState(model)
        for optimizer in model.optimizers.values():
            optimizer.iterations.assign(step)
        model.clock.assign(step)
        checkpoints.save(temporary / "checkpoints", state, step, {}, keep=1)
        files.write_json(temporary / SOURCE, facts)


def _whole_modules(value: dict, modules: tuple[str, ...]) -> tuple[dict[str, np.ndarray], dict]:
    """({"MODULE.NAME": array}, options)."""
    arrays = {}
    for module in modules:
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
    raise ValueError(f"Its configuration is wanted (--config config.json): there is no {missing}.")


def _found(value) -> str:
    if isinstance(value, dict):
        return f"{len(value)} entries: {', '.join(str(name)[:60] for name in list(value)[:5])}" + " ..." * (len(value) > 5)
    return value.name if isinstance(value, Record) else f"a {type(value).__name__}"
