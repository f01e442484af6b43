"""SAVP's two objectives in NumPy, float64, written from the paper's equations and layer table, without the package's layers.

Convolutions are those of the table: then averaged, or of an enlarged map; z is tiled; video convolutions run over time and space.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

EPSILON = 1.001e-5


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


def windows_product(x, kernel, stride=1, pad=0):
    """x [N, H, W, Ci], zeros around it, kernel [k, k, Ci, Co]."""
    k = kernel.shape[0]
    windows = sliding_window_view(np.pad(x, [(0, 0), (pad, pad), (pad, pad), (0, 0)]), (k, k), axis=(1, 2))
    return np.tensordot(windows[:, ::stride, ::stride], kernel, ([4, 5, 3], [0, 1, 2]))


def averaged(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


def enlarged(x):
    """Zeros around it, bilinear by two (half-pixel centers), one pixel cut: [N, H, W, C] -> [N, 2H + 2, 2W + 2, C]."""
    x = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    for axis in (1, 2):
        size = x.shape[axis]
        places = np.clip((np.arange(2 * size) + 0.5) / 2 - 0.5, 0, size - 1)
        low = np.floor(places).astype(int)
        share = (places - low).reshape([-1 if a == axis else 1 for a in range(4)])
        x = (1 - share) * x.take(low, axis) + share * x.take(np.minimum(low + 1, size - 1), axis)
    return x[:, 1:-1, 1:-1]


def tiled(x, r):
    return x if r is None else np.concatenate([x, np.broadcast_to(r[:, None, None], (*x.shape[:3], r.shape[1]))], -1)


class NumpySAVP:
    """weights: path -> array, as `named_variables` names them, u of the spectral norms among them; c: the configuration."""

    def __init__(self, weights, c):
        self.weights, self.c = weights, c

    def of(self, path):
        return self.weights[path]

    def norm(self, path, x):
        mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
        return (x - mean) / np.sqrt(variance + EPSILON) * self.of(f"{path}/gamma") + self.of(f"{path}/beta")

    def conv(self, path, x, pad=1, stride=1):
        return windows_product(x, self.of(f"{path}/kernel"), stride, pad) + self.weights.get(f"{path}/bias", 0.0)

    def block(self, path, y):
        return relu(self.norm(f"{path}/norm", y))

    def inferred(self, frames):
        """frames [B, T, H, W, C] -> mean, log-variance [T - 1, B, z]."""
        found = []
        for t in range(frames.shape[1] - 1):
            y = np.concatenate([frames[:, t], frames[:, t + 1]], -1)
            for i in range(3):
                y = self.conv(f"posterior_net/convs/{i}", y, 1, 2)
                y = leaky(self.norm(f"posterior_net/convs/{i}/norm", y) if i else y, 0.2)
            y = y.mean((1, 2))
            heads = [y @ self.of(f"posterior_net/heads/{h}/kernel") + self.of(f"posterior_net/heads/{h}/bias")
                     for h in ("mean", "log_variance")]  # fmt: skip
            found.append(heads)
        return (np.array(part) for part in zip(*found, strict=True))

    def latents(self, z):
        """The vectors' LSTM: z [T, B, z] -> r."""
        path, units, out = "generator/latent_lstm", z.shape[-1], []
        h = c = np.zeros(z.shape[1:])
        for now in z:
            gates = now @ self.of(f"{path}/kernel") + h @ self.of(f"{path}/recurrent_kernel") + self.of(f"{path}/bias")
            i, f, j, o = (gates[:, k * units : (k + 1) * units] for k in range(4))
            c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(j)
            h = sigmoid(o) * np.tanh(c)
            out.append(h)
        return np.array(out)

    def cell(self, number, x, r, states):
        path = f"generator/cells/{number}"
        units = self.of(f"{path}/lstm/recurrent_kernel").shape[2]
        h, c = states.get(number) or (np.zeros((*x.shape[:3], units)),) * 2
        parts = [self.of(f"{path}/lstm/kernel"), *([] if r is None else [self.of(f"{path}/latent_kernel")])]
        kernel = np.concatenate([*parts, self.of(f"{path}/lstm/recurrent_kernel")], axis=2)
        gates = windows_product(np.concatenate([tiled(x, r), h], -1), kernel, 1, self.c.lstm_kernel_size // 2)
        i, j, f, o = np.split(self.norm(f"{path}/lstm/gates_norm", gates), 4, axis=-1)
        c = self.norm(f"{path}/lstm/cell_norm", c * sigmoid(f + 1.0) + sigmoid(i) * np.tanh(j))
        h = np.tanh(c) * sigmoid(o)
        states[number] = h, c
        return h

    def step(self, u, x_0, r, states):
        c, levels, maps = self.c, self.c.levels, []
        y = np.concatenate([u, x_0], -1)
        for i in range(levels):
            y = averaged(self.conv(f"generator/down/{i}/conv", tiled(y, r), 1 if i else 2))
            y = self.cell(i, self.block(f"generator/down/{i}", y), r, states)
            maps.append(y)
        for i in range(levels):
            y = np.concatenate([y, maps[-1 - i]], -1) if i else y
            y = self.conv(f"generator/up/{i}/conv", enlarged(tiled(y, r)), 0)
            y = self.block(f"generator/up/{i}", y)
            y = self.cell(levels + i, y, r, states) if i < levels - 1 else y
        kernels = maps[-1].reshape(len(u), -1) @ self.of("generator/transformation/dense/kernel")
        kernels = (kernels + self.of("generator/transformation/dense/bias")).reshape(len(u), c.kernel_size, c.kernel_size, -1)
        kernels[:, c.kernel_size // 2, c.kernel_size // 2] += 1
        kernels = relu(kernels - 1e-12) + 1e-12
        kernels /= kernels.sum((1, 2), keepdims=True)
        reach = c.kernel_size // 2
        padded = np.pad(u, [(0, 0), (reach, reach), (reach, reach), (0, 0)], "symmetric")
        windows = sliding_window_view(padded, (c.kernel_size, c.kernel_size), axis=(1, 2))
        images = [*np.einsum("nhwcab,nabk->knhwc", windows, kernels), u, x_0]
        hidden = self.block("generator/scratch_hidden", self.conv("generator/scratch_hidden/conv", y))
        images.append(sigmoid(self.conv("generator/scratch", hidden)))
        hidden = self.block("generator/masks_hidden", self.conv("generator/masks_hidden/conv", y))
        masks = np.exp(self.conv("generator/masks", np.concatenate([hidden, *images], -1)))
        masks /= masks.sum(-1, keepdims=True)
        return sum(masks[..., m : m + 1] * image for m, image in enumerate(images))

    def rolled(self, frames, z, truth):
        """frames [B, T, H, W, C], truth bool [T - 1 - n_past, B] -> [T - 1, B, H, W, C]."""
        states, made, r = {}, [], self.latents(z)
        for t in range(frames.shape[1] - 1):
            shown = t < self.c.n_past or truth[t - self.c.n_past][:, None, None, None]
            u = frames[:, t] if shown is True else np.where(shown, frames[:, t], made[-1])
            made.append(self.step(u, frames[:, 0], r[t], states))
        return np.array(made)

    def spectral(self, path):
        """(normalized kernel, the next u)."""
        kernel, u = self.of(f"{path}/kernel"), self.of(f"{path}/u")
        matrix = kernel.reshape(-1, kernel.shape[-1])
        constant = self.weights.get(f"{path}/constant", matrix)  # u and v are constants: from the weights before they are moved
        v = constant @ u[0]
        v /= np.linalg.norm(v)
        after = v @ constant
        after /= np.linalg.norm(after)
        return kernel / (v @ matrix @ after), after

    def judged(self, name, clip):
        """clip [L, B, H, W, C] -> (logits [B], features)."""
        x, features = clip, []
        for i, (strides, stride) in enumerate([(1, 1), (1, 2), (1, 1), (1, 2), (1, 1), (2, 2), (1, 1)]):
            path = f"discriminators/{name}/convs/{i}"
            kernel = self.spectral(path)[0]  # [rows, columns, time, Ci, Co]
            padded = np.pad(x, [(1, 1), (0, 0), (0, 0), (0, 0), (0, 0)])
            frames = (len(padded) - kernel.shape[2]) // strides + 1
            out = [sum(windows_product(padded[t * strides + k], kernel[:, :, k], stride, 1) for k in range(kernel.shape[2]))
                   for t in range(frames)]  # fmt: skip
            x = leaky(np.array(out) + self.of(f"{path}/bias"), 0.1)
            features.append(x)
        path = f"discriminators/{name}/judgement/product"
        flat = x.transpose(1, 0, 2, 3, 4).reshape(x.shape[1], -1)
        return (flat @ self.spectral(path)[0] + self.of(f"{path}/bias"))[:, 0], features

    def clip(self, frames, starts):
        return np.stack([frames[s : s + self.c.clip_length, b] for b, s in enumerate(starts)], axis=1)

    def futures(self, frames, noise):
        """noise: eps of posterior and prior [T - 1, B, z], truth of both."""
        mean, v = self.inferred(frames)
        posterior = mean + np.exp(v / 2) * noise["posterior"]
        known = self.c.n_past - 1 if self.c.context_latents == "posterior" else 0
        prior = np.concatenate([posterior[:known], noise["prior"][known:]])
        kl = 0.5 * (mean**2 + np.exp(v) - 1 - v).sum(-1).mean(0)
        rolled = {name: self.rolled(frames, z, noise[f"{name}_truth"])
                  for name, z in (("posterior", posterior), ("prior", prior))}  # fmt: skip
        return rolled, kl

    def seen(self, frames):
        """(predictions' true frames, number of the first one that losses see)."""
        first = self.c.n_past - 1 if self.c.loss_frames == "future" else 0
        return frames.transpose(1, 0, 2, 3, 4)[1 + first :], first

    def discriminator_loss(self, frames, rolled, starts):
        c, total = self.c, 0.0
        real, first = self.seen(frames)
        for name, future in (("gan", "prior"), ("vae_gan", "posterior")):
            a = self.judged(name, self.clip(real, starts[name][0]))[0]
            b = self.judged(name, self.clip(rolled[future][first:], starts[name][1]))[0]
            each = (a - 1) ** 2 + b**2 if c.gan_loss == "lsgan" else np.log1p(np.exp(-a)) + np.log1p(np.exp(b))
            total = total + getattr(c, f"{name}_weight") * each
        return total

    def generator_loss(self, frames, noise, starts, beta):
        c = self.c
        rolled, kl = self.futures(frames, noise)
        real, first = self.seen(frames)
        error = rolled["posterior"][first:] - real
        total = c.l1_weight * abs(error).mean((0, 2, 3, 4)) + c.l2_weight * (error**2).mean((0, 2, 3, 4)) + beta * kl
        for name, future in (("gan", "prior"), ("vae_gan", "posterior")):
            logits, features = self.judged(name, self.clip(rolled[future][first:], starts[name][1]))
            each = (logits - 1) ** 2 if c.gan_loss == "lsgan" else np.log1p(np.exp(-logits))
            total = total + getattr(c, f"{name}_weight") * each
            true = self.judged(name, self.clip(real, starts[name][0]))[1]
            cosines = [(a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
                       for a, b in zip(true, features, strict=True)]  # fmt: skip
            total = total + getattr(c, f"{name}_features") * sum(1 - cosine.mean((0, 2, 3)) for cosine in cosines)
        return total
