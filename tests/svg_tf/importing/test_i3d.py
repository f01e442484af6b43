"""I3D: from each published form the same network, whose logits are those of the PyTorch port."""

import json
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from svg_tf import cli
from svg_tf.evaluation.metrics import i3d as network
from svg_tf.evaluation.metrics.perceptual import FVD, checksum
from svg_tf.importing import i3d
from tests.svg_tf.importing.torch_writer import Object, legacy_bytes, zip_bytes

BATCH_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
_MIXED = re.compile(r"(Mixed_\d\w)/Branch_(\d)/Conv3d_0\w_(\d)x\d")


def port_name(name: str) -> str:
    """The name of a unit in the first PyTorch port."""
    match = _MIXED.fullmatch(name)
    place = {"01": "b0", "11": "b1a", "13": "b1b", "21": "b2a", "23": "b2b", "31": "b3b"}
    return f"{match[1]}.{place[match[2] + match[3]]}" if match else name


def other_port_name(name: str) -> str:
    """In the second one, in lower case, where the fourth branch begins with its pooling."""
    match = _MIXED.fullmatch(name)
    place = {"01": "branch_0", "11": "branch_1.0", "13": "branch_1.1", "21": "branch_2.0", "23": "branch_2.1", "31": "branch_3.1"}
    return f"{match[1].lower()}.{place[match[2] + match[3]]}" if match else name.lower()


def state_dict(arrays, names=port_name, norm="bn", logits="logits") -> dict[str, np.ndarray]:
    """arrays as of `metrics.i3d.shapes` -> a state dict of PyTorch."""
    found = {}
    for name in network.UNITS:
        found[f"{names(name)}.conv3d.weight"] = np.ascontiguousarray(arrays[f"{name}/w"].transpose(4, 3, 0, 1, 2))
        found |= {f"{names(name)}.{norm}.{theirs}": arrays[f"{name}/{ours}"] for ours, theirs in BATCH_NORM.items()}
        found[f"{names(name)}.{norm}.num_batches_tracked"] = np.array(0, "i8")
    found[f"{logits}.conv3d.weight"] = np.ascontiguousarray(arrays[f"{network.LOGITS}/w"].transpose(4, 3, 0, 1, 2))
    return found | {f"{logits}.conv3d.bias": arrays[f"{network.LOGITS}/b"]}


@pytest.fixture(scope="module")
def arrays():
    """Random weights without a scale in the normalization, as TensorFlow's have none."""
    random, found = np.random.default_rng(0), {}
    for name, shape in network.shapes().items():
        value = random.standard_normal(shape, np.float32)
        if name.endswith("/w"):
            value *= np.float32(1.4 / np.sqrt(np.prod(shape[:-1])))
        found[name] = {"gamma": np.ones_like(value), "moving_variance": 0.5 + abs(value)}.get(name.split("/")[-1], value)
    return found


@pytest.fixture(scope="module")
def imported(arrays, tmp_path_factory):
    folder = tmp_path_factory.mktemp("i3d")
    (folder / "rgb_imagenet.pt").write_bytes(legacy_bytes(state_dict(arrays)))
    i3d.import_i3d(folder / "rgb_imagenet.pt", folder / "network")
    return folder / "network"


def same(folder, arrays):
    with np.load(folder / network.WEIGHTS, allow_pickle=False) as file:
        assert set(file.files) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[name], array, err_msg=name)


def test_state_dict(arrays, imported):
    same(imported, arrays)
    facts = network.facts(imported)
    assert (facts["form"], facts["resize"], facts["source"]) == ("pytorch", "half_pixel", "rgb_imagenet.pt")
    assert len(facts["source_sha256"]) == 64


def nested(found: dict, path: str = "__torch__.I3D") -> Object:
    """A tree of TorchScript modules, all of whose arrays are attributes."""
    state = {name: array for name, array in found.items() if "." not in name}
    for child in dict.fromkeys(name.split(".")[0] for name in found if "." in name):
        prefix = f"{child}."
        state[child] = nested({n[len(prefix) :]: a for n, a in found.items() if n.startswith(prefix)}, f"{path}_{child}")
    return Object(path, {"training": False, **state})


def test_torchscript_of_the_other_port_by_command(arrays, tmp_path, capsys):
    script = nested(state_dict(arrays, other_port_name, "batch3d", "i3d.conv3d_0c_1x1"))
    (tmp_path / "i3d_torchscript.pt").write_bytes(zip_bytes(script, scripted=True))
    assert cli.main(["import-i3d", str(tmp_path / "i3d_torchscript.pt"), "--out", str(tmp_path / "i3d")]) == 0
    same(tmp_path / "i3d", arrays)
    printed = capsys.readouterr().out
    assert checksum(tmp_path / "i3d") in printed
    assert "torchscript" in printed
    assert cli.main(["import-i3d", str(tmp_path / "i3d_torchscript.pt"), "--out", str(tmp_path / "i3d")]) == 2


def test_tensorflow_checkpoint_and_saved_model(arrays, tmp_path):
    """Variables as sonnet names and shapes them."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, array in arrays.items():
            unit, kind = name.rsplit("/", 1)
            if kind != "gamma":
                layer = "conv_3d" if kind in ("w", "b") else "batch_norm"
                value = array if layer == "conv_3d" else array.reshape(1, 1, 1, 1, -1)
                tf.compat.v1.get_variable(f"RGB/inception_i3d/{unit}/{layer}/{kind}", initializer=value)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(tmp_path / "ckpt" / "model.ckpt"))
    for given, name in (("ckpt/model.ckpt", "a"), ("ckpt/model.ckpt.index", "b")):
        facts = i3d.import_i3d(tmp_path / given, tmp_path / name)
        assert (facts["form"], facts["resize"]) == ("tensorflow", "tf1")
        same(tmp_path / name, arrays)
    hub = tmp_path / "hub" / "variables"
    hub.mkdir(parents=True)
    (tmp_path / "hub" / "saved_model.pb").write_bytes(b"a graph, which nobody reads")
    for part in (tmp_path / "ckpt").glob("model.ckpt.*"):
        if part.suffix != ".meta":
            shutil.copy(part, hub / part.name.replace("model.ckpt", "variables"))
    assert i3d.import_i3d(tmp_path / "hub", tmp_path / "c")["form"] == "savedmodel"
    same(tmp_path / "c", arrays)


def test_what_is_no_i3d_is_refused(arrays, tmp_path):
    good = state_dict(arrays)
    small = {name: array for name, array in good.items() if not name.startswith("Mixed")}
    cases = {
        "holds classifier.weight, which I3D has not": {"classifier.weight": np.zeros((2, 2), "f4")},
        r"Mixed_3b/Branch_0/Conv3d_0a_1x1/w of shape .*, got nothing": small,
        r"Conv3d_2b_1x1/w of shape .*, got \(1, 1, 1, 64, 32\)": good
        | {"Conv3d_2b_1x1.conv3d.weight": np.zeros((32, 64, 1, 1, 1), "f4")},
        "Kinetics-400.*Logits": good | {"logits.conv3d.bias": np.zeros(600, "f4")},
        "negative": good | {"Conv3d_1a_7x7.bn.running_var": np.full(64, -1, "f4")},
        "has not": good | {"fc.weight": np.zeros((2, 2), "f4")},
        "twice": good | {"module.logits.conv3d.bias": np.zeros(400, "f4")},
        "it holds list": [1, 2],
    }
    for message, value in cases.items():
        (tmp_path / "file.pt").write_bytes(zip_bytes(value))
        with pytest.raises(ValueError, match=message):
            i3d.import_i3d(tmp_path / "file.pt", tmp_path / "out")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=r"saved_model\.pb"):
        i3d.import_i3d(tmp_path / "folder", tmp_path / "out")
    (tmp_path / "folder" / "m.index").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="TensorFlow checkpoint"):
        i3d.import_i3d(tmp_path / "folder", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrapped_state_dicts(arrays, tmp_path):
    wrapped = {"epoch": 3, "state_dict": {f"module.{name}": array for name, array in state_dict(arrays).items()}}
    (tmp_path / "i3d.pth.tar").write_bytes(zip_bytes(wrapped))
    i3d.import_i3d(tmp_path / "i3d.pth.tar", tmp_path / "out")
    same(tmp_path / "out", arrays)


def numpy_unit(arrays, name, x, stride):
    """A unit on x [T, H, W, C] with SAME padding, in float64."""
    w = arrays[f"{name}/w"].astype(np.float64)
    k = w.shape[0]
    sizes = [-(-n // stride) for n in x.shape[:3]]
    pads = [max((out - 1) * stride + k - n, 0) for out, n in zip(sizes, x.shape, strict=False)]
    x = np.pad(x, [(p // 2, p - p // 2) for p in pads] + [(0, 0)])
    y = np.zeros((*sizes, w.shape[-1]))
    for t, i, j in np.ndindex(k, k, k):
        part = x[t : t + stride * sizes[0] : stride, i : i + stride * sizes[1] : stride, j : j + stride * sizes[2] : stride]
        y += part @ w[t, i, j]
    gamma, beta, mean, variance = (arrays[f"{name}/{kind}"] for kind in BATCH_NORM)
    return np.maximum((y - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)


def test_units_and_logits(arrays, imported):
    """The first unit against NumPy; the logits of a clip, alone and beside another."""
    metric = FVD(imported)
    model = network.load(imported)
    clip = np.random.default_rng(1).random((2, 9, 64, 64, 1)).astype("f4")
    enlarged = np.tile(np.asarray(tf.image.resize(clip.reshape(-1, 64, 64, 1), [224, 224])) * 2 - 1, 3).reshape(2, 9, 224, 224, 3)
    first = keras.Model(model.input, model.get_layer("Conv3d_1a_7x7").output)(enlarged[:1])
    corner = numpy_unit(arrays, "Conv3d_1a_7x7", enlarged[0, :, :64, :64].astype(np.float64), 2)[:, :28, :28]
    np.testing.assert_allclose(first[0, :, :28, :28], corner, atol=1e-4)
    logits = metric.features(clip)
    assert logits.shape == (2, 400)
    np.testing.assert_allclose(logits, model(enlarged), atol=1e-4)
    np.testing.assert_allclose(metric.features(clip[1:])[0], logits[1], atol=1e-4)
    with pytest.raises(ValueError, match="at least 9 frames, got 8"):
        metric.features(clip[:, :8])


def test_damaged_networks_are_refused(imported, tmp_path):
    for name in (network.WEIGHTS, network.FACTS):
        shutil.copy(imported / name, tmp_path)
    (tmp_path / network.FACTS).write_text("{")
    with pytest.raises(ValueError, match=r"i3d\.json cannot be read"):
        FVD(tmp_path)
    (tmp_path / network.FACTS).write_text(json.dumps({"resize": "nearest"}))
    with pytest.raises(ValueError, match="must name a resize"):
        FVD(tmp_path)
    (tmp_path / network.WEIGHTS).write_bytes(b"PK\x03\x04" + bytes(50))
    with pytest.raises(ValueError, match=r"I3D weights .* are not a readable \.npz"):
        FVD(tmp_path, resize="tf1")
    with pytest.raises(ValueError, match="resize must be one of"):
        FVD(imported, resize="cubic")
    with pytest.raises(ValueError, match="SHA-256"):
        FVD(imported, "0" * 64)


def test_the_logits_of_the_port(reference, tmp_path):
    empty = state_dict({name: np.empty(shape, "f4") for name, shape in network.shapes().items()})
    shapes = {name: array.shape for name, array in empty.items()}
    random, found = np.random.Generator(np.random.PCG64(2)), {}
    for name in sorted(name for name in shapes if not name.endswith("num_batches_tracked")):
        value, shape = random.standard_normal(shapes[name]).astype(np.float32), shapes[name]
        if len(shape) > 1:
            value *= np.float32(1 / np.sqrt(np.prod(shape[1:]))) * np.float32(1.4)
        elif name.endswith("running_var"):
            value = np.float32(0.5) + abs(value)
        else:
            value = np.float32(0.1) * value + np.float32(name.endswith("bn.weight"))
        found[name] = value
    (tmp_path / "i3d.pt").write_bytes(zip_bytes(found))
    i3d.import_i3d(tmp_path / "i3d.pt", tmp_path / "i3d")
    answers = np.load(reference / "i3d.npz")
    np.testing.assert_allclose(FVD(tmp_path / "i3d").features(answers["frames"]), answers["logits_mean"], atol=1e-4)
