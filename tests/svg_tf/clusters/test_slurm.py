"""The cluster of a Slurm job step, from the variables that srun sets."""

import pytest

from svg_tf.clusters import slurm

STEP = {
    "SLURM_PROCID": "2",
    "SLURM_STEP_NUM_TASKS": "5",
    "SLURM_STEP_NODELIST": "n[2,10-11]",
    "SLURM_STEP_TASKS_PER_NODE": "1,2(x2)",
    "SLURM_JOB_ID": "4007",
}


def test_ranks_follow_the_nodes_in_slurm_s_order():
    assert slurm.workers(STEP) == (["n2:20070", "n10:20070", "n10:20071", "n11:20070", "n11:20071"], 2)
    other = slurm.workers({**STEP, "SLURM_JOB_ID": "4008"})[0]
    assert not set(other) & set(slurm.workers(STEP)[0])  # another job on the same nodes
    assert slurm.workers({**STEP, "SLURM_JOB_ID": "4294967294"})[0][0] == "n2:22940"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost", ["localhost"]),
        ("n[08-11,3],m5.site,o-[1]", ["n08", "n09", "n10", "n11", "n3", "m5.site", "o-1"]),
        ("a,b", ["a", "b"]),
    ],
)
def test_lists_of_nodes(text, expected):
    assert slurm.hosts(text) == expected


@pytest.mark.parametrize("text", ["n[1-", "n[]", "n 1", "n[a-b]", ",", "n[1-2]x", "n[0-99999999]"])
def test_lists_of_nodes_that_are_none(text):
    with pytest.raises(ValueError, match="SLURM_STEP_NODELIST"):
        slurm.hosts(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"SLURM_PROCID": ""}, "Slurm's SLURM_PROCID is missing"),
        ({"SLURM_STEP_TASKS_PER_NODE": ""}, "Slurm's SLURM_STEP_TASKS_PER_NODE is missing"),
        ({"SLURM_PROCID": "5"}, "do not agree: SLURM_PROCID='5'"),
        ({"SLURM_PROCID": "-1"}, "do not agree"),
        ({"SLURM_STEP_NUM_TASKS": "many"}, "do not agree"),
        ({"SLURM_STEP_TASKS_PER_NODE": "2(x2)"}, "do not agree"),
        ({"SLURM_STEP_TASKS_PER_NODE": "two"}, "do not agree"),
        ({"SLURM_DISTRIBUTION": "cyclic"}, "srun --distribution=block; got 'cyclic'"),
        ({"SLURM_STEP_TASKS_PER_NODE": "1,20(x2)", "SLURM_STEP_NUM_TASKS": "41"}, "At most 10 tasks on a node, got 20"),
    ],
)
def test_steps_that_cannot_train_together(change, message):
    with pytest.raises(ValueError, match=message):
        slurm.workers({**STEP, **change})
