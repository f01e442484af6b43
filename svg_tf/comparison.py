"""Several evaluations side by side: one table, Fig. 7/8-style curves, and paired differences."""

import json
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from svg_tf import plots, report, visualization
from svg_tf.metrics import video


def find(directory) -> pathlib.Path:
    """The evaluation of a run: the folder itself, or its subfolder "evaluation". Raises `ValueError` where there is none."""
    directory = pathlib.Path(directory)
    for candidate in (directory, directory / "evaluation"):
        if (candidate / "report.json").is_file():
            return candidate
    raise ValueError(f"{directory} holds no finished evaluation (no report.json there or in its subfolder evaluation).")


def compare(evaluations: Mapping[str, str | os.PathLike], out_dir) -> dict:
    """Compares evaluations of the same sequences under the same protocol.

    Args:
      evaluations: label -> folder of an evaluation, or of a run that holds one, in the order of the table. Differences are
        taken between neighbours (first minus second, ...), sequence by sequence.
      out_dir: gets comparison.json, comparison.md, comparison.png.

    Returns the comparison as a dict. Raises `ValueError`, before anything is written, for fewer than two evaluations and for
    ones of different data, protocol, or numbers of context and predicted frames.
    """
    if len(evaluations) < 2:
        raise ValueError(f"compare needs at least two evaluations, got {list(evaluations)}.")
    report.require_matplotlib()
    loaded = {label: report.read(find(directory)) for label, directory in evaluations.items()}
    first_label, (first, _) = next(iter(loaded.items()))
    for label, (other, _) in loaded.items():
        for what, a, b in [("the data (SHA-256)", first["data_sha256"], other["data_sha256"])] + [
            (f"option {name}", first["options"][name], other["options"][name]) for name in ("n_past", "n_future", "protocol")
        ]:
            if a != b:
                raise ValueError(f"Evaluations cannot be compared: {what} is {a!r} for {first_label!r} and {b!r} for {label!r}.")
    metrics = [m for m in first["results"] if all(m in r["results"] for r, _ in loaded.values())]
    rows = {label: _row(r, "best", "all", metrics) for label, (r, _) in loaded.items()}
    baselines = {
        "copy of the last frame (moving only)": _row(first, "copy_last", "moving", metrics),
        "blank frame": _row(first, "blank", "all", metrics),
    }
    labels = list(loaded)
    comparison = {
        "options": {name: first["options"][name] for name in ("n_past", "n_future", "protocol")},
        "samples": {label: r["drawn_samples"] for label, (r, _) in loaded.items()},
        "evaluation_seeds": {label: r["options"]["seed"] for label, (r, _) in loaded.items()},
        "weights_sha256": {label: r["weights_sha256"] for label, (r, _) in loaded.items()},
        "data_sha256": first["data_sha256"],
        "n_sequences": first["n_sequences"],
        "rows": rows | {name: row for name, row in baselines.items() if row},
        "paired_differences": [
            {"of": a, "minus": b} | {m: _paired(loaded[a][1], loaded[b][1], m, first["options"]["n_past"]) for m in metrics}
            for a, b in zip(labels, labels[1:], strict=False)
        ],
        "versions": first["versions"],
    }
    out_dir = pathlib.Path(out_dir)
    panels = []
    for metric in metrics:
        lines = [(label, row[metric]["per_step"]) for label, row in comparison["rows"].items()]
        panels.append((report.title(metric, first), lines))
    horizons = {r["horizon"] for r, _ in loaded.values()}
    plots.curves(out_dir / "comparison.png", panels, first["options"]["n_past"], horizons.pop() if len(horizons) == 1 else 0)
    visualization.write_atomically(out_dir / "comparison.md", markdown(comparison, metrics, first).encode())
    text = json.dumps(comparison, indent=1, allow_nan=False) + "\n"
    visualization.write_atomically(out_dir / "comparison.json", text.encode())
    return comparison


def _row(result: dict, row: str, subset: str, metrics) -> dict:
    entries = {m: result["results"][m].get(row, {}).get(subset) for m in metrics}
    return {m: entry for m, entry in entries.items() if entry}


def _paired(a: dict[str, np.ndarray], b: dict[str, np.ndarray], metric: str, n_past: int) -> dict:
    """Difference of the best samples' scores, over sequences: overall, in the late half of the predicted steps, per step."""
    difference = a[f"best_{metric}"].astype(np.float64) - b[f"best_{metric}"]
    steps = difference.shape[1]
    result = report.statistics(difference, n_past)
    mean, half = video.mean_interval(difference[:, steps // 2 :].mean(axis=1))
    result["late_half"] = {"from_t": n_past + steps // 2, "mean": float(mean), "half_width": report.number(half)}
    return result


def markdown(comparison: dict, metrics, first: dict) -> str:
    o = comparison["options"]
    digits = {m: 2 if m == "psnr" else 4 for m in metrics}
    lines = [
        "# Comparison",
        "",
        f"{comparison['n_sequences']} sequences, {o['n_past']} context frames, {o['n_future']} predicted, SSIM protocol "
        f"`{o['protocol']}`. Best of S per sequence and metric; means over sequences ± 95 % confidence.",
        "",
        "| | S | " + " | ".join(report.title(m, first) for m in metrics) + " |",
        "|---" * (len(metrics) + 2) + "|",
    ]
    for label, row in comparison["rows"].items():
        cells = [report.with_interval(row.get(m), digits[m]) for m in metrics]
        lines.append(f"| {label} | {comparison['samples'].get(label, '')} | " + " | ".join(cells) + " |")
    lines += ["", "Paired differences (sequence by sequence), overall and in the late half of the predicted steps:", ""]
    lines += ["| | steps | " + " | ".join(report.title(m, first) for m in metrics) + " |", "|---" * (len(metrics) + 2) + "|"]
    for pair in comparison["paired_differences"]:
        name = f"{pair['of']} − {pair['minus']}"
        for steps, entries in (("all", [pair[m] for m in metrics]), ("late", [pair[m]["late_half"] for m in metrics])):
            cells = [report.with_interval(e, digits[m], signed=True) for m, e in zip(metrics, entries, strict=True)]
            lines.append(f"| {name} | {steps} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", "![Curves](comparison.png)", ""])
