"""The pods of an indexed job, from their variables."""

import pytest

from svg_tf import clusters
from svg_tf.clusters import kubernetes

POD = {"JOB_COMPLETION_INDEX": "1", "SVG_WORKERS": "3", "SVG_SERVICE": "svg", "HOSTNAME": "train-lp-1"}


def test_addresses_follow_the_indices():
    expected = ["train-lp-0.svg:12345", "train-lp-1.svg:12345", "train-lp-2.svg:12345"]
    assert clusters.workers(POD) == (expected, 1)
    assert clusters.workers({**POD, "SVG_PORT": "80"}).addresses[2] == "train-lp-2.svg:80"
    assert clusters.workers({}) is None
    assert clusters.workers({**POD, "SVG_WORKERS": "1"}) is None  # one pod needs no cluster


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"SVG_WORKERS": ""}, "must set SVG_WORKERS"),
        ({"SVG_WORKERS": "many"}, "do not agree: JOB_COMPLETION_INDEX='1', SVG_WORKERS='many'"),
        ({"JOB_COMPLETION_INDEX": "3"}, "do not agree"),
        ({"SVG_SERVICE": ""}, "must set SVG_SERVICE to the headless service"),
        ({"SVG_SERVICE": "a/b"}, "headless service"),
        ({"SVG_PORT": "0"}, "SVG_PORT must be a port, got '0'"),
        ({"HOSTNAME": "train-lp-2"}, "is called JOB-1 here; this host is called 'train-lp-2'"),
    ],
)
def test_pods_that_cannot_train_together(change, message):
    with pytest.raises(ValueError, match=message):
        kubernetes.workers({**POD, **change})
