"""What a run is, in TensorBoard: its configuration, its hyper-parameters, and a layout of its charts."""


import keras
import tensorflow as tf

from data_pipelines import files
from svg_tf import config, summaries
from svg_tf.config import ExperimentConfig

_SUFFIX = ".description"
_SIMPLE = (bool, int, float, str, type(None))


class Describe(keras.callbacks.Callback):
    """Writes, when training begins, what stands there once and is no curve: see `charts`, `hyperparameters`, `text`.

    log_dir: the run's TensorBoard folder. A run that continues replaces what its earlier start wrote.
    """

    def __init__(self, log_dir, experiment: ExperimentConfig):
        super().__init__()
        self.log_dir, self.experiment, self._written = files.located(log_dir), experiment, False

    def on_train_begin(self, logs=None):
        if self._written:  # a run that stopped within an epoch begins twice
            return
        metrics = [metric.name for metric in self.model.metrics]
        shown = {"validation loss": ("validation", "epoch/loss"), "training loss": ("train", "epoch/loss")}
        with summaries.once(self.log_dir, _SUFFIX):
            summaries.layout(charts(metrics, list(self.model.optimizers)))
            summaries.hyperparameters(hyperparameters(self.experiment), self.log_dir.resolve().parent.name, shown)
            tf.summary.text("configuration", text(self.experiment))
        self._written = True


def charts(metrics: list[str], optimizers: list[str]) -> dict[str, dict[str, list[str]]]:
    """The layout: epochs (training and validation in one chart), steps, learning rates and speed. Tags as `Scalars` writes."""
    rates = [f"optimizer/learning_rate/{name}" for name in optimizers] if len(optimizers) > 1 else ["optimizer/learning_rate"]
    return {
        "Epochs: training and validation": {name: [f"epoch/{name}"] for name in metrics},
        "Training steps": {name: [f"step/{name}"] for name in metrics},
        "Optimization": {"learning rate": rates, "frames per second": ["speed/frames_per_second"]},
    }


def hyperparameters(experiment: ExperimentConfig) -> dict:
    """All numbers, words and switches that define a run, by their paths: {"model.z_dim": 10, "model.family": ..., ...}."""
    values = _flat(config.to_dict(experiment, "definition"))
    return {path: value for path, value in values if isinstance(value, _SIMPLE)}


def text(experiment: ExperimentConfig) -> str:
    """The configuration as Markdown: what defines the run, and how it runs here."""
    lines = [f"**{experiment.model.summary}**", ""]
    for heading, part in (("What defines the run", "definition"), ("How it runs here", "runtime")):
        lines += [f"### {heading}", "", "| | |", "|---|---|"]
        lines += [f"| {name} | `{value}` |" for name, value in _flat(config.to_dict(experiment, part))]
        lines.append("")
    return "\n".join(lines)


def _flat(values: dict, path: str = ""):
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{path}{name}.")
        else:
            yield path + name, value
