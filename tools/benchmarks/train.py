"""Speed of a training step against this machine's own matrix-multiply rate.

Numerator: the least arithmetic of the step, 3 x forward multiply-adds x 2 operations, counted from the layers as direct
convolutions, the decoder's skip half once per distinct skip frame. Denominator: see `_common.MatrixRate`.
"""

import argparse
import dataclasses
import time

import _common
import tensorflow as tf

from data_pipelines import frame_size
from svg_tf import presets, training
from svg_tf.families import cost


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="benchmark.py train", description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="smmnist_lp", choices=presets.names())
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--digits", default="uci", choices=("uci", "mnist"), help="of moving_mnist presets")
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16", "mixed_float16"))
    parser.add_argument("--jit-compile", action="store_true", help="by XLA")
    parser.add_argument("--recompute", action="store_true", help="activations, in the backward pass")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args(argv)
    experiment = presets.get(arguments.preset)
    data = dataclasses.replace(
        experiment.data,
        batch_size=arguments.batch_size,
        moving_mnist=dataclasses.replace(experiment.data.moving_mnist, digits=arguments.digits),
    )
    knobs = {"precision": arguments.precision, "jit_compile": arguments.jit_compile, "recompute": arguments.recompute}
    experiment = dataclasses.replace(experiment, data=data, train=dataclasses.replace(experiment.train, **knobs))
    config = experiment.model
    steps = config.n_past + data.n_future
    rate = _common.MatrixRate()
    model = training.build(experiment)
    extra = {}
    if data.name == "moving_mnist":
        batches = iter(training.load_data(experiment, "train"))
        waits = []

        def batch():
            start = time.perf_counter()
            frames = next(batches)["frames"]
            waits.append(time.perf_counter() - start)
            return frames
    else:
        fixed = tf.random.uniform([arguments.batch_size, steps, *config.frame_shape])
        waits = [0.0]

        def batch():
            return fixed

    def traced():
        return tf.function(lambda frames: model.train_step({"frames": frames})["loss"], jit_compile=arguments.jit_compile)

    step = traced()
    if model.program.varies:  # the last phase, in which most is at work
        model.clock.assign(([0] + [phase.until for phase in model.program.phases[:-1]])[-1])
        step = model.by_kind_of_step(traced)
    for _ in range(2):
        step(batch()).numpy()
    rate.measure()
    waits.clear()
    seconds = _common.timed(lambda: step(batch()).numpy(), arguments.runs)
    rate.measure()
    if waits:
        extra["wait_for_data"] = f"{max(waits) * 1e3:.1f} ms at most ({sum(waits) / sum(seconds):.2%} of the time)"
    gigaops = 6 * arguments.batch_size * cost.of(model).training_multiply_adds(steps) / 1e9
    size = frame_size.text(config.image_size)
    title = f"Training step, {arguments.preset}, batch {arguments.batch_size}, {steps} frames of {size} px"
    _common.report(title, seconds, arguments.batch_size * steps, gigaops, rate, extra, arguments.json)
    return 0
