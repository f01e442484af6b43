"""The client against a stand-in for TensorFlow Serving (the official protos and servicers, not the server itself)."""

import io
import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
import urllib3
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from svg_tf.serving import client, remote
from svg_tf.serving.remote import RequestError
from tests.svg_tf.serving import serving_standin
from tests.svg_tf.serving.tiny_export import N_FUTURE, N_SAMPLES, NAME


@pytest.fixture(scope="module")
def server(exported):
    with serving_standin.serve(exported.version, NAME) as running:
        yield running


@pytest.fixture(params=["grpc", "rest"])
def address(server, request):
    return server[1] if request.param == "grpc" else server[2]


def test_every_signature_over_both_apis(local, address, frames, seeds):
    counts = {"n_future": np.int32(3), "n_samples": np.int32(2)}
    floats = frames.astype(np.float32) / 255
    with client.connect(address, NAME) as model:
        assert (model.inputs, model.outputs) == (local.inputs, local.outputs)
        for signature, inputs in (
            ("serving_default", {"frames": frames, "seed": seeds}),
            ("generate", {"frames": frames, "seed": seeds, **counts}),
            ("generate_float", {"frames": floats, "seed": seeds, **counts}),
            ("reconstruct", {"frames": frames, "seed": seeds}),
            ("uncertainty", {"frames": frames}),
        ):
            for (key, answer), expected in zip(
                model.call(signature, inputs).items(), local.call(signature, inputs).values(), strict=True
            ):
                assert answer.dtype == expected.dtype
                np.testing.assert_allclose(answer, expected, atol=1e-6, err_msg=f"{signature} {key}")


def test_remote_clients_load_no_tensorflow(server, frames, tmp_path):
    np.save(tmp_path / "clip.npy", frames[0])
    program = (
        "import sys, numpy as np\n"
        "from svg_tf.serving import client, clips\n"
        "for address in sys.argv[1:3]:\n"
        "    with client.connect(address, sys.argv[3]) as model:\n"
        "        frames = clips.read(sys.argv[4], client.answers_of(model).frame_shape)\n"
        "        sigma = model.call('uncertainty', {'frames': frames[None]})\n"
        "        print(client.predict(model, frames, n_future=3).shape, sigma.keys())\n"
        "print(*sorted({'tensorflow', 'tensorflow_datasets', 'keras', 'tensorflow_serving'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, *server[1:], NAME, str(tmp_path / "clip.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    answer = f"({N_SAMPLES}, 3, 32, 32, 1) dict_keys(['sigma'])"
    assert done.stdout.splitlines() == [answer, answer, ""]


def test_a_saved_model_is_loaded_once(exported, local, tmp_path):
    """TensorFlow keeps what it has loaded: 90 MB of a small model each time."""
    assert client.connect(exported.version)._functions is local._functions
    shutil.copytree(exported.version, tmp_path / "1")
    copy = client.connect(tmp_path)
    assert copy._functions is not local._functions and copy.inputs == local.inputs
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"another one now")
    with pytest.raises(ValueError, match="cannot be loaded"):
        client.connect(tmp_path)


def test_without_a_model(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert (client.default_model() / "models.config").is_file()  # that of the checkout
    monkeypatch.setattr(client, "SHIPPED", "none_such")
    with pytest.raises(ValueError, match="No --model and no --url was given"):
        client.default_model()


def test_models_that_are_no_predictors(local):
    others = {"serving_default": {"x": remote.Spec(np.dtype("float32"), (None,))}}
    for inputs, outputs in ((others, others), (local.inputs, {}), ({}, local.outputs), (local.outputs, local.outputs)):
        other = remote.Model()
        other.inputs, other.outputs = inputs, outputs
        with pytest.raises(ValueError, match="is no video predictor"):
            client.predict(other, np.zeros([5, 32, 32, 1], np.uint8))


def test_predict_continues_one_clip(local, address, frames):
    with client.connect(address, NAME) as model:
        assert client.answers_of(model) == ((32, 32, 1), N_SAMPLES, N_FUTURE)
        futures = client.predict(model, frames[0], seed=(1, 2))
        assert futures.shape == (N_SAMPLES, N_FUTURE, 32, 32, 1) and futures.dtype == np.uint8
        np.testing.assert_array_equal(futures, client.predict(local, frames[0], seed=(1, 2)))
        longer = client.predict(model, frames[0], n_future=7, seed=(1, 2))
        assert longer.shape == (N_SAMPLES, 7, 32, 32, 1)
        assert abs(longer[:, :N_FUTURE].astype(int) - futures).max() <= 1


def test_16_clients_with_50_requests_each_equal_serial_answers(server, local, frames, seeds):
    def requests_of(number):
        rng = np.random.default_rng(number)
        for _ in range(50):
            n, steps = rng.integers(1, 4), rng.integers(2, 7)
            yield "serving_default", {"frames": frames[:n, :steps], "seed": rng.integers(0, 1000, (n, 2)).astype(np.int32)}

    def run(number):
        with client.connect(server[1 + (number == 0)], NAME) as model:  # one of them by REST, whose JSON is slow
            return [model.call(*request)["frames"] for request in requests_of(number)]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(run, range(16)))
    for number in range(16):
        for request, answer in zip(requests_of(number), answers[number], strict=True):
            assert abs(local.call(*request)["frames"].astype(int) - answer).max() <= 1


def test_a_server_that_is_unavailable_for_a_while_is_asked_again(server, address, frames, seeds):
    backend = server[0]
    with client.connect(address, NAME) as model:
        backend.requests, backend.unavailable = 0, 2
        model.call("uncertainty", {"frames": frames})
        assert backend.requests == 3


def test_a_server_that_stays_unavailable_is_given_up(server, address, frames):
    backend = server[0]
    with client.connect(address, NAME, retries=1) as model:
        backend.requests, backend.unavailable = 0, 10
        try:
            with pytest.raises(RequestError, match="UNAVAILABLE") as caught:
                model.call("uncertainty", {"frames": frames})
        finally:
            backend.unavailable = 0
        assert caught.value.code == "UNAVAILABLE" and backend.requests == 2
        model.call("uncertainty", {"frames": frames})


def test_a_server_that_does_not_answer_is_given_up_in_time(server, address, frames):
    backend = server[0]
    with client.connect(address, NAME, timeout=0.5, retries=0) as model:
        backend.hold = threading.Event()
        try:
            with pytest.raises(RequestError) as caught:
                model.call("uncertainty", {"frames": frames})
        finally:
            backend.hold.set()
            backend.hold = None
        assert caught.value.code == "DEADLINE_EXCEEDED"


def test_unknown_models_and_closed_ports(address):
    with pytest.raises(RequestError, match="NOT_FOUND.*no_such_model"):
        client.connect(address, "no_such_model")
    closed = address.rsplit(":", 1)[0] + ":1"
    with pytest.raises(RequestError) as caught:
        client.connect(closed, NAME, timeout=20, retries=0)
    assert caught.value.code == "UNAVAILABLE"


@pytest.mark.parametrize(
    "where, arguments, message",
    [
        ("ftp://localhost:1", {}, "must be grpc://host:port or http://host:port"),
        ("grpc://localhost", {}, "must be grpc://host:port, got"),
        ("grpc://localhost:1/x", {}, "must be grpc://host:port, got"),
        ("grpc://localhost:99999", {}, "port"),
        ("http://", {}, "must be grpc://host:port or"),
        ("http://user:word@localhost:1", {}, "must be grpc://host:port or"),
        ("http://localhost:1", {"name": "a/b"}, "needs its name, got 'a/b'"),
        ("http://localhost:1", {"timeout": 0}, "timeout must be a finite number greater than 0"),
        ("http://localhost:1", {"retries": 5}, "retries must be an integer in"),
        ("http://localhost:1", {"version": -1}, "version must be an integer of at least 0"),
        ("no/such/folder", {}, "holds no SavedModel"),
    ],
)
def test_wrong_addresses(where, arguments, message):
    with pytest.raises(ValueError, match=message):
        client.connect(where, **{"name": "a", **arguments})


def test_folders_without_a_model(exported, tmp_path):
    (tmp_path / "1").mkdir()
    with pytest.raises(ValueError, match="it has no saved_model.pb"):
        client.connect(tmp_path)
    (tmp_path / "1" / "saved_model.pb").write_text("damaged")
    with pytest.raises(ValueError, match="cannot be loaded"):
        client.connect(tmp_path)
    with pytest.raises(ValueError, match="expected version 5"):
        client.connect(exported.path, version=5)


def test_what_the_client_refuses_itself(local, frames, seeds):
    floats = np.full(frames.shape, np.nan, np.float32)
    for signature, inputs, message in (
        ("predict", {}, r"has the signatures \['generate'"),
        ("serving_default", {"frames": frames}, r"takes the inputs \['frames', 'seed'\], got \['frames'\]"),
        ("serving_default", {"frames": frames, "seed": seeds.astype(float)}, "must be int32, got float64"),
        (
            "generate_float",
            {"frames": floats, "seed": seeds, "n_future": np.int32(1), "n_samples": np.int32(1)},
            "must be finite",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            local.call(signature, inputs)
    for wrong in (frames[0].astype(float), frames, frames[0, :, :16]):
        with pytest.raises(ValueError, match=r"frames must be uint8 \[time, 32, 32, 1\]"):
            client.predict(local, wrong)
    for arguments, message in (
        ({"n_future": 0}, r"n_future must be an integer in \[1, 2147483647\], got 0"),
        ({"n_samples": 2**31}, "n_samples must be an integer in"),
        ({"seed": (1, 2, 3)}, "seed must be two int32 numbers"),
        ({"seed": (0, 2**31)}, "seed must be two int32 numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            client.predict(local, frames[0], **arguments)


def bad_requests(frames, seeds):
    """(signature, inputs, part of the message), past the client's own checks."""
    floats = frames.astype(np.float32) / 255

    def generate(n_future, n_samples):
        counts = {"n_future": np.array(n_future, np.int32), "n_samples": np.array(n_samples, np.int32)}
        return "generate", {"frames": frames, "seed": seeds, **counts}

    def default(frames, seeds=seeds):
        return "serving_default", {"frames": frames, "seed": seeds}

    return [
        (*default(frames[0]), "time >= 2, 32, 32, 1]; got shape"),
        (*default(frames[:, :, :16]), "got shape"),
        (*default(frames.repeat(3, -1)), "got shape"),
        (*default(frames[:, :1]), "got shape"),
        (*default(frames[:0], seeds[:0]), "got shape"),
        (*default(frames, seeds[:2]), "seed must be int32 [batch, 2]"),
        (*generate(0, 1), "n_future must be in [1, 30]"),
        (*generate(1, -3), "n_samples must be in [1, 20]"),
        (*generate(2**31 - 1, 2**31 - 1), "must be in [1, "),
        (*generate(10, 6), "at most 100 predicted frames"),
        ("generate_float", {"frames": floats * 2, **{k: v for k, v in generate(1, 1)[1].items() if k != "frames"}}, "in [0, 1]"),
    ]


def test_the_server_refuses_bad_requests_and_serves_the_next(local, address, frames, seeds):
    with client.connect(address, NAME) as model:
        for signature, inputs, message in bad_requests(frames, seeds):
            if address.startswith("http") and 0 in inputs["frames"].shape:
                continue  # JSON has no shape for an empty batch
            with pytest.raises(RequestError) as caught:
                model.call(signature, inputs)
            assert caught.value.code == "INVALID_ARGUMENT" and message in str(caught.value), str(caught.value)
            assert "{{node" not in str(caught.value)
        good = "serving_default", {"frames": frames, "seed": seeds}
        np.testing.assert_array_equal(model.call(*good)["frames"], local.call(*good)["frames"])


def test_wrong_dtypes_and_malformed_messages_on_the_wire(server, frames, seeds):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(server[1].removeprefix("grpc://")))
    request = predict_pb2.PredictRequest()
    request.model_spec.name = NAME
    request.inputs["frames"].CopyFrom(tf.make_tensor_proto(frames.astype(np.float32)))
    request.inputs["seed"].CopyFrom(tf.make_tensor_proto(seeds))
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT and "expected uint8" in caught.value.details()
    address = f"{server[2]}/v1/models/{NAME}:predict"
    for body in ("{", json.dumps({"inputs": {"frames": "text"}}), json.dumps({"signature_name": "x", "inputs": {}})):
        answer = requests.post(address, data=body, timeout=20)
        assert answer.status_code == 400 and answer.json()["error"]


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"metadata": 3}', b'{"error": "no"}'])
def test_servers_that_speak_something_else(body, monkeypatch):
    def answer(*_, **__):
        response = requests.Response()
        response.status_code, response.raw = 200, urllib3.HTTPResponse(io.BytesIO(body), preload_content=False)
        return response

    monkeypatch.setattr(requests.Session, "request", answer)
    with pytest.raises(RequestError, match="http://localhost:1/v1/models/tiny"):
        client.connect("http://localhost:1", NAME)


def test_hints_for_a_batching_server():
    error = RequestError("INVALID_ARGUMENT", "Batching session Run() input tensors must have at least one dimension")
    assert "leave n_future and n_samples out" in str(error)
