"""Speed of sampling futures against this machine's own matrix-multiply rate.

Numerator: the least arithmetic, 2 operations for each multiply-add of direct convolutions: conditioning frames encoded
once for each sequence, skip halves once for each sequence. Denominator: see `_common.MatrixRate`.
"""

import argparse

import _common
import numpy as np

from svg_tf import presets, training
from svg_tf.families import cost


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="benchmark.py sample", description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="smmnist_lp", choices=presets.names())
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--n-future", type=int, default=25)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args(argv)
    experiment = presets.get(arguments.preset)
    config = experiment.model
    rate = _common.MatrixRate()
    model = training.build(experiment)
    shape = (arguments.sequences, config.n_past, *config.frame_shape)
    frames = np.random.default_rng(0).random(shape, np.float32)

    def sample():
        model.generate(frames, arguments.n_future, arguments.samples).numpy()

    sample()
    rate.measure()
    seconds = _common.timed(sample, arguments.runs)
    rate.measure()
    count = cost.of(model).sampling_multiply_adds(config.n_past, arguments.n_future, arguments.samples)
    title = (
        f"Sampling, {arguments.preset}, {arguments.sequences} sequences x {arguments.samples} samples, "
        f"{config.n_past} -> {arguments.n_future}"
    )
    predicted = arguments.sequences * arguments.samples * arguments.n_future
    _common.report(title, seconds, predicted, 2 * arguments.sequences * count / 1e9, rate, {}, arguments.json)
    return 0
