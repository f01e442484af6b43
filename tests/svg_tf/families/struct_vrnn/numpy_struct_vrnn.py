"""Struct-VRNN's objective in NumPy, float64, written from the paper's equations and layer table, without the package's layers."""

import numpy as np

from tests.svg_tf.families.sv2p.numpy_sv2p import conv, relu, sigmoid


def softplus(x):
    return np.log1p(np.exp(x))


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def coordinates(n, h, w):
    x, y = np.meshgrid(np.linspace(-1, 1, w), np.linspace(1, -1, h))
    return np.broadcast_to(np.stack([x, y], -1), (n, h, w, 2))


def enlarged(x):
    """Bilinear, corners fixed, pixel by pixel: [N, n, n, C] -> [N, 2n, 2n, C]."""
    n = x.shape[1]
    out = np.zeros((len(x), 2 * n, 2 * n, x.shape[3]))
    for i in range(2 * n):
        for j in range(2 * n):
            v, u = i * (n - 1) / (2 * n - 1), j * (n - 1) / (2 * n - 1)
            a, b = min(int(v), n - 2), min(int(u), n - 2)
            p, q = v - a, u - b
            top = (1 - q) * x[:, a, b] + q * x[:, a, b + 1]
            bottom = (1 - q) * x[:, a + 1, b] + q * x[:, a + 1, b + 1]
            out[:, i, j] = (1 - p) * top + p * bottom
    return out


class NumpyStructVRNN:
    """weights: path -> array, as `named_variables` names them; c: the configuration."""

    def __init__(self, weights, c):
        self.weights, self.c = weights, c

    def conv(self, path, x, stride=1):
        return conv(x, self.weights[f"{path}/kernel"], stride) + self.weights[f"{path}/bias"]

    def dense(self, path, x):
        return x @ self.weights[f"{path}/kernel"] + self.weights[f"{path}/bias"]

    def encode(self, path, x):
        for i in range(self.c.halvings + 1):
            for j in range(1 + self.c.layers_per_scale):
                x = leaky(self.conv(f"{path}/scales/{i}/{j}", x, 2 if i and not j else 1))
        return x

    def detect(self, x):
        """x [N, H, W, C] -> keypoints [N, K, 3], activity [N]."""
        features = self.encode("detector/encoder", np.concatenate([x, coordinates(*x.shape[:3])], -1))
        heat = softplus(self.conv("detector/head", features))
        grid = np.linspace(-1, 1, 16)
        points = np.zeros((len(x), heat.shape[3], 3))
        for n in range(len(x)):
            strengths = heat[n].mean((0, 1))
            for k in range(heat.shape[3]):
                r = heat[n, :, :, k] + 1e-6
                points[n, k] = (r.sum(0) @ grid / r.sum(), r.sum(1) @ -grid / r.sum(), strengths[k] / (1e-6 + strengths.max()))
        return points, heat.mean((1, 2, 3))

    def maps(self, points):
        x, y = np.meshgrid(np.linspace(-1, 1, 16), np.linspace(1, -1, 16))
        d = (x[..., None] - points[:, None, None, :, 0]) ** 2 + (y[..., None] - points[:, None, None, :, 1]) ** 2
        return points[:, None, None, :, 2] * np.exp(-d / (2 * (self.c.blob_sigma / 16) ** 2))

    def draw(self, points, first, first_points):
        """points [N, K, 3], each with its own first frame [N, H, W, C] and keypoints -> [N, H, W, C]."""
        parts = [self.maps(points), self.encode("renderer/encoder", first), self.maps(first_points)]
        parts.append(coordinates(len(points), 16, 16))
        y = leaky(self.conv("renderer/first", np.concatenate(parts, -1)))
        for i in range(self.c.halvings):
            y = leaky(self.conv(f"renderer/levels/{i}/0", enlarged(y)))
            y = leaky(self.conv(f"renderer/levels/{i}/1", y))
        return first + self.conv("renderer/last", y)

    def gaussian(self, path, x):
        y = relu(self.dense(f"{path}/hidden", x))
        return self.dense(f"{path}/mean", y), softplus(self.dense(f"{path}/scale", y)) + 1e-4

    def decode(self, h, z):
        return np.tanh(self.dense("code_decoder/code", relu(self.dense("code_decoder/hidden", np.concatenate([h, z], -1)))))

    def recur(self, x, h):
        units = h.shape[-1]
        kernel, recurrent, bias = (self.weights[f"recurrence/{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
        update = sigmoid(x @ kernel[:, :units] + h @ recurrent[:, :units] + bias[:units])
        gates = slice(units, 2 * units)
        reset = sigmoid(x @ kernel[:, gates] + h @ recurrent[:, gates] + bias[gates])
        candidate = np.tanh(x @ kernel[:, 2 * units :] + (reset * h) @ recurrent[:, 2 * units :] + bias[2 * units :])
        return update * h + (1 - update) * candidate

    def move(self, codes, eps, fed):
        """codes [T, B, 3K], eps [T, B, S, z], fed [T] -> decoded [T, B, 3K], KL [P, B]."""
        steps, batch = codes.shape[:2]
        h, decoded, kls = np.zeros((batch, self.c.rnn_size)), [], []
        for t in range(steps):
            p_mean, p_scale = self.gaussian("prior", h)
            mean, scale = p_mean, p_scale
            if t < self.c.n_past:
                mean, scale = self.gaussian("posterior", np.concatenate([h, codes[t]], -1))
                ratio = (scale / p_scale) ** 2
                kls.append(0.5 * (ratio + ((mean - p_mean) / p_scale) ** 2 - 1 - np.log(ratio)).sum(-1))
            kept_z, kept = np.zeros((batch, self.c.z_dim)), np.zeros(codes.shape[1:])
            for b in range(batch):
                z = mean[b] + scale[b] * eps[t, b]
                tried = self.decode(np.repeat(h[b : b + 1], len(z), 0), z)
                best = ((tried - codes[t, b]) ** 2).mean(-1).argmin()
                kept_z[b], kept[b] = z[best], tried[best]
            decoded.append(kept)
            h = self.recur(np.concatenate([codes[t] if fed[t] else kept, kept_z], -1), h)
        return np.stack(decoded), np.stack(kls)

    def separation(self, points):
        """points [B, P, K, 3] -> [B], pair by pair."""
        k, out = points.shape[2], np.zeros(len(points))
        tracks = points[..., :2] - points[..., :2].mean(1, keepdims=True)
        for b in range(len(points)):
            for i in range(k):
                for j in range(k):
                    d = ((tracks[b, :, i] - tracks[b, :, j]) ** 2).sum(-1).mean()
                    out[b] += np.exp(-d / (2 * self.c.separation_sigma**2)) if i != j else 0
        return out / (k * (k - 1))

    def l2(self):
        kept = {n: w for n, w in self.weights.items() if n.startswith(("detector/encoder", "renderer")) and n.endswith("kernel")}
        return sum((w**2).sum() for w in kept.values())

    def terms(self, frames, eps, fed):
        """frames [B, T, H, W, C] in [0, 1] -> name -> [B], and the weighted sum "loss" with the KL's whole weight."""
        c, (batch, steps) = self.c, frames.shape[:2]
        x = frames - 0.5
        points, activity = self.detect(x.reshape(-1, *x.shape[2:]))
        points = points.reshape(batch, steps, -1, 3)
        first = np.repeat(x[:, :1], steps, 1).reshape(-1, *x.shape[2:])
        first_points = np.repeat(points[:, :1], steps, 1).reshape(batch * steps, -1, 3)
        drawn = self.draw(points.reshape(batch * steps, -1, 3), first, first_points)
        squared = (drawn.reshape(x.shape) - x) ** 2
        codes = points.reshape(batch, steps, -1).transpose(1, 0, 2)
        decoded, kl = self.move(codes, eps, fed)
        values = {
            "mse": squared.mean((1, 2, 3, 4)),
            "image": 0.5 * squared.sum((1, 2, 3, 4)) / steps,
            "separation": self.separation(points[:, : c.n_past]),
            "sparsity": activity.reshape(batch, steps).sum(1),
            "l2": np.full(batch, self.l2()),
            "keypoints": 0.5 * ((codes - decoded) ** 2).sum((0, 2)) / steps,
            "kl": kl.mean(0),
        }
        weights = {
            "image": 1, "separation": c.separation_weight, "sparsity": c.sparsity_weight, "l2": c.l2_weight, "keypoints": 1,
            "kl": c.kl_weight,
        }  # fmt: skip
        return values | {"loss": sum(weight * values[name] for name, weight in weights.items())}
