"""Evaluates a small model on 40 sequences. Arguments: folder, shard (or none), logical devices, hang: in its second chunk."""

import sys
import time

import tensorflow as tf

from svg_tf import evaluation
from svg_tf.evaluation import scoring, shards
from tests.svg_tf import tiny_models


def main(out, shard, devices, *hang):
    cpu = tf.config.list_physical_devices("CPU")[0]
    if int(devices) > 1:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(devices))
    score, seen, placed = scoring.score, [], set()

    def counted(model, chunk, *rest):
        seen.append(chunk.number)
        if hang and len(seen) == 2:
            print("HANGS", flush=True)
            time.sleep(600)
        placed.add(model.weights[0].value.device)
        return score(model, chunk, *rest)

    scoring.score = counted
    model, frames = tiny_models.made(), tiny_models.frames_of(40)
    options = evaluation.Options(n_past=2, n_future=3, n_samples=3, random_shown=1)
    part = shards.shard_of(None if shard == "none" else shard)
    evaluation.evaluate(model, frames, options, out, shard=part, progress=lambda line: print(line, flush=True))
    if int(devices) > 1 and len(placed) != int(devices):
        raise ValueError(f"{devices} devices, but models on {placed}")


if __name__ == "__main__":
    main(*sys.argv[1:])
