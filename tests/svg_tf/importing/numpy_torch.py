"""What the PyTorch references compute from their own state dicts, in plain NumPy, channels first, frame by frame.

Written from the published architectures alone: it shares no code and no layout with the package. Batch normalization is in
evaluation mode.
"""

import numpy as np


def conv2d(x, w, b=0.0, stride=1, pad=0):
    """x [N, C, H, W], w [out, in, k, k]."""
    x, k = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad))), w.shape[-1]
    size = (x.shape[2] - k) // stride + 1
    y = np.zeros((len(x), len(w), size, size)) + np.reshape(b, (-1, 1, 1))
    for i in range(size):
        for j in range(size):
            patch = x[:, :, i * stride : i * stride + k, j * stride : j * stride + k]
            y[:, :, i, j] += np.tensordot(patch, w, ([1, 2, 3], [1, 2, 3]))
    return y


def conv_transpose2d(x, w, b=0.0, stride=1, pad=0):
    """x [N, C, H, W], w [in, out, k, k]: each pixel adds its copy of the kernel."""
    k, size = w.shape[-1], (x.shape[2] - 1) * stride + w.shape[-1]
    y = np.zeros((len(x), w.shape[1], size, size))
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            y[:, :, i * stride : i * stride + k, j * stride : j * stride + k] += np.tensordot(x[:, :, i, j], w, 1)
    return y[:, :, pad : size - pad, pad : size - pad] + np.reshape(b, (-1, 1, 1))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class StateDict:
    def __init__(self, arrays):
        self.arrays = {name: array.astype(np.float64) for name, array in arrays.items()}

    def __getitem__(self, name):
        return self.arrays[name]

    def bias(self, name):
        return self.arrays.get(f"{name}.bias", np.zeros(1))

    def linear(self, x, name):
        return x @ self[f"{name}.weight"].T + self[f"{name}.bias"]

    def norm(self, x, name):
        mean, variance, gamma, beta = (
            self[f"{name}.{kind}"].reshape(-1, 1, 1) for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def block(self, x, name, act=None, **how):
        """NAME.0, a convolution, NAME.1, its normalization."""
        x = self.norm(conv2d(x, self[f"{name}.0.weight"], self.bias(f"{name}.0"), **how), f"{name}.1")
        return act(x) if act else np.where(x > 0, x, 0.2 * x)

    def up(self, x, name, **how):
        x = self.norm(conv_transpose2d(x, self[f"{name}.0.weight"], self.bias(f"{name}.0"), **how), f"{name}.1")
        return np.where(x > 0, x, 0.2 * x)

    def cell(self, x, state, name, suffix=""):
        h, c = state
        gates = x @ self[f"{name}.weight_ih{suffix}"].T + self[f"{name}.bias_ih{suffix}"]
        gates = gates + h @ self[f"{name}.weight_hh{suffix}"].T + self[f"{name}.bias_hh{suffix}"]
        i, f, g, o = np.split(gates, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c


def double(x):
    return x.repeat(2, axis=2).repeat(2, axis=3)


def pool(x):
    return x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).max((3, 5))


class Dcgan64:
    def encode(self, w, x):
        skips = []
        for i in range(1, 5):
            x = w.block(x, f"encoder.c{i}.main", stride=2, pad=1)
            skips.append(x)
        return w.block(x, "encoder.c5", np.tanh)[:, :, 0, 0], skips

    def decode(self, w, g, skips):
        d = w.up(g[:, :, None, None], "decoder.upc1")
        for i, skip in zip((2, 3, 4), skips[:0:-1], strict=True):
            d = w.up(np.concatenate([d, skip], 1), f"decoder.upc{i}.main", stride=2, pad=1)
        d = np.concatenate([d, skips[0]], 1)
        return sigmoid(conv_transpose2d(d, w["decoder.upc5.0.weight"], w["decoder.upc5.0.bias"], 2, 1))


class Vgg64:
    counts = (2, 2, 3, 3)

    def encode(self, w, x):
        skips = []
        for i, count in enumerate(self.counts, 1):
            for j in range(count):
                x = w.block(x, f"encoder.c{i}.{j}.main", pad=1)
            skips.append(x)
            x = pool(x)
        return w.block(x, "encoder.c5", np.tanh)[:, :, 0, 0], skips

    def decode(self, w, g, skips):
        d = w.up(g[:, :, None, None], "decoder.upc1")
        for i, (count, skip) in enumerate(zip((3, 3, 2, 1), skips[::-1], strict=True), 2):
            d = np.concatenate([double(d), skip], 1)
            for j in range(count):
                d = w.block(d, f"decoder.upc{i}.{j}.main", pad=1)
        return sigmoid(conv_transpose2d(d, w["decoder.upc5.1.weight"], w["decoder.upc5.1.bias"], 1, 1))


def lstm(w, module, x, states):
    """One step of an embedding and its cells."""
    x = w.linear(x, f"{module}.embed")
    for i in range(len(states)):
        states[i] = w.cell(x, states[i], f"{module}.lstm.{i}")
        x = states[i][0]
    return x


def svg_teacher_forced(backbone, arrays, frames, eps, last_skip):
    """frames [B, T, H, W, C], eps [T-1, B, z]; last_skip: last frame whose maps are used.

    Returns (h [T, B, g], mu [T-1, B, z], x_hat [B, T-1, H, W, C]).
    """
    w, batch = StateDict(arrays), len(frames)
    x = frames.astype(np.float64).transpose(1, 0, 4, 2, 3)
    encoded = [backbone.encode(w, frame) for frame in x]
    rnn = w["frame_predictor.lstm.0.weight_hh"].shape[1]

    def zeros(count):
        return [(np.zeros((batch, rnn)),) * 2 for _ in range(count)]

    q_state, g_state, mus, outputs = zeros(1), zeros(2), [], []
    for t in range(1, len(x)):
        y = lstm(w, "posterior", encoded[t][0], q_state)
        mu, log_variance = w.linear(y, "posterior.mu_net"), w.linear(y, "posterior.logvar_net")
        z = mu + eps[t - 1] * np.exp(0.5 * log_variance)
        features = lstm(w, "frame_predictor", np.concatenate([encoded[t - 1][0], z], 1), g_state)
        g = np.tanh(w.linear(features, "frame_predictor.output.0"))
        outputs.append(backbone.decode(w, g, encoded[min(t - 1, last_skip)][1]))
        mus.append(mu)
    return np.stack([h for h, _ in encoded]), np.stack(mus), np.stack(outputs).transpose(1, 0, 3, 4, 2)
