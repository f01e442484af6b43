"""Exported models: the same answers as the model, versions that appear whole, and what lies beside them."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import svg_tf
from svg_tf import config
from svg_tf.config import ExperimentConfig
from svg_tf.families.svg.model import SVG
from svg_tf.serving import client, export, signatures, warmup
from svg_tf.serving.limits import Limits
from tests.svg_tf.serving.tiny_export import CONFIG, LIMITS, N_FUTURE, N_SAMPLES, NAME, randomize
from tests.svg_tf.tiny_models import SRVP_VARIANTS, made


def levels(x):
    return np.round(np.asarray(x) * 255).astype(int)


def test_every_signature_equals_the_model(exported, local, frames, seeds):
    x, model = frames[:, :5], exported.model
    floats = x.astype(np.float32) / 255
    counts = {"n_future": np.int32(3), "n_samples": np.int32(4)}
    answer = local.call("serving_default", {"frames": x, "seed": seeds})["frames"]
    assert answer.dtype == np.uint8 and answer.shape == (3, N_SAMPLES, N_FUTURE, 32, 32, 1)
    assert abs(answer - levels(model.generate(floats, N_FUTURE, N_SAMPLES, seeds))).max() <= 1
    expected = model.generate(floats, 3, 4, seeds)
    answer = local.call("generate", {"frames": x, "seed": seeds, **counts})["frames"]
    assert abs(answer - levels(expected)).max() <= 1
    answer = local.call("generate_float", {"frames": floats, "seed": seeds, **counts})["frames"]
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    answer = local.call("reconstruct", {"frames": x, "seed": seeds})["frames"]
    assert abs(answer - levels(model.reconstruct(floats, seeds))).max() <= 1
    answer = local.call("uncertainty", {"frames": x})["sigma"]
    assert answer.shape == (3, 4, 3)
    np.testing.assert_allclose(answer, model.prior_scale(floats), rtol=1e-5)
    assert expected.numpy().std() > 0.03  # nothing above was trivial


def test_alone_in_a_batch_and_after_a_reload(exported, local, frames, seeds):
    together = local.call("serving_default", {"frames": frames, "seed": seeds})["frames"].astype(int)
    again = client.connect(exported.version).call("serving_default", {"frames": frames, "seed": seeds})["frames"]
    np.testing.assert_array_equal(again, together)
    for i in range(3):
        alone = local.call("serving_default", {"frames": frames[i : i + 1], "seed": seeds[i : i + 1]})["frames"]
        assert abs(alone[0] - together[i]).max() <= 1
    other = local.call("serving_default", {"frames": frames, "seed": seeds + 1})["frames"]
    assert abs(other - together).max() > 1


@pytest.mark.parametrize(
    "changes, steps",
    [({"prior": "fixed", "n_past": 1, "skips": "previous"}, 1), ({"prior": "none", "skips": "second_last_context"}, 4)],
)
def test_other_models_as_graphs_of_any_length(changes, steps, frames, seeds):
    """With one frame of context, posterior and prior run over no step at all."""
    keras.utils.set_random_seed(2)
    model = SVG(dataclasses.replace(CONFIG, **changes))
    randomize(model)
    functions = signatures.build(model, N_FUTURE, N_SAMPLES, LIMITS).functions
    x = frames[:, :steps]
    answer = functions["serving_default"](tf.constant(x), tf.constant(seeds))["frames"].numpy()
    assert abs(answer - levels(model.generate(x.astype(np.float32) / 255, N_FUTURE, N_SAMPLES, seeds))).max() <= 1
    answer = functions["reconstruct"](tf.constant(frames), tf.constant(seeds))["frames"].numpy()
    assert abs(answer - levels(model.reconstruct(frames.astype(np.float32) / 255, seeds))).max() <= 1
    assert "uncertainty" not in functions  # neither has a learned prior


class _WithKeypoints(SVG):
    added = "keypoints"

    def extra_signatures(self):
        def brightest(frames, seed):
            return {"level": tf.reduce_max(frames, axis=[2, 3, 4]), "seed": seed}

        # In another order than the function's.
        specs = {"seed": tf.TensorSpec([None, 2], tf.int32), "frames": tf.TensorSpec([None, None, 32, 32, 1], tf.uint8)}
        return {self.added: (brightest, specs)}


def test_a_family_may_add_signatures_but_not_replace_them(frames, seeds, tmp_path):
    model = _WithKeypoints(CONFIG)
    path = svg_tf.export(model, tmp_path / "a", n_future=N_FUTURE, n_samples=N_SAMPLES, limits=LIMITS)
    with client.connect(path) as served:
        answer = served.call("keypoints", {"frames": frames, "seed": seeds})
        np.testing.assert_array_equal(answer["level"], frames.max(axis=(2, 3, 4)))
        np.testing.assert_array_equal(answer["seed"], seeds)
        with pytest.raises(ValueError, match="frames must have at most 30 time steps"):  # checked as all signatures are
            served.call("keypoints", {"frames": frames.repeat(6, 1), "seed": seeds})
    assert b"keypoints" in (path / "assets.extra" / warmup.FILE).read_bytes()
    model.added = "generate"
    with pytest.raises(ValueError, match="adds the signature 'generate', which all models have"):
        signatures.build(model, N_FUTURE, N_SAMPLES, LIMITS)


def test_srvp_as_a_graph_of_any_length(frames, seeds):
    """The same signatures, without a branch on the family; contexts of k and k + 2 frames."""
    model = made(dataclasses.replace(SRVP_VARIANTS["residual"], k=3, n_past=3))
    model.train_step({"frames": tf.constant(frames / np.float32(255))})  # moving averages leave their initial values
    functions = signatures.build(model, N_FUTURE, N_SAMPLES, LIMITS).functions
    k, seed = model.config.k, tf.constant(seeds)
    for steps in (k, k + 2):
        x = frames[:, :steps]
        floats = x.astype(np.float32) / 255
        answer = functions["serving_default"](tf.constant(x), seed)["frames"].numpy()
        assert answer.shape == (3, N_SAMPLES, N_FUTURE, 32, 32, 1)
        expected = model.generate(floats, N_FUTURE, N_SAMPLES, seeds).numpy()
        assert abs(answer - levels(expected)).max() <= 1 and expected.std() > 0.03
        answer = functions["reconstruct"](tf.constant(x), seed)["frames"].numpy()
        assert abs(answer - levels(model.reconstruct(floats, seeds))).max() <= 1
        np.testing.assert_allclose(functions["uncertainty"](tf.constant(x))["sigma"], model.prior_scale(floats), rtol=1e-4)
    for name, arguments in (("reconstruct", [seed]), ("uncertainty", [])):
        with pytest.raises(tf.errors.InvalidArgumentError, match="time >= 3"):
            functions[name](tf.constant(frames[:, :2]), *arguments)


def test_srvp_on_disk(tmp_path, frames, seeds):
    model = made(dataclasses.replace(SRVP_VARIANTS["residual"], k=3, n_past=3))
    version = export.export(model, tmp_path / "srvp", n_future=N_FUTURE, n_samples=N_SAMPLES, limits=LIMITS, with_warmup=False)
    functions = tf.saved_model.load(str(version)).signatures
    answer = functions["serving_default"](frames=tf.constant(frames[:, :4]), seed=tf.constant(seeds))["frames"].numpy()
    expected = model.generate(frames[:, :4] / np.float32(255), N_FUTURE, N_SAMPLES, seeds)
    assert abs(answer - levels(expected)).max() <= 1 and expected.numpy().std() > 0.03
    card = (version / "assets.extra" / "MODEL_CARD.md").read_text()
    assert "Residual" in card and "| reconstruct | frames uint8 [B, T >= 3, 32, 32, 1]" in card and "true one" not in card


def test_the_files_of_a_version(exported):
    files = {p.relative_to(exported.version).as_posix() for p in exported.version.rglob("*") if p.is_file()}
    assert {"saved_model.pb", "variables/variables.index"} <= files
    assert {f"assets.extra/{name}" for name in ("config.json", "MODEL_CARD.md", warmup.FILE)} <= files
    written = json.loads((exported.version / "assets.extra" / "config.json").read_text())
    assert config.from_dict(ExperimentConfig, written["config"]).model == CONFIG
    assert written["step"] == 7 and written["serving"]["limits"] == dataclasses.asdict(LIMITS)
    card = (exported.version / "assets.extra" / "MODEL_CARD.md").read_text()
    for part in (
        "SVG-LP",
        "1 digit(s) of MNIST",
        "7 optimizer steps",
        "not evaluated",
        "running statistics only",
        "For tests alone.",
    ):
        assert part in card
    assert not [p for p in exported.path.iterdir() if p.name.startswith(".")]


def test_weights_without_optimizer_in_small_files(exported):
    stored = dict(tf.train.list_variables(str(exported.version / "variables" / "variables")))
    stored = {
        k: v for k, v in stored.items() if k not in ("_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter/.ATTRIBUTES/VARIABLE_VALUE")
    }
    assert sum(int(np.prod(shape)) for shape in stored.values()) == exported.model.count_params()


def test_server_configurations_parse(exported):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    text = (exported.path / "models.config").read_text()
    parsed = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert [(c.name, c.base_path, c.model_platform) for c in parsed] == [(NAME, f"/models/{NAME}", "tensorflow")]
    text = (exported.path / "batching.config").read_text()
    # Two sequences of 30 frames are all that 60 frames allow: no merged batch is refused for what its parts may ask.
    assert LIMITS.server_batch(2, N_SAMPLES, N_FUTURE) == 2 and "max_batch_size { value: 2 }" in text
    assert Limits().server_batch(5, 10, 25) == 8


def test_warm_up_records_replay(exported, local):
    from tensorflow_serving.apis import prediction_log_pb2

    seen = []
    for record in tf.data.TFRecordDataset(str(exported.version / "assets.extra" / warmup.FILE)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == NAME
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        assert all(array.ndim > 0 for array in inputs.values())  # a batching server refuses scalars, and then the version
        local.call(request.model_spec.signature_name, inputs)
        seen.append(request.model_spec.signature_name)
    assert seen == ["serving_default", "reconstruct", "uncertainty"]


def test_a_version_appears_whole_or_not_at_all(exported, tmp_path, monkeypatch):
    path = tmp_path / "saved_models" / "a"

    def write(folder, *_):
        assert export.version_numbers(path) == before
        (folder / "saved_model.pb").write_text("complete")

    monkeypatch.setattr(export, "_write", write)
    monkeypatch.setattr(signatures, "build", lambda *_: signatures.Signatures({}, Limits()))
    before = []
    assert svg_tf.export(exported.model, path, with_warmup=False) == path / "1"
    before = [1]
    assert svg_tf.export(exported.model, path, with_warmup=False) == path / "2"
    (path / "9").mkdir()
    (path / "9" / "saved_model.pb").write_text("other")
    before = [1, 2, 9]
    assert svg_tf.export(exported.model, path, with_warmup=False).name == "10"

    def fail(folder, *_):
        (folder / "saved_model.pb").write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(export, "_write", fail)
    with pytest.raises(OSError, match="disk full"):
        svg_tf.export(exported.model, path, with_warmup=False)
    assert sorted(p.name for p in path.iterdir()) == ["1", "10", "2", "9", "batching.config", "models.config"]


def test_two_exports_at_once_take_two_numbers(tmp_path, monkeypatch):
    new = tmp_path / ".export-x"
    new.mkdir()
    (new / "saved_model.pb").write_text("mine")
    rename = export.os.rename

    def beaten(source, target):
        if not target.exists() and target.name == "1":
            target.mkdir()
            (target / "saved_model.pb").write_text("theirs")
        rename(source, target)

    monkeypatch.setattr(export.os, "rename", beaten)
    assert export._numbered(new, tmp_path).name == "2"
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "theirs"
    assert (tmp_path / "2" / "saved_model.pb").read_text() == "mine"


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("a b", {}, "A model's name must be"),
        ("12", {}, "must not be a number"),
        ("a", {"n_future": 0}, "n_future must be an integer of at least 1, got 0"),
        ("a", {"n_samples": True}, "n_samples must be an integer"),
        ("a", {"n_samples": 300}, "beyond the limits of one request"),
        ("a", {"n_future": 129}, "beyond the limits of one request"),
        ("a", {"limits": Limits(max_predicted_frames=10)}, "beyond the limits of one request"),
        ("a", {"max_shard_bytes": 1}, "max_shard_bytes must be"),
    ],
)
def test_export_refuses_before_it_writes(exported, tmp_path, name, arguments, message):
    with pytest.raises(ValueError, match=message):
        svg_tf.export(exported.model, tmp_path / name, **arguments)
    assert not any(tmp_path.iterdir())


def test_other_objects_and_broken_weights_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expects an svg_tf.VideoPredictor .*, got str"):
        svg_tf.export("model", tmp_path / "a")
    model = SVG(CONFIG)
    model.encoder.head.conv.kernel.assign(np.full(model.encoder.head.conv.kernel.shape, np.nan))
    with pytest.raises(ValueError, match="not finite"):
        svg_tf.export(model, tmp_path / "a")
    with pytest.raises(ValueError, match=r"max_steps must be an integer in \[1, 2147483647\], got 0"):
        Limits(max_steps=0)
    assert not any(tmp_path.iterdir())


def test_weights_are_one_file_unless_asked_otherwise(exported):
    assert len(list((exported.version / "variables").glob("variables.data-*"))) == 1
