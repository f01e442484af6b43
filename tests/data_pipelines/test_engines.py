"""Engines: worker processes of Beam and Dask, without TensorFlow, give the bytes of a build in one process."""

import functools
import hashlib
import os
import pathlib
import subprocess
import sys

import clip_files
import pytest
import worker_jobs

from data_pipelines import catalogue
from data_pipelines.example_gen import base, engines, kth, writing
from tests.data_pipelines import media

BEAM = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
NAMES = [f"person{p:02d}_boxing_d1" for p in (1, 2, 3, 4, 5, 21)]


def builder(source, out, read_job=None, **options):
    options = base.BuildOptions(source=os.fspath(source), **options)
    build = kth.Kth(config=kth.KthConfig.of(8), data_dir=os.fspath(out), options=options)
    if read_job:
        build.read_job = read_job
    return build


def sums(path):
    """Checksums of all files of a data set by name."""
    found = (file for file in pathlib.Path(path).rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in found}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source") / "kth"
    clip_files.write_kth(folder, {name: media.moving(i, 9 + i, 8, 8, 1) for i, name in enumerate(NAMES)})
    (folder / f"{NAMES[1]}_uncomp.avi").write_text("not a film")
    return folder


@pytest.fixture(scope="module")
def local(source, tmp_path_factory):
    """Built in this process."""
    out = tmp_path_factory.mktemp("local")
    build = builder(source, out, max_bad_clips=1)
    return base.build(build), build.notes


def test_equal_sources_give_equal_bytes(source, local, tmp_path):
    again = base.build(builder(source, tmp_path / "again", max_bad_clips=1))
    assert sums(again) == sums(local[0]) and len(sums(again)) == 8
    assert not list(pathlib.Path(again).glob(".*"))


@pytest.fixture
def modules_of_tests(monkeypatch):
    """Worker processes find the tests' modules."""
    paths = [str(pathlib.Path(worker_jobs.__file__).parent), str(pathlib.Path(base.__file__).parents[2])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]))


def test_two_beam_workers_give_the_same_bytes(source, local, tmp_path, modules_of_tests, monkeypatch):
    pytest.importorskip("apache_beam")
    monkeypatch.setattr(writing, "COPIED_HERE", 0)
    build, told = builder(source, tmp_path / "beam", worker_jobs.read_lightly, max_bad_clips=1), []
    build.on_progress = lambda *counts: told.append(counts)
    beam = base.build(build, beam_runner="DirectRunner", beam_options=BEAM)
    assert sums(beam) == sums(local[0])
    assert ("train", 5, 5) in told and ("test", 1, 1) in told and told == sorted(set(told), key=told.index)
    assert build.notes == local[1] and any(f"{NAMES[1]}_uncomp.avi: not a video" in note for note in build.notes)


def test_a_failing_engine_is_told_in_one_line_and_leaves_nothing(source, tmp_path):
    pytest.importorskip("apache_beam")
    with pytest.raises(base.ClipError, match="(?s)1 bad clip.*--max-bad-clips"):
        base.build(builder(source, tmp_path / "strict"), beam_runner="DirectRunner")
    with pytest.raises(ValueError, match="DirectRunner could not build .*: RuntimeError: no such thing as person0") as raised:
        base.build(builder(source, tmp_path / "strict", worker_jobs.fails), beam_runner="DirectRunner")
    assert "\n" not in str(raised.value)
    clip_files.nothing_built(tmp_path / "strict")


def test_dask_survives_a_killed_worker_and_gives_the_same_bytes(source, local, tmp_path, modules_of_tests, monkeypatch):
    distributed = pytest.importorskip("distributed")
    died = source / "died"
    died.unlink(missing_ok=True)
    read = functools.partial(base.build, beam_runner="DaskRunner")
    dask = read(builder(source, tmp_path / "dask", worker_jobs.read_or_die, max_bad_clips=1), beam_options=["--dask_workers=2"])
    assert died.exists() and sums(dask) == sums(local[0])
    with distributed.LocalCluster(2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        address = [f"--dask_client_address={cluster.scheduler_address}"]
        monkeypatch.setattr(writing, "COPIED_HERE", 0)
        dask = read(builder(source, tmp_path / "there", worker_jobs.read_lightly, max_bad_clips=1), beam_options=address)
        assert sums(dask) == sums(local[0])
        with pytest.raises(ValueError, match="DaskRunner could not build .*: RuntimeError: no such thing as person0"):
            read(builder(source, tmp_path / "bad", worker_jobs.fails), beam_options=address)
    clip_files.nothing_built(tmp_path / "bad")
    with pytest.raises(ValueError, match="DaskRunner takes dask_client_address=HOST:PORT"):
        read(builder(source, tmp_path / "bad"), beam_options=["--direct_num_workers=2"])


def test_what_runs_in_a_worker_loads_no_tensorflow():
    program = f"""
import importlib, pkgutil, sys
from data_pipelines.example_gen import engines, jobs, parts, shards
for module in pkgutil.iter_modules(jobs.__path__):
    importlib.import_module(f"{{jobs.__name__}}.{{module.name}}")
print([name for name in {worker_jobs.HEAVY} if name in sys.modules])
"""
    root = pathlib.Path(base.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("runner", "options", "message"),
    [
        ("FlinkRunner", [], "flink_job_server_jar=PATH .*got ''"),
        ("SparkRunner", ["--spark_job_server_jar=absent.jar"], "spark_job_server_jar=PATH .*got 'absent.jar'"),
        ("NoSuchRunner", [], "NoSuchRunner"),
    ],
)
def test_engines_that_cannot_start_are_told_in_one_line(tmp_path, monkeypatch, runner, options, message):
    pytest.importorskip("apache_beam")
    (tmp_path / "java").write_text("#!/bin/sh")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    source = clip_files.write_kth(tmp_path / "kth", {"person01_boxing_d1": media.moving(0, 9, 8, 8, 1)})
    with pytest.raises(ValueError, match=message) as raised:
        base.build(builder(source, tmp_path / "out"), beam_runner=runner, beam_options=options)
    assert "\n" not in str(raised.value)
    assert not catalogue.prepared(str(tmp_path / "out"))


def test_an_engine_without_java(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="FlinkRunner starts a job server in Java, which is not on PATH"):
        engines.check("FlinkRunner", ["--flink_job_server_jar=x.jar"])
    engines.check("FlinkRunner", ["--job_endpoint=localhost:8099"])
    engines.check("DirectRunner", [])
