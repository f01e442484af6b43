"""`svg-tf` from end to end on a model of a few parameters."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import svg_tf
from data_pipelines import files
from svg_tf import cli, presets, training

TINY = [
    *("--model.width", "2", "--model.g-dim", "4", "--model.rnn-size", "4", "--model.z-dim", "2"),
    *("--data.batch-size", "2", "--data.moving-mnist.digits", "uci"),
    *("--train.epochs", "1", "--train.steps-per-epoch", "2"),
    *("--eval.n-samples", "2", "--eval.n-future", "3", "--eval.validation-steps", "1", "--eval.summary-sequences", "1"),
]


def test_presets_lists_each_experiment(capsys):
    assert cli.main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == presets.names()


def test_train_generate_and_refuse_another_configuration(tmp_path, capsys):
    run = tmp_path / "run"
    train = ["train", "smmnist_mini", "--run-dir", str(run), *TINY]
    assert cli.main(train) == 0
    assert f"tensorboard --logdir {run / 'logs'}" in capsys.readouterr().out
    config = json.loads((run / "config.json").read_text())
    assert config["config"]["model"]["width"] == 2
    assert "tensorflow" in config["versions"]
    slim = tmp_path / "slim"
    assert cli.main(["slim", str(run), "--out", str(slim)]) == 0
    (whole,), (half,) = (list((folder / "checkpoints").glob("step*")) for folder in (run, slim))
    assert half.stat().st_size < whole.stat().st_size
    assert cli.main(["slim", str(run), "--out", str(slim)]) == 2
    assert "not empty" in capsys.readouterr().err
    model, exact = training.load_run(slim)[0], training.load_run(run)[0]
    for a, b in zip(model.trainable_variables, exact.trainable_variables, strict=True):
        np.testing.assert_allclose(a.value, b.value, rtol=1e-3, atol=1e-6)
    assert cli.main(["train", "smmnist_mini", "--run-dir", str(slim), *TINY]) == 2
    assert "No usable checkpoint" in capsys.readouterr().err
    out = tmp_path / "samples.gif"
    assert cli.main(["generate", str(run), "--out", str(out), "--n-samples", "2", "--sequences", "2"]) == 0
    assert Image.open(out).n_frames == 8  # 5 context frames and eval.n_future
    assert cli.main([*train, "--model.beta", "0.5"]) == 2
    assert "model.beta: 0.0002 -> 0.5" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["train"], "needs a preset"),
        (["train", "smmnist_huge", "--run-dir", "x"], "Unknown preset 'smmnist_huge'"),
        (["generate", "nowhere"], "not a run directory"),
        (["generate", "nowhere", "--n-samples", "0"], "--n-samples must be an integer of at least 1, got 0"),
        (["generate", "s3://bucket/run"], "s3:// is not supported"),
        (["slim", "s3://bucket/run", "--out", "x"], "s3:// is not supported"),
        (["train", "smmnist_mini", "--run-dir", "s3://bucket/run"], "s3:// is not supported"),
        (["slim", "x", "--out", "./x"], "which is read"),
        (["generate", "nowhere", "--frame-rate", "2", "--n-samples", "5"], "shows one sample of each sequence"),
        (["generate", "nowhere", "--out", "samples.mp4"], "must end in .gif"),
    ],
)
def test_wrong_arguments_are_one_line_on_stderr(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("svg-tf: ")
    assert message in error
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "flag, value, message", [("--model.depth", "3", "--model.depth"), ("--model.image-size", "48", "image_size")]
)
def test_unknown_fields_and_values_out_of_range_are_refused(flag, value, message, capsys, tmp_path):
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "smmnist_mini", "--run-dir", str(tmp_path / "x"), flag, value])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def program(*arguments, **kwargs):
    command, pipe = [sys.executable, "-m", "svg_tf.cli", *arguments], subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, **kwargs)


ROOT = pathlib.Path(__file__).resolve().parents[3]


def test_help_and_version(capsys):
    for arguments in (["train", "--help"], ["train", "-h"]):
        assert cli.main(arguments) == 0
        text = capsys.readouterr().out
        assert "PRESET --run-dir DIR" in text and "smmnist_mini" in text
    for arguments, word in ((["train", "smmnist_mini", "--help"], "--model.z-dim"), (["figures", "--help"], "--figure")):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 0
        assert word in capsys.readouterr().out
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"svg-tf {svg_tf.__version__}\n"


def test_a_reader_that_goes_away_is_no_error():
    process = program("presets")
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait() == 0


def test_a_run_in_use_is_for_another_time(tmp_path, capsys):
    run = tmp_path / "run"
    with files.locked(run, "trains in"):
        assert cli.main(["train", "smmnist_mini", "--run-dir", str(run), *TINY]) == 75
    error = capsys.readouterr().err
    assert f"trains in {run} now: process {os.getpid()}" in error and error.count("\n") == 1


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_stopped_training_is_one_line_and_saved(tmp_path, number, status):
    run = tmp_path / "run"
    more = ["--train.steps-per-epoch", "100000", "--train.checkpoint-every", "2"]
    process = program("train", "smmnist_mini", "--run-dir", str(run), *TINY, *more)
    saved = run / "checkpoints"
    while not list(saved.glob("step-*.npz")) and process.poll() is None:
        time.sleep(0.2)
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    assert process.returncode == status, error
    lines = [line for line in error.splitlines() if line.startswith("svg-tf:")]
    assert len(lines) == 1 and "Stopped on request at step" in lines[0] and "Traceback" not in error
    step = int(lines[0].partition("step ")[2].partition(";")[0])
    assert (saved / f"step-{step:08d}.npz").is_file()


def test_another_backend_of_keras_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert cli.main(["train", "smmnist_mini", "--run-dir", "run"]) == 2
    assert capsys.readouterr().err.startswith("svg-tf: svg_tf needs Keras's TensorFlow backend, and KERAS_BACKEND is 'jax'")
    with pytest.raises(ValueError, match="KERAS_BACKEND is 'jax'"):
        svg_tf.SVG  # noqa: B018
    assert svg_tf.presets.get("smmnist_lp").model.n_past == 5
