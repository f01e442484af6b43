"""Latency and throughput of an exported model against `model.generate` in process; cold start in the C++ loader.

Both answer the same requests in turn, in one process; on a machine that does other work too, the ratio of their CPU times
is the steadier one. Cold start, first request (with and without a replay of the warm-up
request) and peak memory are those of fresh processes without TensorFlow in Python.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from svg_tf import presets, training
from svg_tf.serving import DEFAULT, client, export, warmup

HERE = pathlib.Path(__file__).resolve().parent


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="benchmark.py serve", description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="smmnist_mini", choices=presets.names())
    parser.add_argument("--n-future", type=int, default=25)
    parser.add_argument("--n-samples", type=int, default=10)
    parser.add_argument("--runs", type=int, default=100, help="requests at batch 1; a fifth of it at batch 16")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args(argv)
    if arguments.runs < 10:
        parser.error(f"--runs must be at least 10, got {arguments.runs}")
    model = training.build(presets.get(arguments.preset))
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        version = export.export(
            model, pathlib.Path(folder) / "model", n_future=arguments.n_future, n_samples=arguments.n_samples, with_warmup=False
        )
        results = {"preset": arguments.preset, "n_future": arguments.n_future, "n_samples": arguments.n_samples,
                   "export_seconds": time.perf_counter() - start}  # fmt: skip
        files = [p.stat().st_size for p in version.rglob("*") if p.is_file()]
        results |= {"export_megabytes": sum(files) / 1e6, "largest_file_megabytes": max(files) / 1e6}
        exported = client.connect(version)
        for batch, runs in ((1, arguments.runs), (16, max(5, arguments.runs // 5))):
            results[f"batch_{batch}"] = compare(model, exported, batch, runs, arguments)
        for name, replay in (("cold", False), ("warmed_up", True)):
            results[name] = cold_start(model, version, replay, folder)
    show(results)
    if arguments.json:
        temporary = pathlib.Path(arguments.json).with_suffix(".tmp")
        temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, arguments.json)
    return 0


def compare(model, exported, batch: int, runs: int, arguments) -> dict:
    """Seconds of each request for both; they take turns, so that the machine's load meets both."""
    c = model.config
    shape = (batch, c.n_past, *c.frame_shape)
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    floats = frames.astype(np.float32) / 255
    seeds = np.stack([np.zeros(batch), np.arange(batch)], axis=1).astype(np.int32)
    callers = {
        "model": lambda: model.generate(floats, arguments.n_future, arguments.n_samples, seeds).numpy(),
        "exported": lambda: exported.call("serving_default", {"frames": frames, "seed": seeds}),
    }
    seconds, cpu = ({name: [] for name in callers} for _ in range(2))
    for run in range(runs + 4):
        for name in list(callers)[:: 1 if run % 2 else -1]:  # neither is always the first
            start, cpu_start = time.perf_counter(), time.process_time()
            callers[name]()
            if run >= 4:
                seconds[name].append(time.perf_counter() - start)
                cpu[name].append(time.process_time() - cpu_start)
    predicted = batch * arguments.n_samples * arguments.n_future
    values = {
        name: {
            "p50_seconds": statistics.median(s),
            "p99_seconds": float(np.percentile(s, 99)),
            "frames_per_second": predicted / statistics.median(s),
            "p50_cpu_seconds": statistics.median(cpu[name]),
        }
        for name, s in seconds.items()
    }
    ratios = {
        f"{kind}_ratio": values["model"][key] / values["exported"][key]
        for kind, key in (("speed", "p50_seconds"), ("cpu", "p50_cpu_seconds"))
    }
    return {**values, "runs": runs, **ratios}


def cold_start(model, version, replay: bool, folder) -> dict:
    """A fresh process that loads the version and answers five requests of one sequence."""
    folder = pathlib.Path(folder)
    content = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    definition = content.meta_graphs[0].signature_def[DEFAULT]
    names = {side: {k: v.name for k, v in getattr(definition, side).items()} for side in ("inputs", "outputs")}
    record = dict(warmup.requests(model, [DEFAULT]))[DEFAULT]
    np.savez(folder / "warm_up.npz", **record)
    rng = np.random.default_rng(1)
    np.savez(folder / "request.npz", frames=rng.integers(0, 256, record["frames"].shape, np.uint8), seed=record["seed"])
    job = {"library": str(pathlib.Path(tf.__file__).parent), "model": str(version),
           "signatures": {DEFAULT: names}, "request": str(folder / "request.npz"),
           "warm_up": str(folder / "warm_up.npz") if replay else None}  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    command = [sys.executable, "-I", str(HERE / "_serve_cold_start.py"), str(folder / "job.json")]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def show(results: dict) -> None:
    title = f"{results['preset']}, {results['n_samples']} samples x {results['n_future']} frames for each sequence"
    print(f"Serving, {title}; export {results['export_seconds']:.0f} s, {results['export_megabytes']:.1f} MB")
    print(f"{'':28}{'p50 ms':>10}{'p99 ms':>10}{'frames/s':>10}{'ratio':>8}{'ratio of CPU time':>20}")
    for batch in (1, 16):
        values = results[f"batch_{batch}"]
        for name, label in (("model", "model.generate"), ("exported", "exported graph")):
            v = values[name]
            ratio = f"{values['speed_ratio']:8.2f}{values['cpu_ratio']:20.2f}" if name == "exported" else ""
            print(f"  batch {batch:2}  {label:16}{1000 * v['p50_seconds']:10.1f}{1000 * v['p99_seconds']:10.1f}"
                  f"{v['frames_per_second']:10.0f}{ratio}")  # fmt: skip
    for name, label in (("cold", "without warm-up"), ("warmed_up", "with warm-up")):
        v = results[name]
        print(
            f"  C++ loader, {label:16} load {v['load_seconds']:.2f} s, warm-up {v['warm_up_seconds']:.2f} s, first request "
            f"{1000 * v['first_request_seconds']:.0f} ms, later {1000 * v['later_request_seconds']:.0f} ms, "
            f"peak {v['peak_megabytes']:.0f} MB"
        )
