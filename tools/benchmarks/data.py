"""Speed of on-the-fly Moving MNIST: frames delivered a second.

    python tools/benchmark.py data [--digits mnist --digits-dir DIR] [--json FILE]

Numerator: float32 [B, T, 64, 64, 1] frames in [0, 1] handed to the consumer (which does nothing with them). Denominator:
wall-clock seconds; the data set's own start (reading digits, tracing) and the first batches are not counted. Also
printed: frames per second of processor time times the number of processors, which other programs disturb less.
"""

import argparse
import json
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def benchmark_data(*, batches=60, runs=5, warmup=6, batch_size=100, seq_len=15, **options) -> dict:
    """Median over `runs` of the rate at which `batches` batches are delivered; `options` go to `data_pipelines.load`."""
    import data_pipelines

    dataset = data_pipelines.load("moving_mnist", seq_len=seq_len, batch_size=batch_size, **options)
    iterator = iter(dataset)
    for _ in range(warmup):
        next(iterator)
    frames = batches * batch_size * seq_len
    wall, processor = [], []
    for _ in range(runs):
        start = time.perf_counter(), time.process_time()
        for _ in range(batches):
            next(iterator)
        wall.append(frames / (time.perf_counter() - start[0]))
        processor.append(frames / (time.process_time() - start[1]))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "options": {key: value for key, value in options.items() if key != "digits_dir"},
        "batch_size": batch_size,
        "seq_len": seq_len,
        "cores": cores,
        "runs": runs,
        "frames_per_run": frames,
        "frames_per_second": statistics.median(wall),
        "frames_per_second_all_runs": wall,
        "frames_per_processor_second_times_cores": statistics.median(processor) * cores,
    }


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="benchmark.py data", description=__doc__.splitlines()[0])
    parser.add_argument("--digits", choices=("mnist", "uci"), default="uci")
    parser.add_argument("--digits-dir", default=None, help="folder with MNIST's four .gz files")
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--seq-len", type=int, default=15)
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    arguments = parser.parse_args(argv)
    common = {"digits": arguments.digits, "digits_dir": arguments.digits_dir, "seq_len": arguments.seq_len}
    common |= {"batches": arguments.batches, "runs": arguments.runs, "batch_size": arguments.batch_size}
    cases = {
        "reference, 2 digits": {},
        "reference, 1 digit": {"num_digits": 1},
        "srvp, 2 digits": {"variant": "srvp"},
    }
    results = {}
    for name, options in cases.items():
        result = results[name] = benchmark_data(**common, **options)
        if len(results) == 1:
            print(
                f"64x64 frames delivered per second, batches of {result['batch_size']} x {result['seq_len']}, {result['cores']} "
                f"cores, median of {result['runs']} runs of {result['frames_per_run']} frames"
            )
            print(f"{'data':22} {'wall clock':>12} {'lowest':>10} {'highest':>10} {'processor time x cores':>24}")
        rates = result["frames_per_second_all_runs"]
        print(
            f"{name:22} {result['frames_per_second']:12,.0f} {min(rates):10,.0f} {max(rates):10,.0f} "
            f"{result['frames_per_processor_second_times_cores']:24,.0f}"
        )
    if arguments.json:
        temporary = f"{arguments.json}.tmp"
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump(results, stream, indent=2)
        os.replace(temporary, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
