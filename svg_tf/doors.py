"""Trained models by one call."""

import json
import pathlib

from data_pipelines.checks import require
from svg_tf import presets
from svg_tf.families.base import VideoPredictor
from svg_tf.training import load_finished_run

SHIPPED = pathlib.Path(__file__).with_name("shipped")
"""Small trained runs that come with the package, one folder each, called as their preset."""


def shipped() -> list[str]:
    """Names of the presets whose trained model comes with the package."""
    folders = [path for root in _roots() if root.is_dir() for path in root.iterdir()]
    return sorted({path.name for path in folders if _run_of(path) is not None})


def from_preset(name: str) -> VideoPredictor:
    """The trained model of a preset that comes with the package. Raises `ValueError` where there is none."""
    for root in _roots():
        run = _run_of(root / name)
        if run is not None:
            return load(run)
    known = f"; trained models come with {', '.join(shipped())}" if shipped() else ""
    require(name in presets.names(), f"Unknown preset {name!r}; presets: {', '.join(presets.names())}.")
    raise ValueError(f"No trained model of {name!r} comes with this package{known}. Train it: svg-tf train {name} --run-dir DIR.")


def load(run_dir, unfinished: bool = False) -> VideoPredictor:
    """The model of a run directory with its last weights. Raises `ValueError` for an unfinished run, unless `unfinished`."""
    return load_finished_run(run_dir, unfinished).model


def _roots() -> tuple[pathlib.Path, ...]:
    """In an installed package; in a checkout."""
    return SHIPPED, pathlib.Path(__file__).resolve().parents[1] / "saved_models"


def _run_of(folder: pathlib.Path) -> pathlib.Path | None:
    run = folder / "run"
    if not (run / "config.json").is_file() or not any((run / "checkpoints").glob("step-*.npz")):
        return None
    try:
        json.loads((run / "config.json").read_text(encoding="utf-8"))
    except ValueError:
        return None
    return run
