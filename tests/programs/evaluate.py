"""Evaluates a small model on 40 sequences, and draws samples of 20 as figures do.

Arguments: folder, shard (or none), logical devices, hang: in its second chunk.
"""

import sys
import time

import numpy as np
import tensorflow as tf

from svg_tf import evaluation
from svg_tf.evaluation import scoring, shards
from svg_tf.evaluation.figures import common
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
    placed_figures = set()
    generate = type(model).generate

    def told(self, *rest, **named):
        placed_figures.add(self.weights[0].value.device)
        return generate(self, *rest, **named)

    type(model).generate = told
    parts = list(common.draw(model, frames[:20], 2, 3, seed=4))
    np.savez(f"{out}.npz", *(drawn for *_, drawn in parts), places=[(rows.start, s.start) for rows, s, _ in parts])
    placed = placed if len(placed) == len(placed_figures) else placed_figures
    if len(placed) < int(devices) or len(placed_figures) != int(devices):
        raise ValueError(f"{devices} devices, but models on {placed} and figures' on {placed_figures}")


if __name__ == "__main__":
    main(*sys.argv[1:])
