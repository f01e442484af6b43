"""Checkpoints of a run: one .npz file for each, written atomically; no pickle.

A file holds every variable of the model, its optimizer and its callbacks' counters by path, and a JSON header with the
step. The zip format's checksums tell a truncated or damaged file from a good one.
"""

import json
import logging
import os
import pathlib
import re
import shutil
import zipfile

import keras
import numpy as np
import tensorflow as tf

_NAME = re.compile(r"step-(\d{8})\.npz")
log = logging.getLogger(__name__)


def value_of(variable: keras.Variable) -> np.ndarray:
    """A variable's value, also where it has a copy on each replica."""
    return tf.convert_to_tensor(variable.value).numpy()


def path_of(directory: pathlib.Path, step: int) -> pathlib.Path:
    return pathlib.Path(directory) / f"step-{step:08d}.npz"


def existing(directory) -> list[tuple[int, pathlib.Path]]:
    """(step, path) of the checkpoints in `directory`, oldest first."""
    found = [(int(m[1]), p) for p in pathlib.Path(directory).glob("step-*.npz") if (m := _NAME.fullmatch(p.name))]
    return sorted(found)


def named_variables(layer, prefix: str = "") -> dict[str, keras.Variable]:
    """Attribute path ("encoder/levels/0/conv/kernel") -> variable, for all variables of a layer or model."""
    found = {}

    def visit(value, path):
        if isinstance(value, keras.Variable):
            found[path] = value
        elif isinstance(value, keras.layers.Layer):
            found.update(named_variables(value, path + "/"))
        elif isinstance(value, list | tuple):
            for i, item in enumerate(value):
                visit(item, f"{path}/{i}")

    for name, value in vars(layer).items():
        if not name.startswith("_") and name not in ("optimizer", "built"):
            visit(value, prefix + name)
    return found


def variables_of(model, with_optimizer: bool) -> dict[str, keras.Variable]:
    """Name in a checkpoint -> variable. Optimizer slots exist once the optimizer is built."""
    named = {f"model/{path}": variable for path, variable in named_variables(model).items()}
    if with_optimizer:
        named |= {f"optimizer/{i:04d}": variable for i, variable in enumerate(model.optimizer.variables)}
    return named


def save(directory, model, step: int, state: dict, keep: int) -> pathlib.Path:
    """Writes the checkpoint of `step` under a temporary name, renames it, and removes all but the last `keep`.

    state: JSON-serialisable values to give back to `restore`'s caller. On a full disk the earlier checkpoints stay.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    arrays = {name: value_of(v) for name, v in variables_of(model, True).items()}
    path = _write(path_of(directory, step), step, state, arrays)
    _remove_old(directory, keep)
    return path


def _remove_old(directory: pathlib.Path, keep: int) -> None:
    for _, old in existing(directory)[:-keep]:
        old.unlink(missing_ok=True)


def best(directory) -> pathlib.Path:
    """Where the checkpoint with the lowest validation loss is kept."""
    return pathlib.Path(directory) / "best.npz"


def keep_best(path: pathlib.Path) -> None:
    """Keeps the checkpoint at `path` as the best one, beyond the time when it is removed among the last ones."""
    temporary = path.with_name("best.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:  # a file system without links
        shutil.copyfile(path, temporary)
    os.replace(temporary, best(path.parent))


def tidy(directory, step: int, state: dict, keep: int) -> None:
    """Before a run goes on from the checkpoint of `step` (with `state`): does what a kill right after it left undone.

    Removes temporary files, sets newer checkpoints, which could not be read, aside as step-XXXXXXXX.damaged (the run will write
    older ones, which must not count as older than those), keeps the checkpoint as the best one where it is, and removes all
    but the last `keep`.
    """
    directory = pathlib.Path(directory)
    for leftover in [*directory.glob("step-*.tmp"), *directory.glob("best.tmp")]:
        leftover.unlink(missing_ok=True)
    for newer, path in existing(directory):
        if newer > step:
            os.replace(path, path.with_suffix(".damaged"))
    if step and state.get("best_step") == step:
        keep_best(path_of(directory, step))
    _remove_old(directory, keep)


def save_weights(directory, model, step: int) -> pathlib.Path:
    """A checkpoint to use a model but not to train it on: weights only, in half precision (relative error 5e-4), a sixth of
    the size."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    arrays = {name: value_of(v).astype(np.float16) for name, v in variables_of(model, False).items()}
    too_large = sorted(name for name, array in arrays.items() if not np.isfinite(array).all())
    if too_large:
        raise ValueError(f"{too_large[0]} holds values beyond half precision.")
    return _write(path_of(directory, step), step, {}, arrays)


def _write(path: pathlib.Path, step: int, state: dict, arrays: dict[str, np.ndarray]) -> pathlib.Path:
    header = np.frombuffer(json.dumps({"step": step, "state": state}).encode(), np.uint8)
    temporary = path.with_suffix(".tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, header=header, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def restore(path, model, with_optimizer: bool) -> tuple[int, dict]:
    """Assigns a checkpoint's values to `model` (and its built optimizer). Returns (step, state).

    Raises `ValueError` where the file is damaged or belongs to another model; nothing is assigned then.
    """
    variables = variables_of(model, with_optimizer)
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes().decode())
            arrays = {name: file[name] for name in file.files if name != "header" and name in variables}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, json.JSONDecodeError) as error:
        raise ValueError(f"Checkpoint {path} is damaged and cannot be read ({error}).") from error
    missing = sorted(set(variables) - set(arrays))
    wrong = sorted(n for n, a in arrays.items() if a.shape != tuple(variables[n].shape))
    if missing or wrong:
        raise ValueError(
            f"Checkpoint {path} does not belong to this model: {len(missing)} variables are missing "
            f"(first: {missing[:1]}), {len(wrong)} have another shape (first: {wrong[:1]})."
        )
    for name, array in arrays.items():
        variables[name].assign(array)
    return header["step"], header["state"]


def restore_latest(directory, model, with_optimizer: bool) -> tuple[int, dict] | None:
    """Restores the newest readable checkpoint; damaged ones are reported and passed over. None where there is none.

    Raises `ValueError` where checkpoints exist and not one can be used.
    """
    paths = existing(directory)
    errors = []
    for _, path in reversed(paths):
        try:
            return restore(path, model, with_optimizer)
        except ValueError as error:
            log.warning("%s Trying the one before.", error)
            errors.append(str(error))
    if errors:
        raise ValueError("No usable checkpoint in " + str(directory) + ":\n" + "\n".join(errors))
    return None
