"""The VRNN over codes: k_t, 3 K numbers a frame, with a recurrent state h and a latent z at each step.

    z_t ~ N(prior(h_{t-1}))                          learned prior
    z_t ~ N(posterior(h_{t-1}, k_t))                 where k_t has been seen
    k_hat_t = tanh(decoder(h_{t-1}, z_t))
    h_t = GRU([k_hat_t or k_t, z_t], h_{t-1})        k_t in training alone, by chance (scheduled sampling)

All is float32, whatever the precision: of coordinates eight bits would be a pixel.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from svg_tf.families.shapes import length

LEAST_SCALE = 1e-4
UNROLLED_STEPS = 64  # more steps, or a number known at run time only, run in a graph loop


def dense(inputs: int, outputs: int, name: str, initializer: str = "he_uniform") -> keras.layers.Dense:
    layer = keras.layers.Dense(outputs, kernel_initializer=initializer, name=name, dtype="float32")
    layer.build((None, inputs))
    return layer


class Gaussian(keras.layers.Layer):
    """Prior and posterior: x float32 [..., inputs] -> mean, scale, each [..., z_dim]."""

    def __init__(self, inputs: int, hidden: int, z_dim: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.hidden = dense(inputs, hidden, "hidden")
        self.mean, self.scale = (dense(hidden, z_dim, name, "glorot_uniform") for name in ("mean", "scale"))
        self.built = True

    def call(self, x):
        y = tf.nn.relu(self.hidden(x))
        return self.mean(y), tf.nn.softplus(self.scale(y)) + LEAST_SCALE


class CodeDecoder(keras.layers.Layer):
    """h [B, rnn_size], z [S, B, z_dim] -> codes in [-1, 1], [S, B, code_size]. (mu, too, though it is in [0, 1].)"""

    def __init__(self, rnn_size: int, z_dim: int, hidden: int, outputs: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.split = rnn_size
        self.hidden = dense(rnn_size + z_dim, hidden, "hidden")
        self.code = dense(hidden, outputs, "code", "glorot_uniform")
        self.built = True

    def call(self, h, z):
        kernel = keras.ops.convert_to_tensor(self.hidden.kernel)
        of_state = tf.matmul(h, kernel[: self.split]) + self.hidden.bias  # once for all samples
        return tf.tanh(self.code(tf.nn.relu(of_state + tf.tensordot(z, kernel[self.split :], 1))))


class GRU(keras.layers.Layer):
    """A gated recurrent unit (Cho et al. 2014), the reset gate before the product: x [B, inputs], h [B, units] -> [B, units]."""

    def __init__(self, inputs: int, units: int, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.units = units
        self.kernel = self.add_weight(shape=(inputs, 3 * units), initializer="glorot_uniform", name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(units, 3 * units), initializer="orthogonal", name="recurrent_kernel")
        self.bias = self.add_weight(shape=(3 * units,), initializer="zeros", name="bias")
        self.built = True

    def call(self, x, h):
        gates, recurrent = 2 * self.units, keras.ops.convert_to_tensor(self.recurrent_kernel)
        projected = tf.matmul(x, self.kernel) + self.bias
        update, reset = tf.split(tf.sigmoid(projected[:, :gates] + tf.matmul(h, recurrent[:, :gates])), 2, axis=-1)
        candidate = tf.tanh(projected[:, gates:] + tf.matmul(reset * h, recurrent[:, gates:]))
        return update * h + (1.0 - update) * candidate


class Observed(NamedTuple):
    """Of P steps whose codes were seen. states: [P, N, rnn_size], h before each step; mean, scale: of the posterior,
    [P, N, z_dim]; codes: decoded, [P, N, code_size]; state: h after the last step."""

    states: Any
    mean: Any
    scale: Any
    codes: Any
    state: Any


def observe(model, codes, noise, fed=None, choose: bool = False) -> Observed:
    """Steps with latents from the posterior.

    codes: float32 [P, N, code_size]; noise: [P, N, S, z_dim], N(0, I), or None for the posterior's mean; fed: bool [P],
    which steps go on with the codes that were seen, or None for none; choose: of S latents the one whose code is nearest to the
    one seen, else the first.
    """
    initial = tf.zeros([tf.shape(codes)[1], model.recurrence.units])

    def step(t, h):
        mean, scale = model.posterior(tf.concat([h, codes[t]], axis=-1))
        z, code = _decoded(model, h, mean, scale, None if noise is None else noise[t], codes[t] if choose else None)
        return _next(model, h, z, code, codes[t], None if fed is None else fed[t]), (h, mean, scale, code)

    sizes = (initial.shape[1], model.config.z_dim, model.config.z_dim, model.config.code_size)
    state, outputs = over_time(step, initial, length(codes), sizes)
    return Observed(*outputs, state)


def predict(model, state, steps, noise, targets=None, fed=None):
    """Codes of `steps` further steps with latents from the prior, which they do not train: float32 [F, N, code_size].

    state: [N, rnn_size]; noise: [F, N, S, z_dim], or None for the prior's mean; targets: [F, N, code_size] where the true codes
    choose among S latents, and may be fed (`fed`: bool [F]), or None.
    """

    def step(t, h):
        mean, scale = (tf.stop_gradient(value) for value in model.prior(h))
        target = None if targets is None else targets[t]
        z, code = _decoded(model, h, mean, scale, None if noise is None else noise[t], target)
        return _next(model, h, z, code, target, None if fed is None else fed[t]), (code,)

    return over_time(step, state, steps, (model.config.code_size,))[1][0]


def _decoded(model, h, mean, scale, noise, target):
    """(z [N, z_dim], code [N, code_size]): of noise [N, S, z_dim] the first one, or the one nearest to target."""
    if noise is None:
        return mean, model.code_decoder(h, mean[None])[0]
    if target is None:
        z = mean + scale * noise[:, 0]
        return z, model.code_decoder(h, z[None])[0]
    z = mean + scale * tf.transpose(noise, [1, 0, 2])
    codes = model.code_decoder(h, z)
    if noise.shape[1] == 1:
        return z[0], codes[0]
    error = tf.reduce_mean(tf.square(codes - target), axis=-1)  # [S, N]
    chosen = tf.stack([tf.argmin(error, axis=0, output_type=tf.int32), tf.range(tf.shape(error)[1])], axis=-1)
    return tf.gather_nd(z, chosen), tf.gather_nd(codes, chosen)


def _next(model, h, z, code, seen, fed):
    taken = code if fed is None else tf.where(fed, seen, code)
    return model.recurrence(tf.concat([taken, z], axis=-1), h)


def over_time(step, state, steps, sizes):
    """Runs step(t, state) -> (state, outputs) and stacks the outputs: (state, tuple of float32 [steps, N, size])."""
    if isinstance(steps, int) and steps <= UNROLLED_STEPS:
        collected = []
        for t in range(steps):
            state, outputs = step(t, state)
            collected.append(outputs)
        return state, tuple(tf.stack(values) for values in zip(*collected, strict=True))
    arrays = tuple(tf.TensorArray(tf.float32, size=steps, element_shape=[None, size]) for size in sizes)

    def body(t, state, arrays):
        state, outputs = step(t, state)
        return t + 1, state, tuple(array.write(t, value) for array, value in zip(arrays, outputs, strict=True))

    _, state, arrays = tf.while_loop(lambda t, *_: t < steps, body, (tf.constant(0), state, arrays))
    return state, tuple(array.stack() for array in arrays)
