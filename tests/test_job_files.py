"""The job files of docs/scale.md start commands that are understood, with the variables that Slurm and Kubernetes set."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import tyro

from svg_tf import config, presets

PAGE = (pathlib.Path(__file__).resolve().parents[1] / "docs" / "scale.md").read_text(encoding="utf-8")
SVG_TF = f"""#!{sys.executable}
import json, sys
sys.path[:0] = {sys.path!r}
from svg_tf import clusters
print(json.dumps([sys.argv[1:], clusters.workers(), clusters.rank()]))
sys.exit(75)
"""
SRUN = """#!/bin/bash
while [[ "$1" == --* ]]; do shift; done
export SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NODELIST='n[09-10]' SLURM_STEP_TASKS_PER_NODE='1(x2)'
for rank in 0 1; do SLURM_PROCID=$rank "$@"; status=$?; done
exit $status
"""


@pytest.fixture
def programs(tmp_path):
    """Stand-ins on PATH: svg-tf prints what it was given and what cluster it sees; srun starts two tasks; scontrol is noted."""
    for name, text in {"svg-tf": SVG_TF, "srun": SRUN, "scontrol": '#!/bin/sh\necho "scontrol $@"\n'}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "SLURM_JOB_ID": "4007"}


def understood(words):
    """The experiment of `svg-tf train PRESET --run-dir DIR ...`."""
    assert words[0] == "train" and words[2] == "--run-dir"
    flags = tyro.conf.AvoidSubcommands[config.ExperimentConfig]
    experiment = tyro.cli(flags, default=presets.get(words[1]), args=words[4:])
    assert experiment.train.strategy == "multi_worker" and experiment.data.batch_size % 8 == 0
    return experiment


def test_slurm(programs, tmp_path):
    (script,) = re.findall(r"```bash\n(#!/bin/bash.*?)```", PAGE, re.DOTALL)
    (tmp_path / "train.sbatch").write_text(script)
    ran = subprocess.run(["bash", str(tmp_path / "train.sbatch")], env=programs, capture_output=True, text=True, timeout=120)
    *tasks, requeued = ran.stdout.splitlines()
    assert (ran.returncode, requeued) == (75, "scontrol requeue 4007"), ran.stderr
    for rank, (words, workers, place) in enumerate(map(json.loads, tasks)):
        understood(words)
        assert workers == [["n09:20070", "n10:20070"], rank] and place == [rank, 2]
    assert len(tasks) == 2


def test_kubernetes(programs):
    yaml = pytest.importorskip("yaml")
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    service, job = yaml.safe_load_all(text)
    name, spec = job["metadata"]["name"], job["spec"]
    pod = spec["template"]["spec"]
    assert service["spec"]["selector"] == {"job-name": name} and service["spec"]["clusterIP"] == "None"
    assert pod["subdomain"] == service["metadata"]["name"] and "hostname" not in pod
    assert spec["completions"] == spec["parallelism"] == 2 and spec["completionMode"] == "Indexed"
    (container,) = pod["containers"]
    given = {entry["name"]: entry["value"] for entry in container["env"]}
    for index in range(spec["completions"]):
        variables = programs | given | {"JOB_COMPLETION_INDEX": str(index), "HOSTNAME": f"{name}-{index}"}
        command = [*container["command"], *container["args"]]
        ran = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)
        words, workers, place = json.loads(ran.stdout)
        understood(words)
        assert workers == [["kth-lp-0.svg:12345", "kth-lp-1.svg:12345"], index] and place == [index, 2]
