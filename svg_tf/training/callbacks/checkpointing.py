"""What lets a run go on: checkpoints, a stop at the first NaN, and a clean stop on request."""

import contextlib
import math
import signal
import threading

import keras

from data_pipelines import files
from svg_tf.training import checkpoints
from svg_tf.training.state import TrainingState, value_of


class Preempted(Exception):
    """Training stopped on request after it saved a checkpoint. signal: SIGTERM or SIGINT (ctrl-C); None: of another worker."""

    def __init__(self, message: str, signal: int | None = None):
        super().__init__(message)
        self.signal = signal


class Termination:
    """Whether, and by which signal, training was asked to stop."""

    def __init__(self):
        self.signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None


class Checkpoints(keras.callbacks.Callback):
    """Saves model, optimizer and step every `every` steps and at the end of each epoch; keeps the last `keep`, and the best.

    Args:
      training_state: the `TrainingState` to save; None: that of the model, made when training begins.
      directory: gets step-XXXXXXXX.npz, and best.npz: the one with the lowest validation loss at an epoch's end.
      steps_per_epoch: the last step of an epoch is saved only after its validation and its summaries.
      before: name -> callback whose `flush` is called first, so that no event of a saved step is lost, and whose `state`, where
        it has one, is stored under that name.
      resume: the state of the checkpoint from which the run continues.
      stop: asked after each step; True: save and raise `Preempted`.

    Raises `FloatingPointError` in place of saving weights that are not finite; `OSError` where the disk is full: the earlier
    checkpoints stay.
    """

    def __init__(
        self, directory, every: int = 600, keep: int = 3, *, training_state=None, steps_per_epoch: int = 0, before=None,
        resume=None, stop=None,
    ):  # fmt: skip
        super().__init__()
        self.directory, self.every, self.keep = files.located(directory), every, keep
        self.steps_per_epoch, self.before, self.stop = steps_per_epoch, before or {}, stop or (lambda: False)
        self._state = training_state
        best = (resume or {}).get("best")
        self._best, self._best_step = math.inf if best is None else best, (resume or {}).get("best_step", 0)
        self._saved = None

    def save(self):
        step = self.model.step
        if step == self._saved:
            return
        training_state = self._state or TrainingState(self.model)
        lost = training_state.first_not_finite()
        if lost:
            raise FloatingPointError(
                f"{lost} is not finite after training step {step} (run seed {self.model.run_seed}); training stopped."
                + last_good(self.directory)
            )
        state = {"best": self._best if math.isfinite(self._best) else None, "best_step": self._best_step}
        for name, callback in self.before.items():
            callback.flush()
            if hasattr(callback, "state"):
                state[name] = callback.state()
        checkpoints.save(self.directory, training_state, step, state, self.keep)
        self._saved = step

    def on_train_batch_end(self, batch, logs=None):
        step = self.model.step
        stop = self.stop()
        ends_epoch = self.steps_per_epoch and step % self.steps_per_epoch == 0
        if not ends_epoch and (stop or step % self.every == 0):
            self.save()
        if stop and not ends_epoch:
            raise self._preempted(step)

    def on_epoch_end(self, epoch, logs=None):
        step = self.model.step
        value = (logs or {}).get("val_loss", math.nan)
        best = value < self._best
        if best:
            self._best, self._best_step = float(value), step
        self.save()
        if best:
            checkpoints.keep_best(checkpoints.path_of(self.directory, step))
        if self.stop():
            raise self._preempted(step)

    def _preempted(self, step: int) -> Preempted:
        return Preempted(f"Stopped on request at step {step}; start again to continue.", getattr(self.stop, "signal", None))


class StopAtNaN(keras.callbacks.Callback):
    """Raises `FloatingPointError` at the first step whose loss is not finite. Put it before `Checkpoints`.

    A step that loss scaling skips has a finite loss, and does not stop the run; gradients that overflow float16 even where
    nothing magnifies them (a scale below 1) do.
    """

    def __init__(self, checkpoint_directory=None):
        super().__init__()
        self.directory = checkpoint_directory

    def on_train_batch_end(self, batch, logs=None):
        losses = {name: float(value) for name, value in logs.items() if name == "loss" or name.endswith("/loss")}
        wrong = {name: value for name, value in losses.items() if not math.isfinite(value)}
        scale = 1.0
        if isinstance(self.model.optimizer, keras.optimizers.LossScaleOptimizer):
            scale = float(value_of(self.model.optimizer.dynamic_scale))
        if not wrong and scale >= 1.0:
            return
        name, loss = next(reversed(wrong.items()), ("loss", 0.0))
        what = f"The {name} became {loss}" if wrong else f"The gradients overflow at a loss scale of {scale}"
        step = self.model.step
        raise FloatingPointError(
            f"{what} at training step {step} (run seed {self.model.run_seed}, its data and noise follow from "
            f"both); training stopped.{last_good(self.directory)} A lower learning rate or optimizer.clip_norm may help."
        )


def last_good(directory) -> str:
    """A sentence that names the last checkpoint, or nothing."""
    kept = checkpoints.existing(directory) if directory else []
    return f" The last good checkpoint is {kept[-1][1]}." if kept else ""


@contextlib.contextmanager
def termination():
    """Within it SIGTERM (pre-emption) and the first SIGINT (ctrl-C) only set a flag; gives a `Termination` that tells of it.

    A second SIGINT interrupts at once. Signals reach Python in its main thread alone; elsewhere the function always says no.
    """
    asked = Termination()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number, frame):
        if number == signal.SIGINT and asked():
            raise KeyboardInterrupt
        asked.signal = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
