"""Two processes on this machine train as one does, and a run goes on after a worker was lost."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from svg_tf import cli, config, training
from svg_tf.training import checkpoints, multi_worker
from tests.svg_tf import tiny_models

pytest.importorskip("sklearn")
TINY = tiny_models.experiment({"beta": 1e-2}, steps_per_epoch=4, checkpoint_every=2, learning_rate=1e-4, adam_epsilon=1e-3)
SCRIPT = """
import os, signal, sys
import tensorflow as tf
from svg_tf import cli, config, training
from svg_tf.training import callbacks
devices = int(sys.argv[5])
if devices > 1:  # as on a machine with several GPUs: the strategy itself takes one CPU of a machine
    from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceExtended
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    def local_devices(self, resolver, worker_device):
        return tuple(f"{worker_device}/device:CPU:{i}" for i in range(devices)), "CPU"
    CollectiveAllReduceExtended._initialize_local_devices = local_devices
experiment = config.from_json(config.ExperimentConfig, open(sys.argv[2]).read())
sent, at = int(sys.argv[3]), int(sys.argv[4])
class Scalars(callbacks.Scalars):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, every=2, **kwargs)
    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        if self.model.step == at:
            os.kill(os.getpid(), sent)
callbacks.Scalars = Scalars
try:
    training.train(experiment, sys.argv[1], verbose=False)
except callbacks.Preempted as stopped:
    print(stopped, file=sys.stderr)
    sys.exit(cli.EXIT_PREEMPTED)
"""


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
    addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
    processes = []
    for i in range(workers):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "1"}
        environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}})
        last = (int(sent), at) if i == workers - 1 else (0, 0)
        arguments = [sys.executable, "-c", SCRIPT, str(run_dir), str(file), *map(str, last), str(devices)]
        processes.append(subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=environment))
    return processes


def ended(processes):
    """[(exit code, stderr)]"""
    return [(p.wait(), error) for p, error in ((p, p.communicate(timeout=600)[1]) for p in processes)]


def weights(run_dir, step):
    with np.load(checkpoints.path_of(run_dir / "checkpoints", step), allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name.startswith("model/")}


def last_step(run_dir):
    return checkpoints.existing(run_dir / "checkpoints")[-1][0]


def test_two_workers_equal_one_and_go_on_after_one_was_stopped_and_one_was_lost(tmp_path):
    workers = start(tmp_path / "two", 2, signal.SIGTERM, 2)
    training.train(TINY, tmp_path / "one", verbose=False)
    for code, error in ended(workers):
        assert code == cli.EXIT_PREEMPTED, error[-3000:]
        assert "Stopped on request at step 3" in error  # agreed upon in the step after the signal, by the chief too
    assert last_step(tmp_path / "two") == 3
    (chief, message), (lost, _) = ended(start(tmp_path / "two", 2, signal.SIGKILL, 5))
    assert lost == -signal.SIGKILL
    assert chief != 0
    assert "worker" in message.lower(), message[-3000:]
    assert last_step(tmp_path / "two") == 4
    for code, error in ended(start(tmp_path / "two", 2)):
        assert code == 0, error[-3000:]
    compare(tmp_path / "one", tmp_path / "two")


def compare(one, two):
    one, two = weights(one, 8), weights(two, 8)
    assert set(one) == set(two)
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-4, atol=2e-6, err_msg=name)


def test_two_workers_with_two_devices_each_equal_one(tmp_path):
    workers = start(tmp_path / "four", 2, devices=2)
    training.train(TINY, tmp_path / "one", verbose=False)
    for code, error in ended(workers):
        assert code == 0, error[-3000:]
    compare(tmp_path / "one", tmp_path / "four")


@pytest.mark.parametrize(
    ("cluster", "task", "expected"),
    [
        ({"worker": ["a:1", "b:1"]}, ("worker", 1), (1, 2)),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ("worker", 0), (1, 3)),
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ("chief", 0), (0, 3)),
        ({}, (None, None), (0, 1)),
    ],
)
def test_shares_of_workers_whatever_their_devices(cluster, task, expected):
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(tf.train.ClusterSpec(cluster), "", *task)
    assert multi_worker.shard(SimpleNamespace(cluster_resolver=resolver)) == expected
