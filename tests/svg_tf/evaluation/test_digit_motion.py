"""The digit-motion distance, its network, and the command that trains it."""

import hashlib
import json

import numpy as np
import pytest

import data_pipelines
from data_pipelines import digits
from svg_tf import cli
from svg_tf.evaluation import digit_motion, digit_training
from svg_tf.evaluation.metrics import digit_network

KIND = {"canvas": 64, "num_digits": 2, "variant": "reference"}


def batch_of(kind, count=6, seed=0, split="test", frames=5):
    load = {"seq_len": frames, "batch_size": count, "seed": seed, "with_states": True, "digits": "uci"}
    return {name: value.numpy() for name, value in next(iter(data_pipelines.load("moving_mnist", split, **load, **kind))).items()}


def test_targets_say_what_is_in_each_cell():
    batch, classes = batch_of(KIND), digits.load_classes("uci", "test")
    wanted = digit_training.targets(KIND, batch, classes).reshape(6, 4, 8, 8, digit_network.OUTPUTS)
    assert set(wanted[..., 0].sum(axis=(2, 3)).ravel()) <= {1.0, 2.0}
    for b in range(6):
        for t in range(4):
            center = (batch["positions"][b, t + 1, 1] + 16) / 2 / 4  # the second digit is never covered
            x, y = center.astype(int)
            cell = wanted[b, t, y, x]
            np.testing.assert_allclose(cell[1:3], center - [x, y], atol=1e-5)
            np.testing.assert_allclose(cell[3:5], (batch["positions"][b, t + 1, 1] - batch["positions"][b, t, 1]) / 8, atol=1e-5)
            assert cell[5:].argmax() == classes[batch["digit_ids"][b, 1]] and cell[5:].sum() == 1


def test_the_shipped_network_reads_digits():
    network = digit_network.shipped()
    assert network.card["sha256"] == hashlib.sha256(digit_network.SHIPPED.read_bytes()).hexdigest()
    assert digit_network.SHIPPED.stat().st_size == network.card["bytes"] <= 2 * 2**20
    accuracies = network.card["accuracy on test digits"]
    assert len(accuracies) == 8 and min(a["class_accuracy"] for name, a in accuracies.items() if "1 digit" in name) > 0.9
    kind = {"canvas": 32, "num_digits": 1, "variant": "srvp"}
    batch, classes = batch_of(kind, 64), digits.load_classes("uci", "test")
    measured = digit_training.accuracy(
        network.outputs, [(digit_network.pairs(batch["frames"]), digit_training.targets(kind, batch, classes))]
    )
    # Digits of another source than it was trained on, larger and blurred: far from chance (0.1; motions of 1.5 px), no better.
    assert measured["velocity_error_px"] < 0.6 and measured["class_accuracy"] > 0.35


def test_the_distance_grows_with_what_is_wrong():
    kind = {"canvas": 32, "num_digits": 1, "variant": "reference"}
    real, other = (batch_of(kind, 256, seed, frames=9)["frames"] for seed in (0, 1))
    features = digit_network.shipped().features
    truth = features(real)
    blurred = 0.25 * sum(np.roll(np.roll(other, i, axis=2), j, axis=3) for i in (0, 1) for j in (0, 1))
    still = np.repeat(other[:, :1], 9, axis=1)
    blank = np.zeros_like(other)
    floor, *wrong = (digit_network.distance(truth, features(clips)) for clips in (other, blurred, still, blank))
    assert 0 < floor < 0.5 * min(wrong)
    assert digit_network.distance(truth, truth) < 1e-6
    samples = np.stack([other[:, 1:], real[:, 1:]], axis=1)
    scores = digit_motion.features("truth", real[:, :1], real[:, None, 1:]) | digit_motion.features("model", real[:, :1], samples)
    entry = digit_motion.summary(scores | {"model_energy": np.zeros((256, 8))})
    assert (entry["n"], entry["frames"], entry["biased"]) == (256, 9, False)
    assert entry["model"]["draws"][1] < 1e-3 < entry["model"]["draws"][0]
    assert "not FVD" in digit_motion.sentence(entry) and "N 256, T 9" in digit_motion.sentence(entry)
    assert digit_motion.fits((64, 64, 1)) and not digit_motion.fits((64, 64, 3)) and not digit_motion.fits((48, 48, 1))


def test_training_and_what_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(digit_training, "KINDS", ({"canvas": 32, "num_digits": 1, "variant": "srvp"},))
    out = tmp_path / "net.npz"
    command = ["train-digit-network", "--digits", "uci", "--batch-size", "4", "--out", str(out)]
    assert cli.main([*command, "--steps", "3"]) == 0
    assert "class_accuracy" in capsys.readouterr().out
    network = digit_network.DigitNetwork(out)
    assert network.card["settings"]["steps"] == 3 and network.features(np.zeros((2, 3, 32, 32, 1))).shape == (2, 128)
    assert cli.main(command) == 2
    assert "exists" in capsys.readouterr().err
    assert cli.main([*command[:-1], str(tmp_path / "net.h5")]) == 2
    for clips in (np.zeros((2, 1, 32, 32, 1)), np.zeros((2, 3, 40, 40, 1)), np.zeros((2, 3, 32, 32, 3))):
        with pytest.raises(ValueError, match="Clips must be"):
            network.features(clips)
    card = json.loads(out.with_suffix(".json").read_text())
    out.with_suffix(".json").write_text(json.dumps(card | {"sha256": "0"}))
    with pytest.raises(ValueError, match="not that of its card"):
        digit_network.DigitNetwork(out)
    with pytest.raises(ValueError, match="not a digit network"):
        digit_network.DigitNetwork(tmp_path / "absent.npz")
