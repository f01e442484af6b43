"""Loss scaling for float16, with a step that counts the batches taken and one decision for all replicas.

A step whose scaled gradients overflow float16 updates nothing but the scale, which is halved. Keras's `LossScaleOptimizer` does
not count such a step, while the data goes on: the noise of the next batch would repeat, and checkpoints, logs and the end of an
epoch would lag behind the data from then on. It also asks the first replica alone whether its gradients are finite, before they
are added up: an overflow on another replica would reach the weights.
"""

from collections.abc import Iterable

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="svg_tf")
class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """As Keras's; `iterations` counts every step, skipped ones included, and replicas skip together.

    `inner_optimizer.iterations` counts the updates: bias corrections and learning rate schedules follow those.
    """

    @property
    def iterations(self):
        return self._iterations  # the wrapper's own counter, saved among its variables, which Keras leaves at 0

    def apply(self, grads, trainable_variables=None):
        super().apply(self._agreed(grads), trainable_variables)
        self._iterations.assign_add(1)

    def _agreed(self, grads):
        """The gradients; all of them NaN where another replica has one that is not finite."""
        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            return grads
        bad = 1.0 - tf.cast(self.check_finite(grads), tf.float32)
        bad = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, bad)
        poison = tf.where(bad > 0, float("nan"), 0.0)
        return [None if g is None else g + tf.cast(poison, g.dtype) for g in grads]


def share_scale(optimizers: Iterable) -> None:
    """One loss scale for all updates of a step: an overflow in one of them halves it for all."""
    first, *others = optimizers
    if not isinstance(first, LossScaleOptimizer):
        return
    for other in others:
        other.dynamic_scale, other.step_counter = first.dynamic_scale, first.step_counter
    steps = first.dynamic_growth_steps
    if others and steps and not getattr(first, "shared", False):
        for optimizer in (first, *others):  # the counter counts the finite updates of all
            optimizer.dynamic_growth_steps, optimizer.shared = steps * (1 + len(others)), True
