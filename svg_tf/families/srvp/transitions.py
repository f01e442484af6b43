"""How SRVP's state moves from frame to frame: the residual step and the ablations of the slides, as objects of one interface.

residual  y_{t+dt} = y_t + dt f(y_t, z_{t+1})      Euler steps of an ODE whose right-hand side z redraws at each frame
mlp       y_{t+1} = f(y_t, z_{t+1})
gru       y_{t+1} = GRU(state y_t, input z_{t+1})

A transition first prepares the z of many frames at once (`project`), then moves states one sub-step at a time (`step`). All
arithmetic is float32, whatever the layers' precision: errors would add up over steps.
"""

import math

import keras
import tensorflow as tf

from svg_tf.families.srvp.config import SRVPConfig
from svg_tf.layers.mlp import MLP, uniform
from svg_tf.layers.recurrent import SumOfTwoUniforms

UNROLLED_STEPS = 64  # longer trajectories, or those of unknown length, run in a graph loop


class ResidualTransition(keras.layers.Layer):
    """y + dt f(y, z), and the norm of the step taken, dt f(y, z), which the objective penalizes."""

    def __init__(self, config: SRVPConfig, z_dim: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        c = config
        self.y_dim = c.y_dim
        self.f = MLP(c.y_dim + z_dim, c.transition_size, c.y_dim, c.transition_layers, c.residual_gain, name="f", dtype="float32")
        self.built = True

    def project(self, z):
        """z [..., z_dim] -> what `step` needs of it."""
        return self.f.split_first_layer(self.y_dim)[0](z)

    def step(self, y, projected, dt: float):
        """y [N, y_dim] -> (the state dt later, the norm of the step taken [N])."""
        taken = dt * self.f.split_first_layer(self.y_dim)[1](y, projected)
        # The norm has no gradient at 0.
        return y + taken, tf.sqrt(tf.reduce_sum(tf.square(taken), axis=-1) + 1e-12)


class MLPTransition(ResidualTransition):
    """f(y, z)."""

    def step(self, y, projected, dt: float):
        return self.f.split_first_layer(self.y_dim)[1](y, projected), tf.zeros(tf.shape(y)[:1])


def _gru_bias(y_dim: int):
    """Of the two gates PyTorch adds two biases; of the candidate the second one is `candidate_bias`."""
    gates, candidate = SumOfTwoUniforms(1.0 / math.sqrt(y_dim)), uniform(y_dim)
    return lambda shape, dtype=None: tf.concat([gates((2 * y_dim,), dtype), candidate((shape[0] - 2 * y_dim,), dtype)], axis=0)


class GRUTransition(keras.layers.Layer):
    """A GRU cell (Cho et al. 2014, in PyTorch's form) of state y and input z."""

    def __init__(self, config: SRVPConfig, z_dim: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        y_dim = config.y_dim
        self.y_dim = y_dim
        shapes = {
            "kernel": (z_dim, 3 * y_dim),
            "recurrent_kernel": (y_dim, 3 * y_dim),
            "bias": (3 * y_dim,),
            "candidate_bias": (y_dim,),
        }
        for name, shape in shapes.items():
            initializer = _gru_bias(y_dim) if name == "bias" else uniform(y_dim)
            setattr(self, name, self.add_weight(shape=shape, initializer=initializer, name=name, autocast=False))
        self.built = True

    def project(self, z):
        if not self.kernel.shape[0]:  # see `MLP.split_first_layer`
            return tf.reduce_sum(z, axis=-1, keepdims=True) + self.bias
        return tf.matmul(z, self.kernel) + self.bias

    def step(self, y, projected, dt: float):
        recurrent = tf.matmul(y, self.recurrent_kernel)
        n = self.y_dim
        reset, update = tf.split(tf.sigmoid(projected[:, : 2 * n] + recurrent[:, : 2 * n]), 2, axis=-1)
        candidate = tf.tanh(projected[:, 2 * n :] + reset * (recurrent[:, 2 * n :] + self.candidate_bias))
        return (1 - update) * candidate + update * y, tf.zeros(tf.shape(y)[:1])


TRANSITIONS = {"residual": ResidualTransition, "mlp": MLPTransition, "gru": GRUTransition}


def through_frame(transition, y, projected, n_euler: int, frame_rate: int = 1):
    """One frame step, in n_euler * frame_rate sub-steps with one z.

    y [N, y_dim] -> (states [frame_rate, N, y_dim] at equal distances, the last one a frame later; norms [N], summed over
    sub-steps).
    """
    states, norms = [], tf.zeros(tf.shape(y)[:1])
    for _ in range(frame_rate):
        for _ in range(n_euler):
            y, norm = transition.step(y, projected, 1.0 / (n_euler * frame_rate))
            norms += norm
        states.append(y)
    return tf.stack(states), norms


def trajectory(transition, y, z, n_euler: int):
    """States of a whole sequence: y [N, y_dim] and z [steps, N, z_dim] of the steps after it -> (states [steps + 1, N, y_dim],
    norms [N] summed over all sub-steps)."""
    projected = transition.project(z)
    steps = z.shape[0]
    if steps is not None and steps <= UNROLLED_STEPS:
        states, norms = [y], tf.zeros(tf.shape(y)[:1])
        for t in range(steps):
            now, norm = through_frame(transition, y, projected[t], n_euler)
            y = now[-1]
            states.append(y)
            norms += norm
        return tf.stack(states), norms
    states, norms = follow(transition, y, lambda t, y: projected[t], tf.shape(z)[0], n_euler)
    return tf.concat([y[None], states], axis=0), norms


def follow(transition, y, next_projected, steps, n_euler: int, frame_rate: int = 1):
    """States of `steps` frames after y [N, y_dim], in a graph loop: next_projected(t, y) -> `project` of the t-th z, which may
    depend on the state. Returns (states [steps * frame_rate, N, y_dim], norms [N] summed over all sub-steps)."""

    def body(t, y, norms, states):
        now, norm = through_frame(transition, y, next_projected(t, y), n_euler, frame_rate)
        return t + 1, tf.ensure_shape(now[-1], y.shape), tf.ensure_shape(norms + norm, norms.shape), states.write(t + 1, now)

    # With the start as element 0: an array without elements cannot be stacked, and steps may be 0.
    states = tf.TensorArray(tf.float32, size=steps + 1, element_shape=[frame_rate, *y.shape])
    states = states.write(0, tf.repeat(y[None], frame_rate, axis=0))
    loop = (tf.constant(0), y, tf.zeros(tf.shape(y)[:1]), states)
    _, _, norms, states = tf.while_loop(lambda t, *_: t < steps, body, loop)
    return tf.reshape(states.stack()[1:], [-1, tf.shape(y)[0], y.shape[1]]), norms
