"""A warning where a training goes wrong that no loss tells by itself."""

import logging

import keras

from svg_tf.families.interface import KnowsTrouble
from svg_tf.training.callbacks.means import IntervalMeans

log = logging.getLogger(__name__)


class Health(keras.callbacks.Callback):
    """Asks the model every `every` steps, of the means since the last time, whether it is in trouble (`KnowsTrouble`).

    A trouble that has lasted `patience` times in a row is told once, as a warning; again only when it has ended in between.
    told: False on the workers that are not the chief.
    """

    def __init__(self, every: int = 50, patience: int = 10, told: bool = True):
        super().__init__()
        self.every, self.patience, self.told = every, patience, told
        self._lasting: dict[str, int] = {}

    def on_train_begin(self, logs=None):
        self._means = IntervalMeans(self.model)

    def on_epoch_begin(self, epoch, logs=None):
        self._means.reset()

    def on_train_batch_end(self, batch, logs=None):
        if not self.model.can(KnowsTrouble):
            return
        self._means.update(logs or {})
        step = self.model.step
        if step % self.every:
            return
        troubles = self.model.troubles(self._means.take())
        self._lasting = {name: self._lasting.get(name, 0) + 1 for name in troubles}
        for name, text in troubles.items():
            if self.told and self._lasting[name] == self.patience:
                log.warning("Step %d, and the %d before: %s", step, self.patience * self.every, text)
