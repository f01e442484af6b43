"""The builders as Apache Beam pipelines on several worker processes give the records of the local writer."""

import os
import pathlib

import clip_files
import pytest

from data_pipelines import catalogue, record_index
from data_pipelines.example_gen import base, kth
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
    beam = base.build(build, beam_runner="DirectRunner", beam_options=WORKERS)
    clip_files.same_records(local, beam)
    assert (pathlib.Path(beam) / "skipped-train.json").read_text() == (pathlib.Path(local) / "skipped-train.json").read_text()
    assert any(f"{names[1]}_uncomp.avi: not a video" in note for note in build.notes)
    assert not list(pathlib.Path(beam).glob("*.part*"))
    index = record_index.load(beam, "train", shards(beam), (8, 8, 1, 6))
    assert sorted(index.num_frames) == [9] * 4
    with pytest.raises(base.ClipError, match="(?s)1 bad clip.*--max-bad-clips"):
        base.build(builder(source, tmp_path / "strict"), beam_runner="DirectRunner")
    assert not catalogue.prepared(str(tmp_path / "strict"))
