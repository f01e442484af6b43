"""Adam as the published programs have it, its schedules, and optimizers from a configuration."""

import keras
import tensorflow as tf
from keras import ops

from svg_tf.config import OptimizerConfig, TrainConfig
from svg_tf.families.interface import Program


@keras.saving.register_keras_serializable(package="svg_tf")
class Adam(keras.optimizers.Adam):
    """Adam (Kingma & Ba 2015) with epsilon where the paper and PyTorch have it, and clipping by the global batch's gradient.

    epsilon_placement: "pytorch": m_hat / (sqrt(v_hat) + epsilon); "keras": as `keras.optimizers.Adam`, which adds it to sqrt(v):
      early updates of gradients as small as epsilon shrink by up to sqrt(1 - beta_2) = 1/32.
    clip_norm: norm above which gradients are scaled down, by the training step, on all replicas alike; None: off.
    clip_by: "global": the norm of all gradients together; "variable": of each by itself.
    average: decay of a moving average of the weights, kept among the slots (`averages`); the first updates count more, so that
      the weights at the start are soon forgotten. Keras's own `use_ema` fails on several replicas. None: off.
    """

    def __init__(
        self, learning_rate=1e-3, *, epsilon=1e-8, epsilon_placement="pytorch", clip_norm=None, clip_by="global", average=None,
        name="adam", **kwargs,
    ):  # fmt: skip
        super().__init__(learning_rate, epsilon=epsilon, name=name, **kwargs)
        self.epsilon_placement, self.clip_norm, self.clip_by, self.average = epsilon_placement, clip_norm, clip_by, average
        self._averages: list = []

    def build(self, variables):
        built = self.built
        super().build(variables)
        if self.average and not built:
            self._averages = self.add_optimizer_variables(variables, "average")

    def averages(self) -> list[tuple[keras.Variable, keras.Variable]]:
        """(variable, its moving average), for all that this optimizer moves; none where it keeps no averages."""
        return list(zip(self._trainable_variables, self._averages, strict=True)) if self._averages else []

    def update_step(self, gradient, variable, learning_rate):
        self._move(gradient, variable, learning_rate)
        if self._averages:
            count = ops.cast(self.iterations, variable.dtype)  # 0 at the first update, whose result is taken as it is
            decay = ops.minimum(ops.cast(self.average, variable.dtype), count / (count + 10))
            mean = self._averages[self._get_variable_index(variable)]
            self.assign_add(mean, (variable - mean) * (1 - decay))

    def _move(self, gradient, variable, learning_rate):
        if self.epsilon_placement == "keras":
            super().update_step(gradient, variable, learning_rate)
            return
        rate, gradient = ops.cast(learning_rate, variable.dtype), ops.cast(gradient, variable.dtype)
        count = ops.cast(self.iterations + 1, variable.dtype)
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        m_hat = m / (1 - ops.power(ops.cast(self.beta_1, variable.dtype), count))
        v_hat = v / (1 - ops.power(ops.cast(self.beta_2, variable.dtype), count))
        self.assign_sub(variable, rate * m_hat / (ops.sqrt(v_hat) + self.epsilon))

    def get_config(self):
        own = {"epsilon_placement": self.epsilon_placement, "clip_norm": self.clip_norm, "clip_by": self.clip_by}
        own["average"] = self.average
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="svg_tf")
class ConstantThenLinear(keras.optimizers.schedules.LearningRateSchedule):
    """`rate` for `constant_steps` - 1 steps, then linearly to `final`, reached by the last of the following `decay_steps` (SRVP:
    the published program steps its schedule after update number `constant_steps`)."""

    def __init__(self, rate: float, constant_steps: int, decay_steps: int, final: float = 0.0):
        self.rate, self.constant_steps, self.decay_steps, self.final = rate, constant_steps, decay_steps, final

    def __call__(self, step):
        done = (tf.cast(step, tf.float32) + 1.0 - self.constant_steps) / self.decay_steps
        return self.final + (self.rate - self.final) * (1.0 - tf.clip_by_value(done, 0.0, 1.0))

    def get_config(self):
        return {
            "rate": self.rate,
            "constant_steps": self.constant_steps,
            "decay_steps": self.decay_steps,
            "final": self.final,
        }


def build(config: OptimizerConfig, steps: int, every: int = 1, name: str = "adam") -> Adam:
    """The optimizer of an update that takes place at each `every`-th of a run's `steps`."""
    schedule, rate = config.schedule, config.learning_rate
    decay = max(1, (schedule.steps or steps) // every)
    if schedule.kind == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, decay, schedule.final / rate)
    elif schedule.kind == "linear":
        rate = ConstantThenLinear(rate, steps // every - decay, decay, schedule.final)
    return Adam(
        rate,
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        epsilon=config.epsilon,
        epsilon_placement=config.epsilon_placement,
        clip_norm=config.clip_norm,
        clip_by=config.clip_by,
        average=config.average,
        name=name,
    )


def of(train: TrainConfig, program: Program) -> dict[str, Adam]:
    """Name of each update -> its optimizer. Raises `ValueError` for an optimizer of an update that there is not."""
    unknown = sorted(set(train.optimizers) - set(program.names))
    if unknown:
        raise ValueError(f"train.optimizers has {unknown[0]!r}; the updates of this model are {', '.join(program.names)}.")
    every = {update.name: update.every for update in program.updates}
    return {name: build(train.optimizer_of(name), train.steps, every[name], name) for name in program.names}
