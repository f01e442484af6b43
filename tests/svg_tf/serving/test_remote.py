"""Answers that a client must not take, and servers that hold it; without TensorFlow Serving or a model."""

import json
import socket
import threading
import time

import numpy as np
import pytest

from svg_tf.serving import client, limits
from svg_tf.serving.remote import Model, RequestError, Spec

U8, F32, I32 = (np.dtype(kind) for kind in ("uint8", "float32", "int32"))
SHAPE = (None, None, None, 2, 2, 1)


class Fake(Model):
    def __init__(self, kind, answer):
        self.inputs = {
            "generate": {"frames": Spec(U8, (None, None, 2, 2, 1)), "n_future": Spec(I32, ()), "n_samples": Spec(I32, ())}
        }
        self.outputs, self._answer = {"generate": {"frames": Spec(kind, SHAPE)}}, answer

    def _call(self, signature, arrays):
        return self._answer


def ask(kind, answer):
    inputs = {"frames": np.zeros((1, 2, 2, 2, 1), U8), "n_future": np.int32(4), "n_samples": np.int32(3)}
    return Fake(kind, answer).call("generate", inputs)


def test_a_right_answer_is_taken():
    assert ask(U8, {"frames": np.zeros((1, 3, 4, 2, 2, 1), U8)})["frames"].shape == (1, 3, 4, 2, 2, 1)


@pytest.mark.parametrize(
    "shape, kind, fill",
    [
        ((1, 2, 4, 2, 2, 1), U8, 0),  # samples
        ((1, 3, 5, 2, 2, 1), U8, 0),  # frames
        ((2, 3, 4, 2, 2, 1), U8, 0),  # sequences
        ((1, 3, 4, 4, 4, 1), U8, 0),
        ((1, 3, 4, 2, 2), U8, 0),
        ((), U8, 0),
        ((1, 3, 4, 2, 2, 1), F32, 0),
        ((1, 3, 4, 2, 2, 1), F32, np.nan),
        ((1, 3, 4, 2, 2, 1), F32, np.inf),
    ],
)
def test_answers_of_another_kind_are_refused(shape, kind, fill):
    declared = F32 if not np.isfinite(fill) else U8
    with pytest.raises(RequestError, match="INTERNAL: 'frames' of 'generate'"):
        ask(declared, {"frames": np.full(shape, fill, kind)})


def test_answers_to_given_frames_have_one_for_each_but_the_first():
    model = Fake(F32, None)
    model.inputs = {"uncertainty": {"frames": Spec(U8, (None, None, 2, 2, 1))}}
    model.outputs = {"uncertainty": {"sigma": Spec(F32, (None, None, 3))}}
    frames = np.zeros((2, 5, 2, 2, 1), U8)
    model._answer = {"sigma": np.ones((2, 4, 3), F32)}
    assert model.call("uncertainty", {"frames": frames})["sigma"].shape == (2, 4, 3)
    model._answer = {"sigma": np.ones((2, 5, 3), F32)}
    with pytest.raises(RequestError, match=r"must be float32 \[2, 4, 3\], got float32 \[2, 5, 3\]"):
        model.call("uncertainty", {"frames": frames})


@pytest.mark.parametrize("value", [-0.01, 1.01, 255.0])
def test_floats_that_are_no_pixels_are_refused(value):
    with pytest.raises(RequestError, match=r"must be in \[0, 1\], got values in"):
        ask(F32, {"frames": np.full((1, 3, 4, 2, 2, 1), value, F32)})


def test_a_missing_output_is_refused():
    with pytest.raises(RequestError, match=r"lacks \['frames'\]; it has \['other'\]"):
        ask(U8, {"other": np.zeros(1)})


def test_only_names_that_a_server_takes_are_versions(tmp_path):
    for name in ("1", "2", "\u0663", "9" * 20, "\u00b2", "x", "-3"):
        (tmp_path / name).mkdir()
    assert [limits.version_number(n) for n in ("7", "\u0663", "9" * 19, "9" * 18)] == [7, None, None, 10**18 - 1]
    (tmp_path / "2" / "saved_model.pb").write_text("damaged")
    with pytest.raises(ValueError, match="2 holds a SavedModel that cannot be loaded"):
        client.connect(tmp_path)


@pytest.fixture
def raw():
    """with raw(body, drip): a server that sends these bytes, and then a byte every 0.1 s where it drips."""
    servers = []

    def start(body: bytes, drip: bool = False) -> str:
        listener = socket.create_server(("localhost", 0))
        servers.append(listener)

        def serve():
            try:
                while True:
                    connection = listener.accept()[0]
                    connection.recv(65536)
                    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
                    connection.sendall(head + (b"X: " if drip else b"Content-Length: %d\r\n\r\n" % len(body) + body))
                    while drip:
                        connection.sendall(b"x")
                        time.sleep(0.1)
                    connection.close()
            except OSError:
                pass

        threading.Thread(target=serve, daemon=True).start()
        return f"http://localhost:{listener.getsockname()[1]}"

    yield start
    for listener in servers:
        listener.close()


def test_a_server_that_drips_is_given_up_in_time(raw):
    with pytest.raises(RequestError) as caught:  # would never end
        client.connect(raw(b"", drip=True), "a", timeout=0.5, retries=2)
    assert caught.value.code == "DEADLINE_EXCEEDED"


def _metadata(info):
    return json.dumps({"metadata": {"signature_def": {"signature_def": {"a": {"inputs": {"x": info}}}}}}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"5",
        b"null",
        b"",
        b"[" * 100_000,
        b"{}",
        _metadata({"dtype": "DT_NONE_SUCH", "tensor_shape": {}}),
        _metadata({"dtype": "DT_FLOAT", "tensor_shape": {"unknown_rank": True}}),
        _metadata({"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "many"}]}}),
        _metadata(3),
    ],
)
def test_metadata_of_another_kind(raw, body):
    with pytest.raises(RequestError):
        client.connect(raw(body), "a", retries=0)


@pytest.mark.parametrize("outputs", [0.7, [0.7], [300], [-1], "x", None, [[1], [1, 2]], {"a": 1}, [], 5])
def test_json_answers_of_another_kind(outputs):
    from svg_tf.serving.rest_model import from_json

    try:
        found = from_json(outputs, U8)
    except (ValueError, TypeError):
        return
    with pytest.raises(RequestError):  # what is a number of the right type has the wrong shape
        ask(U8, {"frames": found})
