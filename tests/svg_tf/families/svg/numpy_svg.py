"""SVG-LP with a DCGAN-32 written again in plain NumPy (float64), frame by frame, as an independent reference.

It shares no code with the package: convolutions are sums over kernel taps, skips are concatenated and convolved with the
concatenated kernel, LSTM cells step through time, and the decoder is called once for each time step; only batch
normalization, whose statistics run over all time steps, needs all frames of a layer at once.
"""

import numpy as np


def conv(x, w, stride, pad):
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    k = w.shape[0]
    out = (x.shape[1] - k) // stride + 1
    y = np.zeros((len(x), out, out, w.shape[3]))
    for i in range(k):
        for j in range(k):
            y += x[:, i : i + stride * out : stride, j : j + stride * out : stride] @ w[i, j]
    return y


def conv_transpose(x, w, stride, pad):
    """w: [k, k, out, in]"""
    k, h = w.shape[0], x.shape[1]
    full = np.zeros((len(x), (h - 1) * stride + k, (h - 1) * stride + k, w.shape[2]))
    for i in range(k):
        for j in range(k):
            full[:, i : i + stride * h : stride, j : j + stride * h : stride] += x @ w[i, j].T
    return full[:, pad : full.shape[1] - pad, pad : full.shape[2] - pad]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class NumpySVG:
    def __init__(self, weights: dict, n_past: int, beta: float):
        """weights: attribute path of a variable -> float64 array."""
        self.w, self.n_past, self.beta = weights, n_past, beta
        self.moments = {}

    def bn(self, x, name):
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        count = x[..., 0].size
        self.moments[name] = mean, variance * count / max(count - 1, 1)
        return (x - mean) / np.sqrt(variance + 1e-5) * self.w[f"{name}/gamma"] + self.w[f"{name}/beta"]

    def block(self, x, name, activation="leaky"):
        x = self.bn(x, f"{name}/norm")
        return np.tanh(x) if activation == "tanh" else np.where(x > 0, x, 0.2 * x)

    def encode(self, x):
        skips = []
        for level in (1, 2, 3):
            x = self.block(conv(x, self.w[f"encoder/levels/{level - 1}/conv/kernel"], 2, 1), f"encoder/levels/{level - 1}")
            skips.append(x)
        h = self.block(conv(x, self.w["encoder/head/conv/kernel"], 1, 0), "encoder/head", "tanh")
        return h[:, 0, 0], skips

    def decode(self, g, skips):
        """g: [N, g_dim]; skips: finest first, one for each row of g; None: a decoder without."""
        d = conv_transpose(g[:, None, None], self.w["decoder/head/conv/kernel"], 1, 0)
        d = self.block(d, "decoder/head")
        finest, middle, coarsest = skips or (None, None, None)
        for level, skip in ((1, coarsest), (2, middle)):
            name = f"decoder/levels/{level - 1}"
            d = self.block(self.up(d, skip, f"{name}/block/conv", f"{name}/skip_conv"), f"{name}/block")
        return sigmoid(self.up(d, finest, "decoder/out", "decoder/out_skip") + self.w.get("decoder/out/bias", 0.0))

    def up(self, d, skip, name, skip_name):
        kernel = self.w[f"{name}/kernel"]
        if skip is not None:
            kernel = np.concatenate([kernel, self.w[f"{skip_name}/kernel"]], axis=3)
            d = np.concatenate([d, skip], -1)
        return conv_transpose(d, kernel, 2, 1)

    def dense(self, x, name):
        return x @ self.w[f"{name}/kernel"] + self.w[f"{name}/bias"]

    def lstm(self, x, name, layers):
        """x: a list over time of [B, inputs] -> a list of features."""
        x = [self.dense(now, f"{name}/embed") for now in x]
        for layer in range(1, layers + 1):
            x = self.lstm_layer(x, f"{name}/cells/{layer - 1}")
        return x

    def lstm_layer(self, x, cell):
        units = self.w[f"{cell}/recurrent_kernel"].shape[0]
        h = c = np.zeros((len(x[0]), units))
        outputs = []
        for now in x:
            gates = now @ self.w[f"{cell}/kernel"] + h @ self.w[f"{cell}/recurrent_kernel"] + self.w[f"{cell}/bias"]
            i, f, candidate, o = np.split(gates, 4, axis=-1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(candidate)
            h = sigmoid(o) * np.tanh(c)
            outputs.append(h)
        return outputs

    def gaussian(self, x, name):
        features = self.lstm(x, name, 1)
        return [(self.dense(f, f"{name}/mean"), self.dense(f, f"{name}/log_variance")) for f in features]

    def loss(self, frames, noise):
        """frames: [B, T, 32, 32, C]; noise: [T-1, B, z_dim]. Returns (mean loss over the batch, mse [T-1], kl [T-1])."""
        batch, steps = frames.shape[:2]
        x = np.concatenate([frames[:, t] for t in range(steps)])
        h, skips = self.encode(x)
        h = [h[t * batch : (t + 1) * batch] for t in range(steps)]
        q = self.gaussian(h[1:], "latent/posterior")
        p = self.gaussian(h[:-1], "latent/prior")
        z = [mean + np.exp(0.5 * log_variance) * eps for (mean, log_variance), eps in zip(q, noise, strict=True)]
        features = self.lstm([np.concatenate([h[t - 1], z[t - 1]], -1) for t in range(1, steps)], "frame_predictor", 2)
        g = np.concatenate([np.tanh(self.dense(f, "frame_predictor/head")) for f in features])
        rows = np.concatenate([np.arange(batch) + min(t - 1, self.n_past - 1) * batch for t in range(1, steps)])
        x_hat = self.decode(g, [skip[rows] for skip in skips])
        mse, kl = [], []
        for t in range(1, steps):
            mse.append(np.mean((x_hat[(t - 1) * batch : t * batch] - frames[:, t]) ** 2))
            (mq, lq), (mp, lp) = q[t - 1], p[t - 1]
            per_z = 0.5 * (lp - lq + (np.exp(lq) + (mq - mp) ** 2) / np.exp(lp) - 1)
            kl.append(per_z.sum(-1).mean())
        return sum(mse) + self.beta * sum(kl), np.array(mse), np.array(kl)
