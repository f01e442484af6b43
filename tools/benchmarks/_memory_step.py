"""A process of its own for `benchmark.py memory`: training steps, and the memory before and during them, as JSON.

Resident size (Linux): VmRSS, and VmHWM, which is set back before the steps. In use: what TensorFlow's allocator has given out.
"""

import dataclasses
import gc
import json
import pathlib
import sys

import tensorflow as tf

from svg_tf import presets, training
from svg_tf.families import cost


def resident(field: str) -> int:
    """Bytes of a field of /proc/self/status."""
    lines = pathlib.Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def in_use() -> dict | None:
    """{"current", "peak"} of the CPU's allocator; None where it keeps no account (no public function tells it of a CPU)."""
    from tensorflow.python.eager import context

    try:
        info = context.context().get_memory_info("CPU:0")
        context.context().reset_memory_stats("CPU:0")
    except (ValueError, AttributeError, tf.errors.OpError):
        return None
    return info


def main() -> None:
    a = json.loads(sys.argv[1])
    preset = presets.get(a["preset"])
    train = dataclasses.replace(preset.train, recompute=a["recompute"], precision=a["precision"])
    model = training.build(dataclasses.replace(preset, train=train))
    c, length = preset.model, preset.model.n_past + preset.data.n_future
    frames = tf.random.stateless_uniform([a["batch_size"], length, *c.frame_shape], [0, 0])
    gc.collect()
    built = resident("VmRSS")
    step = tf.function(lambda frames: model.train_step({"frames": frames})["loss"])
    step.get_concrete_function(frames)
    gc.collect()
    traced = resident("VmRSS")
    before = in_use()
    pathlib.Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    peaks = []
    for _ in range(a["steps"]):
        step(frames).numpy()
        peaks.append(resident("VmHWM"))
    after = in_use()
    expected = cost.of(model).training_memory(a["batch_size"], length, a["recompute"])
    print("RESULT", end="")
    json.dump(
        {
            "recompute": a["recompute"], "built": built, "traced": traced, "peaks": peaks,
            "in_use": after["peak"] - before["current"] if before and after else None,
            "kept": expected.kept, "kept_bytes": expected.kept_bytes, "expected_peak_activations": expected.peak_activations,
        },
        sys.stdout,
    )  # fmt: skip


if __name__ == "__main__":
    main()
