"""A deadline ends the whole exchange, and the thread that it runs on."""

import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from svg_tf.serving import deadlines

requests = pytest.importorskip("requests")


def slow(head: bytes = b"", seconds: float = 0.05):
    """A server that sends `head` and then a byte now and then, to each that comes."""
    listener = socket.create_server(("localhost", 0))

    def drip(connection):
        try:
            connection.recv(65536)
            connection.sendall(head)
            while True:
                connection.sendall(b"x")
                time.sleep(seconds)
        except OSError:
            connection.close()

    def accept():
        try:
            while True:
                connection = listener.accept()[0]
                listener.asked += 1
                threading.Thread(target=drip, args=(connection,), daemon=True).start()
        except OSError:
            pass

    listener.asked = 0
    threading.Thread(target=accept, daemon=True).start()
    return listener


class Listener(socket.socket):
    asked = 0


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(socket, "socket", Listener)  # one that can hold a count
    started = []

    def start(*arguments):
        started.append(slow(*arguments))
        return started[-1], f"http://localhost:{started[-1].getsockname()[1]}"

    yield start
    for listener in started:
        listener.close()


def session(retries=0):
    made = requests.Session()
    made.trust_env = False
    made.mount("http://", deadlines.adapter(max_retries=requests.adapters.Retry(total=retries, backoff_factor=0.01)))
    return made


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_bytes_now_and_then_do_not_hold_it(server, head):
    listener, address = server(head)
    workers = []

    def ask():
        workers.append(threading.current_thread())
        return session(retries=3).get(address, timeout=5).content

    with pytest.raises(TimeoutError):
        deadlines.within(0.4, ask)
    workers[0].join(10)
    assert not workers[0].is_alive()  # it has been cut off, and does not read on
    assert listener.asked == 1  # nor is the server asked again once the time is over


def test_a_connection_that_was_good_is_used_again():
    listener = socket.create_server(("localhost", 0))
    accepted = []

    def serve():
        accepted.append(listener.accept()[0])
        while accepted[0].recv(65536):
            accepted[0].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    threading.Thread(target=serve, daemon=True).start()
    client, address = session(), f"http://localhost:{listener.getsockname()[1]}"
    for _ in range(3):
        assert deadlines.within(10, lambda: client.get(address).content) == b"ok"
    listener.close()
    assert len(accepted) == 1


def test_errors_and_results_come_through():
    assert deadlines.within(10, lambda a, b: a + b, 1, 2) == 3
    with pytest.raises(KeyError, match="x"):
        deadlines.within(10, {}.__getitem__, "x")


def test_ctrl_c_in_predict_is_one_line_and_leaves_nothing(server, tmp_path):
    listener, address = server()
    np.savez(tmp_path / "clip.npz", frames=np.zeros((5, 32, 32, 1), np.uint8))
    command = [sys.executable, "-c", "import sys; from svg_tf import cli; sys.exit(cli.main(sys.argv[1:]))", "predict",
               "--input", str(tmp_path / "clip.npz"), "--url", address, "--out", str(tmp_path / "out.gif")]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not listener.asked and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error.strip().splitlines()) == (130, "", ["svg-tf: stopped by ctrl-C"])
    assert [path.name for path in tmp_path.iterdir()] == ["clip.npz"]
