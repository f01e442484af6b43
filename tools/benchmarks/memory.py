"""Memory of training steps against the activations that the backward pass must keep, with and without recomputation.

Above the line: resident size at its peak minus that of the built model with its optimizer slots (Linux). Below it: the sum
of the activations kept without recomputation, as the family's cost accounting (`svg_tf.families.cost`) derives and lists them.
Each case runs in a process of its own.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

import _common

from svg_tf import presets

MB = 1e6
# The system's allocator, which gives every block above 128 KB back at once, in place of TensorFlow's pool, which keeps its pages.
SYSTEM_ALLOCATOR = {
    "TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_ARENA_MAX": "1",
}


def measure(case: dict, settings: dict) -> dict:
    here = pathlib.Path(__file__).resolve().parent
    path = os.pathsep.join([str(here.parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "-1", "TF_ENABLE_ONEDNN_OPTS": os.environ.get(
        "TF_ENABLE_ONEDNN_OPTS", "1")}  # fmt: skip
    environment |= settings
    command = [sys.executable, str(here / "_memory_step.py"), json.dumps(case)]
    process = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if process.returncode:
        raise RuntimeError(f"The measured process failed:\n{process.stderr[-2000:]}")
    return json.loads(process.stdout.split("RESULT")[1])


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(prog="benchmark.py memory", description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="smmnist_lp", choices=presets.names())
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3, help="training steps")
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16"))
    parser.add_argument("--system-allocator", action="store_true", help=" ".join(f"{k}={v}" for k, v in SYSTEM_ALLOCATOR.items()))
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args(argv)
    case = {k: getattr(arguments, k) for k in ("preset", "batch_size", "steps", "precision")}
    settings = SYSTEM_ALLOCATOR if arguments.system_allocator else {}
    results = [measure(case | {"recompute": recompute}, settings) for recompute in (False, True)]
    whole = results[0]["kept_bytes"]
    print(f"Memory of training steps, {arguments.preset}, batch {arguments.batch_size}, {arguments.precision} (MB)")
    print(f"  activations kept: {whole / MB:.0f} in all, of them")
    kept, again = results[0]["kept"], results[1]["kept"]
    for name in sorted(kept | again, key=lambda name: -max(kept.get(name, 0), again.get(name, 0))):
        print(f"    {name:36} {kept.get(name, 0) / MB:9.1f}   recomputing {again.get(name, 0) / MB:9.1f}")
    print(f"  {'':38} {'keeping':>9} {'recomputing':>12}")
    for r in results:
        r["over_built"] = max(r["peaks"]) - r["built"]
        r["over_traced"] = max(r["peaks"]) - r["traced"]
        r["ratio"] = r["over_built"] / whole
        r["in_use_ratio"] = r["in_use"] / whole if r["in_use"] else None
    rows = (
        ("activations kept", "kept_bytes", MB), ("peak of activations, by the model", "expected_peak_activations", MB),
        ("peak in use, of the allocator", "in_use", MB), ("peak resident - that of the traced step", "over_traced", MB),
        ("peak resident - that of the built model", "over_built", MB), ("ratio in use / kept", "in_use_ratio", 1),
        ("ratio resident / kept", "ratio", 1),
    )  # fmt: skip
    for title, key, unit in rows:
        cells = ["-" if r[key] is None else f"{r[key] / unit:.{0 if unit == MB else 2}f}" for r in results]
        print(f"  {title:40} {cells[0]:>7} {cells[1]:>12}")
    if arguments.json:
        _common.write_json(arguments.json, {**case, "kept_bytes": whole, "keeping": results[0], "recomputing": results[1]})
    return 0
