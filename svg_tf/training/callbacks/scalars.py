"""Scalars in TensorBoard, the same for an interrupted run as for an undisturbed one."""

import pathlib
import time

import keras
import tensorflow as tf

from svg_tf.training import checkpoints


class IntervalMeans:
    """Means of the model's metrics over the steps since the last call, from the metrics' own running totals."""

    def __init__(self, model):
        self._model = model
        self._last = {}

    def reset(self):
        self._last = {}

    def take(self) -> dict[str, float]:
        means = {}
        for metric in self._model.metrics:
            total, count = float(checkpoints.value_of(metric.total)), float(checkpoints.value_of(metric.count))
            before, seen = self._last.get(metric.name, (0.0, 0.0))
            self._last[metric.name] = (total, count)
            if count > seen:
                means[metric.name] = (total - before) / (count - seen)
        return means

    def state(self) -> dict:
        """The metrics' totals since the epoch began, and those at the last call; JSON-serialisable."""
        totals = {m.name: [float(checkpoints.value_of(v)) for v in (m.total, m.count)] for m in self._model.metrics}
        return {"totals": totals, "last": {name: list(pair) for name, pair in self._last.items()}}

    def restore(self, state: dict) -> None:
        for metric in self._model.metrics:
            if metric.name in state["totals"]:
                total, count = state["totals"][metric.name]
                metric.total.assign(total)
                metric.count.assign(count)
        self._last = {name: tuple(pair) for name, pair in state["last"].items()}


class Scalars(keras.callbacks.Callback):
    """Training scalars every `every` steps (means over the interval) and validation scalars per epoch, by optimizer step.

    Written: the model's metrics, the learning rate and frames per second (batch_frames: frames in one global batch).
    resume: what `state` gave when the checkpoint was written from which an epoch is continued in its middle.
    """

    def __init__(self, log_dir, batch_frames: int, every: int = 50, resume: dict | None = None):
        super().__init__()
        self.batch_frames, self.every, self._resume = batch_frames, every, resume
        self._train = tf.summary.create_file_writer(str(pathlib.Path(log_dir) / "train"))
        self._validation = tf.summary.create_file_writer(str(pathlib.Path(log_dir) / "validation"))

    def state(self) -> dict:
        return self._means.state()

    def flush(self):
        self._train.flush()
        self._validation.flush()

    def on_train_begin(self, logs=None):
        self._means = IntervalMeans(self.model)

    def on_epoch_begin(self, epoch, logs=None):
        self._means.reset()
        self._mark = None
        if self._resume:
            self._means.restore(self._resume)
            self._resume = None

    def on_train_batch_end(self, batch, logs=None):
        step = self.model.step
        if self._mark is None:  # the first step of an epoch may include tracing
            self._mark = (step, time.perf_counter())
        if step % self.every:
            return
        now = time.perf_counter()
        with self._train.as_default(step=step):
            for name, value in self._means.take().items():
                tf.summary.scalar(name, value)
            tf.summary.scalar("learning_rate", float(self.model.optimizer.learning_rate))
            if step > self._mark[0]:
                speed = (step - self._mark[0]) * self.batch_frames / (now - self._mark[1])
                tf.summary.scalar("frames_per_second", speed)
        self._mark = (step, now)

    def on_epoch_end(self, epoch, logs=None):
        step = self.model.step
        for writer, prefix in ((self._train, ""), (self._validation, "val_")):
            with writer.as_default(step=step):
                for metric in self.model.metrics:
                    if prefix + metric.name in (logs or {}):
                        tf.summary.scalar(f"epoch_{metric.name}", logs[prefix + metric.name])
        self.flush()
