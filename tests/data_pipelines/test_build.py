"""A build is whole or absent: full disks, folders that cannot be written, kills, two builds at once."""

import errno
import os
import pathlib
import signal
import subprocess
import sys

import clip_files
import pytest
import tensorflow_datasets as tfds

import data_pipelines
from data_pipelines import catalogue, cli, files, record_index
from data_pipelines.example_gen import base, shards


def visible(folder):
    """Names in a folder but the lock's, which stays and is empty."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".1.0.0.lock")


def test_plain_tfds_opens_it(tmp_path):
    path = clip_files.build_numbered(tmp_path, {"train": [5, 7], "test": [6]})
    for opened in (
        tfds.builder_from_directory(path).as_dataset(split="train"),
        tfds.load("numbered", split="train", data_dir=str(tmp_path)),
    ):
        shapes = {tuple(example["frame_chunks"].shape) for example in opened}
        assert shapes == {(1, 4, 4, 6, 1), (2, 4, 4, 6, 1)}
    builder = tfds.builder("numbered", data_dir=str(tmp_path))
    assert builder.info.splits["test"].num_examples == 1 and str(builder.version) == "1.0.0"
    assert not list(pathlib.Path(path).parent.glob("*incomplete*"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("when", ["writing", "indexing"])
def test_disk_full(tmp_path, monkeypatch, number, when):
    def fails(*arguments, **options):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        if when == "writing":
            patch.setattr(shards, "write_shard", fails)
        else:
            patch.setattr(record_index, "save", fails)
        with pytest.raises(OSError, match="numbered/1.0.0 failed: the disk is full: free some space .*Nothing was kept"):
            clip_files.build_numbered(tmp_path, {"train": [5, 7]})
    clip_files.nothing_built(tmp_path)
    assert not catalogue.prepared(str(tmp_path))
    clip_files.build_numbered(tmp_path, {"train": [5, 7]})
    assert len(catalogue.prepared(str(tmp_path))) == 1


def test_no_place_to_write(tmp_path):
    """Below a regular file nobody can make a folder, root included."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Cannot write into .*file/out/numbered: Not a directory. Choose another --data-dir"):
        clip_files.build_numbered(tmp_path / "file" / "out", {"train": [5]})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OSError, match="Cannot write into .*Permission denied"):
            clip_files.build_numbered(tmp_path / "out", {"train": [5]})
    finally:
        tmp_path.chmod(0o700)


SLOW = """
import sys, time
sys.path.insert(0, {tests!r})
import clip_files
def slow(job):
    yield from clip_files.read_numbered(job)
    print("wrote", flush=True)
    time.sleep(0.2 if job[0] < 3 else 60)
clip_files.Numbered.read_job = staticmethod(slow)
clip_files.build_numbered({out!r}, {{"train": [5] * 8}})
"""


def test_killed_half_way_and_built_again(tmp_path):
    tests, root = str(pathlib.Path(__file__).parent), pathlib.Path(data_pipelines.__file__).parents[1]
    program = SLOW.format(tests=tests, out=str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        seen = 0
        for line in process.stdout:
            seen += line == "wrote\n"
            if seen == 4:
                break
        assert seen == 4
        with pytest.raises(ValueError, match="Another process is building into"):
            clip_files.build_numbered(tmp_path, {"train": [5] * 8})
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert list((tmp_path / "numbered").iterdir())  # something was left behind
    assert not catalogue.prepared(str(tmp_path))
    with pytest.raises(ValueError, match="No data set 'numbered'"):
        data_pipelines.load("numbered", seq_len=2, batch_size=1, data_dir=str(tmp_path))
    path = clip_files.build_numbered(tmp_path, {"train": [5] * 8})
    assert len(clip_files.parsed(path)["train"]) == 8
    assert visible(tmp_path / "numbered") == ["1.0.0"]
    clip_files.same_records(path, clip_files.build_numbered(tmp_path / "again", {"train": [5] * 8}))


def test_an_overwriting_build_that_fails_keeps_the_old_one(tmp_path, monkeypatch):
    path = clip_files.build_numbered(tmp_path, {"train": [5, 7]})
    before = clip_files.parsed(path)["train"]

    def fails(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(record_index, "save", fails)
        with pytest.raises(OSError, match="disk is full"):
            clip_files.build_numbered(tmp_path, {"train": [9]}, overwrite=True)
    assert [e["clip_id"] for e in clip_files.parsed(path)["train"]] == [e["clip_id"] for e in before]
    assert len(clip_files.parsed(clip_files.build_numbered(tmp_path, {"train": [9]}, overwrite=True))["train"]) == 1


def test_a_killed_overwriting_build_leaves_the_old_one_to_the_next(tmp_path, monkeypatch):
    path = pathlib.Path(clip_files.build_numbered(tmp_path, {"train": [5, 7]}))
    path.rename(path.parent / ".1.0.0.replaced")  # what the kill leaves
    assert not catalogue.prepared(str(tmp_path))

    def bad(job):
        raise base.ClipError(f"{job}: cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr(clip_files.Numbered, "read_job", staticmethod(bad))
        with pytest.raises(base.ClipError, match="bad clip"):
            clip_files.build_numbered(tmp_path, {"train": [5, 7]})
    assert len(clip_files.parsed(str(path))["train"]) == 2
    clip_files.build_numbered(tmp_path, {"train": [9]}, overwrite=True)
    assert len(clip_files.parsed(str(path))["train"]) == 1
    assert visible(path.parent) == ["1.0.0"] and not list(path.parent.glob("*replaced"))


def test_one_build_at_a_time(tmp_path):
    message = f"Another process is building into .*numbered now: process {os.getpid()} on "
    with files.locked(tmp_path / "numbered", "is building into", ".1.0.0.lock"), pytest.raises(ValueError, match=message):
        clip_files.build_numbered(tmp_path, {"train": [5]})
    clip_files.build_numbered(tmp_path, {"train": [5]})


def test_the_source_is_looked_through_once(tmp_path, monkeypatch):
    calls = []
    plan = clip_files.Numbered.plan
    monkeypatch.setattr(clip_files.Numbered, "plan", lambda self: calls.append(1) or plan(self))
    clip_files.build_numbered(tmp_path, {"train": [5]})
    assert calls == [1]


@pytest.mark.parametrize("address", ["s3://bucket/data", "s3:/bucket", "az://bucket", "https://host/x", "hdfs://name/x"])
def test_addresses_are_no_folders(tmp_path, monkeypatch, capsys, address):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "source").mkdir()
    monkeypatch.setenv("TFDS_DATA_DIR", address)
    calls = [
        lambda: clip_files.build_numbered(address, {"train": [5]}),
        lambda: data_pipelines.load("kth", seq_len=2, batch_size=1, data_dir=address),
        lambda: data_pipelines.load("moving_mnist", seq_len=2, batch_size=1, data_dir=address),
        lambda: data_pipelines.load("kth", seq_len=2, batch_size=1),
        lambda: catalogue.prepared(address),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"{address.split(':')[0]}:// is not supported"):
            call()
    for arguments in (
        ["build", "video_folder", "--source", address, "--data-dir", "out"],
        ["build", "kth", "--source", "source", "--data-dir", address],
        ["build", "bair", "--source", "source"],
        ["list"],
        ["describe", "kth", "--data-dir", address],
    ):
        assert cli.main(arguments) == 2
        message = capsys.readouterr().err.lstrip()  # the progress bar's last line
        assert message.startswith("svg-data: ") and message.count("\n") == 1 and "is not supported" in message
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_beam_options_need_a_runner(tmp_path):
    with pytest.raises(ValueError, match="need a Beam runner"):
        clip_files.build_numbered(tmp_path, {"train": [5]}, beam_options=["--direct_num_workers=2"])
    with pytest.raises(ValueError, match="max_bad_clips must be an integer of at least 0"):
        base.BuildOptions(max_bad_clips=-1)
