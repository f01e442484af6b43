"""Scalars in TensorBoard, the same for an interrupted run as for an undisturbed one."""

import time

import keras
import tensorflow as tf

from data_pipelines import files
from svg_tf.training.callbacks.means import IntervalMeans


class Scalars(keras.callbacks.Callback):
    """Training scalars every `every` steps (means over the interval) and validation scalars per epoch, by training step.

    Tags: step/METRIC, epoch/METRIC (training and validation in one chart), speed/frames_per_second and
    optimizer/learning_rate[/UPDATE]. batch_frames: frames in one global batch. resume: what `state` gave when the checkpoint was
    written from which an epoch is continued in its middle.
    """

    def __init__(self, log_dir, batch_frames: int, every: int = 50, resume: dict | None = None):
        super().__init__()
        self.batch_frames, self.every, self._resume = batch_frames, every, resume
        self._train = tf.summary.create_file_writer(str(files.located(log_dir) / "train"))
        self._validation = tf.summary.create_file_writer(str(files.located(log_dir) / "validation"))

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
        self._means.update(logs or {})
        step = self.model.step
        if self._mark is None:  # the first step of an epoch may include tracing
            self._mark = (step, time.perf_counter())
        if step % self.every:
            return
        now = time.perf_counter()
        with self._train.as_default(step=step):
            for name, value in self._means.take().items():
                tf.summary.scalar(f"step/{name}", value)
            for name, rate in self._learning_rates().items():
                tf.summary.scalar(f"optimizer/{name}", rate)
            if step > self._mark[0]:
                speed = (step - self._mark[0]) * self.batch_frames / (now - self._mark[1])
                tf.summary.scalar("speed/frames_per_second", speed)
        self._mark = (step, now)

    def _learning_rates(self) -> dict[str, float]:
        optimizers = self.model.optimizers
        several = len(optimizers) > 1
        return {f"learning_rate/{n}" if several else "learning_rate": float(o.learning_rate) for n, o in optimizers.items()}

    def on_epoch_end(self, epoch, logs=None):
        step = self.model.step
        for writer, prefix in ((self._train, ""), (self._validation, "val_")):
            with writer.as_default(step=step):
                for metric in self.model.metrics:
                    if prefix + metric.name in (logs or {}):
                        tf.summary.scalar(f"epoch/{metric.name}", logs[prefix + metric.name])
        self.flush()
