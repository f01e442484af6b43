"""Several processes and devices do one evaluation: the report is that of one, and what a killed one left is taken over."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from data_pipelines import claims
from svg_tf import evaluation
from svg_tf.evaluation import shards

PROGRAM = pathlib.Path(__file__).parents[2] / "programs" / "evaluate.py"
FILES = ("report.json", "report.md", "scores.npz", "curves.png", "best.gif", "worst.gif")


def start(out, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, str(PROGRAM), str(out), *arguments], env=environment, **pipes)


def ended(process):
    printed, error = process.communicate(timeout=300)
    assert process.returncode == 0, error[-3000:]
    return printed.splitlines()


def same(one, other):
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert not (other / "unfinished").exists()


def test_two_processes_two_devices_and_a_killed_one_give_the_report_of_one(tmp_path):
    """One process; two of which the second is killed within its second chunk; one with two devices."""
    one, devices = start(tmp_path / "one", "none", "1"), start(tmp_path / "devices", "none", "2")
    lines = ended(one)
    assert [line for line in lines if line.startswith("40/40 sequences")]
    ended(devices)
    same(tmp_path / "one", tmp_path / "devices")
    with np.load(tmp_path / "one.npz") as drawn, np.load(tmp_path / "devices.npz") as by_two:  # in order, and the same numbers
        assert len(drawn.files) == 4 and drawn["places"].tolist() == [[0, 0], [8, 0], [16, 0]]
        assert all(np.array_equal(drawn[name], by_two[name]) for name in drawn.files)
    killed = start(tmp_path / "two", "1/2", "1", "hang")  # stands still in its second chunk
    for line in killed.stdout:
        if line.startswith("HANGS"):
            break
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    left = sorted(path.name for path in (tmp_path / "two" / "unfinished").glob("chunk-*"))
    assert left == ["chunk-000001.npz"]
    together = [start(tmp_path / "two", f"{i}/3", "1") for i in range(3)]
    for process in together:
        assert any("/40 sequences" in line for line in ended(process))
    same(tmp_path / "one", tmp_path / "two")


def test_a_holder_is_gone_when_its_beat_stands_still(tmp_path):
    with claims.Claims(tmp_path / "c", patience=0.6) as first, claims.Claims(tmp_path / "c", patience=0.6) as second:
        assert first.take("a") and first.take("a") and not second.take("a") and second.take("b")
        time.sleep(1.0)
        assert not second.take("a")  # it beats
        first._ended.set()  # as after kill -9 on another machine
        first._thread.join()
        end = time.monotonic() + 20
        while not second.take("a") and time.monotonic() < end:
            time.sleep(0.1)
        assert second.take("a") and not first.take("a")
        shutil.rmtree(tmp_path / "c")
        assert not second.take("c")
    assert not (tmp_path / "c").exists()


def test_claims_are_given_back_and_those_of_dead_processes_are_free_at_once(tmp_path):
    with claims.Claims(tmp_path) as first:
        assert first.take("a")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with claims.Claims(tmp_path) as second:
        (tmp_path / "b.0").write_text(f"{second.holder.partition('_')[0]}_{dead.pid}_ab")
        (tmp_path / "c.0").write_text("another_1_ab")
        assert second.take("a") and second.take("b") and not second.take("c")


def test_of_many_that_ask_at_once_one_holds(tmp_path):
    holders = [claims.Claims(tmp_path) for _ in range(8)]
    for holder in holders:
        holder.__enter__()
    taken, barrier = [], threading.Barrier(8)

    def ask(holder):
        barrier.wait()
        taken.extend(number for number in range(20) if holder.take(str(number)))

    threads = [threading.Thread(target=ask, args=(holder,)) for holder in holders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(20))
    for holder in holders:
        holder.__exit__()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3"}, (3, 4)),
        ({"SLURM_ARRAY_TASK_ID": "6", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "5"}, (1, 3)),
        ({"JOB_COMPLETION_INDEX": "2", "SVG_WORKERS": "5"}, (2, 5)),
        ({"TF_CONFIG": '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker", "index": 0}}'}, (1, 2)),
    ],
)
def test_the_cluster_s_variables(variables, expected, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert shards.shard_of("cluster") == expected


@pytest.mark.parametrize("text", ["2/2", "-1/2", "1", "a/b", "1/2/3", "", "1/0"])
def test_shards_that_are_none(text):
    with pytest.raises(ValueError, match="--shard must be i/n with i from 0 to n - 1"):
        shards.shard_of(text)
    assert shards.shard_of("0/1") == (0, 1) and shards.shard_of(None) is None


def test_no_cluster_and_variables_that_do_not_agree(monkeypatch):
    with pytest.raises(ValueError, match="There is no cluster"):
        shards.shard_of("cluster")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "9")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "3")
    with pytest.raises(ValueError, match="no gaps"):
        shards.shard_of("cluster")


def test_a_complete_evaluation_is_given_to_a_late_shard_alone(tmp_path):
    from tests.svg_tf import tiny_models

    frames, options = tiny_models.frames_of(3), evaluation.Options(n_past=2, n_future=3, n_samples=2, random_shown=0)
    model = tiny_models.Repeater()
    first = evaluation.evaluate(model, frames, options, tmp_path)
    assert evaluation.evaluate(model, frames, options, tmp_path, shard=shards.Shard(1, 2)) == first
    with pytest.raises(ValueError, match="complete"):
        evaluation.evaluate(model, frames, options, tmp_path)
    with pytest.raises(ValueError, match="complete"):
        evaluation.evaluate(model, frames, evaluation.Options(
            n_past=2, n_future=3, n_samples=3, random_shown=0), tmp_path, shard=shards.Shard(1, 2))  # fmt: skip
