"""Runs: continuing after a kill, refusing another configuration, stopping at NaN."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from svg_tf import callbacks, checkpoints, config, presets, training

pytest.importorskip("sklearn")
PRESET = presets.get("smmnist_mini")
TINY = dataclasses.replace(
    PRESET,
    model=dataclasses.replace(PRESET.model, width=2, g_dim=4, z_dim=2, rnn_size=3, n_past=2, beta_warmup_steps=4),
    data=dataclasses.replace(
        PRESET.data, batch_size=4, n_future=2, moving_mnist=dataclasses.replace(PRESET.data.moving_mnist, digits="uci")
    ),
    train=dataclasses.replace(
        PRESET.train, epochs=2, steps_per_epoch=5, checkpoint_every=3, deterministic=True, final_learning_rate=1e-4
    ),
    eval=dataclasses.replace(PRESET.eval, n_future=3, n_samples=2, validation_steps=2, summary_sequences=2),
)

SCRIPT = """
import os, signal, sys
from svg_tf import callbacks, config, training
experiment = config.from_json(config.ExperimentConfig, open(sys.argv[2]).read())
kill_at = int(sys.argv[3])
if kill_at:
    class Kill(callbacks.Checkpoints):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            if int(self.model.optimizer.iterations) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
    callbacks.Checkpoints = Kill
training.train(experiment, sys.argv[1], verbose=False)
"""


def start(run_dir, experiment_file, kill_at=0):
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(run_dir), str(experiment_file), str(kill_at)],
        capture_output=True, text=True, timeout=600, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    expected = -signal.SIGKILL if kill_at else 0
    assert process.returncode == expected, process.stderr[-3000:]


def contents(run_dir, step):
    with np.load(checkpoints.path_of(run_dir / "checkpoints", step), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_a_run_killed_in_mid_epoch_and_continued_equals_an_undisturbed_one(tmp_path):
    experiment_file = tmp_path / "experiment.json"
    experiment_file.write_text(config.to_json(TINY))
    start(tmp_path / "whole", experiment_file)
    start(tmp_path / "killed", experiment_file, kill_at=8)
    assert [step for step, _ in checkpoints.existing(tmp_path / "killed" / "checkpoints")] == [3, 5, 6]
    start(tmp_path / "killed", experiment_file)
    whole, killed = (contents(tmp_path / name, 10) for name in ("whole", "killed"))
    assert set(whole) == set(killed)
    for name, value in whole.items():
        np.testing.assert_array_equal(value, killed[name], err_msg=name)

    model, experiment, step = training.load_run(tmp_path / "killed")
    assert (experiment, step) == (TINY, 10)
    named = checkpoints.named_variables(model)
    np.testing.assert_array_equal(named["decoder/out/bias"].value, whole["model/decoder/out/bias"])
    written = json.loads((tmp_path / "killed" / "config.json").read_text())
    assert written["seed"] == 0 and written["versions"]["tensorflow"]

    longer = dataclasses.replace(TINY, train=dataclasses.replace(TINY.train, epochs=3))
    training.open_run(longer, tmp_path / "killed")  # more epochs are no other experiment
    with pytest.raises(ValueError, match=r"model.beta: 0.0002 -> 0.5"):
        other = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, beta=0.5))
        training.open_run(other, tmp_path / "killed")


def test_not_a_run_directory(tmp_path):
    with pytest.raises(ValueError, match="has no config.json"):
        training.read_config(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="is not a run's configuration"):
        training.read_config(tmp_path)
    training.open_run(TINY, tmp_path / "new")
    with pytest.raises(ValueError, match="has no checkpoint yet"):
        training.load_run(tmp_path / "new")


def test_a_nan_loss_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    class Poison(callbacks.StopAtNaN):
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 4:
                self.model.encoder.levels[0].conv.kernel.assign(np.full((4, 4, 1, 2), np.nan))

    undeterministic = dataclasses.replace(TINY, train=dataclasses.replace(TINY.train, deterministic=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks, "StopAtNaN", Poison)
        with pytest.raises(FloatingPointError, match=r"nan at optimizer step 5 .*step-00000003.npz"):
            training.train(undeterministic, tmp_path, verbose=False)
    assert [step for step, _ in checkpoints.existing(tmp_path / "checkpoints")] == [3]


def test_optimizer_follows_the_configuration():
    adam = training.optimizer_of(presets.get("smmnist_lp"))
    assert (float(adam.learning_rate), adam.beta_1, adam.beta_2, adam.epsilon) == (pytest.approx(2e-3), 0.9, 0.999, 1e-8)
    decayed = training.optimizer_of(TINY)
    decayed.build([])
    assert float(decayed.learning_rate) == pytest.approx(2e-3)
    decayed.iterations.assign(10)
    assert float(decayed.learning_rate) == pytest.approx(1e-4)


def test_data_of_another_size_than_the_model_is_refused(tmp_path):
    wrong = dataclasses.replace(TINY, data=dataclasses.replace(TINY.data, name="no_such_data_set"))
    with pytest.raises(ValueError, match="no_such_data_set"):
        training.train(wrong, tmp_path, verbose=False)
