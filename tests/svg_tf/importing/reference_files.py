"""Checkpoints of the references at small width with random weights, made by the test itself."""

import numpy as np

from tests.svg_tf.importing.torch_writer import Global, Object, modules

OPT = {
    "dataset": "smmnist", "image_width": 64, "channels": 1, "g_dim": 6, "z_dim": 3, "rnn_size": 5, "predictor_rnn_layers": 2,
    "posterior_rnn_layers": 1, "prior_rnn_layers": 1, "n_past": 3, "n_future": 2, "n_eval": 7, "beta": 0.0001, "lr": 0.002,
    "beta1": 0.9, "batch_size": 2, "niter": 3, "epoch_size": 4, "last_frame_skip": False, "num_digits": 2, "model": "dcgan",
    "optimizer": Global("torch.optim.adam.Adam"), "data_root": "data",
}  # fmt: skip


class Arrays(dict):
    """Random arrays by PyTorch's names."""

    def __init__(self, seed=0):
        super().__init__()
        self.random = np.random.default_rng(seed)

    def weights(self, name, *shape, bias=0):
        self[f"{name}.weight"] = (self.random.normal(size=shape) * 1.4 / np.sqrt(np.prod(shape[1:]))).astype("f4")
        if bias:
            self[f"{name}.bias"] = self.random.normal(0, 0.1, bias).astype("f4")

    def norm(self, name, n):
        self[f"{name}.weight"] = self.random.normal(1, 0.1, n).astype("f4")
        self[f"{name}.bias"] = self.random.normal(0, 0.1, n).astype("f4")
        self[f"{name}.running_mean"] = self.random.normal(0, 0.1, n).astype("f4")
        self[f"{name}.running_var"] = self.random.uniform(0.5, 1.5, n).astype("f4")
        self[f"{name}.num_batches_tracked"] = np.array(9, "i8")

    def conv(self, name, a, b, k, bias=True):
        self.weights(f"{name}.0", b, a, k, k, bias=b * bias)
        self.norm(f"{name}.1", b)

    def up(self, name, a, b, k, bias=True):
        self.weights(f"{name}.0", a, b, k, k, bias=b * bias)
        self.norm(f"{name}.1", b)

    def lstm(self, module, inputs, units, layers, heads):
        self.weights(f"{module}.embed", units, inputs, bias=units)
        for i in range(layers):
            self.cell(f"{module}.lstm.{i}", units, units)
        for head, outputs in heads.items():
            self.weights(f"{module}.{head}", outputs, units, bias=outputs)

    def cell(self, name, inputs, units, suffix=""):
        for kind, size in (("ih", inputs), ("hh", units)):
            self[f"{name}.weight_{kind}{suffix}"] = self.random.normal(0, 0.4, (4 * units, size)).astype("f4")
            self[f"{name}.bias_{kind}{suffix}"] = self.random.normal(0, 0.4, 4 * units).astype("f4")


def svg_arrays(backbone="dcgan", channels=1, prior=True, nf=2, g=6, z=3, rnn=5, size=64) -> dict[str, np.ndarray]:
    large = size == 128
    a, widths = Arrays(), [nf, 2 * nf, 4 * nf, 8 * nf] + [8 * nf] * large
    last = len(widths) + 1
    if backbone == "dcgan":
        for i, (before, after) in enumerate(zip([channels, *widths], widths, strict=False), 1):
            a.conv(f"encoder.c{i}.main", before, after, 4)
        for i, (before, after) in enumerate(zip(widths[::-1], widths[-2::-1], strict=False), 2):
            a.up(f"decoder.upc{i}.main", 2 * before, after, 4)
        a.weights(f"decoder.upc{last}.0", 2 * nf, channels, 4, 4, bias=channels)
    else:
        before = channels
        for i, (width, count) in enumerate(zip(widths, (2, 2, 3, 3) + (3,) * large, strict=True), 1):
            for j in range(count):
                a.conv(f"encoder.c{i}.{j}.main", before, width, 3)
                before = width
        blocks = [[8 * nf] * 3] * large + [[8 * nf, 8 * nf, 4 * nf], [4 * nf, 4 * nf, 2 * nf], [2 * nf, nf], [nf]]
        for i, (block, skip) in enumerate(zip(blocks, widths[::-1], strict=True), 2):
            before += skip
            for j, width in enumerate(block):
                a.conv(f"decoder.upc{i}.{j}.main", before, width, 3)
                before = width
        a.weights(f"decoder.upc{last}.1", nf, channels, 3, 3, bias=channels)
    a.conv(f"encoder.c{last}", 8 * nf, g, 4)
    a.up("decoder.upc1", g, 8 * nf, 4)
    a.lstm("frame_predictor", g + z, rnn, 2, {"output.0": g})
    for module in ("posterior", "prior") if prior else ("posterior",):
        a.lstm(module, g, rnn, 1, {"mu_net": z, "logvar_net": z})
    return dict(a)


def svg_file(arrays, opt=None, source=False, **more) -> dict:
    """The value that SVG's program saves."""
    kind = "vgg" if "encoder.c1.0.main.0.weight" in arrays else "dcgan"
    size = 128 if "encoder.c6.0.weight" in arrays else 64
    names = {name: f"models.{kind}_{size}.{name}" for name in ("encoder", "decoder")}
    names |= {
        "frame_predictor": "models.lstm.lstm",
        "posterior": "models.lstm.gaussian_lstm",
        "prior": "models.lstm.gaussian_lstm",
    }
    present = [name for name in names if any(key.startswith(f"{name}.") for key in arrays)]
    value = {name: modules({name: names[name]}, arrays, f"{name}.", source) for name in present}
    return value | {"opt": Object("argparse.Namespace", OPT | {"model": kind, "image_width": size} | (opt or {}))} | more


def srvp_arrays(nf=2, h=6, y=4, z=3, inference=5, transition=7, k=2) -> dict[str, np.ndarray]:
    """DCGAN-64 without skips; no biases in convolutions, no normalization after the first one."""
    a, widths = Arrays(1), [nf, 2 * nf, 4 * nf, 8 * nf]
    a.weights("encoder.conv.0.0", nf, 1, 4, 4)
    for i in (1, 2, 3):
        a.conv(f"encoder.conv.{i}", widths[i - 1], widths[i], 4, bias=False)
    a.conv("encoder.last_conv", 8 * nf, h, 4, bias=False)
    a.up("decoder.first_upconv", inference + y, 8 * nf, 4, bias=False)
    for i in range(3):
        a.up(f"decoder.conv.{i}", widths[3 - i], widths[2 - i], 4, bias=False)
    a.weights("decoder.conv.3", nf, 1, 4, 4)
    a.weights("w_proj.0", inference, h, bias=inference)
    a.weights("w_inf.0", inference, inference, bias=inference)
    a.weights("q_z", 2 * z, inference, bias=2 * z)
    a.cell("inf_z", h, inference, "_l0")
    for module, sizes in (
        ("q_y", (k * h, inference, inference, 2 * y)),
        ("p_z", (y, transition, transition, 2 * z)),
        ("dynamics", (y + z, transition, transition, y)),
    ):
        for i, (before, after) in enumerate(zip(sizes, sizes[1:], strict=False)):
            a.weights(f"{module}.module.{i}.{int(i > 0)}", after, before, bias=after)
    return dict(a)


SRVP_OPTIONS = {
    "dataset": "smmnist", "nx": 64, "nc": 1, "nf": 2, "nhx": 6, "ny": 4, "nz": 3, "skipco": False, "nt_inf": 2, "nh_inf": 5,
    "nlayers_inf": 3, "nh_res": 7, "nlayers_res": 3, "archi": "dcgan", "n_euler_steps": 1, "nt_cond": 3, "seq_len": 6,
    "obs_scale": 0.5, "beta_y": 1, "beta_z": 2.0, "l2_res": 1.0, "res_gain": 1.2, "batch_size": 2, "lr": 0.0003,
    "lr_scheduling_burnin": 6000, "lr_scheduling_n_iter": 2000,
}  # fmt: skip
