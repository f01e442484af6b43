"""tools/serve.sh, with a program in Docker's place that prints what it is called with."""

import os
import pathlib
import shutil
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "tools" / "serve.sh"
BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="needs bash")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "models" / "a").mkdir(parents=True)
    (tmp_path / "models" / "a" / "models.config").write_text("")
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    docker.chmod(0o755)
    return tmp_path


def serve(folder, *arguments, docker=True):
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    if not docker:
        for tool in ("sed", "dirname"):
            if not (folder / "tools" / tool).exists():
                (folder / "tools").mkdir(exist_ok=True)
                (folder / "tools" / tool).symlink_to(shutil.which(tool))
        path = str(folder / "tools")
    command = [BASH, str(SCRIPT), *arguments, "--models", str(folder / "models")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PATH": path})


def test_the_container_gets_model_configurations_and_ports_of_this_machine_alone(folder):
    done = serve(folder, "a", "--rest-port", "9501")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "gRPC: grpc://127.0.0.1:8500   REST: http://127.0.0.1:9501/v1/models/a"
    words = lines[1:]
    assert words[:2] == ["run", "--rm"]
    assert [words[i + 1] for i, word in enumerate(words) if word == "-p"] == ["127.0.0.1:8500:8500", "127.0.0.1:9501:8501"]
    assert words[words.index("-v") + 1] == f"{(folder / 'models' / 'a').resolve()}:/models/a:ro"
    image = words.index("tensorflow/serving:latest")
    assert words[image + 1 :] == [
        "--model_config_file=/models/a/models.config",
        "--enable_batching=true",
        "--batching_parameters_file=/models/a/batching.config",
    ]


def test_without_batching(folder):
    words = serve(folder, "a", "--no-batching", "--image", "x/y:1").stdout.splitlines()
    assert words[-2:] == ["x/y:1", "--model_config_file=/models/a/models.config"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "which model?"),
        (["b"], "is not an exported model"),
        (["../models/a"], "a model's name has letters"),
        (["a", "b"], "one model only, got a and b"),
        (["a", "--grpc-port", "0"], "a port is in 1 to 65535, got '0'"),
        (["a", "--rest-port", "x;y"], "a port is in 1 to 65535, got 'x;y'"),
        (["a", "--rest-port", "70000"], "a port is in 1 to 65535, got '70000'"),
        (["a", "--grpc-port", "08501"], "the two ports must differ"),
        (["a", "--address", ""], "--address must be"),
        (["a", "--address", "::1"], "--address must be"),
        (["a", "--address", "-p"], "--address must be"),
        (["a", "--image", "--privileged"], "--image must be"),
        (["a", "--image", ""], "--image must be"),
        (["a", "--fast"], "unknown option --fast"),
    ],
)
def test_wrong_arguments(folder, arguments, message):
    done = serve(folder, *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("serve.sh: ") and message in done.stderr


def test_a_folder_that_docker_would_split(folder):
    done = subprocess.run([BASH, str(SCRIPT), "a", "--models", "x:y"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "--models must not hold a colon" in done.stderr


def test_no_docker(folder):
    done = serve(folder, "a", docker=False)
    assert done.returncode == 2 and "Docker is not installed" in done.stderr
