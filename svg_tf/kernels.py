"""Stride-2 convolutions and batch normalization: the numerical kernels under `svg_tf.layers`.

The 4x4, stride 2, padding 1 convolution and its transpose carry nearly all of a DCGAN's arithmetic. On CPUs
TensorFlow's own transposed convolution (also the input gradient of a strided one) runs at 0.15-0.45 of the rate of
a large matrix multiplication, because it scatters. Written as four 2x2 convolutions, one for each parity of the
output row and column, it does the same arithmetic at 0.9 of that rate. On GPUs cuDNN's kernels are used unchanged.
"""

import tensorflow as tf

_PAD = [[0, 0], [1, 1], [1, 1], [0, 0]]
_FEW_CHANNELS = 16  # below this the parity form moves more memory than it saves
_SMALL_MAP, _MANY_CHANNELS = 4, 128  # maps so small and so deep: the filter gradient is fastest as one im2col product


def _native() -> bool:
    return bool(tf.config.list_logical_devices("GPU"))


def _down(x, kernel):
    return tf.nn.conv2d(x, kernel, strides=2, padding=_PAD)


def _up(x, kernel):
    """Transpose of `_down`: x [N, h, w, Ci], kernel [4, 4, Co, Ci] -> [N, 2h, 2w, Co]."""
    n, h, w, _ = (
        static if static is not None else dynamic for static, dynamic in zip(x.shape, tf.unstack(tf.shape(x)), strict=True)
    )
    c = kernel.shape[2]
    if _native() or c < _FEW_CHANNELS:
        return tf.nn.conv2d_transpose(x, kernel, [n, 2 * h, 2 * w, c], strides=2, padding=_PAD)
    taps = tf.transpose(kernel, [0, 1, 3, 2])
    # Output row 2i + a receives input rows i-1, i through taps 3, 1 (a = 0) or i, i+1 through taps 2, 0 (a = 1).
    rows = []
    for a in (0, 1):
        parity = [tf.nn.conv2d(x, taps[3 - a :: -2, 3 - b :: -2], 1, [[0, 0], [1 - a, a], [1 - b, b], [0, 0]]) for b in (0, 1)]
        rows.append(tf.stack(parity, axis=3))  # [N, h, w, 2, Co]
    return tf.reshape(tf.stack(rows, axis=2), [n, 2 * h, 2 * w, c])


def _filter_gradient(x, dy):
    """Gradient of sum(_down(x, kernel) * dy) in kernel: x [N, 2h, 2w, Ci], dy [N, h, w, Co] -> [4, 4, Ci, Co]."""
    ci, co, h, w = x.shape[-1], dy.shape[-1], dy.shape[1], dy.shape[2]
    with tf.control_dependencies([x, dy]):  # else a map of the forward pass is padded, and kept, as soon as it is there
        padded = tf.pad(x, _PAD)
    if _native() or ci < _MANY_CHANNELS or h > _SMALL_MAP:
        # Padded beforehand: only "VALID" gradients have an oneDNN kernel (twice as fast).
        return tf.raw_ops.Conv2DBackpropFilter(
            input=padded, filter_sizes=[4, 4, ci, co], out_backprop=dy, strides=[1, 2, 2, 1], padding="VALID"
        )
    blocks = tf.nn.space_to_depth(padded, 2)  # [N, h+1, w+1, (2, 2, Ci)]
    columns = tf.concat([blocks[:, i : i + h, j : j + w] for i in (0, 1) for j in (0, 1)], axis=-1)
    gradient = tf.matmul(tf.reshape(columns, [-1, 16 * ci]), tf.reshape(dy, [-1, co]), transpose_a=True)
    gradient = tf.reshape(gradient, [2, 2, 2, 2, ci, co])  # (i, j, row in block, column in block)
    return tf.reshape(tf.transpose(gradient, [0, 2, 1, 3, 4, 5]), [4, 4, ci, co])


def conv_down(x, kernel):
    """4x4 convolution, stride 2, padding 1.

    x: float [N, 2h, 2w, Ci]; kernel: float [4, 4, Ci, Co], same dtype. Returns [N, h, w, Co].
    """

    @tf.custom_gradient
    def operation(x, kernel):
        return _down(x, kernel), lambda dy: (_up(dy, kernel), _filter_gradient(x, dy))

    return operation(x, tf.convert_to_tensor(kernel))  # a variable is read here, outside the custom gradient


def conv_up(x, kernel):
    """4x4 transposed convolution, stride 2, padding 1: the transpose of `conv_down`.

    x: float [N, h, w, Ci]; kernel: float [4, 4, Co, Ci], same dtype. Returns [N, 2h, 2w, Co].
    """

    @tf.custom_gradient
    def operation(x, kernel):
        return _up(x, kernel), lambda dy: (_down(dy, kernel), _filter_gradient(dy, x))

    return operation(x, tf.convert_to_tensor(kernel))


def conv_enlarged(x, kernel):
    """Nearest up-sampling by 2, then a 3x3 convolution with padding 1, at 4/9 of the arithmetic and without the enlarged map.

    The pixels that a 3x3 kernel meets in an enlarged map are at most 2x2 different ones: each output parity is a 2x2
    convolution with sums of the kernel's taps, which is a transposed 4x4 convolution of stride 2.
    x: float [N, h, w, Ci]; kernel: float [3, 3, Ci, Co], same dtype. Returns [N, 2h, 2w, Co].
    """
    # Row by row: taps 0 ... 3 of the transposed kernel from rows 0, 1, 2 of this one (see `_up`).
    sums = tf.constant([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], kernel.dtype)
    return conv_up(x, tf.einsum("ai,bj,ijcd->abdc", sums, sums, kernel))


def enlarged(x) -> tf.Tensor:
    """Bilinear enlargement by 2 whose corners stay corners ("align corners"): [N, H, W, C] -> [N, 2 H, 2 W, C]."""
    y = tf.raw_ops.ResizeBilinear(images=x, size=[2 * x.shape[1], 2 * x.shape[2]], align_corners=True)
    return tf.cast(y, x.dtype)


def replicas() -> int:
    """Number of replicas that run in step with this one (1 outside a distribution strategy)."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context is not None else 1


def batch_norm(x, gamma, beta, epsilon, groups=1):
    """Normalizes by the statistics of this batch.

    x: float [groups * n, H, W, C], each of the consecutive `groups` normalized on its own (1: all together);
    gamma, beta: float32 [C]. Statistics are float32 and, under a distribution strategy, those of the global batch.
    Returns (y as x, mean float32 [groups, C], unbiased variance float32 [groups, C]).
    """
    if groups == 1 and replicas() == 1:
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=epsilon, is_training=True)
        return y, mean[None], variance[None]
    shape = tf.shape(x)
    grouped = tf.cast(tf.reshape(x, tf.concat([[groups, -1], shape[1:]], 0)), tf.float32)
    mean = tf.reduce_mean(grouped, [1, 2, 3])
    if replicas() > 1:
        context = tf.distribute.get_replica_context()
        mean = context.all_reduce(tf.distribute.ReduceOp.MEAN, mean)
    centered = grouped - mean[:, None, None, None]
    variance = tf.reduce_mean(tf.square(centered), [1, 2, 3])
    if replicas() > 1:
        variance = context.all_reduce(tf.distribute.ReduceOp.MEAN, variance)
    y = centered * (gamma * tf.math.rsqrt(variance + epsilon))[:, None, None, None] + beta
    count = tf.cast(tf.reduce_prod(tf.shape(grouped)[1:4]) * replicas(), tf.float32)
    return tf.cast(tf.reshape(y, shape), x.dtype), mean, variance * count / tf.maximum(count - 1.0, 1.0)


def lstm(projected, recurrent_kernel, h, c):
    """An LSTM layer over time, its backward pass written out.

    projected: [T, B, 4 * units], the input's part of the gates (input, forget, candidate, output) with the bias, T static;
    recurrent_kernel: [units, 4 * units]; h, c: [B, units]. Returns (outputs [T, B, units], h, c).

    Automatic differentiation would form the recurrent kernel's gradient, a matrix as large as the kernel, once a step and
    add these up; here it is one product over all steps (2.4 times faster at batch 32).
    """
    return _lstm(projected, tf.convert_to_tensor(recurrent_kernel), h, c)


def lstm_loop(projected, recurrent_kernel, h, c):
    """`lstm` as a graph loop, for many steps or a number of steps known at run time only (T >= 0)."""
    kernel = tf.convert_to_tensor(recurrent_kernel)
    steps = tf.shape(projected)[0]
    # The initial state takes the first place, so that there is something to stack where there is no step.
    outputs = tf.TensorArray(projected.dtype, size=steps + 1, element_shape=h.shape).write(0, h)

    def body(t, outputs, h, c):
        h, c, _ = _cell(projected[t], kernel, h, c)
        return t + 1, outputs.write(t + 1, h), h, c

    _, outputs, h, c = tf.while_loop(lambda t, *_: t < steps, body, (0, outputs, h, c))
    return outputs.stack()[1:], h, c


def _cell(projected, recurrent_kernel, h, c):
    i, f, candidate, o = tf.split(projected + tf.matmul(h, recurrent_kernel), 4, axis=-1)
    i, f, candidate, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(candidate), tf.sigmoid(o)
    new_c = f * c + i * candidate
    squashed = tf.tanh(new_c)
    new_h = o * squashed
    return new_h, new_c, (h, c, i, f, candidate, o, squashed)


@tf.custom_gradient
def _lstm(projected, recurrent_kernel, h, c):
    kept = []
    outputs = []
    for now in tf.unstack(projected):
        h, c, values = _cell(now, recurrent_kernel, h, c)
        outputs.append(h)
        kept.append(values)

    def gradient(d_outputs, d_h, d_c):
        d_gates = []
        for d_output, step in zip(reversed(tf.unstack(d_outputs)), reversed(kept), strict=True):
            _, previous_c, i, f, candidate, o, squashed = step
            d_h += d_output
            d_c += d_h * o * (1 - squashed * squashed)
            d_gate = tf.concat(
                [
                    d_c * candidate * i * (1 - i),
                    d_c * previous_c * f * (1 - f),
                    d_c * i * (1 - candidate * candidate),
                    d_h * squashed * o * (1 - o),
                ],
                axis=-1,
            )
            d_gates.append(d_gate)
            d_c *= f
            d_h = tf.matmul(d_gate, recurrent_kernel, transpose_b=True)
        before = tf.concat([step[0] for step in reversed(kept)], axis=0)
        d_kernel = tf.matmul(before, tf.concat(d_gates, axis=0), transpose_a=True)
        return tf.stack(d_gates[::-1]), d_kernel, d_h, d_c

    return (tf.stack(outputs), h, c), gradient


def leaky_relu(x, slope: float):
    """max(x, slope * x) for 0 < slope < 1, with a gradient from the result, which the next layer keeps anyway.

    TensorFlow's own keeps x, which nothing else needs: a third of the maps that a normalized convolution would leave behind.
    """

    @tf.custom_gradient
    def operation(x):
        y = tf.nn.leaky_relu(x, slope)
        # y has the sign of x.
        return y, lambda dy: tf.raw_ops.LeakyReluGrad(gradients=dy, features=y, alpha=slope)

    return operation(x)


def split_off_head(x, count: int, copy: bool = False):
    """(x, x[:count]), with a cheaper gradient than that of slicing, which writes a map of zeros as large as x.

    copy: the head has memory of its own. A slice shares that of x, so that it would keep all of x where x is else let go.
    """

    @tf.custom_gradient
    def split(x):
        def gradient(d_x, d_head):
            return tf.concat([d_x[:count] + d_head, d_x[count:]], axis=0)

        return (tf.identity(x), tf.gather(x, tf.range(count)) if copy else x[:count]), gradient

    return split(x)
