"""LPIPS against an independent NumPy computation with random weights; FVD with a small stand-in network. Both are tests of
arithmetic: no metric is ever reported from such weights."""

import numpy as np
import pytest
import tensorflow as tf

from svg_tf.evaluation.metrics import frechet_distance
from svg_tf.evaluation.metrics.perceptual import FVD, LPIPS, checksum, lpips_shapes


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    r = np.random.default_rng(0)
    arrays = {
        name: (r.random(s) if name.startswith("lin") else r.normal(0, np.prod(s[1:]) ** -0.5 if len(s) > 1 else 0.1, s))
        for name, s in lpips_shapes().items()
    }
    arrays = {name: a.astype(np.float32) for name, a in arrays.items()}
    path = tmp_path_factory.mktemp("lpips") / "alex.npz"
    np.savez(path, unrelated=np.zeros(3), **arrays)
    return path, arrays


def numpy_lpips(weights, x, y):
    """x, y: [H, W, C], by direct loops over output positions, float64, channels first as in PyTorch."""

    def conv(v, kernel, bias, stride, pad):
        v = np.pad(v, ((0, 0), (pad, pad), (pad, pad)))
        k = kernel.shape[-1]
        size = [(n - k) // stride + 1 for n in v.shape[1:]]
        out = np.empty((len(kernel), *size))
        for i in range(size[0]):
            for j in range(size[1]):
                patch = v[:, i * stride : i * stride + k, j * stride : j * stride + k]
                out[:, i, j] = np.tensordot(kernel, patch, 3) + bias
        return np.maximum(out, 0)

    def pool(v):
        size = [(n - 3) // 2 + 1 for n in v.shape[1:]]
        return np.array(
            [[v[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((1, 2)) for j in range(size[1])] for i in range(size[0])]
        )

    def features(v):
        v = np.broadcast_to(v, (*v.shape[:2], 3)).transpose(2, 0, 1) * 2.0 - 1.0
        v = (v - np.array([-0.030, -0.088, -0.188])[:, None, None]) / np.array([0.458, 0.448, 0.450])[:, None, None]
        out = []
        for index, stride, pad, pooled in (
            (0, 4, 2, False),
            (3, 1, 2, True),
            (6, 1, 1, True),
            (8, 1, 1, False),
            (10, 1, 1, False),
        ):
            if pooled:
                v = pool(v).transpose(2, 0, 1)
            v = conv(v, weights[f"features.{index}.weight"].astype(np.float64), weights[f"features.{index}.bias"], stride, pad)
            out.append(v)
        return out

    total = 0.0
    for level, (u, v) in enumerate(zip(features(x), features(y), strict=True)):
        u, v = (f / (np.sqrt((f**2).sum(0, keepdims=True)) + 1e-10) for f in (u, v))
        head = weights[f"lin{level}.model.1.weight"].reshape(-1, 1, 1)
        total += (head * (u - v) ** 2).sum(0).mean()
    return total


@pytest.mark.parametrize(("size", "channels"), [(64, 3), (33, 1)])
def test_lpips_equals_numpy(weights, size, channels):
    path, arrays = weights
    r = np.random.default_rng(1)
    x, y = r.random((2, 1, size, size, channels)).astype(np.float32), r.random((2, 1, size, size, channels)).astype(np.float32)
    metric = LPIPS(path)
    got = metric(x, y)
    assert got.shape == (2, 1)
    expected = [[numpy_lpips(arrays, a[0], b[0])] for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    np.testing.assert_allclose(metric(x, x), 0.0, atol=1e-9)


def test_lpips_weights_are_checked(weights, tmp_path):
    path, arrays = weights
    assert LPIPS(path, checksum(path)).sha256 == checksum(path)
    with pytest.raises(ValueError, match="SHA-256"):
        LPIPS(path, "0" * 64)
    with pytest.raises(ValueError, match="not found"):
        LPIPS(tmp_path / "absent.npz")
    np.savez(tmp_path / "less.npz", **{k: v for k, v in arrays.items() if k != "features.8.bias"})
    with pytest.raises(ValueError, match=r"features\.8\.bias"):
        LPIPS(tmp_path / "less.npz")
    np.savez(tmp_path / "objects.npz", **{**arrays, "features.0.bias": np.array([{}], dtype=object)})
    with pytest.raises(ValueError, match="npz"):
        LPIPS(tmp_path / "objects.npz")
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="npz"):
        LPIPS(tmp_path / "cut.npz")
    large = np.lib.stride_tricks.as_strided(np.zeros(1, "f4"), (1 << 26,), (0,))
    np.savez_compressed(tmp_path / "bomb.npz", **{**arrays, "features.0.bias": large})
    with pytest.raises(ValueError, match=r"npz file \(features\.0\.bias has 268435584 bytes"):
        LPIPS(tmp_path / "bomb.npz")
    with pytest.raises(ValueError, match="uint8"):
        LPIPS(path)(np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 64, 64, 3), np.uint8))


class Statistics(tf.Module):
    """Maps clips to 400 numbers: fixed projections of the mean and last frames."""

    def __init__(self, outputs=400):
        self.projection = tf.constant(np.random.default_rng(2).normal(size=(6, outputs)), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, None, 224, 224, 3])])
    def __call__(self, clips):
        clips = tf.debugging.check_numerics(clips, "clips")
        values = tf.concat([tf.reduce_mean(clips, [1, 2, 3]), tf.reduce_mean(clips[:, -1], [1, 2])], -1)
        return values @ self.projection


def enlarged(frames, resize):
    """frames [N, H, W] -> [N, 224, 224], bilinear, row and column weights written out."""
    size = frames.shape[1]
    shift = 0.5 if resize == "half_pixel" else 0.0
    places = np.clip((np.arange(224) + shift) * size / 224 - shift, 0, size - 1)
    weights = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(size)))
    return weights @ frames @ weights.T


@pytest.mark.parametrize("resize", ["", "tf1", "half_pixel"])
def test_fvd_by_hand(tmp_path, resize):
    network = Statistics()
    tf.saved_model.save(network, str(tmp_path / "i3d"), signatures={"serving_default": network.__call__})
    fvd = FVD(tmp_path / "i3d", resize=resize)
    assert fvd.resize == resize or (fvd.resize, resize) == ("tf1", "")
    r = np.random.default_rng(3)
    real, fake = r.random((6, 3, 16, 16, 1)).astype(np.float32), r.random((5, 3, 16, 16, 1)).astype(np.float32) * 0.5
    features = [fvd.features(v, batch_size=4) for v in (real, fake)]
    assert features[0].shape == (6, 400)
    means = enlarged(fake[:, -1, :, :, 0], fvd.resize).mean((1, 2)) * 2 - 1
    last = np.linalg.lstsq(np.asarray(network.projection, np.float64).T, features[1].T, rcond=None)[0].T[:, 3:]
    np.testing.assert_allclose(last, means[:, None].repeat(3, 1), atol=1e-4)
    few = [f[:, :8] for f in features]  # the same arithmetic on fewer dimensions
    moments = [m for f in few for m in (f.mean(0), np.cov(f, rowvar=False))]
    assert fvd.distance(*few) == frechet_distance(*moments)
    assert fvd.distance(*features) > 1.0
    with pytest.raises(ValueError, match="SHA-256"):
        FVD(tmp_path / "i3d", "ab" * 32)
    (tmp_path / "i3d" / "assets" / "extra").parent.mkdir(exist_ok=True)
    (tmp_path / "i3d" / "assets" / "extra").write_bytes(b"x")
    with pytest.raises(ValueError, match="SHA-256"):
        FVD(tmp_path / "i3d", fvd.sha256)


def test_fvd_refuses_other_networks(tmp_path):
    network = Statistics(10)
    tf.saved_model.save(network, str(tmp_path / "other"), signatures={"serving_default": network.__call__})
    with pytest.raises(ValueError, match=r"\[N, 400\]"):
        FVD(tmp_path / "other").features(np.zeros((1, 2, 16, 16, 3), np.float32))
    with pytest.raises(ValueError, match="SavedModel"):
        FVD(tmp_path)
