"""The builders as Apache Beam pipelines on several worker processes give the records of the local writer."""

import os
import pathlib

import clip_files
import pytest

from data_pipelines import catalogue, record_index
from data_pipelines.example_gen import base, engines, kth
from tests.data_pipelines import media

pytest.importorskip("apache_beam")
WORKERS = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]


def builder(source, out, **options):
    options = base.BuildOptions(source=os.fspath(source), **options)
    return kth.Kth(config=kth.KthConfig.of(8), data_dir=os.fspath(out), options=options)


def shards(path):
    return [os.fspath(file) for file in sorted(pathlib.Path(path).glob("*train*.tfrecord*"))]


def test_two_worker_processes_give_the_same_records(tmp_path):
    names = [f"person{p:02d}_boxing_d1" for p in (1, 2, 3, 4, 5, 21)]
    source = clip_files.write_kth(tmp_path / "kth", {n: media.moving(i, 9, 8, 8, 1) for i, n in enumerate(names)})
    (source / f"{names[1]}_uncomp.avi").write_text("not a film")
    local = base.build(builder(source, tmp_path / "local", max_bad_clips=1))
    build = builder(source, tmp_path / "beam", max_bad_clips=1)
    told = []
    build.on_progress = lambda *counts: told.append(counts)
    beam = base.build(build, beam_runner="DirectRunner", beam_options=WORKERS)
    clip_files.same_records(local, beam)
    assert ("train", 5, 5) in told and ("test", 1, 1) in told and told == sorted(set(told), key=told.index)
    assert not list(pathlib.Path(beam).glob(".done*"))
    assert (pathlib.Path(beam) / "skipped-train.json").read_text() == (pathlib.Path(local) / "skipped-train.json").read_text()
    assert any(f"{names[1]}_uncomp.avi: not a video" in note for note in build.notes)
    assert not list(pathlib.Path(beam).glob("*.part*"))
    index = record_index.load(beam, "train", shards(beam), (8, 8, 1, 6))
    assert sorted(index.num_frames) == [9] * 4
    with pytest.raises(base.ClipError, match="(?s)1 bad clip.*--max-bad-clips"):
        base.build(builder(source, tmp_path / "strict"), beam_runner="DirectRunner")
    assert not catalogue.prepared(str(tmp_path / "strict"))


@pytest.mark.parametrize(
    ("runner", "options", "message"),
    [
        ("FlinkRunner", [], "flink_job_server_jar=PATH .*got ''"),
        ("SparkRunner", ["--spark_job_server_jar=absent.jar"], "spark_job_server_jar=PATH .*got 'absent.jar'"),
        ("NoSuchRunner", [], "Beam's NoSuchRunner could not build|NoSuchRunner"),
    ],
)
def test_engines_that_cannot_start_are_told_in_one_line(tmp_path, monkeypatch, runner, options, message):
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
