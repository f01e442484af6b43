"""Keras callbacks: videos and scalars in TensorBoard, progress, checkpoints, and a stop at the first NaN."""

import math
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf

from svg_tf import checkpoints, summaries, visualization
from svg_tf.metrics import frame


class VideoSummary(keras.callbacks.Callback):
    """An animated GIF of fixed clips in TensorBoard's Images tab at the end of each epoch.

    Rows of a clip: the truth, the best of `n_samples` samples by PSNR, three random samples.

    Args:
      log_dir: TensorBoard folder; the summary is written to its subfolder "videos".
      frames: float [N, T, H, W, C] in [0, 1], N >= 1: the clips (a few; all are shown).
      n_past: context frames; the remaining T - n_past are predicted.
      n_samples, seed: as `SVG.generate`.
      every: epochs between summaries.
      fps: frames a second of the GIF.
    """

    def __init__(self, log_dir, frames, n_past: int, n_samples: int = 10, seed: int = 0, every: int = 1, fps: int = 6):
        super().__init__()
        frames = np.asarray(frames)
        if frames.ndim != 5 or not 1 <= n_past < frames.shape[1]:
            raise ValueError(f"frames must be [N, T > n_past = {n_past}, H, W, C], got shape {frames.shape}.")
        if every < 1 or n_samples < 1:
            raise ValueError(f"every and n_samples must be at least 1, got {every} and {n_samples}.")
        self.frames, self.n_past, self.n_samples, self.seed = frames, n_past, n_samples, seed
        self.every, self.fps = every, fps
        self._writer = tf.summary.create_file_writer(str(pathlib.Path(log_dir) / "videos"))

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        with self._writer.as_default():
            tiles = sample_grid(self.model, self.frames, self.n_past, self.n_samples, self.seed)
            summaries.gif("samples", tiles, step=int(self.model.optimizer.iterations), fps=self.fps)
        self._writer.flush()


def sample_grid(model, frames, n_past: int, n_samples: int, seed: int = 0) -> np.ndarray:
    """Draws futures of `frames` [N, T, H, W, C] and lays them out: uint8 [T, height, width, 3] for a GIF."""
    frames = np.asarray(frames, np.float32)
    samples = model.generate(frames, frames.shape[1] - n_past, n_samples, seed, n_past=n_past).numpy()
    future = frames[:, None, n_past:]
    scores = frame.psnr(np.broadcast_to(future, samples.shape), samples).numpy().mean(-1)
    order = np.random.default_rng(seed)
    clips = []
    for truth, drawn, score in zip(frames, samples, scores, strict=True):
        shown = [("best", int(score.argmax()))]
        random = order.choice(n_samples, min(3, n_samples), replace=False)
        shown += [(f"random {i + 1}", int(s)) for i, s in enumerate(random)]
        rows = [("truth", truth)] + [(name, np.concatenate([truth[:n_past], drawn[s]])) for name, s in shown]
        clips.append(rows)
    return visualization.grid(clips, n_past)


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
            total, count = float(metric.total.value), float(metric.count.value)
            before, seen = self._last.get(metric.name, (0.0, 0.0))
            self._last[metric.name] = (total, count)
            if count > seen:
                means[metric.name] = (total - before) / (count - seen)
        return means


class Scalars(keras.callbacks.Callback):
    """Training scalars every `every` steps (means over the interval) and validation scalars per epoch, by optimizer step.

    Written: the model's metrics, the learning rate and frames per second (batch_frames: frames in one global batch).
    """

    def __init__(self, log_dir, batch_frames: int, every: int = 50):
        super().__init__()
        self.batch_frames, self.every = batch_frames, every
        self._train = tf.summary.create_file_writer(str(pathlib.Path(log_dir) / "train"))
        self._validation = tf.summary.create_file_writer(str(pathlib.Path(log_dir) / "validation"))

    def on_train_begin(self, logs=None):
        self._means = IntervalMeans(self.model)

    def on_epoch_begin(self, epoch, logs=None):
        self._means.reset()
        self._mark = None

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.optimizer.iterations)
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
        step = int(self.model.optimizer.iterations)
        for writer, prefix in ((self._train, ""), (self._validation, "val_")):
            with writer.as_default(step=step):
                for metric in self.model.metrics:
                    if prefix + metric.name in (logs or {}):
                        tf.summary.scalar(f"epoch_{metric.name}", logs[prefix + metric.name])
            writer.flush()


class Checkpoints(keras.callbacks.Callback):
    """Saves model, optimizer and step every `every` steps and at the end of each epoch; keeps the last `keep`."""

    def __init__(self, directory, every: int = 600, keep: int = 3):
        super().__init__()
        self.directory, self.every, self.keep = pathlib.Path(directory), every, keep
        self._saved = None

    def save(self):
        step = int(self.model.optimizer.iterations)
        if step != self._saved:
            checkpoints.save(self.directory, self.model, step, {}, self.keep)
            self._saved = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) % self.every == 0:
            self.save()

    def on_epoch_end(self, epoch, logs=None):
        self.save()


class StopAtNaN(keras.callbacks.Callback):
    """Raises `FloatingPointError` at the first step whose loss is not finite. Put it before `Checkpoints`."""

    def __init__(self, checkpoint_directory=None):
        super().__init__()
        self.directory = checkpoint_directory

    def on_train_batch_end(self, batch, logs=None):
        loss = float(logs["loss"])
        if math.isfinite(loss):
            return
        step = int(self.model.optimizer.iterations)
        kept = checkpoints.existing(self.directory) if self.directory else []
        last = f" The last good checkpoint is {kept[-1][1]}." if kept else ""
        raise FloatingPointError(
            f"The loss became {loss} at optimizer step {step} (run seed {self.model.run_seed}); training stopped.{last} "
            "A lower learning rate or train.clip_norm may help."
        )


class Progress(keras.callbacks.Callback):
    """A progress bar over the whole run: step, loss, mse, kl, frames per second, time left.

    total: steps of the whole run; batch_frames: frames in one global batch. Where the output is no terminal, a line is
    printed every `every` steps instead.
    """

    def __init__(self, total: int, batch_frames: int, every: int = 50):
        super().__init__()
        self.total, self.batch_frames, self.every = total, batch_frames, every

    def on_train_begin(self, logs=None):
        from rich import console, progress

        self._console = console.Console()
        columns = (
            progress.TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            progress.BarColumn(bar_width=20),
            progress.TextColumn("{task.description}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
        )
        self._bar = progress.Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._means = IntervalMeans(self.model)
        step = int(self.model.optimizer.iterations)
        self._task = self._bar.add_task("starting (building the graph)", total=self.total, completed=step)
        self._bar.start()
        self._first = None

    def on_epoch_begin(self, epoch, logs=None):
        self._means.reset()

    def on_train_batch_end(self, batch, logs=None):
        step, now = int(self.model.optimizer.iterations), time.perf_counter()
        if self._first is None:
            self._first = (step, now)
        self._bar.update(self._task, completed=step)
        if step % self.every and step != self.total:
            return
        means = self._means.take()
        values = "  ".join(f"{name} {means[name]:.4g}" for name in ("loss", "mse", "kl") if name in means)
        seconds = (now - self._first[1]) / max(1, step - self._first[0])
        if seconds > 0:
            values += f"  {self.batch_frames / seconds:.0f} frames/s"
        self._bar.update(self._task, description=values)
        if not self._console.is_terminal:
            left = int(seconds * (self.total - step))
            self._console.print(f"step {step}/{self.total}  {values}  left {left // 60}:{left % 60:02d}", highlight=False)

    def on_train_end(self, logs=None):
        self._bar.stop()
