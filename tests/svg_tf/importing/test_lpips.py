"""LPIPS's weight file from its two sources, and the `lpips` package's distances."""

import json

import numpy as np
import pytest

from svg_tf import cli
from svg_tf.evaluation.metrics.perceptual import LPIPS, lpips_shapes
from svg_tf.importing import lpips
from tests.svg_tf.importing.torch_writer import Call, legacy_bytes, zip_bytes


def random_backbone() -> dict[str, np.ndarray]:
    """The AlexNet of the reference's answers: `features.*` in the order of their names."""
    random, arrays = np.random.Generator(np.random.PCG64(0)), {}
    for name, shape in sorted(lpips_shapes().items()):
        if name.startswith("features"):
            array = random.standard_normal(shape).astype(np.float32)
            scale = np.float32(1 / np.sqrt(np.prod(shape[1:]))) * np.float32(1.4) if len(shape) > 1 else np.float32(0.1)
            arrays[name] = array * scale
    return arrays


def random_heads() -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {name: random.random(shape).astype("f4") for name, shape in lpips_shapes().items() if name.startswith("lin")}


@pytest.fixture
def files(tmp_path):
    classifier = {"classifier.1.weight": np.zeros((4, 3), "f4")}
    (tmp_path / "alexnet.pth").write_bytes(zip_bytes(random_backbone() | classifier))
    pairs = [[name, array] for name, array in random_heads().items()]
    metadata = {"_metadata": Call("collections.OrderedDict")}
    (tmp_path / "alex.pth").write_bytes(legacy_bytes(Call("collections.OrderedDict", (pairs,), metadata), python2=True))
    return tmp_path


def test_import(files, capsys):
    out = files / "lpips.npz"
    assert cli.main(["import-lpips", str(files / "alexnet.pth"), str(files / "alex.pth"), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    metric = LPIPS(out)
    assert metric.sha256 in printed
    with np.load(out, allow_pickle=False) as content:
        arrays = {name: content[name] for name in content.files}
    sources = json.loads(arrays.pop(lpips.SOURCES).tobytes())
    assert {role: entry["file"] for role, entry in sources.items()} == {"alexnet": "alexnet.pth", "heads": "alex.pth"}
    assert all(entry["sha256"] in printed for entry in sources.values())
    assert sources["alexnet"]["published_as"] is None
    expected = random_backbone() | random_heads()
    assert set(arrays) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)


def test_other_files_are_refused(files, tmp_path):
    alexnet, heads, out = files / "alexnet.pth", files / "alex.pth", tmp_path / "out.npz"
    narrow = random_backbone() | {"features.3.weight": np.zeros((192, 64, 3, 3), "f4")}
    broken = random_backbone() | {"features.0.bias": np.full(64, np.inf, "f4")}
    cases = {
        "no features.0.weight; it holds lin0": (heads, heads),
        r"no lin0\.model\.1\.weight; it holds classifier": (alexnet, alexnet),
        r"features\.3\.weight must be finite floats of shape \(192, 64, 5, 5\)": (narrow, heads),
        r"features\.0\.bias must be finite": (broken, heads),
        "alone: head.weight": (random_backbone() | {"head.weight": np.zeros(2, "f4")}, heads),
        "alone: classifier": (alexnet, random_heads() | {"classifier.weight": np.zeros(2, "f4")}),
        "no state dict": ([1], heads),
        "cannot be read": (files / "absent.pth", heads),
    }
    for message, pair in cases.items():
        paths = []
        for i, value in enumerate(pair):
            if not hasattr(value, "is_file"):
                path = tmp_path / f"{i}.pth"
                path.write_bytes(zip_bytes(value))
                value = path
            paths.append(value)
        with pytest.raises(ValueError, match=message if "read" not in message else "not a file"):
            lpips.import_lpips(*paths, out)
    with pytest.raises(ValueError, match=r"end in \.npz"):
        lpips.import_lpips(alexnet, heads, tmp_path / "out.pth")
    assert not out.exists()


def test_the_distances_of_the_package(reference, tmp_path):
    """Its own v0.1 heads on a random backbone."""
    (tmp_path / "alexnet.pth").write_bytes(zip_bytes(random_backbone()))
    lpips.import_lpips(tmp_path / "alexnet.pth", reference / "lpips_heads_v0.1_alex.pth", tmp_path / "lpips.npz")
    metric, answers = LPIPS(tmp_path / "lpips.npz"), np.load(reference / "lpips.npz")
    np.testing.assert_allclose(metric(answers["a"], answers["b"]), answers["distance_rgb"], atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(metric(answers["g"], answers["h"]), answers["distance_grey"], atol=1e-4, rtol=1e-4)
