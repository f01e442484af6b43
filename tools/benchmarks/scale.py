"""Cost of a training step against frames, batch and pixels, and of sampling against samples and predicted frames.

For each: the median time at sizes that double, and the exponent p of time ~ size^p by least squares of the logarithms. All work
is linear in all five, so that p is 1 but for costs that do not grow with the size (the optimizer's update, starting each
operation), which press it below 1 at small sizes: hence also the fixed cost a and the exponent without it, by the straight
line a + b * size. Pixels: quadrupled by each step of the image size; an encoder down to a vector also gets a level more.
"""

import argparse
import dataclasses
import statistics
import time

import _common
import numpy as np
import tensorflow as tf

from svg_tf import presets, training

FRAMES, BATCHES, SIDES = (6, 12, 24, 48), (8, 16, 32, 64), (32, 64, 128)
SAMPLES, FUTURES = (8, 16, 32, 64), (8, 16, 32, 64)
BASE = {"frames": 8, "batch": 16, "samples": 8, "futures": 8}


def fitted(sizes, seconds) -> dict:
    """{"exponent", "fixed_seconds", "exponent_without_fixed"}: the last is fitted to seconds - fixed_seconds (at least 0)."""
    slope, fixed = np.polyfit(sizes, seconds, 1, w=1 / np.asarray(seconds))
    fixed = float(min(max(fixed, 0.0), 0.9 * min(seconds)))

    def exponent(values):
        return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])

    return {
        "exponent": exponent(seconds),
        "fixed_seconds": fixed,
        "exponent_without_fixed": exponent(np.asarray(seconds) - fixed),
    }


def model_of(name: str, side: int):
    preset = presets.get(name)
    return training.build(dataclasses.replace(preset, model=dataclasses.replace(preset.model, image_size=side)))


def training_seconds(model, batch: int, length: int, measured) -> float:
    frames = tf.random.stateless_uniform([batch, length, *model.config.frame_shape], [0, 0])
    step = tf.function(lambda frames: model.train_step({"frames": frames})["loss"])
    step(frames).numpy()
    return measured(lambda: step(frames).numpy())


def sampling_seconds(model, samples: int, n_future: int, measured) -> float:
    c = model.config
    frames = np.random.default_rng(0).random((2, c.n_past, *c.frame_shape), np.float32)

    def sample():
        model.generate(frames, n_future, samples).numpy()

    sample()
    return measured(sample)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="benchmark.py scale", description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="smmnist_mini", help="of frames of 32 x 32 pixels or more")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--points", type=int, default=4, help="sizes of each sweep, from the smallest on: 2 to 4")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--cpu-time", action="store_true", help="of all cores, for a machine on which other work runs")
    arguments = parser.parse_args(argv)
    if arguments.runs < 1 or not 2 <= arguments.points <= 4:
        parser.error("--runs must be at least 1, --points 2 to 4")
    points, clock = slice(arguments.points), time.process_time if arguments.cpu_time else time.perf_counter

    def measured(function):
        return statistics.median(_common.timed(function, arguments.runs, clock))

    model = model_of(arguments.preset, SIDES[0])

    def pixels(side, *sizes):
        return training_seconds(model_of(arguments.preset, side), *sizes)

    sweeps = {
        "training step / frames T": (FRAMES, lambda t: training_seconds(model, BASE["batch"], t, measured)),
        "training step / batch B": (BATCHES, lambda b: training_seconds(model, b, BASE["frames"], measured)),
        "training step / pixels": (SIDES, lambda s: pixels(s, BASE["batch"] // 4, BASE["frames"], measured)),
        "sampling / samples S": (SAMPLES, lambda s: sampling_seconds(model, s, BASE["futures"], measured)),
        "sampling / predicted frames": (FUTURES, lambda f: sampling_seconds(model, BASE["samples"], f, measured)),
    }
    results = {}
    kind = "time" if clock is time.perf_counter else "CPU time"
    print(f"Cost against size, {arguments.preset}: {kind} ~ size^p; without the fixed cost: p of time - fixed")
    print(f"  {'':28} {'p':>5} {'fixed':>9} {'p without':>9}   seconds at each size")
    for title, (sizes, seconds_at) in sweeps.items():
        chosen = sizes[points]
        seconds = [seconds_at(size) for size in chosen]
        amounts = [s * s for s in chosen] if "pixels" in title else list(chosen)
        results[title] = {"sizes": amounts, "seconds": seconds, **fitted(amounts, seconds)}
        r = results[title]
        at = ", ".join(f"{n}: {s:.3f}" for n, s in zip(amounts, seconds, strict=True))
        print(f"  {title:28} {r['exponent']:5.2f} {r['fixed_seconds'] * 1e3:6.0f} ms {r['exponent_without_fixed']:9.2f}   {at}")
    print("A linear cost has p = 1 without the fixed cost: weights updated, operations started, context frames encoded once.")
    if arguments.json:
        _common.write_json(arguments.json, results)
    return 0
