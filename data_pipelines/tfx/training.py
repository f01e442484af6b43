"""What TFX's Trainer calls: `run_fn`, which is `svg_tf.training.train` on the Examples artifact.

Training runs in a folder that is named by data and experiment, so that a Trainer that was killed goes on where it stopped. At its
end the Model artifact holds the SavedModel (`Format-Serving`) and the run (`run`: configuration, checkpoints), and the ModelRun
artifact TensorBoard's logs. Needs no TFX itself.
"""

import hashlib
import json
import os
import pathlib
import shutil
import sys
import tempfile
from typing import Any

from data_pipelines.tfx import examples

RUN_FN = "data_pipelines.tfx.training.run_fn"
RUN = "run"
_PATTERN_DEPTH = 2  # URI/Split-train/*


def run_of(model_uri: str | os.PathLike) -> pathlib.Path:
    """The run in a Model artifact."""
    return pathlib.Path(model_uri) / RUN


def examples_uri(pattern: str) -> str:
    """The Examples artifact of a split's file pattern, as TFX gives it to a `run_fn`."""
    return os.fspath(pathlib.Path(pattern).parents[_PATTERN_DEPTH - 1])


def experiment_on(values: dict[str, Any], uri: str):
    """The experiment that trains on the data set of an Examples artifact. Raises `ValueError`."""
    import dataclasses

    from svg_tf import config

    experiment = config.from_dict(config.ExperimentConfig, values)
    data = dataclasses.replace(experiment.data, name=examples.data_set(uri).name, data_dir=examples.data_dir(uri))
    return dataclasses.replace(experiment, data=data)


def _folder(work_dir: str, experiment, uri: str) -> pathlib.Path:
    """Where this experiment trains on these clips, whichever artifact holds them."""
    from svg_tf import config

    definition = json.dumps([config.to_dict(experiment, "definition"), examples.clips(uri)], sort_keys=True)
    return pathlib.Path(work_dir) / "training" / hashlib.sha256(definition.encode()).hexdigest()[:16]


def run_fn(fn_args) -> None:
    """Trains, and writes the artifacts. `fn_args`: TFX's `FnArgs`, with these in `custom_config`:

    experiment: the experiment as a dict. work_dir: where training goes on after a kill. name: what the model is served as.
    export_samples: samples of an answer. Progress is shown where stderr is a terminal.
    """
    from svg_tf import training
    from svg_tf.serving import export
    from svg_tf.serving.remote import require_serving_api

    told = fn_args.custom_config
    uri = examples_uri(fn_args.train_files[0])
    experiment = experiment_on(told["experiment"], uri)
    run_dir = _folder(told["work_dir"], experiment, uri)
    training.train(experiment, run_dir, verbose=sys.stderr.isatty())
    model, experiment, step = training.load_finished_run(run_dir)
    serving = pathlib.Path(fn_args.serving_model_dir)
    serving.parent.mkdir(parents=True, exist_ok=True)
    try:
        require_serving_api()
        with_warmup = True
    except ValueError:
        with_warmup = False
    with tempfile.TemporaryDirectory(dir=serving.parent, prefix=".export-") as folder:
        version = export.export(
            model,
            pathlib.Path(folder) / told["name"],
            n_future=experiment.eval.n_future,
            n_samples=1 if model.deterministic else told["export_samples"],
            facts=export.Facts(experiment=experiment, step=step),
            with_warmup=with_warmup,
        )
        os.rename(version, serving)
    shutil.copytree(run_dir, run_of(serving.parent), ignore=shutil.ignore_patterns("logs", ".lock*"))
    shutil.copytree(run_dir / "logs", pathlib.Path(fn_args.model_run_dir) / "logs", dirs_exist_ok=True)
    shutil.rmtree(run_dir)
