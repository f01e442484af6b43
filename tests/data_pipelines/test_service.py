"""tf.data services of this process: the same batches in the same order, from any start."""

import socket

import numpy as np
import pytest
import tensorflow as tf
import tiny_data

import data_pipelines
from data_pipelines import service


def served(workers):
    """(address, what must stay alive)"""
    dispatcher = tf.data.experimental.service.DispatchServer()
    address = dispatcher.target.split("://")[1]
    config = tf.data.experimental.service.WorkerConfig(dispatcher_address=address, heartbeat_interval_ms=100)
    return address, (dispatcher, [tf.data.experimental.service.WorkerServer(config) for _ in range(workers)])


@pytest.fixture(scope="module")
def services():
    started = [served(1), served(1), served(2)]
    yield [address for address, _ in started]
    for _, (_, workers) in started:
        workers.clear()  # before their dispatchers, which they would look for


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny")
    tiny_data.build(root, {"train": tiny_data.clips("a", 7)})
    return root


def batches(name, count, **options):
    defaults = {"seq_len": 3, "batch_size": 2, "seed": 4, "data_dir": None}
    data = data_pipelines.load(name, "train", **defaults | options)
    return [{key: value.numpy() for key, value in batch.items()} for batch in data.take(count)]


def test_order_and_restart_are_exact(services, folder):
    options = {"data_dir": str(folder)}
    here, two = batches("tiny", 9, **options), ",".join(f"grpc://{address}" for address in services[:2])
    for there in (services[0], two):
        assert_same(here, batches("tiny", 9, service=there, **options))
    assert_same(here[5:], batches("tiny", 4, service=two, start_batch=5, **options))
    own = batches("tiny", 3, shard=(1, 2), **options)
    assert_same(own, batches("tiny", 3, shard=(1, 2), service=two, **options))


def test_generated_videos(services):
    options = {"digits": "uci", "canvas": 32}
    here = batches("moving_mnist", 4, **options)
    assert_same(here[1:], batches("moving_mnist", 3, start_batch=1, service=",".join(services[:2]), **options))


def assert_same(expected, found):
    assert len(expected) == len(found)
    for one, other in zip(expected, found, strict=True):
        assert set(one) == set(other)
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def test_a_service_with_two_workers_is_refused_when_it_is_out_of_turn(services, folder):
    message = f"^The tf.data service at {services[2]} sends its batches out of turn: it must have one worker"
    with pytest.raises(service.OutOfTurnError, match=message), service.watched():
        batches("tiny", 5000, service=services[2], data_dir=str(folder))


def test_refusals(services, folder):
    with pytest.raises(ValueError, match="A service reads data without end"):
        batches("tiny", 1, service=services[0], data_dir=str(folder), repeat=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(ValueError, match="There is no tf.data service at 127.0.0.1:"):
            batches("tiny", 1, service=f"127.0.0.1:{free.getsockname()[1]}", data_dir=str(folder))
    for text in ("host", "http://host:1", "host:0", "host:99999", "host:1,", "a:1 b:2"):
        with pytest.raises(ValueError, match="service must be addresses of tf.data services"):
            service.addresses(text)
    with pytest.raises(ValueError, match="names an address twice"):
        service.addresses("a:1,grpc://a:1")
    assert service.addresses("grpc://[::1]:50, b:2") == ["[::1]:50", "b:2"]
