"""Dense networks of SRVP, with PyTorch's default initialization, U(-1/sqrt(inputs), 1/sqrt(inputs)), or orthogonal kernels."""

import math

import keras
from keras import ops


def uniform(inputs: int):
    bound = 1.0 / math.sqrt(inputs)
    return keras.initializers.RandomUniform(-bound, bound)


class Linear(keras.layers.Layer):
    """x [..., inputs] -> [..., outputs]. gain: an orthogonal kernel of that gain and a bias of zeros; None: both uniform."""

    def __init__(self, inputs: int, outputs: int, gain: float | None = None, **kwargs):
        super().__init__(**kwargs)
        kernel = uniform(inputs) if gain is None else keras.initializers.Orthogonal(gain)
        bias = uniform(inputs) if gain is None else "zeros"
        # A layer that computes in float32 does so wherever its weights are read (see `MLP.split_first_layer`).
        autocast = self.compute_dtype != self.variable_dtype
        self.kernel = self.add_weight(shape=(inputs, outputs), initializer=kernel, name="kernel", autocast=autocast)
        self.bias = self.add_weight(shape=(outputs,), initializer=bias, name="bias", autocast=autocast)
        self.built = True

    def call(self, x):
        return ops.matmul(x, self.kernel) + self.bias


class MLP(keras.layers.Layer):
    """`layers` dense layers of `size` units with ReLU between them: x [..., inputs] -> [..., outputs]."""

    def __init__(self, inputs: int, size: int, outputs: int, layers: int, gain: float | None = None, **kwargs):
        super().__init__(**kwargs)
        sizes = [inputs, *[size] * (layers - 1), outputs]
        self.dense = [
            Linear(a, b, gain, name=f"dense_{i + 1}", dtype=self.dtype_policy)
            for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False))
        ]
        self.built = True

    def call(self, x):
        for dense in self.dense[:-1]:
            x = ops.relu(dense(x))
        return self.dense[-1](x)

    def split_first_layer(self, first_inputs: int):
        """(project, finish) with self(concat(a, b)) = finish(a, project(b)), where `a` has `first_inputs` features.

        What does not change between calls is so projected once, and for many steps in one product.
        """
        first = self.dense[0]
        kernel = ops.convert_to_tensor(first.kernel)

        def project(b):
            if first.kernel.shape[0] == first_inputs:  # a product over nothing aborts in TensorFlow's oneDNN kernel
                return ops.sum(b, axis=-1, keepdims=True) + first.bias
            return ops.matmul(b, kernel[first_inputs:]) + first.bias

        def finish(a, projected):
            x = ops.relu(ops.matmul(a, kernel[:first_inputs]) + projected)
            for dense in self.dense[1:-1]:
                x = ops.relu(dense(x))
            return self.dense[-1](x)

        return project, finish
