"""What fails in a worker."""

import errno
import os

import pytest

from data_pipelines.example_gen import failures


def test_the_first_failure_ends_the_build(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(failures, "_PAUSES", (0.0, 0.0))

    def work(task):
        calls.append(task)
        if task < 0:
            raise RuntimeError("no\nluck")
        if calls.count(task) < task:
            raise OSError(errno.EIO, "storage", "x.avi")

    failures.guarded(work, str(tmp_path), 3)  # storage that comes back
    failures.raise_what_failed(str(tmp_path))
    assert calls == [3, 3, 3]
    for task in (-1, 1):
        failures.guarded(work, str(tmp_path), task)
    assert calls == [3, 3, 3, -1]
    with pytest.raises(failures.Failed, match="^RuntimeError: no luck$") as raised:
        failures.raise_what_failed(str(tmp_path))
    assert "in work" in raised.value.traceback


@pytest.mark.parametrize("number, tries", [(errno.ENOSPC, 1), (errno.EIO, 3)])
def test_storage_that_fails(tmp_path, monkeypatch, number, tries):
    monkeypatch.setattr(failures, "_PAUSES", (0.0, 0.0))
    calls = []

    def work(task):
        calls.append(task)
        raise OSError(number, os.strerror(number), task)

    failures.guarded(work, str(tmp_path), "x.avi")
    assert len(calls) == tries
    with pytest.raises(OSError, match="x.avi") as raised:
        failures.raise_what_failed(str(tmp_path))
    assert raised.value.errno == number
