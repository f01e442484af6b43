"""Training on several replicas equals training on one: the same noise, synchronised statistics, the same mathematics."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from svg_tf import noise

PROGRAM = pathlib.Path(__file__).parents[2] / "programs" / "replicas.py"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folders = {n: tmp_path_factory.mktemp(f"run{n}") for n in (1, 2, 4)}

    def run(n):
        process = subprocess.run(
            [sys.executable, str(PROGRAM), str(folders[n]), str(n), str(folders[1])], capture_output=True, text=True,
            timeout=600, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"},
        )  # fmt: skip
        assert process.returncode == 0, process.stderr[-3000:]
        return json.loads(process.stdout.split("RESULT")[1])

    return {n: run(n) for n in (1, 2, 4)}


def differences(a, b):
    """name -> largest difference, relative to the variable's largest entry."""
    return {name: np.abs(np.subtract(a[name], b[name])).max() / max(np.abs(a[name]).max(), 1e-3) for name in a}


@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_equal_one(results, replicas):
    one, many = results[1]["sgd"], results[replicas]["sgd"]
    assert results[replicas]["replicas"] == replicas
    for a, b in zip(one["steps"], many["steps"], strict=True):
        assert b == pytest.approx(a, rel=1e-6, abs=1e-7)  # the KL is a difference of terms of order 1
    assert len(one["steps"]) == 10
    worst = differences(one["weights"], many["weights"])
    assert max(worst.values()) < 5e-6, worst
    assert many["evaluated"] == pytest.approx(one["evaluated"], rel=1e-5)


@pytest.mark.parametrize("family", ["srvp", "sv2p"])
def test_replicas_equal_one_for_families_whose_noise_chooses_frames(family, results):
    """Those of SRVP's content and skips; the true ones that SV2P is shown, in a step before its phase changes and after it."""
    one, two = results[1][family], results[2][family]
    for a, b in zip(one["steps"], two["steps"], strict=True):
        assert b == pytest.approx(a, rel=1e-5, abs=1e-6)
    assert len(one["steps"]) == 3
    worst = differences(one["weights"], two["weights"])
    assert max(worst.values()) < 2e-5, worst
    assert two["evaluated"] == pytest.approx(one["evaluated"], rel=1e-5)


def test_replicas_equal_one_under_adam(results):
    # Adam divides by the gradient's own size: where that is all rounding error, steps of the full learning rate differ. No
    # bias stands before a normalisation here, so that no gradient is zero in truth; small ones remain.
    one, many = results[1]["adam"], results[2]["adam"]
    worst = differences(one["weights"], many["weights"])
    assert np.median(list(worst.values())) < 1e-5, worst
    assert max(worst.values()) < 2e-2, worst
    for a, b in zip(one["steps"], many["steps"], strict=True):
        assert b == pytest.approx(a, rel=1e-3)


def test_an_adversarial_family_on_two_replicas(results):
    """Two optimizers, two phases, an update at every second step; gradients clipped by the norm of the global batch's."""
    one, two = results[1]["adversarial"], results[2]["adversarial"]
    assert len(one["steps"]) == 7 and set(one["steps"][0]) == {"loss", "generator/loss", "generator/mse", "generator/fooled"}
    assert "discriminator/loss" in one["steps"][4] and one["steps"][4]["generator/fooled"] != 0
    for a, b in zip(one["steps"], two["steps"], strict=True):
        assert b == pytest.approx(a, rel=1e-5, abs=1e-6)
    assert any("/averages/" in name for name in one["slots"])
    for part in ("weights", "slots"):
        worst = differences(one[part], two[part])
        assert max(worst.values()) < 1e-4, worst
    assert two["evaluated"] == pytest.approx(one["evaluated"], rel=1e-4)
    assert "clips on each replica by itself" in results[2]["clipping refused"]
    assert "clipping refused" not in results[1]


def test_keypoints_and_their_dynamics_on_two_replicas(results):
    """The coins of scheduled sampling are the whole batch's, the chosen latents a row's; each gradient has a norm of its own."""
    one, two = results[1]["keypoints"], results[2]["keypoints"]
    for a, b in zip(one["steps"], two["steps"], strict=True):
        assert b == pytest.approx(a, rel=1e-5, abs=1e-6)
    assert len(one["steps"]) == 4 and one["steps"][-1]["true_codes"] < 1
    worst = differences(one["weights"], two["weights"])
    assert max(worst.values()) < 1e-4, worst
    assert two["evaluated"] == pytest.approx(one["evaluated"], rel=1e-5)


def test_replicas_equal_one_for_savp(results):
    """Two updates from one forward pass; the vectors of spectral norms are on each replica what they are on one."""
    one, two = results[1]["savp"], results[2]["savp"]
    assert len(one["steps"]) == 3 and one["steps"][2]["generator/weighted_kl"] != 0
    for a, b in zip(one["steps"], two["steps"], strict=True):
        assert b == pytest.approx(a, rel=1e-5, abs=1e-6)
    assert sum(name.endswith("/u") for name in one["weights"]) == 16
    assert len(one["slots"]) > 50
    for what in ("weights", "slots"):  # slots: the gradients of three steps
        worst = differences(one[what], two[what])
        assert max(worst.values()) < 2e-5, worst
    # A direction of features that are all but zero turns by rounding: weights that differ by 1e-8 gave distances 7e-5 apart.
    assert two["evaluated"] == pytest.approx(one["evaluated"], rel=5e-4)


def test_the_whole_program_on_two_replicas(results):
    for what in ("run", "averaged"):
        worst = differences(results[1][what], results[2][what])
        assert max(worst.values()) < 1e-4, worst
    assert max(differences(results[1]["run"], results[1]["averaged"]).values()) > 1e-3


def test_a_run_of_one_replica_goes_on_on_two_in_another_folder(results):
    """Bit for bit in what it goes on from, and within rounding in what comes of it."""
    one, two = results[1], results[2]
    assert one["restored"] == two["restored"] and any("/averages/" in name for name in one["restored"])
    worst = differences(one["moved"], two["moved"])
    assert max(worst.values()) < 1e-4, worst
    assert max(differences(one["run"], one["moved"]).values()) > 1e-3
    shown = {name: value for name, value in one["curves"].items() if "speed/" not in name}
    assert {"train/epoch/loss 3", "train/epoch/loss 6", "validation/epoch/loss 6"} <= set(shown)
    assert {name: two["curves"][name] for name in shown} == pytest.approx(shown, rel=1e-4, abs=1e-6)


def test_gradients_equal(results):
    one, two = results[1]["gradients"], results[2]["gradients"]
    assert len(one["slots"]) > 10
    one, two, again = (
        np.concatenate([np.ravel(g) for g in result["slots"].values()]) for result in (one, two, results[1]["reversed"])
    )
    difference, rounding, size = (np.linalg.norm(x) for x in (two - one, again - one, one))
    # Normalisation of maps of deviation 0.02 amplifies the rounding of float32 sums: 1e-6 is within what their order makes.
    assert difference < 3 * rounding, (difference / size, rounding / size)
    assert difference < 5e-6 * size


def test_a_batch_that_does_not_divide_is_refused(results):
    assert "batch of 7 must be divisible by the 2 replicas" in results[2]["fit refused"]
    assert "fit refused" not in results[1]
    assert "6 must be divisible by the 4 replicas" in results[4]["refused"]


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_replicas_skip_a_step_together(results, replicas):
    # steps, updates, scale, weight: Keras's own asks the first replica alone, and the overflow of the last one is applied
    expected = [[1, 1, 2.0**15, 0.75], [2, 1, 2.0**14, 0.75], [3, 2, 2.0**14, 0.5], [4, 2, 2.0**13, 0.5]]
    assert results[replicas]["scaled"] == expected


def test_each_row_of_the_global_batch_has_its_own_noise_wherever_it_is():
    seed = noise.fold(noise.seed_pair(3), 1)
    whole = noise.normal(seed, [5, 8, 2]).numpy()
    for rows in ([0, 1, 2, 3], [4, 5, 6, 7]):
        np.testing.assert_array_equal(noise.normal_of_rows(seed, 5, rows, 8, 2), whole[:, rows])
    assert len(np.unique(whole)) == whole.size
