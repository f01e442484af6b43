"""The memory model against sums by hand and against the allocator's own account of small steps."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import pytest

from svg_tf import presets
from svg_tf.families import cost
from svg_tf.families.svg.config import SVGConfig
from svg_tf.families.svg.model import SVG

ROOT = pathlib.Path(__file__).resolve().parents[4]


def test_kept_activations_of_dcgan_32_by_hand():
    model = SVG(SVGConfig(image_size=32, width=2, g_dim=6, z_dim=3, rnn_size=8, n_past=2))
    result = cost.of(model).training_memory(batch=3, steps=5)
    levels = 16 * 16 * 2 + 8 * 8 * 4 + 4 * 4 * 8  # of one frame; the decoder's mirror them
    maps = 2 * (15 * (levels + 6) + 12 * levels)
    frames = (15 + 12 + 12) * 32 * 32  # in, out, error
    stacks = 12 * ((6 + 3 + 8 + 2 * 64) + 2 * (6 + 8 + 64))
    assert result.kept_bytes == 4 * (maps + frames + stacks)
    assert result.weights == 16 * sum(v.value.shape.num_elements() for v in model.trainable_variables)
    assert result.peak > result.weights + result.kept_bytes


def test_half_precision_and_recomputation_keep_less():
    config = SVGConfig(backbone="vgg", width=2, g_dim=6, z_dim=3, rnn_size=8, n_past=2)
    whole = cost.of(SVG(config)).training_memory(4, 6)
    half = cost.of(SVG(config, dtype="mixed_bfloat16")).training_memory(4, 6)
    errors = whole.kept["errors"]  # float32 in both
    assert half.kept_bytes - errors == (whole.kept_bytes - errors) / 2
    recomputed = cost.of(SVG(config)).training_memory(4, 6, recompute=True)
    assert recomputed.kept_bytes < 0.4 * whole.kept_bytes
    assert recomputed.peak_activations < 0.7 * whole.peak_activations
    with pytest.raises(ValueError, match="steps >= 2"):
        cost.of(SVG(config)).training_memory(4, 1)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_vgg_128_at_batch_100_fits_80_gigabytes_with_recomputation(precision):
    model = SVG(dataclasses.replace(presets.get("kth_lp").model, image_size=128), dtype=precision)
    assert cost.of(model).training_memory(100, 20, recompute=True).peak < 70e9  # leaving some for the convolutions' workspace
    if precision == "float32":
        assert cost.of(model).training_memory(100, 20).kept_bytes > 80e9


def test_small_steps_use_what_the_model_says():
    used = {}
    for recompute in (False, True):
        case = {"preset": "smmnist_mini", "batch_size": 48, "steps": 2, "precision": "float32", "recompute": recompute}
        process = subprocess.run(
            [sys.executable, str(ROOT / "tools" / "benchmarks" / "_memory_step.py"), json.dumps(case)],
            capture_output=True, text=True, check=False, timeout=600,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TF_ENABLE_ONEDNN_OPTS": "1", "CUDA_VISIBLE_DEVICES": "-1"},
        )  # fmt: skip
        assert process.returncode == 0, process.stderr[-2000:]
        result = json.loads(process.stdout.split("RESULT")[1])
        if result["in_use"] is None:
            pytest.skip("this build's allocator keeps no account")
        used[recompute] = result["in_use"]
        assert 0.6 < result["in_use"] / result["expected_peak_activations"] < 1.5
    assert used[True] < used[False]
