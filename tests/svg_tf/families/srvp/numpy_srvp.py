"""SRVP with a DCGAN-32 written again in plain NumPy (float64), frame by frame, as an independent reference.

Convolutions, normalization and the LSTM cell are those of `numpy_svg`, which is tested against SVG. Everything else follows
METHOD's equations: concatenated inputs where the package projects halves, and loops over frames and Euler steps.
"""

import numpy as np

from tests.svg_tf.families.svg.numpy_svg import NumpySVG, sigmoid


def scale(raw):
    return np.log1p(np.exp(raw)) + 1e-8


def kl_of(mean_q, scale_q, mean_p, scale_p):
    """KL(q || p) of diagonal Gaussians, summed over the last axis."""
    return (np.log(scale_p / scale_q) + (scale_q**2 + (mean_q - mean_p) ** 2) / (2 * scale_p**2) - 0.5).sum(-1)


class NumpySRVP(NumpySVG):
    def __init__(self, weights: dict, config):
        """weights: attribute path of a variable -> float64 array; config: sizes and weights of the terms."""
        self.w, self.c, self.moments = weights, config, {}

    def bn(self, x, name):
        if name == "encoder/levels/0/norm":  # the first convolution is not normalized
            assert f"{name}/gamma" not in self.w
            return x
        return super().bn(x, name)

    def mlp(self, x, name):
        layers = sum(path.startswith(f"{name}/dense/") and path.endswith("kernel") for path in self.w)
        for i in range(layers):
            x = self.dense(x, f"{name}/dense/{i}")
            if i < layers - 1:
                x = np.maximum(x, 0)
        return x

    def gaussian_of(self, parameters):
        mean, raw = np.split(parameters, 2, axis=-1)
        return mean, scale(raw)

    def gru(self, y, z):
        """PyTorch's equations, whose second bias of the gates r and u is part of the first here."""
        weights = (self.w[f"transition/{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
        (wr, wu, wn), (rr, ru, rn), (br, bu, bn) = (np.split(w, 3, axis=-1) for w in weights)
        r, u = sigmoid(z @ wr + y @ rr + br), sigmoid(z @ wu + y @ ru + bu)
        n = np.tanh(z @ wn + bn + r * (y @ rn + self.w["transition/candidate_bias"]))
        return (1 - u) * n + u * y

    def next_state(self, y, z):
        """One frame: (the next state, the norms of the steps taken, summed)."""
        if self.c.transition == "gru":
            return self.gru(y, z), 0.0
        f = lambda y: self.mlp(np.concatenate([y, z], -1), "transition/f")  # noqa: E731
        if self.c.transition == "mlp":
            return f(y), 0.0
        norms = 0.0
        for _ in range(self.c.n_euler):
            taken = f(y) / self.c.n_euler
            norms = norms + np.sqrt((taken**2).sum(-1))
            y = y + taken
        return y, norms

    def terms(self, frames, draws, content_frames, skip_frame) -> dict:
        """frames [B, T, 32, 32, C], draws [T, B, max(y_dim, z_dim)] of N(0, I); content_frames [k, B], skip_frame [B]: numbers of
        frames. Returns nll, kl_y, kl_z, residual and loss, each [B], and states [T, B, y_dim]."""
        c, (batch, steps), rows = self.c, frames.shape[:2], np.arange(len(frames))
        h, maps = self.encode(np.concatenate([frames[:, t] for t in range(steps)]))
        h = h.reshape(steps, batch, -1)
        hidden = sum(np.maximum(self.dense(h[content_frames[i], rows], "content_hidden"), 0) for i in range(c.k))
        w = np.tanh(self.dense(hidden, "content_head"))
        mean, sigma = self.gaussian_of(self.mlp(np.concatenate([h[t] for t in range(c.k)], -1), "first_state"))
        y = mean + sigma * draws[0, :, : c.y_dim]
        states, kl_z, norms = [y], np.zeros(batch), np.zeros(batch)
        kl_y = kl_of(mean, sigma, np.zeros_like(mean), np.ones_like(sigma))
        features = self.lstm_layer(list(h), "posterior") if c.stochastic else None
        for t in range(1, steps):
            z = np.zeros((batch, 0))
            if c.stochastic:
                q = self.gaussian_of(self.dense(features[t], "posterior_head"))
                z = q[0] + q[1] * draws[t, :, : c.z_dim]
                kl_z = kl_z + kl_of(*q, *self.gaussian_of(self.mlp(y, "prior")))
            y, norm = self.next_state(y, z)
            states.append(y)
            norms = norms + norm
        inputs = np.concatenate([np.concatenate([w, y], -1) for y in states])
        skips = [np.concatenate([m.reshape(steps, batch, *m.shape[1:])[skip_frame, rows]] * steps) for m in maps]
        x_hat = self.decode(inputs, skips if c.skips else None).reshape(steps, *frames[:, 0].shape)
        error = (np.moveaxis(frames, 1, 0) - x_hat) ** 2
        nll = (error / (2 * c.nu**2) + 0.5 * np.log(2 * np.pi * c.nu**2)).sum((0, 2, 3, 4))
        loss = nll + c.beta_y * kl_y + c.beta_z * kl_z + c.residual_penalty * norms
        return {"nll": nll, "kl_y": kl_y, "kl_z": kl_z, "residual": norms, "loss": loss, "states": np.stack(states)}
