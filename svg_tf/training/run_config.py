"""config.json of a run directory: what defines the run, and how it ran last."""

import dataclasses
import json
import pathlib

from data_pipelines import files
from svg_tf import config, versions
from svg_tf.config import ExperimentConfig
from svg_tf.config.upgrade import upgraded

FILE = "config.json"
MAX_BYTES = 1 << 22


def open_run(experiment: ExperimentConfig, run_dir) -> pathlib.Path:
    """Makes `run_dir` with its config.json, or checks that the one there is the same experiment.

    The number of epochs may grow between starts, and all that only says how a run runs here (folders, devices, checkpoints kept)
    may differ. A directory whose run has not saved anything yet takes a corrected configuration. Raises `ValueError` that lists
    what differs otherwise.
    """
    run_dir = files.located(run_dir, "the run directory")
    for name in ("checkpoints", "logs"):
        if (run_dir / name).exists() and not (run_dir / name).is_dir():
            raise ValueError(f"{run_dir / name} must be a folder of the run, and is a file; remove it or choose another folder.")
    path, started = run_dir / FILE, any((run_dir / "checkpoints").glob("*.npz"))
    if path.exists() and started:
        before = read_config(run_dir)
        same_length = dataclasses.replace(before, train=dataclasses.replace(before.train, epochs=experiment.train.epochs))
        lines = config.differences(same_length, experiment, "definition")
        if lines:
            raise ValueError(
                f"{run_dir} holds a run of another configuration; continue it with its own, or choose another "
                "folder. Differences (there -> asked for):\n  " + "\n  ".join(lines)
            )
        if before == experiment:
            return run_dir
    write_config(run_dir, experiment)
    return run_dir


def write_config(run_dir, experiment: ExperimentConfig) -> pathlib.Path:
    facts = {
        "config": config.to_dict(experiment, "definition"),
        "runtime": config.to_dict(experiment, "runtime"),
        "versions": versions.installed(),
    }
    return files.write(files.located(run_dir) / FILE, json.dumps(facts, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_config(run_dir) -> ExperimentConfig:
    """The experiment of a run directory, of 0.1.0 too. Raises `ValueError` where there is none or it cannot be read."""
    path = files.located(run_dir, "the run directory") / FILE
    if not path.is_file():
        raise ValueError(f"{run_dir} is not a run directory: it has no config.json.")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is not a run's configuration: it has {path.stat().st_size} bytes.")
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        definition, runtime = facts["config"], facts.get("runtime", {})
        values = upgraded(config.merge(definition, runtime))
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not a run's configuration ({error}).") from error
    try:
        return config.from_dict(ExperimentConfig, values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
