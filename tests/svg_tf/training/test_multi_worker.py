"""Two processes on this machine train as one does, and a run goes on after a worker was lost."""

import dataclasses
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import files
from svg_tf import config, training
from svg_tf.config import OptimizerConfig
from svg_tf.training import checkpoints, cluster
from svg_tf.training.state import named_variables
from tests.programs import family_cases
from tests.svg_tf import tiny_models

pytest.importorskip("sklearn")
PROGRAM = pathlib.Path(__file__).parents[2] / "programs" / "train.py"
CLOSE = OptimizerConfig(1e-4, epsilon=1e-3)  # small gradients, which are mostly rounding, move little
TINY = tiny_models.experiment({"beta": 1e-2}, steps_per_epoch=4, checkpoint_every=2, optimizer=CLOSE)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def start(run_dir, workers, sent=0, at=0, devices=1):
    """Starts `workers` processes with `devices` each, of which the last one gets the signal `sent` after step `at`."""
    experiment = dataclasses.replace(TINY, train=dataclasses.replace(TINY.train, strategy="multi_worker"))
    file = run_dir.with_suffix(".json")
    file.write_text(config.to_json(experiment))
    last = [str(int(sent)), str(at)]
    return launched(
        [
            [str(PROGRAM), str(run_dir), str(file), *(last if i == workers - 1 else ["0", "0"]), str(devices)]
            for i in range(workers)
        ]
    )


def launched(commands, slurm=False):
    """One process for each command, all of one cluster: that of TF_CONFIG, or of a step of Slurm on this machine."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(len(commands))]
    processes = []
    for i, command in enumerate(commands):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "1"}
        if slurm:
            environment |= {
                "SLURM_PROCID": str(i), "SLURM_STEP_NUM_TASKS": str(len(commands)), "SLURM_STEP_NODELIST": "localhost",
                "SLURM_STEP_TASKS_PER_NODE": str(len(commands)), "SLURM_JOB_ID": str(os.getpid()),
            }  # fmt: skip
        else:
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}})
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen([sys.executable, *command], env=environment, **pipes))
    return processes


def ended(processes):
    """[(exit code, stderr)]"""
    return [(code, error) for code, _, error in outputs(processes)]


def outputs(processes):
    """[(exit code, stdout, stderr)]"""
    return [(p.wait(), *written) for p, written in [(p, p.communicate(timeout=600)) for p in processes]]


def weights(run_dir, step):
    with np.load(checkpoints.path_of(run_dir / "checkpoints", step), allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name.startswith("model/")}


def last_step(run_dir):
    return checkpoints.existing(run_dir / "checkpoints")[-1][0]


def test_two_workers_equal_one_and_go_on_after_one_was_stopped_and_one_was_lost(tmp_path):
    workers = start(tmp_path / "two", 2, signal.SIGTERM, 2)
    training.train(TINY, tmp_path / "one", verbose=False)
    for code, error in ended(workers):
        assert code == 75, error[-3000:]
        assert "Stopped on request at step 3" in error  # agreed upon in the step after the signal, by the chief too
    assert last_step(tmp_path / "two") == 3
    (chief, message), (lost, _) = ended(start(tmp_path / "two", 2, signal.SIGKILL, 5))
    assert (chief, lost) == (75, -signal.SIGKILL), message[-3000:]
    named = r"^Of this job's 2 workers, index 1 \(at 127\.0\.0\.1:[0-9]+\) is gone\. Start all workers again \(exit status 75\)"
    assert re.search(named, message, re.MULTILINE), message[-3000:]
    assert last_step(tmp_path / "two") == 4
    for code, error in ended(start(tmp_path / "two", 2)):
        assert code == 0, error[-3000:]
    compare(tmp_path / "one", tmp_path / "two")


def compare(one, two):
    one, two = weights(one, 8), weights(two, 8)
    assert set(one) == set(two)
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-4, atol=2e-6, err_msg=name)


def test_the_command_line_past_progress_validation_checkpoints_and_ends(tmp_path):
    """Two processes of `svg-tf train` itself: what one worker alone does must not wait for the others."""
    flags = {
        "train.strategy": "multi_worker", "train.epochs": 2, "train.steps-per-epoch": 55, "train.checkpoint-every": 30,
        "data.batch-size": 4, "data.n-future": 2, "data.moving-mnist.digits": "uci", "model.width": 2, "model.g-dim": 4,
        "model.z-dim": 2, "model.rnn-size": 3, "model.n-past": 2, "eval.n-future": 3, "eval.n-samples": 2,
        "eval.validation-steps": 2, "eval.summary-sequences": 1,
    }  # fmt: skip
    flags = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    command = ["-m", "svg_tf.cli", "train", "smmnist_mini", "--run-dir", str(tmp_path / "run"), *flags]
    processes = launched([command, command])
    (chief, printed, error), (other, silent, also) = outputs(processes)
    assert (chief, other) == (0, 0), (error[-3000:], also[-3000:])
    assert "Collective" not in error + also and len(error.splitlines()) < 12, error
    assert [line.split()[1] for line in printed.splitlines() if line.startswith("step ")] == ["50/110", "100/110", "110/110"]
    assert "step " not in silent
    assert last_step(tmp_path / "run") == 110


def test_the_other_workers_end_where_the_chief_is_refused(tmp_path):
    """They wait for its weights by then."""
    command = ["-m", "svg_tf.cli", "train", "smmnist_mini", "--run-dir", str(tmp_path / "run"), "--train.strategy=multi_worker"]
    with files.locked(tmp_path / "run", "trains in"):
        (chief, error), (other, also) = ended(launched([command, command]))
    assert (chief, other) == (75, 75), (error[-3000:], also[-3000:])
    assert "Another process trains in" in error and "Of this job's 2 workers, index 0 (at " in also
    assert "Traceback" not in error + also


def test_other_families_on_two_workers(tmp_path):
    """SV2P, Struct-VRNN and a GAN of SAVP: frames shown by their row, coins for the whole batch, the best of many latents, two
    updates. As a step of Slurm."""
    file = tmp_path / "found.json"
    workers = launched([[str(PROGRAM.with_name("workers.py")), str(file)]] * 2, slurm=True)
    one = {}
    for name, case in family_cases.LIGHT.items():
        model, steps = case.made(), family_cases.Steps()
        data = tf.data.Dataset.from_tensor_slices({"frames": case.frames})
        model.fit(data.repeat(), steps_per_epoch=case.steps, shuffle=False, verbose=0, callbacks=[steps])
        one[name] = steps, named_variables(model)
    for code, error in ended(workers):
        assert code == 0, error[-3000:]
    two = json.loads(file.read_text())
    assert set(two) == set(one) and len(two) == 3
    for name, (steps, variables) in one.items():
        assert len(steps.seen) == family_cases.LIGHT[name].steps == 3
        for a, b in zip(steps.seen, two[name]["steps"], strict=True):
            assert b == pytest.approx(a, rel=1e-5, abs=1e-6), name
        assert set(two[name]["weights"]) == set(variables)
        for path, variable in variables.items():
            value = np.asarray(variable.value)
            bound = 1e-4 * max(abs(value).max(), 1e-3)
            np.testing.assert_allclose(two[name]["weights"][path], value, rtol=0, atol=bound, err_msg=f"{name}: {path}")


def of_worker(index, **jobs):
    """TF_CONFIG of a worker."""
    return json.dumps({"cluster": jobs or {"worker": ["a:1"]}, "task": {"type": "worker", "index": index}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "TF_CONFIG must be JSON such as"),
        ("[]", "TF_CONFIG must be JSON such as"),
        ('{"cluster": {"worker": ["a:1"]}}', "TF_CONFIG must be JSON such as"),
        (of_worker(0, worker=5), "TF_CONFIG must be JSON such as"),
        (of_worker(1), r"index must be one of worker's, in \[0, 1\); got 1"),
        (of_worker(-1), "index must be one of worker's"),
        (of_worker(True), "index must be one of worker's"),
        (of_worker(0.0), "index must be one of worker's"),
        (of_worker(0, worker=["a:1", "a:1"]), "'a:1' is there twice"),
        (of_worker(0, worker=["no-such-host.invalid:1"]), "There is no host 'no-such-host.invalid'"),
        (of_worker(0, worker=["a:1"], chief=["b:1", "c:1"]), "jobs must be 'worker'"),
        (of_worker(0, worker=["b:1"], ps=["a:1"]), "jobs must be 'worker'"),
        (of_worker(0, worker=["a"]), "workers must be host:port"),
        (of_worker(0, worker=["http://a:1"]), "workers must be host:port"),
        (of_worker(0, worker=["a:99999"]), "workers must be host:port"),
        (of_worker(0, worker=[3]), "workers must be host:port"),
        (None, "strategy 'multi_worker' needs a cluster: set TF_CONFIG"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused_at_once(text, message, monkeypatch, tmp_path):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(cluster, "NAMES_KNOWN_AFTER", 0.0)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    experiment = dataclasses.replace(TINY, train=dataclasses.replace(TINY.train, strategy="multi_worker"))
    with pytest.raises(ValueError, match=message):
        training.train(experiment, tmp_path / "run", verbose=False)
    assert not (tmp_path / "run").exists()


def test_two_workers_with_two_devices_each_equal_one(tmp_path):
    workers = start(tmp_path / "four", 2, devices=2)
    training.train(TINY, tmp_path / "one", verbose=False)
    for code, error in ended(workers):
        assert code == 0, error[-3000:]
    compare(tmp_path / "one", tmp_path / "four")


@pytest.mark.parametrize(
    ("jobs", "task", "expected"),
    [
        ({"worker": ["a:1", "b:1"]}, ("worker", 1), (1, 2)),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ("worker", 0), (1, 3)),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ("chief", 0), (0, 3)),
        ({}, (None, None), (0, 1)),
    ],
)
def test_shares_of_workers_whatever_their_devices(jobs, task, expected):
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(tf.train.ClusterSpec(jobs), "", *task)
    assert cluster.shard(SimpleNamespace(cluster_resolver=resolver)) == expected
