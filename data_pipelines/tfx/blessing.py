"""When a model is blessed: it is better than the last blessed one, by a paired interval, or it is the first. Needs no TFX.

Both predict the same sequences of the *current* Examples. Of every sequence the metric's best of the samples, averaged over the
predicted frames, is taken; the mean of the differences must be better than 0 by more than the half-width of its 95 % interval.
"""

import dataclasses
import json
import math
import os
import pathlib
from typing import NamedTuple

from data_pipelines import files
from data_pipelines.tfx import examples, training
from data_pipelines.tfx.settings import Evaluation

CANDIDATE, BASELINE, COMPARISON, VERDICT = "candidate", "baseline", "comparison", "verdict.json"


class Verdict(NamedTuple):
    """Whether a model is blessed, and why, in one line."""

    blessed: bool
    reason: str


def rule(metric: str, higher_is_better: bool, difference: float | None, half_width: float | None) -> Verdict:
    """The verdict of candidate minus baseline, and of the half-width of the mean's 95 % interval (None: unknown)."""
    if difference is None or half_width is None or not math.isfinite(difference):
        return Verdict(False, f"{metric}: the difference from the last blessed model has no interval; more sequences are needed")
    gain = difference if higher_is_better else -difference
    better = "higher" if higher_is_better else "lower"
    shown = f"{metric} {difference:+.4g} ± {half_width:.2g} against the last blessed model, {better} is better"
    return Verdict(gain > half_width, shown)


def judge(model_uri: str, examples_uri: str, baseline_uri: str | None, out_dir, told: Evaluation, progress=print) -> Verdict:
    """Evaluates a Model artifact, and the last blessed one beside it; writes both reports, their comparison and `verdict.json`.

    Args:
      model_uri, baseline_uri: Model artifacts of our Trainer; None: nothing is blessed yet.
      examples_uri: the Examples artifact whose split `told.split` is predicted.
    Raises: `ValueError` for clips that are too short, or a split that is not there.
    """
    from svg_tf.evaluation import comparison

    out = pathlib.Path(out_dir)
    options, candidate = _evaluate(model_uri, examples_uri, out / CANDIDATE, told, None, progress)
    value = candidate["results"][told.metric]["best"]["all"]["mean"]
    if baseline_uri is None:
        verdict = Verdict(True, f"the first model: {told.metric} {value:.4g}")
    else:
        try:
            _evaluate(baseline_uri, examples_uri, out / BASELINE, told, options, progress)
        except ValueError as error:
            verdict = Verdict(False, f"the last blessed model cannot predict these data, choose another --name: {error}")
        else:
            result = comparison.compare({CANDIDATE: out / CANDIDATE, BASELINE: out / BASELINE}, out / COMPARISON)
            pair = result["paired_differences"][0][told.metric]
            verdict = rule(told.metric, candidate["higher_is_better"][told.metric], pair["mean"], pair["half_width"])
    files.write_json(out / VERDICT, verdict._asdict() | {"metric": told.metric, "candidate": value, "baseline": baseline_uri})
    return verdict


def _evaluate(model_uri: str, examples_uri: str, out: pathlib.Path, told: Evaluation, options, progress):
    """(its options, report) of a model; the second model takes the first one's options."""
    from svg_tf import evaluation
    from svg_tf import training as svg_training

    loaded = svg_training.load_finished_run(training.run_of(model_uri))
    experiment = loaded.experiment
    data = dataclasses.replace(
        experiment.data, name=examples.data_set(examples_uri).name, data_dir=examples.data_dir(examples_uri)
    )
    experiment = dataclasses.replace(experiment, data=data)
    if options is None:
        options = evaluation.Options(
            n_past=experiment.model.n_past,
            n_future=experiment.eval.n_future,
            n_samples=told.n_samples,
            protocol=experiment.eval.protocol,
            seed=told.seed,
            sequences=told.sequences,
            random_shown=1,
        )
    fixed = {"shuffle": False, "repeat": False, "drop_remainder": False, "batch_size": 16}
    batches = svg_training.load_data(experiment, told.split, options.n_past + options.n_future, **fixed)
    facts = {"step": loaded.step, "data": data.name, "split": told.split}
    horizon = experiment.model.n_past + experiment.data.n_future
    told = {"description": facts, "horizon": horizon, "progress": progress}
    return options, evaluation.evaluate(loaded.model, batches, options, out, **told)


def read(folder: str | os.PathLike) -> Verdict:
    """The verdict in a ModelEvaluation artifact. Raises `ValueError` where there is none."""
    path = pathlib.Path(folder) / VERDICT
    if not path.is_file():
        raise ValueError(f"{folder} holds no verdict of ClipEvaluator.")
    found = json.loads(path.read_text(encoding="utf-8"))
    return Verdict(found["blessed"], found["reason"])
