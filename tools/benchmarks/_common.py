"""What the benchmarks of the model share: the machine's matrix rate, timing, and the report."""

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


def timed(function, runs: int, clock=time.perf_counter) -> list[float]:
    seconds = []
    for _ in range(runs):
        start = clock()
        function()
        seconds.append(clock() - start)
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
        write_json(json_file, values)


def write_json(file, values: dict) -> None:
    """Written whole or not at all."""
    path = pathlib.Path(file)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)
