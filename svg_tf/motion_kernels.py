"""Numerical kernels of conv-LSTM video models: the cell and the normalization of whole maps, with backward passes written out.

Automatic differentiation would keep, and pass over, a map for each of a dozen small operations of a cell; written out, the
gates' gradient is one expression of what the forward pass has anyway.
"""

import tensorflow as tf


def gates_to_state(gates, c, forget_bias: float):
    """The elementwise half of a conv-LSTM: gates [..., 4 * units] in the order input, candidate, forget, output; c [..., units].

    c' = sigmoid(f + forget_bias) c + sigmoid(i) tanh(j), h' = tanh(c') sigmoid(o). Returns (h', c').
    """

    @tf.custom_gradient
    def operation(gates, c):
        i, j, f, o = tf.split(gates, 4, axis=-1)
        i, j, f, o = tf.sigmoid(i), tf.tanh(j), tf.sigmoid(f + forget_bias), tf.sigmoid(o)
        new_c = f * c + i * j
        squashed = tf.tanh(new_c)

        def gradient(d_h, d_c):
            d_c += d_h * o * (1 - squashed * squashed)
            d_i, d_j = d_c * j * i * (1 - i), d_c * i * (1 - j * j)
            d_f, d_o = d_c * c * f * (1 - f), d_h * squashed * o * (1 - o)
            return tf.concat([d_i, d_j, d_f, d_o], axis=-1), d_c * f

        return (squashed * o, new_c), gradient

    return operation(gates, c)


def conv_lstm(projected, recurrent_kernel, h, c, steps: int, forget_bias: float):
    """A conv-LSTM layer over `steps` known steps, its backward pass written out.

    projected: [steps * N, H, W, 4 * units], time first, the input's part of the gates (input, candidate, forget, output) with the
    bias; recurrent_kernel: [k, k, units, 4 * units], k odd; h, c: [N, H, W, units]. Returns (outputs
    [steps * N, H, W, units], h, c).

    As of `kernels.lstm`: the recurrent kernel's gradient is one convolution's over all steps, not one for each that are added up.
    """

    @tf.custom_gradient
    def operation(projected, kernel, h, c):
        first, outputs, kept = h, [], []
        for now in tf.split(projected, steps):
            gates = now + tf.nn.conv2d(h, kernel, 1, "SAME")
            i, j, f, o = tf.split(gates, 4, axis=-1)
            i, j, f, o = tf.sigmoid(i), tf.tanh(j), tf.sigmoid(f + forget_bias), tf.sigmoid(o)
            before, c = c, f * c + i * j
            squashed = tf.tanh(c)
            h = squashed * o
            kept.append((before, i, j, f, o, squashed))
            outputs.append(h)

        def gradient(d_outputs, d_h, d_c):
            d_gates, turned = [], tf.transpose(kernel[::-1, ::-1], [0, 1, 3, 2])
            for d_output, (before, i, j, f, o, squashed) in zip(tf.split(d_outputs, steps)[::-1], kept[::-1], strict=True):
                d_h += d_output
                d_c += d_h * o * (1 - squashed * squashed)
                d_i, d_j = d_c * j * i * (1 - i), d_c * i * (1 - j * j)
                d_f, d_o = d_c * before * f * (1 - f), d_h * squashed * o * (1 - o)
                d_gates.append(tf.concat([d_i, d_j, d_f, d_o], axis=-1))
                d_c *= f
                d_h = tf.nn.conv2d(d_gates[-1], turned, 1, "SAME")  # of stride 1: the convolution with the turned kernel
            d_projected = tf.concat(d_gates[::-1], axis=0)
            margin = kernel.shape[0] // 2
            padded = tf.pad(tf.concat([first, *outputs[:-1]], axis=0), [[0, 0], [margin, margin], [margin, margin], [0, 0]])
            d_kernel = tf.raw_ops.Conv2DBackpropFilter(  # padded beforehand: only "VALID" gradients have an oneDNN kernel
                input=padded, filter_sizes=kernel.shape, out_backprop=d_projected, strides=[1, 1, 1, 1], padding="VALID"
            )
            return d_projected, d_kernel, d_h, d_c

        return (tf.concat(outputs, axis=0), h, c), gradient

    return operation(projected, tf.convert_to_tensor(recurrent_kernel), h, c)


def instance_norm(x, gamma, beta, epsilon: float):
    """Normalizes each channel of each example by its own mean and variance over the map, with a scale and an offset a channel.

    x: float [N, H, W, C]; gamma, beta: float32 [C]. Statistics and arithmetic are float32. Returns float32 [N, H, W, C].
    """

    @tf.custom_gradient
    def operation(x, gamma, beta):
        x_hat, scale = _standardized(x, epsilon)

        def gradient(dy):
            dx, d_gamma, d_beta = _standardized_gradient(dy, x_hat, scale, gamma)
            return dx, d_gamma, d_beta

        return x_hat * gamma + beta, gradient

    return operation(tf.cast(x, tf.float32), tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta))


def normalized_gates_to_state(gates, c, of_gates, of_cell, epsilon: float, forget_bias: float):
    """The elementwise half of a conv-LSTM whose gates, and whose new c, are normalized as `instance_norm` does.

    gates: float [N, H, W, 4 * units] in the order input, candidate, forget, output; c: [N, H, W, units]; of_gates, of_cell: pairs
    (gamma, beta) float32 [4 * units], [units]. c' = norm(sigmoid(f + forget_bias) c + sigmoid(i) tanh(j)),
    h' = tanh(c') sigmoid(o). Returns (h', c'), float32.
    """

    @tf.custom_gradient
    def operation(gates, c, gamma, beta, cell_gamma, cell_beta):
        gates_hat, gates_scale = _standardized(gates, epsilon)
        i, j, f, o = tf.split(gates_hat * gamma + beta, 4, axis=-1)
        i, j, f, o = tf.sigmoid(i), tf.tanh(j), tf.sigmoid(f + forget_bias), tf.sigmoid(o)
        cell_hat, cell_scale = _standardized(f * c + i * j, epsilon)
        new_c = cell_hat * cell_gamma + cell_beta
        squashed = tf.tanh(new_c)

        def gradient(d_h, d_c):
            d_c += d_h * o * (1 - squashed * squashed)
            d_raw, d_cell_gamma, d_cell_beta = _standardized_gradient(d_c, cell_hat, cell_scale, cell_gamma)
            d_i, d_j = d_raw * j * i * (1 - i), d_raw * i * (1 - j * j)
            d_f, d_o = d_raw * c * f * (1 - f), d_h * squashed * o * (1 - o)
            d_gates = tf.concat([d_i, d_j, d_f, d_o], axis=-1)
            d_gates, d_gamma, d_beta = _standardized_gradient(d_gates, gates_hat, gates_scale, gamma)
            return d_gates, d_raw * f, d_gamma, d_beta, d_cell_gamma, d_cell_beta

        return (squashed * o, new_c), gradient

    arguments = map(tf.convert_to_tensor, (*of_gates, *of_cell))
    return operation(tf.cast(gates, tf.float32), tf.cast(c, tf.float32), *arguments)


def _standardized(x, epsilon: float):
    """(x less its mean over the map, divided by its standard deviation; 1 / that deviation): of each channel of each example."""
    centered = x - tf.reduce_mean(x, [1, 2], keepdims=True)
    scale = tf.math.rsqrt(tf.reduce_mean(tf.square(centered), [1, 2], keepdims=True) + epsilon)  # [N, 1, 1, C]
    return centered * scale, scale


def _standardized_gradient(dy, x_hat, scale, gamma):
    """Gradients in x, gamma and beta of y = gamma x_hat + beta, with `_standardized`'s results."""
    sums, products = tf.reduce_sum(dy, [1, 2], keepdims=True), tf.reduce_sum(dy * x_hat, [1, 2], keepdims=True)
    size, factor = x_hat.shape[1] * x_hat.shape[2], scale * gamma
    dx = factor * dy - (factor * products / size) * x_hat - factor * sums / size
    return dx, tf.reduce_sum(products, [0, 1, 2]), tf.reduce_sum(sums, [0, 1, 2])


def layer_norm(x, gamma, beta, epsilon: float):
    """Normalizes each example by the mean and variance of its whole map, with a scale and an offset for each channel.

    x: float [N, H, W, C]; gamma, beta: float32 [C]. Statistics and arithmetic are float32. Returns float32 [N, H, W, C].
    """

    @tf.custom_gradient
    def operation(x, gamma, beta):
        size = tf.cast(tf.reduce_prod(tf.shape(x)[1:]), tf.float32)
        mean = tf.reduce_mean(x, [1, 2, 3], keepdims=True)
        centered = x - mean
        scale = tf.math.rsqrt(tf.reduce_mean(tf.square(centered), [1, 2, 3], keepdims=True) + epsilon)  # [N, 1, 1, 1]

        def gradient(dy):
            # dx = scale (g - mean(g) - x_hat mean(g x_hat)) with g = gamma dy, x_hat = scale * centered: an affine map of dy and
            # x_hat whose coefficients follow from sums over the pixels of each channel.
            sums = tf.reduce_sum(dy, [1, 2], keepdims=True)  # [N, 1, 1, C]
            products = scale * tf.reduce_sum(dy * centered, [1, 2], keepdims=True)
            mean_g = tf.reduce_sum(gamma * sums, -1, keepdims=True) / size
            mean_product = tf.reduce_sum(gamma * products, -1, keepdims=True) / size
            dx = (scale * gamma) * dy - (scale * scale * mean_product) * centered - scale * mean_g
            return dx, tf.reduce_sum(products, [0, 1, 2]), tf.reduce_sum(sums, [0, 1, 2])

        return centered * (scale * gamma) + beta, gradient

    return operation(tf.cast(x, tf.float32), tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta))


def over_time(step, x, state, steps):
    """A recurrent layer over a number of steps known at run time only: x [steps * N, ...] -> (outputs [steps * N, ...], state).

    step: (x of one step, state) -> (output, state), where state is a tuple of tensors and the output has the first one's shape.
    """
    rows = tf.shape(state[0])[0]
    shape = tf.TensorShape([None, *state[0].shape[1:]])
    # The initial state takes the first place, so that there is something to concatenate where there is no step.
    outputs = tf.TensorArray(state[0].dtype, size=steps + 1, infer_shape=False, element_shape=shape).write(0, state[0])

    def body(t, outputs, *state):
        output, state = step(x[t * rows : (t + 1) * rows], state)
        return t + 1, outputs.write(t + 1, output), *state

    shapes = (tf.TensorShape([]), tf.TensorShape(None), *(shape for _ in state))
    loop = (tf.constant(0), outputs, *state)
    _, outputs, *state = tf.while_loop(lambda t, *_: t < steps, body, loop, shape_invariants=shapes)
    return tf.ensure_shape(outputs.concat()[rows:], shape), tuple(state)
