"""`export`: a model becomes the next version of `saved_models/NAME`, as TensorFlow Serving expects it.

    NAME/models.config, batching.config   for the server
    NAME/<n>/                             a SavedModel: saved_model.pb, variables/
    NAME/<n>/assets.extra/                config.json, MODEL_CARD.md, tf_serving_warmup_requests

A version is written under a name that servers pass over (they look for numbers) and renamed when it is complete.
"""

import json
import os
import pathlib
import tempfile
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from data_pipelines import checks, files, frame_size
from svg_tf import config, versions
from svg_tf.config import ExperimentConfig
from svg_tf.families.base import VideoPredictor
from svg_tf.serving import card, remote, signatures, warmup
from svg_tf.serving.limits import Limits, check_name, version_number

EXTRA = "assets.extra"
CONFIG_FILE, CARD_FILE = "config.json", "MODEL_CARD.md"
BATCH_AT_MOST = 16  # server-side batches; larger ones gain nothing on CPUs and delay their first request


@dataclass(frozen=True)
class Facts:
    """What is known of a model besides its weights, for its card and configuration."""

    experiment: ExperimentConfig | None = None
    step: int | None = None
    """Optimizer steps of the weights."""
    evaluation: dict = field(default_factory=dict)
    """report.json of `svg_tf.evaluation`."""
    notes: str = ""
    """Free text for the card: provenance, known faults, licence of the data."""
    trained_size: frame_size.Size | None = None
    """Height and width of the frames of training, where the export takes others."""


def export(
    model, path, *, n_future: int = 25, n_samples: int = 10, limits: Limits | None = None, facts: Facts | None = None,
    with_warmup: bool = True, max_shard_bytes: int | None = None, least_rows: int = signatures.LEAST_ROWS,
) -> pathlib.Path:  # fmt: skip
    """Writes the next version of the SavedModel `path`.

    Args:
      model: an `SVG` or `SRVP`. Its optimizer is left behind; generation uses running statistics.
      path: folder NAME of the model; its name is the one it is served under.
      n_future, n_samples: frames and samples of an answer of the signature "serving_default".
      limits: what one request may ask for (see `Limits`); counts are lowered to what the model's maps allow.
      facts: for the model card.
      with_warmup: write warm-up requests; needs the package tensorflow-serving-api.
      max_shard_bytes: size of a file of weights, about; None: one file, which other readers than TensorFlow can read, too.
      least_rows: samples that are computed where fewer are asked for, so that rounding does not tell how many: see
        `signatures`. 1: as many as are asked for, which is faster for few samples.

    Returns: the folder of the version, `path/<n>`.
    Raises: `ValueError`, before anything is written, for a model of another kind or with weights that are not finite, a name
      that cannot be served, numbers out of range, or missing protos.
    """
    if not isinstance(model, VideoPredictor):
        raise ValueError(f"export expects an svg_tf.VideoPredictor (SVG or SRVP), got {type(model).__name__}.")
    path, limits, facts = files.located(path).resolve(), limits or Limits(), facts or Facts()
    check_name(path.name)
    check_lengths(model.config, n_future, n_samples, limits)
    if max_shard_bytes is not None:
        checks.integer("max_shard_bytes", max_shard_bytes, 100_000)
    checks.integer("least_rows", least_rows, 1, 256)
    for variable in model.weights:
        if not np.isfinite(variable.numpy()).all():
            raise ValueError(f"The model's weights are not finite (first: {variable.path}): nothing is exported.")
    if with_warmup:
        remote.require_serving_api()
    functions, limits = signatures.build(model, n_future, n_samples, limits, least_rows)
    check_lengths(model.config, n_future, n_samples, limits)  # those of this model's maps
    served = {
        "n_past": model.config.n_past,
        "n_future": n_future,
        "n_samples": n_samples,
        "least_rows": least_rows,
        "limits": config.to_dict(limits),
        "signatures": sorted(functions),
    }
    path.mkdir(parents=True, exist_ok=True)
    parent = None if files.is_store(path) else path
    with tempfile.TemporaryDirectory(dir=parent, prefix=".export-", ignore_cleanup_errors=True) as folder:
        temporary = pathlib.Path(folder) / "version"
        temporary.mkdir()
        _write(temporary, path.name, model, functions, served, facts, with_warmup, max_shard_bytes)
        return publish(temporary, path, served)


def check_lengths(model_config, n_future, n_samples, limits: Limits) -> None:
    """Raises `ValueError` where "serving_default" would not be within the limits for even one sequence."""
    for name, value in (("n_future", n_future), ("n_samples", n_samples)):
        checks.integer(name, value, 1)
    if limits.max_batch(model_config.n_past, n_samples, n_future) < 1:
        raise ValueError(
            f"{model_config.n_past} context frames, n_samples {n_samples} and n_future {n_future} are beyond the limits of one "
            f"request: {limits}."
        )


def version_numbers(path) -> list[int]:
    """The numbers that are taken in a model's folder, ascending; empty where there is none."""
    path = files.located(path)
    found = [version_number(p.name) for p in path.iterdir()] if path.is_dir() else []
    return sorted(number for number in found if number is not None)


def _write(folder, name, model, functions, served: dict, facts: Facts, with_warmup, max_shard_bytes) -> None:
    shards = tf.train.experimental.MaxShardSizePolicy(max_shard_size=max_shard_bytes) if max_shard_bytes else None
    options = tf.saved_model.SaveOptions(experimental_sharding_callback=shards)
    tf.saved_model.save(signatures.Variables(model, functions), str(folder), signatures=functions, options=options)
    extra = folder / EXTRA
    extra.mkdir()
    values = {
        "config": config.to_dict(facts.experiment) if facts.experiment else {"model": config.to_dict(model.config)},
        "step": facts.step,
        "serving": served,
        "versions": versions.installed(),
    }
    if facts.trained_size is not None:
        values["trained_image_size"] = facts.trained_size
    (extra / CONFIG_FILE).write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (extra / CARD_FILE).write_text(card.text(name, model, facts, served), encoding="utf-8")
    if with_warmup:
        warmup.write(extra / warmup.FILE, name, model, functions)


def published_as(folder) -> dict:
    """What a complete export says that it serves. Raises `ValueError` where `folder` holds no export of this package."""
    try:
        served = json.loads((files.located(folder) / EXTRA / CONFIG_FILE).read_text(encoding="utf-8"))["serving"]
        Limits(**served["limits"])
        return served
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} is no export of this package: {error}.") from error


def publish(temporary: pathlib.Path, path: pathlib.Path, served: dict) -> pathlib.Path:
    """Renames a complete version to the next number of the model's folder, and writes the server's files beside it."""
    temporary.chmod(0o755)
    version = _numbered(temporary, path)
    batch = Limits(**served["limits"]).server_batch(served["n_past"], served["n_samples"], served["n_future"])
    files.write(path / "models.config", models_config(path.name))
    files.write(path / "batching.config", batching_config(min(batch, BATCH_AT_MOST)))
    return version


def _numbered(temporary: pathlib.Path, path: pathlib.Path) -> pathlib.Path:
    """Another export may take the next number first; a store does not tell."""
    while True:
        target = path / str(max(version_numbers(path), default=0) + 1)
        if files.is_store(target):
            target.put_folder(temporary, last="saved_model.pb")
            return target
        try:
            os.rename(temporary, target)
        except OSError:
            if not target.exists():
                raise
            continue
        return target


def models_config(name: str) -> str:
    """The server's --model_config_file, for the folder mounted at /models/NAME."""
    return (
        "model_config_list {\n  config {\n"
        f'    name: "{name}"\n    base_path: "/models/{name}"\n    model_platform: "tensorflow"\n'
        "    model_version_policy { latest { num_versions: 1 } }\n  }\n}\n"
    )


def batching_config(max_batch: int) -> str:
    """The server's --batching_parameters_file: batches that wait at most 2 ms and stay within the baked-in limits."""
    return (
        f"max_batch_size {{ value: {max_batch} }}\nbatch_timeout_micros {{ value: 2000 }}\n"
        "num_batch_threads { value: 2 }\nmax_enqueued_batches { value: 100 }\n"
    )
