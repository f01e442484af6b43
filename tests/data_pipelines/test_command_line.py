"""The mechanics of a program, each in a process of its own: closed pipes, full disks, ctrl-C, odd names."""

import io
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from data_pipelines import command_line

ROOT = pathlib.Path(command_line.__file__).parents[1]


def program(body: str) -> list[str]:
    return [sys.executable, "-c", f"import sys\nfrom data_pipelines import command_line\n{body}\n"]


def start(body: str, **options) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | options.pop("env", {})
    return subprocess.Popen(program(body), stderr=subprocess.PIPE, env=environment, **options)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("lines", [1, 10_000])
def test_a_closed_pipe_stops_no_work(tmp_path, lines, unbuffered):
    mark = tmp_path / "finished"
    body = f"""
def work():
    for number in range({lines}): print("line", number)
    open({str(mark)!r}, "w").close()
    return 3
sys.exit(command_line.run("test", work))"""
    process = start(body, stdout=subprocess.PIPE, env={"PYTHONUNBUFFERED": unbuffered})
    process.stdout.close()  # before anything is written: the interpreter needs longer to start
    error = process.stderr.read()
    assert process.wait(60) == 3 and error == b"" and mark.exists()


def test_help_into_a_closed_pipe():
    body = "sys.exit(command_line.run('test', lambda: (print('usage'), sys.exit(0))))"
    process = start(body, stdout=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(60) == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_line():
    with open("/dev/full", "wb") as full:
        process = start("sys.exit(command_line.run('test', lambda: print('text')))", stdout=full)
        error = process.stderr.read().decode()
    assert process.wait(60) == 2 and error.startswith("test: ") and "No space left" in error and error.count("\n") == 1


def test_ctrl_c_is_one_line():
    body = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background of a script start with it ignored
def work():
    print("ready", flush=True)
    import time
    time.sleep(60)
sys.exit(command_line.run("test", work))"""
    process = start(body, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stderr.read() == b"test: stopped by ctrl-C\n" and process.wait(60) == 130


def test_names_that_are_not_utf8_and_terminals_that_are_ascii():
    body = """
def work():
    print(b"caf\\xe9.avi".decode("utf-8", "surrogateescape"), "\\u00fc")
    raise ValueError("\\udce9")
sys.exit(command_line.run("test", work))"""
    process = start(body, stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"})
    assert process.stdout.read() == b"caf\\udce9.avi \\xfc\n"
    assert process.stderr.read() == b"test: \\udce9\n" and process.wait(60) == 2


def test_status_and_message(capsys):
    def fail(error):
        raise error

    assert command_line.run("test", lambda: None) == 0 and command_line.run("test", lambda: 75) == 75
    assert command_line.run("test", lambda: fail(OSError("no place"))) == 2
    assert command_line.run("test", lambda: fail(ValueError())) == 2
    assert capsys.readouterr().err == "test: no place\ntest: ValueError\n"
    with pytest.raises(FloatingPointError):
        command_line.run("test", lambda: fail(FloatingPointError("nan")))
    assert command_line.run("test", lambda: fail(FloatingPointError("nan")), (FloatingPointError,)) == 2
    with pytest.raises(SystemExit):
        command_line.run("test", lambda: sys.exit(5))


def test_the_caller_keeps_its_streams(capsys, monkeypatch):
    outer = io.StringIO()
    monkeypatch.setattr(sys, "stdout", outer)
    command_line.run("test", lambda: print("inside"))
    assert sys.stdout is outer and outer.getvalue() == "inside\n"
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)  # as under a service manager
    assert command_line.run("test", lambda: print("nowhere")) == 0
