"""Checkpoints of a run: one .npz file for each, written atomically; no pickle.

A file holds every variable of a `TrainingState` by name, and a JSON header with the step and the callbacks' states. The zip
format's checksums tell a truncated or damaged file from a good one; nothing is assigned before all of a file has been read and
found to fit.
"""

import json
import logging
import math
import os
import pathlib
import re
import zipfile

import numpy as np

from data_pipelines import files
from svg_tf.training import archive
from svg_tf.training.state import TrainingState

_NAME = re.compile(r"step-([0-9]{8,18})\.npz", re.ASCII)
_OLD_SLOT = re.compile(r"optimizer/([0-9]{4,})")
FORMAT = 2
log = logging.getLogger(__name__)


class MisfitError(ValueError):
    """A whole checkpoint that is none of this state."""


def path_of(directory: pathlib.Path, step: int) -> pathlib.Path:
    return files.located(directory) / f"step-{step:08d}.npz"


def existing(directory) -> list[tuple[int, pathlib.Path]]:
    """(step, path) of the checkpoints in `directory`, oldest first."""
    found = [(int(m[1]), p) for p in files.located(directory).glob("step-*.npz") if (m := _NAME.fullmatch(p.name))]
    return sorted(found)


def best(directory) -> pathlib.Path:
    """Where the checkpoint with the lowest validation loss is kept."""
    return files.located(directory) / "best.npz"


def save(directory, state: TrainingState, step: int, callbacks: dict, keep: int) -> pathlib.Path:
    """Writes the checkpoint of `step` under a temporary name, renames it, and removes all but the last `keep`.

    callbacks: JSON-serializable values to give back to `restore`'s caller. On a full disk the earlier checkpoints stay.
    """
    path = write(path_of(directory, step), step, callbacks, state.values())
    _remove_old(files.located(directory), keep)
    return path


def save_weights(directory, model, step: int) -> pathlib.Path:
    """A checkpoint to use a model but not to train it on: weights only, in half precision (relative error 5e-4), a sixth of
    the size. Raises `ValueError` for weights beyond half precision."""
    arrays = {}
    for name, value in TrainingState(model, with_optimizer=False).values().items():
        half = value.astype(np.float16) if value.dtype.kind == "f" else value
        if half.dtype.kind == "f" and not np.isfinite(half).all():
            raise ValueError(f"{name} holds values beyond half precision.")
        arrays[name] = half
    return write(path_of(directory, step), step, {}, arrays)


def write(path: pathlib.Path, step: int, callbacks: dict, arrays: dict[str, np.ndarray]) -> pathlib.Path:
    """A file of these arrays, whole or absent, flushed to the disk before it takes its name."""
    facts = {"format": FORMAT, "step": step, "state": callbacks}
    header = np.frombuffer(json.dumps(facts, allow_nan=False).encode(), np.uint8)
    with files.whole(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **{archive.HEADER: header}, **arrays)
        file.flush()
        os.fsync(file.fileno())
    return path


def _remove_old(directory: pathlib.Path, keep: int) -> None:
    for _, old in existing(directory)[:-keep]:
        old.unlink(missing_ok=True)


def keep_best(path: pathlib.Path) -> None:
    """Keeps the checkpoint at `path` as the best one, beyond the time when it is removed among the last ones."""
    files.duplicate(path, best(path.parent))


def finish_interrupted_work(directory, step: int, callbacks: dict, keep: int) -> None:
    """Before a run goes on from the checkpoint of `step` (with `callbacks`): does what a kill right after it left undone.

    Removes temporary files, sets newer checkpoints, which could not be read, aside as step-XXXXXXXX.damaged (the run will write
    older ones, which must not count as older than those), keeps the checkpoint as the best one where it is, and removes all
    but the last `keep`.
    """
    directory = files.located(directory)
    for leftover in [*directory.glob(".step-*"), *directory.glob(".best.npz"), *directory.glob("*.tmp")]:
        leftover.unlink(missing_ok=True)
    for newer, path in existing(directory):
        if newer > step:
            path.replace(path.with_suffix(".damaged"))
    if step and callbacks.get("best_step") == step:
        keep_best(path_of(directory, step))
    _remove_old(directory, keep)


def restore(path, state: TrainingState) -> tuple[int, dict]:
    """Assigns a checkpoint's values. Returns (step, callbacks' states).

    Raises `ValueError` where the file is damaged or belongs to another model: names that are missing, unexpected or of another
    shape or type; nothing is assigned then. A state without optimizers takes the model's values alone.
    """
    path = files.located(path)
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as opened:
            found = archive.describe(opened)
            step, callbacks, version = _facts(path, archive.read_json(opened, found))
            names = _names(state, set(found) - {archive.HEADER}, version)
            _check_fit(path, state, found, names)
            arrays = {name: archive.read_array(opened, stored, found[stored]) for name, stored in names.items()}
    except MisfitError:
        raise
    except archive.UNREADABLE as error:
        raise ValueError(f"Checkpoint {path} is damaged and cannot be read ({error}).") from error
    state.assign(arrays)
    if version < FORMAT and "step" in state.variables:
        state.model.clock.assign(step)
        for name, totals in callbacks.get("scalars", {}).get("totals", {}).items():
            for i, value in enumerate(totals):
                if f"metrics/{name}/{i}" in state.variables:
                    state.variables[f"metrics/{name}/{i}"].assign(value)
    return step, callbacks


def _facts(path, header) -> tuple[int, dict, int]:
    """(step, callbacks' states, format). Raises `DamagedError` for a header that says something else than the file's name."""
    step, callbacks, version = header.get("step"), header.get("state"), header.get("format", 1)
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < 10**18:
        raise archive.DamagedError(f"its step is {step!r}")
    named = _NAME.fullmatch(path.name)
    if named and int(named[1]) != step:
        raise archive.DamagedError(f"its step is {step}, its name says {int(named[1])}")
    if not isinstance(callbacks, dict):
        raise archive.DamagedError(f"its state is a {type(callbacks).__name__}")
    fault = _fault_of(callbacks)
    if fault:
        raise archive.DamagedError(f"its state has {fault}")
    if version not in (1, FORMAT) or isinstance(version, bool):
        raise archive.DamagedError(f"its format is {version!r}, this version reads 1 to {FORMAT}")
    return step, callbacks, version


def _fault_of(callbacks: dict) -> str | None:
    """What of the callbacks' states is not as they write it: they are used long after the checkpoint was read."""
    best, step, scalars = callbacks.get("best"), callbacks.get("best_step", 0), callbacks.get("scalars", {})
    if best is not None and not _is_number(best):
        return f"a best loss of {best!r}"
    if isinstance(step, bool) or not isinstance(step, int) or step < 0:
        return f"a best step of {step!r}"
    parts = list(scalars.values()) if isinstance(scalars, dict) else [None]
    pairs = [pair for part in parts for pair in (part.values() if isinstance(part, dict) else [part])]
    wrong = [pair for pair in pairs if not (isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair)))]
    return f"means of {wrong[0]!r}" if wrong else None


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _names(state: TrainingState, stored: set[str], version: int) -> dict[str, str]:
    """Name in the state -> name in the file."""
    if version == FORMAT:
        return {name: name for name in state.variables if name in stored}
    names = {name: name for name in state.variables if name.startswith("model/") and name in stored}
    if "step" not in state.variables:
        return names
    # 0.1.0: slots by their place among the variables of the one optimizer; step and totals in the header.
    own = {id(variable): name for name, variable in state.variables.items()}
    listed = next(iter(state.model.optimizers.values())).variables
    return names | {own[id(v)]: f"optimizer/{i:04d}" for i, v in enumerate(listed) if f"optimizer/{i:04d}" in stored}


def _check_fit(path, state: TrainingState, found: dict, names: dict[str, str]) -> None:
    with_training = "step" in state.variables
    old = any(_OLD_SLOT.fullmatch(name) for name in found)
    wanted = {n for n in state.variables if not (old and (n == "step" or n.startswith("metrics/")))}
    missing = sorted(wanted - set(names))
    taken = set(names.values()) | {archive.HEADER}
    unexpected = sorted(n for n in set(found) - taken if with_training or n.startswith("model/"))
    wrong = sorted(n for n, s in names.items() if not _fits(found[s], state.variables[n]))
    if with_training and names and not any(n.startswith("optimizer/") for n in found):
        raise MisfitError(f"Checkpoint {path} holds weights alone: it can be used, but training cannot go on from it.")
    if missing or unexpected or wrong:
        parts = (("missing", missing), ("unexpected", unexpected), ("of another shape or type", wrong))
        raise MisfitError(
            f"Checkpoint {path} does not belong to this model: "
            + "; ".join(f"{len(names_)} {what} (first: {names_[0]})" for what, names_ in parts if names_)
            + "."
        )


def _fits(array: archive.Array, variable) -> bool:
    """Same shape; floats for floats (half precision too), integers for integers."""
    wanted = np.dtype(variable.dtype if variable.dtype != "bfloat16" else "float32")
    kinds = {"f": "f", "i": "iu", "u": "iu", "b": "b"}
    return array.shape == tuple(variable.shape) and array.dtype.kind in kinds[wanted.kind]


def restore_latest(directory, state: TrainingState) -> tuple[int, dict] | None:
    """Restores the newest readable checkpoint; damaged ones are reported and passed over. None where there is none.

    Raises `ValueError` where checkpoints exist and not one can be used.
    """
    errors = []
    for _, path in reversed(existing(directory)):
        try:
            return restore(path, state)
        except ValueError as error:
            log.warning("%s Trying the one before.", error)
            errors.append(str(error))
    if errors:
        raise ValueError("No usable checkpoint in " + str(directory) + ":\n" + "\n".join(errors))
    return None
