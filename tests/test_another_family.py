"""The house takes any family: an adversarial one in a file of 80 lines goes through every command as a user calls it.

Two replicas and two processes: tests/svg_tf/training/test_distribution.py and test_multi_worker.py.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from svg_tf import cli, config, families, presets
from svg_tf.serving import cpp
from svg_tf.training import checkpoints

pytest.importorskip("sklearn")
HERE = pathlib.Path(__file__).parent
PROGRAM = HERE / "programs" / "train.py"


def started(*arguments, expected=0):
    path = os.pathsep.join([str(HERE / "toy_family"), str(HERE.parent), *sys.path])
    process = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=600,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert process.returncode == expected, process.stderr[-3000:]
    return process.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory, toy):
    """Killed after a checkpoint, between two phases, and continued by the command line."""
    folder = tmp_path_factory.mktemp("another")
    file = folder / "toy.json"
    file.write_text(config.to_json(presets.get("smmnist_toy")))
    started(PROGRAM, folder / "run", file, int(signal.SIGKILL), 5, expected=-signal.SIGKILL)
    assert [step for step, _ in checkpoints.existing(folder / "run" / "checkpoints")] == [3]
    printed = started("-m", "svg_tf.cli", "train", "smmnist_toy", "--run-dir", folder / "run")
    assert f"tensorboard --logdir {folder / 'run' / 'logs'}" in printed
    return folder / "run"


def test_it_is_small_and_found_by_its_entry_point(toy):
    assert len((HERE / "toy_family" / "toy_family.py").read_text().splitlines()) <= 80
    assert "toy" in families.names() and "smmnist_toy" in presets.names()


def test_a_killed_run_ends_as_an_undisturbed_one(run, tmp_path):
    started("-m", "svg_tf.cli", "train", "smmnist_toy", "--run-dir", tmp_path / "whole")
    whole, broken = (dict(np.load(folder / "checkpoints" / "step-00000010.npz")) for folder in (tmp_path / "whole", run))
    assert set(whole) == set(broken) and {"model/judge/1/kernel", "optimizer/discriminator/iterations"} <= set(whole)
    for name, value in whole.items():
        np.testing.assert_array_equal(broken[name], value, err_msg=name)


def test_every_command_takes_its_run(run, tmp_path, capsys):
    assert cli.main(["generate", str(run), "--out", str(tmp_path / "a.gif"), "--sequences", "2", "--n-samples", "2"]) == 0
    evaluate = ["evaluate", str(run), "--sequences", "4", "--n-samples", "2"]
    assert cli.main(evaluate) == 0, capsys.readouterr().err
    report = json.loads((run / "evaluation" / "report.json").read_text())
    assert report["n_sequences"] == 4 and report["results"]["psnr"]["best"]["all"]["mean"] > 5
    compare = ["compare", f"toy={run}", f"again={run}", "--out", str(tmp_path / "comparison")]
    assert cli.main(compare) == 0, capsys.readouterr().err
    assert "toy" in (tmp_path / "comparison" / "comparison.md").read_text()
    figures = ["figures", str(run), "--figure", "all", "--sequences", "2", "--n-samples", "2", "--out", str(tmp_path / "figures")]
    assert cli.main(figures) == 0, capsys.readouterr().err
    assert list((tmp_path / "figures").glob("*.gif"))
    assert cli.main(["figures", str(run), "--figure", "6", "--out", str(tmp_path / "six")]) == 2
    assert "cannot be drawn" in capsys.readouterr().err


def test_its_export_passes_the_c_loader(run, tmp_path, capsys):
    export = ["export", str(run), "--out", str(tmp_path / "toy"), "--n-samples", "2", "--n-future", "3"]
    assert cli.main(export) == 0, capsys.readouterr().err
    version = tmp_path / "toy" / "1"
    assert set(cpp.signatures(version)) == {"serving_default", "generate", "generate_float"}
    assert cpp.faults(version, (32, 32, 1), 2) == []
