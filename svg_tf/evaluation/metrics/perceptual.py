"""LPIPS and FVD. Both need pretrained networks, which do not come with this package: the user supplies the files, their
SHA-256 is part of every result, and without them the metric is absent: never zero, never from random weights.
"""

import hashlib
import pathlib

import numpy as np
import tensorflow as tf

from data_pipelines.files import near
from svg_tf.evaluation.metrics import i3d, weight_files
from svg_tf.evaluation.metrics.video import frechet_distance

# (index in torchvision's `features`, output channels, kernel, stride, padding), max-pool 3x3 stride 2 before it or not.
_ALEXNET = ((0, 64, 11, 4, 2, False), (3, 192, 5, 1, 2, True), (6, 384, 3, 1, 1, True), (8, 256, 3, 1, 1, False))
_ALEXNET += ((10, 256, 3, 1, 1, False),)
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # LPIPS's scaling layer, for input in [-1, 1]


def checksum(path) -> str:
    """SHA-256 in hex of a file, or of a folder: over its files' relative names and contents in sorted order."""
    path = pathlib.Path(path)
    if not path.exists():
        raise ValueError(f"Weights not found: {path}.")
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        if path.is_dir():
            digest.update(file.relative_to(path).as_posix().encode() + b"\0" + str(file.stat().st_size).encode() + b"\0")
        with open(file, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _verified(path, sha256: str | None) -> str:
    found = checksum(path)
    if sha256 is not None and found != sha256.lower():
        raise ValueError(f"Weights {path} have SHA-256 {found}, expected {sha256}.")
    return found


def lpips_shapes() -> dict[str, tuple[int, ...]]:
    """Keys and shapes that an LPIPS weight file must hold, in PyTorch's layout (kernels [out, in, height, width]).

    features.{0,3,6,8,10}.{weight,bias}: torchvision's AlexNet; lin{0..4}.model.1.weight: LPIPS's v0.1 linear heads.
    """
    shapes, channels = {}, 3
    for level, (index, out, kernel, *_) in enumerate(_ALEXNET):
        shapes[f"features.{index}.weight"] = (out, channels, kernel, kernel)
        shapes[f"features.{index}.bias"] = (out,)
        shapes[f"lin{level}.model.1.weight"] = (1, out, 1, 1)
        channels = out
    return shapes


class LPIPS:
    """Learned perceptual image patch similarity (Zhang et al. 2018): AlexNet features, v0.1 linear heads.

    Args:
      path: .npz file with the arrays of `lpips_shapes()` (others are ignored).
      sha256: checksum that the file must have, or None.

    Raises `ValueError` where the file is missing, damaged, has another checksum, or lacks an array.
    Attributes: sha256, path.
    """

    def __init__(self, path, sha256: str | None = None):
        self.path, path = str(path), near(path, "LPIPS weights")
        self.sha256 = _verified(path, sha256)
        arrays = weight_files.read(path, lpips_shapes(), "LPIPS")
        for name, shape in lpips_shapes().items():
            got = arrays[name].shape if name in arrays else "nothing"
            if got != shape or arrays[name].dtype.kind != "f" or not np.isfinite(arrays[name]).all():
                raise ValueError(f"LPIPS weights {path} must hold finite floats {name} of shape {shape}, got {got}.")
        self._weights = {name: tf.constant(array, tf.float32) for name, array in arrays.items()}
        self._distance = tf.function(self._distance_of, reduce_retracing=True)

    def __call__(self, x, x_hat) -> tf.Tensor:
        """x, x_hat: float [..., H >= 31, W >= 31, 1 or 3] in [0, 1] (grey is tiled to RGB) -> float32 [...], lower is nearer."""
        pair = []
        for name, value in (("x", x), ("x_hat", x_hat)):
            value = value if tf.is_tensor(value) else np.asarray(value)
            shape = tuple(value.shape)
            if not tf.as_dtype(value.dtype).is_floating or len(shape) < 3 or shape[-1] not in (1, 3) or min(shape[-3:-1]) < 31:
                raise ValueError(
                    f"{name} must be float [..., H >= 31, W >= 31, 1 or 3] in [0, 1], got {value.dtype} of shape {shape}."
                )
            pair.append(tf.cast(value, tf.float32))
        if pair[0].shape != pair[1].shape:
            raise ValueError(f"x and x_hat must have one shape, got {pair[0].shape} and {pair[1].shape}.")
        lead = tf.shape(pair[0])[:-3]
        flat = [tf.reshape(value, [-1, *value.shape[-3:]]) for value in pair]
        return tf.reshape(self._distance(*flat), lead)

    def features(self, x) -> list[tf.Tensor]:
        """float32 [N, H, W, 1 or 3] in [0, 1] -> the five ReLU outputs, channels last."""
        if x.shape[-1] == 1:
            x = tf.tile(x, [1, 1, 1, 3])
        x = (2.0 * x - 1.0 - tf.constant(_SHIFT)) / tf.constant(_SCALE)
        outputs = []
        for index, _, _, stride, pad, pooled in _ALEXNET:
            if pooled:
                x = tf.nn.max_pool2d(x, 3, 2, "VALID")
            kernel = tf.transpose(self._weights[f"features.{index}.weight"], [2, 3, 1, 0])
            x = tf.nn.conv2d(x, kernel, stride, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
            x = tf.nn.relu(x + self._weights[f"features.{index}.bias"])
            outputs.append(x)
        return outputs

    def _distance_of(self, x, x_hat):
        total = tf.zeros([tf.shape(x)[0]])
        for level, (u, v) in enumerate(zip(self.features(x), self.features(x_hat), strict=True)):
            u, v = (f / (tf.norm(f, axis=-1, keepdims=True) + 1e-10) for f in (u, v))
            head = tf.reshape(self._weights[f"lin{level}.model.1.weight"], [-1])
            total += tf.reduce_mean(tf.reduce_sum(tf.square(u - v) * head, -1), [1, 2])
        return total


class FVD:
    """Fréchet video distance (Unterthiner et al. 2018) over the 400 logits of an I3D network trained on Kinetics-400.

    Args:
      path: folder that `svg-tf import-i3d` wrote, or a SavedModel folder whose "serving_default" (or "default") signature, or
        the loaded object itself, maps float32 [N, T, 224, 224, 3] in [-1, 1] to [N, 400]. A SavedModel is a program: use one
        that you trust.
      sha256: `checksum` that the folder must have, or None.
      resize: how frames become 224 x 224 (`i3d.RESIZES`): "tf1", as FVD's own program does, "half_pixel", as the PyTorch ports
        do, or empty: as is usual for where the weights come from ("tf1" for a SavedModel).

    Usage: `distance(fvd.features(real), fvd.features(generated))`, features gathered in as many parts as needed.
    Fewer clips than 400 leave the covariance rank-deficient and the estimate biased: state N beside every number.
    Attributes: path, sha256, resize, least_frames.
    """

    dimensions = i3d.CLASSES

    def __init__(self, path, sha256: str | None = None, resize: str = ""):
        if resize not in ("", *i3d.RESIZES):
            raise ValueError(f"resize must be one of {sorted(i3d.RESIZES)}, or empty, got {resize!r}.")
        self.path, path = str(path), near(path, "The FVD network")
        imported = i3d.is_folder(path)
        if not imported and not (pathlib.Path(path) / "saved_model.pb").is_file():
            raise ValueError(f"FVD needs a folder of svg-tf import-i3d, or of a SavedModel (with saved_model.pb), got {path}.")
        self.sha256 = _verified(path, sha256)
        self.resize = resize or (i3d.facts(path).get("resize") if imported else "tf1")
        if self.resize not in i3d.RESIZES:
            raise ValueError(f"{path}/{i3d.FACTS} must name a resize of {sorted(i3d.RESIZES)}, got {self.resize!r}.")
        self.least_frames = i3d.LEAST_FRAMES if imported else 1
        self._logits = tf.function(i3d.load(path), reduce_retracing=True) if imported else _saved_network(str(path))

    def features(self, frames, batch_size: int = 4) -> np.ndarray:
        """frames: float [N, T, H, W, 1 or 3] in [0, 1] -> float64 [N, 400]; resized to 224 x 224 bilinearly."""
        frames = frames if tf.is_tensor(frames) else np.asarray(frames)
        shape = tuple(frames.shape)
        if len(shape) != 5 or shape[-1] not in (1, 3) or not tf.as_dtype(frames.dtype).is_floating or shape[0] < 1:
            raise ValueError(f"frames must be float [N, T, H, W, 1 or 3] in [0, 1], got {frames.dtype} of shape {shape}.")
        if shape[1] < self.least_frames:
            raise ValueError(f"I3D needs clips of at least {self.least_frames} frames, got {shape[1]}.")
        parts = []
        for start in range(0, shape[0], batch_size):
            part = tf.cast(frames[start : start + batch_size], tf.float32)
            n = int(part.shape[0])
            flat = i3d.RESIZES[self.resize](tf.reshape(part, [-1, *shape[2:]]))
            if shape[-1] == 1:
                flat = tf.tile(flat, [1, 1, 1, 3])
            logits = self._logits(tf.reshape(2.0 * flat - 1.0, [n, shape[1], i3d.SIZE, i3d.SIZE, 3]))
            if tuple(logits.shape) != (n, self.dimensions):
                raise ValueError(f"The FVD network must return [N, {self.dimensions}], got {tuple(logits.shape)}.")
            parts.append(np.asarray(logits, np.float64))
        return np.concatenate(parts)

    @staticmethod
    def distance(real, generated) -> float:
        """real, generated: features [N >= 2, D] -> the Fréchet distance of the Gaussians fitted to them."""
        moments = []
        for name, value in (("real", real), ("generated", generated)):
            value = np.asarray(value, np.float64)
            if value.ndim != 2 or len(value) < 2:
                raise ValueError(f"{name} must be features [N >= 2, D], got shape {value.shape}.")
            moments += [value.mean(0), np.atleast_2d(np.cov(value, rowvar=False))]
        return frechet_distance(*moments)


def _saved_network(path: str):
    """A SavedModel as a function of clips."""
    hub = (pathlib.Path(path) / "tfhub_module.pb").is_file()  # a module of TF-Hub's first format has a graph without tags
    model = tf.saved_model.load(path, tags=[] if hub else None)
    signatures = getattr(model, "signatures", {})
    signature = signatures.get("serving_default") or signatures.get("default")
    if signature is None:
        return model
    name = next(iter(signature.structured_input_signature[1]))

    def logits(clips, keep_alive=model):
        return next(iter(signature(**{name: clips}).values()))

    return logits
