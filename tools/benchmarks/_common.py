"""What the benchmarks of the model share: the machine's matrix rate, and the least arithmetic that the work needs."""

import json
import os
import pathlib
import statistics
import time

import tensorflow as tf


class MatrixRate:
    """Rate of a float32 4096^3 product in this process on its own threads, in 1e9 operations (2 per multiply-add) a second.

    `measure` takes the best of five runs; call it before and after the work: the higher one counts.
    """

    def __init__(self, size: int = 4096):
        self._size = size
        a, b = tf.random.normal([size, size]), tf.random.normal([size, size])
        self._product = tf.function(lambda: tf.reduce_sum(tf.matmul(a, b)[0]))
        self._product()
        self.rates = []

    def measure(self) -> None:
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            self._product().numpy()
            seconds.append(time.perf_counter() - start)
        self.rates.append(2 * self._size**3 / min(seconds) / 1e9)

    @property
    def best(self) -> float:
        return max(self.rates)


def recurrent_multiply_adds(stack) -> int:
    """Multiply-adds of an LSTM stack for one time step of one sequence: each kernel's entries once."""
    return sum(int(v.value.shape.num_elements()) for v in stack.trainable_variables if len(v.shape) == 2)


def training_multiply_adds(model, steps: int) -> int:
    """Forward multiply-adds of one training sequence of `steps` frames; the skip half once per distinct skip frame."""
    main, skip = model.decoder.multiply_adds()
    recurrent = recurrent_multiply_adds(model.frame_predictor)
    if model.stochastic:
        recurrent += recurrent_multiply_adds(model.latent)  # posterior and, where learned, prior
    encoded = steps if model.stochastic else steps - 1
    predicted = steps - 1
    return model.encoder.multiply_adds() * encoded + (main + recurrent) * predicted + skip * model._skip_frames(steps)


def sampling_multiply_adds(model, n_past: int, n_future: int, n_samples: int) -> int:
    """Multiply-adds of n_samples futures of one sequence: conditioning frames and skip halves once per sequence; the last
    predicted frame need not be encoded."""
    main, skip = model.decoder.multiply_adds()
    predictor = recurrent_multiply_adds(model.frame_predictor)
    prior = posterior = 0
    if model.stochastic:
        posterior = recurrent_multiply_adds(model.latent.posterior)
        prior = recurrent_multiply_adds(model.latent) - posterior
    once = model.encoder.multiply_adds() * n_past + skip + (posterior + prior) * (n_past - 1)
    each = predictor * (n_past - 1) + (main + predictor + prior) * n_future + model.encoder.multiply_adds() * (n_future - 1)
    return once + n_samples * each


def timed(function, runs: int) -> list[float]:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return seconds


def report(title: str, seconds: list[float], frames: int, gigaops: float, rate: MatrixRate, extra: dict, json_file) -> None:
    """Prints and, where asked, writes: median time, frames a second, least arithmetic, matrix rate, their ratio."""
    median = statistics.median(seconds)
    ratio = gigaops / median / rate.best
    print(title)
    print(f"  median time            {median:10.3f} s   (of {len(seconds)}; {min(seconds):.3f} to {max(seconds):.3f})")
    print(f"  frames                 {frames / median:10.0f} /s")
    print(f"  least arithmetic       {gigaops:10.1f} Gop")
    print(
        f"  matrix product 4096^3  {rate.best:10.1f} Gop/s (runs before and after: {', '.join(f'{r:.1f}' for r in rate.rates)})"
    )
    print(f"  ratio                  {ratio:10.3f}")
    for name, value in extra.items():
        print(f"  {name:22} {value}")
    if json_file:
        values = {
            "title": title, "seconds": seconds, "median_seconds": median, "frames_per_second": frames / median,
            "gigaops": gigaops, "matrix_gigaops_per_second": rate.rates, "ratio": ratio, **extra,
        }  # fmt: skip
        path = pathlib.Path(json_file)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, path)
