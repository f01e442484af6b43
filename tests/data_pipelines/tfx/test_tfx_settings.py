"""What the pipeline is told, the content's fingerprint, and what is missing."""

import dataclasses
import json
import os

import numpy as np
import pytest
from PIL import Image

from data_pipelines import cli
from data_pipelines.tfx import fingerprint, progress, requirement, run
from data_pipelines.tfx.settings import Build, Evaluation, Settings, Source
from svg_tf import presets


def test_a_source_becomes_a_folder_and_a_pattern(tmp_path):
    (tmp_path / "videos").mkdir()
    base = os.fspath(tmp_path / "videos")
    assert Source.of(base) == (base, "*") and not Source.of(base).has_span
    assert Source.of(f"{base}/span-{{SPAN}}/v{{VERSION:2}}") == (base, "span-{SPAN}/v{VERSION:2}/*")
    assert Source.of(f"{base}/{{YYYY}}-{{MM}}-{{DD}}").has_span
    none, other = f"{base}/none", f"{base}/{{SPANS}}"
    for bad, message in ((none, "must be a folder"), (other, "takes {SPAN}"), ("gs://b/v", "not supported")):
        with pytest.raises(ValueError, match=message):
            Source.of(bad)


def test_builders_and_their_options_by_name(tmp_path):
    build = Build("video_folder", {"size": 32, "channels": 1})
    assert Build.from_json(build.to_json()) == build
    builder = build.made(os.fspath(tmp_path), os.fspath(tmp_path / "data"))
    assert builder.builder_config.size == 32 and builder.options.source == os.fspath(tmp_path)
    for arguments, message in (
        (("tapes", {}), "builder must be one of 'kth'"),
        (("kth", {"source": "/x"}), "sets source itself"),
        (("kth", {"sizes": 1}), "no option sizes"),
    ):
        with pytest.raises(ValueError, match=message):
            Build(*arguments)


def test_settings_are_checked(tmp_path):
    told = {"source": Source(os.fspath(tmp_path), "*"), "build": Build("kth"), "experiment": {}}
    told |= {"work_dir": "/w", "saved_models": "/m"}
    assert Settings(name="kth", **told).pushed == "/m/kth"
    for wrong, message in (
        ({"name": "a/b"}, "--name"), ({"name": "7"}, "--name"), ({"span": 1}, "needs a {SPAN}"), ({"stop_on": "no"}, "stop_on"),
        ({"schema": "/none.pbtxt"}, "--schema must be a file"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            Settings(**{"name": "kth"} | told | wrong)
    for wrong in ({"metric": "fvd"}, {"sequences": 1}, {"n_samples": 0}, {"split": "dev"}, {"seed": -1}):
        with pytest.raises(ValueError):
            Evaluation(**wrong)


def test_the_fingerprint_is_of_contents_and_names(tmp_path):
    source, memory = tmp_path / "source", tmp_path / "hashes.json"
    (source / "train").mkdir(parents=True)
    first, second = source / "train" / "a.avi", source / "b.avi"
    first.write_bytes(b"one")
    second.write_bytes(b"two")

    def found():
        return fingerprint.of_folder(source, fingerprint.Hashes(memory))

    before = found()
    os.utime(first, (1, 1))  # touched
    assert found() == before == fingerprint.of_folder(source, fingerprint.Hashes())
    first.write_bytes(b"ONE")
    os.utime(first, (2, 2))
    changed = found()
    assert changed != before
    first.rename(source / "train" / "c.avi")
    assert found() not in (before, changed)
    memory.write_bytes(b"\0damaged")
    assert found() == fingerprint.of_folder(source, fingerprint.Hashes())
    with pytest.raises(ValueError, match="must be a folder"):
        fingerprint.of_folder(second, fingerprint.Hashes())


def test_hashes_are_remembered_and_not_read_again(tmp_path, monkeypatch):
    path, memory = tmp_path / "a.avi", tmp_path / "hashes.json"
    path.write_bytes(b"content")
    hashes = fingerprint.Hashes(memory)
    digest = hashes.of(path)
    hashes.save()
    state = path.stat()
    monkeypatch.setattr(fingerprint, "_digest", lambda file: pytest.fail("read again"))
    assert fingerprint.Hashes(memory).of(path) == digest
    monkeypatch.undo()
    path.write_bytes(b"CONTENT")  # another content of the same size and modification time, as `cp -p` leaves it
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert fingerprint.Hashes(memory).of(path) == fingerprint.Hashes().of(path) != digest
    os.utime(path, ns=(1, 1))
    assert fingerprint.Hashes(memory).of(path) == fingerprint.Hashes().of(path)
    memory.write_text(json.dumps({os.fspath(path): [7, 1, 2]}))
    assert fingerprint.Hashes(memory).of(path) == fingerprint.Hashes().of(path)


def test_clips_of_a_data_set_without_those_that_were_left_out(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.avi").write_bytes(name.encode())
    (tmp_path / "pictures").mkdir()
    for t in range(2):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "pictures" / f"{t}.png")

    class Job:
        def __init__(self, name):
            self.path, self.source = os.fspath((tmp_path / name).resolve()), name

    jobs = {"train": [Job("b.avi"), Job("a.avi")], "test": [Job("pictures")]}
    found = fingerprint.clips(jobs, tmp_path, {"train": {"a.avi"}, "test": {"pictures"}}, fingerprint.Hashes())
    assert [(clip["split"], clip["clip"]) for clip in found] == [("test", "pictures"), ("train", "a.avi")]
    assert len({clip["sha256"] for clip in found}) == 2
    generated = fingerprint.clips({"test": [object()]}, tmp_path, {"test": {"generated"}}, fingerprint.Hashes())
    assert len(generated) == 4  # the source as a whole


def test_what_is_missing_is_said_in_one_line(monkeypatch):
    monkeypatch.setattr(requirement, "MODULES", {"no_such_module": "no-such-package"})
    pip = "pip install 'svg_tf[tfx]'"
    for libc, expected in ((("glibc", "2.36"), "need glibc 2.39"), (("glibc", "2.41"), pip), (("", ""), pip)):
        monkeypatch.setattr(requirement.platform, "libc_ver", lambda libc=libc: libc)
        assert expected in requirement.missing() and "no-such-package is not installed" in requirement.missing()
        with pytest.raises(ValueError, match="needs TFX 1.21"):
            requirement.require()
    assert "\n" not in requirement.missing()


def test_lines_of_progress():
    told = []
    lines = progress.Lines(2, told.append)
    for name, cached in (("A", False), ("B", True)):
        lines.started(name)
        lines.ended(name, cached)
    assert told[0] == "[1/2] A ..." and told[1].startswith("[1/2] A: done, ") and told[3].startswith("[2/2] B: from the cache")
    assert lines.cached == {"A": False, "B": True} and set(lines.seconds) == {"A", "B"}


def test_the_builder_makes_the_models_frames(tmp_path):
    """Both sides of them, and their channels."""
    experiment = presets.get("kth_spatial")
    options = run.Options(name="mine", source=os.fspath(tmp_path), work_dir=tmp_path / "work")

    def told(size, image_size, channels=1):
        build = cli.BuildVideoFolder(size=size, channels=channels)
        return run.settings_of(options, "video_folder", build, _sized(experiment, image_size))

    for size in (64, (64, 80), (120, 160)):
        settings = told(size, size)
        assert settings.build.options["size"] == size
        again = Build.from_json(settings.build.to_json()).made(os.fspath(tmp_path), os.fspath(tmp_path / "data"))
        assert again.builder_config.size == size
    for size, image_size, message in (
        (64, (64, 80), "--build.size 64 must be what the model has: 64x80"),
        ((64, 80), 64, "--build.size 64x80 must be what the model has: 64"),
        ((80, 64), (64, 80), "--build.size 80x64 must be what the model has: 64x80"),
    ):
        with pytest.raises(ValueError, match=message):
            told(size, image_size)
    with pytest.raises(ValueError, match="--build.channels 3 must be what the model has: 1"):
        told(64, 64, channels=3)
    kth = run.settings_of(options, "kth", cli.BuildKth(size=(64, 80)), _sized(experiment, (64, 80)))
    assert kth.build.options["size"] == (64, 80)


def _sized(experiment, size):
    return dataclasses.replace(experiment, model=dataclasses.replace(experiment.model, image_size=size))
