"""SV2P's objective in NumPy, float64, written from the paper's equations and layer table, without the package's layers."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def conv(x, kernel, stride=1):
    """x [N, H, W, Ci], kernel [k, k, Ci, Co], TensorFlow's "same" padding."""
    k = kernel.shape[0]
    total = [max((-(-n // stride) - 1) * stride + k - n, 0) for n in x.shape[1:3]]
    pads = [(0, 0), *((t // 2, t - t // 2) for t in total), (0, 0)]
    windows = sliding_window_view(np.pad(x, pads), (k, k), axis=(1, 2))[:, ::stride, ::stride]  # [N, h, w, Ci, k, k]
    return np.einsum("nhwcab,abco->nhwo", windows, kernel)


def conv_up(x, kernel):
    """Transposed 3x3 convolution of stride 2: each pixel adds its kernel [3, 3, Co, Ci] to a window of the result."""
    n, h, w, _ = x.shape
    out = np.zeros((n, 2 * h + 1, 2 * w + 1, kernel.shape[2]))
    for i in range(h):
        for j in range(w):
            out[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += np.einsum("nc,aboc->nabo", x[:, i, j], kernel)
    return out[:, : 2 * h, : 2 * w]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


class NumpySV2P:
    """weights: path -> array, as `named_variables` names them; c: the configuration."""

    def __init__(self, weights, c):
        self.weights, self.c = weights, c

    def of(self, path):
        return self.weights[path]

    def norm(self, path, x):
        mean, variance = x.mean((1, 2, 3), keepdims=True), x.var((1, 2, 3), keepdims=True)
        return (x - mean) / np.sqrt(variance + self.c.norm_epsilon) * self.of(f"{path}/gamma") + self.of(f"{path}/beta")

    def conv(self, path, x, stride=1, up=False):
        y = conv_up(x, self.of(f"{path}/kernel")) if up else conv(x, self.of(f"{path}/kernel"), stride)
        return y + self.weights.get(f"{path}/bias", 0.0)

    def posterior(self, frames):
        """frames [B, T, H, W, C] -> mean, log-variance [B, h, w, z]."""
        y = np.concatenate(list(frames.transpose(1, 0, 2, 3, 4)), axis=-1)
        for i, stride in enumerate((2, 2, 1)):
            y = relu(self.norm(f"tower/norms/{i}", self.conv(f"tower/convs/{i}", y, stride)))
        mean, raw = self.conv("tower/heads/mean", y, 2), self.conv("tower/heads/log_variance", y, 2)
        if self.c.normalize_heads:
            mean, raw = self.norm("tower/head_norms/mean", mean), self.norm("tower/head_norms/log_variance", raw)
        return mean, relu(raw) - 5.0

    def cell(self, number, x, states):
        path = f"generator/cells/{number}"
        h, c = states.get(number) or (np.zeros((*x.shape[:3], self.of(f"{path}/recurrent_kernel").shape[2])),) * 2
        kernel = np.concatenate([self.of(f"{path}/kernel"), self.of(f"{path}/recurrent_kernel")], axis=2)
        i, j, f, o = np.split(conv(np.concatenate([x, h], -1), kernel) + self.of(f"{path}/bias"), 4, axis=-1)
        c = c * sigmoid(f + 1.0) + sigmoid(i) * np.tanh(j)
        h = np.tanh(c) * sigmoid(o)
        states[number] = h, c
        return self.norm(f"generator/cell_norms/{number}", h)

    def step(self, u, z, states):
        c = self.c
        enc0 = relu(self.norm("generator/enc0_norm", self.conv("generator/enc0", u, 2)))
        enc1 = relu(self.conv("generator/enc1", self.cell(1, self.cell(0, enc0, states), states), 2))
        enc2 = relu(self.conv("generator/enc2", self.cell(3, self.cell(2, enc1, states), states), 2))
        enc2 = enc2 if z is None else np.concatenate([enc2, z], axis=-1)
        hidden = self.cell(4, relu(self.conv("generator/enc3", enc2)), states)
        y = self.cell(5, relu(self.conv("generator/enc4", hidden, up=True)), states)
        y = relu(self.conv("generator/enc5", np.concatenate([y, enc1], -1), up=True))
        y = np.concatenate([self.cell(6, y, states), enc0], -1)
        y = self.norm("generator/enc6_norm", self.conv("generator/enc6", y, up=True))
        masks = np.exp(self.conv("generator/masks", y))
        masks /= masks.sum(-1, keepdims=True)
        kernels = hidden.reshape(len(u), -1) @ self.of("generator/kernels/kernel") + self.of("generator/kernels/bias")
        kernels = relu(kernels.reshape(len(u), c.kernel_size, c.kernel_size, c.kernels) - 1e-12) + 1e-12
        kernels /= kernels.sum((1, 2), keepdims=True)
        images = [u, sigmoid(self.conv("generator/scratch", y))]
        reach = c.kernel_size // 2
        mode = {"zero": "constant", "symmetric": "symmetric"}[c.padding]
        padded = np.pad(u, [(0, 0), (reach, reach), (reach, reach), (0, 0)], mode)
        windows = sliding_window_view(padded, (c.kernel_size, c.kernel_size), axis=(1, 2))
        images += list(np.einsum("nhwcab,nabk->knhwc", windows, kernels))
        return sum(masks[..., i : i + 1] * image for i, image in zip(range(masks.shape[-1]), images, strict=False))

    def loss(self, frames, eps, truth, beta):
        """frames [B, T, H, W, C], eps [1 or T-1, B, z] or None, truth bool [T-1-n_past, B] -> loss [B], mse [B], K [B]."""
        c, steps, kl = self.c, frames.shape[1] - 1, 0.0
        if eps is not None:
            mean, v = self.posterior(frames)
            z = mean + np.exp(v / 2) * eps.reshape(-1, *mean.shape)
            kl = 0.5 * (mean**2 + np.exp(v) - 1 - v).sum((1, 2, 3))
        states, errors = {}, []
        for t in range(steps):
            u = frames[:, t] if t < c.n_past else np.where(truth[t - c.n_past][:, None, None, None], frames[:, t], made)  # noqa: F821
            made = self.step(u, None if eps is None else z[min(t, len(z) - 1)], states)
            errors.append(((made - frames[:, t + 1]) ** 2).mean((1, 2, 3)))
        mse = np.mean(errors if c.loss_frames == "all" else errors[c.n_past - 1 :], axis=0)
        return mse + beta * kl, mse, kl
