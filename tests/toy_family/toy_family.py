"""An adversarial family in one file: layers of Keras's own, two optimizers, two phases (the generator alone, then both)."""

import dataclasses
import typing

import keras
import tensorflow as tf

from svg_tf import losses, noise
from svg_tf.config import ModelConfig
from svg_tf.families.base import VideoPredictor
from svg_tf.families.interface import Family, Phase, Program, Update
from svg_tf.families.shapes import swap_batch_time

FAMILY = Family(config="toy_family:ToyConfig", model="toy_family:Toy", presets="toy_family:PRESETS")


@dataclasses.dataclass(frozen=True)
class ToyConfig(ModelConfig):
    family: typing.ClassVar[str] = "toy"
    citation: typing.ClassVar[str] = "A toy"
    units: int = 4
    alone: int = 4  # steps of the generator
    summary = "toy of an adversarial family"


PRESETS = {"smmnist_toy": ({
    "model": {"family": "toy", "image_size": 32, "n_past": 2},
    "data": {"batch_size": 4, "n_future": 2, "moving_mnist": {"num_digits": 1, "digits": "uci"}},
    "train": {"epochs": 2, "steps_per_epoch": 5, "checkpoint_every": 3, "optimizers": {"discriminator": {"learning_rate": 1e-3}}},
    "eval": {"n_future": 3, "n_samples": 2, "validation_steps": 2, "summary_sequences": 1},
},)}


@keras.saving.register_keras_serializable(package="tests")
class Toy(VideoPredictor):
    config_class = ToyConfig

    def __init__(self, config=None, **kwargs):
        super().__init__(config, **kwargs)
        c, shape = self.config, self.config.frame_shape
        self._generator = keras.Sequential([keras.Input((*shape[:2], 2)), keras.layers.Conv2D(c.units, 3, padding="same")])
        self.heads = {"frame": keras.layers.Conv2D(shape[2], 1, activation="sigmoid", dtype="float32")}
        self.heads["frame"].build((None, *shape[:2], c.units))
        self.judge = [keras.layers.Flatten(), keras.layers.Dense(1, dtype="float32")]
        self.judge[1].build((None, shape[0] * shape[1] * shape[2]))
        self.built = True

    def make_program(self):
        moved = lambda: [*self._generator.variables, *self.heads["frame"].variables]  # noqa: E731
        generator = Update("generator", self.generator_loss, ("loss", "mse", "fooled"), moved)
        both = Update("discriminator", self.judge_loss, ("loss",), lambda: self.judge[1].variables, every=2), generator
        return Program((Phase((generator,), until=self.config.alone), Phase(both)))

    def step_once(self, frame, z):
        z = tf.broadcast_to(z[:, None, None, :], [*tf.unstack(tf.shape(frame)[:3]), 1])
        return self.heads["frame"](self._generator(tf.concat([frame, z], -1)))

    def predicted(self, frames, seed):
        return self.step_once(frames[:, -2], noise.of_sequences(seed, 1, tf.shape(frames)[0], 1)[0])

    def judged(self, frame):
        return self.judge[1](self.judge[0](frame))[:, 0]

    def generator_loss(self, batch, seed, norm, step):
        frame = self.predicted(batch["frames"], seed)
        mse = losses.frame_mse(batch["frames"][:, -1], frame)
        fooled = tf.nn.softplus(-self.judged(frame)) * tf.cast(step >= self.config.alone, tf.float32)
        return {"loss": mse + 0.1 * fooled, "mse": mse, "fooled": fooled}

    def judge_loss(self, batch, seed, norm, step):
        fake, real = self.predicted(batch["frames"], seed), batch["frames"][:, -1]
        return {"loss": tf.nn.softplus(self.judged(fake)) + tf.nn.softplus(-self.judged(real))}

    def sample(self, frames, seeds, sampling):
        row_seeds = noise.sample_seeds(seeds, sampling.first_sample, sampling.n_samples)
        z = noise.of_sequences(row_seeds, sampling.n_future, tf.shape(row_seeds)[0], 1)
        z, frame = tf.ensure_shape(z, [None, None, 1]), tf.repeat(frames[:, -1], sampling.n_samples, axis=0)
        made = tf.scan(self.step_once, z, initializer=frame)
        return tf.reshape(swap_batch_time(made), [-1, sampling.n_samples, sampling.n_future, *self.config.frame_shape])
