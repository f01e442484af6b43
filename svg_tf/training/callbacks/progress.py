"""A progress bar over a whole run."""

import time

import keras

from svg_tf.training.callbacks.means import IntervalMeans


class Progress(keras.callbacks.Callback):
    """A progress bar over the whole run: step, loss, mse, kl, frames per second, time left.

    total: steps of the whole run; batch_frames: frames in one global batch. Where the output is no terminal, a line is
    printed every `every` steps instead. shown: False on the workers that are not the chief, which run the same callbacks.
    """

    def __init__(self, total: int, batch_frames: int, every: int = 50, shown: bool = True):
        super().__init__()
        self.total, self.batch_frames, self.every, self.shown = total, batch_frames, every, shown

    def on_train_begin(self, logs=None):
        from rich import console, progress

        self._console = console.Console(quiet=not self.shown)
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
        step = self.model.step
        self._task = self._bar.add_task("starting (building the graph)", total=self.total, completed=step)
        self._bar.start()
        self._first = None

    def on_epoch_begin(self, epoch, logs=None):
        self._means.reset()

    def on_train_batch_end(self, batch, logs=None):
        self._means.update(logs or {})
        step, now = self.model.step, time.perf_counter()
        if self._first is None:
            self._first = (step, now)
        self._bar.update(self._task, completed=step)
        if step % self.every and step != self.total:
            return
        means = self._means.take()
        # Of several updates each one's loss in place of the first name, which repeats the last one's.
        shown = {name: f"{value:.4g}" for name, value in means.items() if name.split("/")[-1] in ("loss", "mse", "kl")}
        if len(self.model.program.names) > 1:
            shown.pop("loss", None)
        values = "  ".join(f"{name} {value}" for name, value in shown.items())
        seconds = (now - self._first[1]) / max(1, step - self._first[0])
        if seconds > 0:
            values += f"  {self.batch_frames / seconds:.0f} frames/s"
        self._bar.update(self._task, description=values)
        if not self._console.is_terminal:
            left = int(seconds * (self.total - step))
            self._console.print(f"step {step}/{self.total}  {values}  left {left // 60}:{left % 60:02d}", highlight=False)

    def on_train_end(self, logs=None):
        self._bar.stop()
