"""Several evaluations side by side: one table, Fig. 7/8-style curves, and paired differences; runs of several seeds pooled."""

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from data_pipelines import files
from data_pipelines.checks import require
from svg_tf.evaluation import ceiling, plots, report, sample_scores
from svg_tf.evaluation.metrics import video

Folder = str | os.PathLike
_SHARED_OPTIONS = ("n_past", "n_future", "protocol")


def find(directory) -> pathlib.Path:
    """The evaluation of a run: the folder itself, or its subfolder "evaluation". Raises `ValueError` where there is none."""
    directory = files.located(directory, "an evaluation's folder")
    for candidate in (directory, directory / "evaluation"):
        if (candidate / "report.json").is_file():
            return candidate
    raise ValueError(f"{directory} holds no finished evaluation (no report.json there or in its subfolder evaluation).")


def compare(evaluations: Mapping[str, Folder | Sequence[Folder]], out_dir) -> dict:
    """Compares evaluations of the same sequences under the same protocol.

    Args:
      evaluations: label -> folder of an evaluation, or of a run that holds one, in the order of the table; or several folders,
        of runs that differ in their seed: each sequence's scores are then averaged over them. Differences are taken between
        neighbours (first minus second, ...), sequence by sequence.
      out_dir: gets comparison.json, comparison.md, comparison.png.

    Returns the comparison as a dict. Raises `ValueError`, before anything is written, for fewer than two labels and for
    evaluations of different data, protocol, or numbers of context and predicted frames.
    """
    require(len(evaluations) >= 2, f"compare needs at least two evaluations, got {list(evaluations)}.")
    report.require_matplotlib()
    out_dir = files.located(out_dir, "the comparison's folder")
    places = {label: [find(folder) for folder in _folders(entry)] for label, entry in evaluations.items()}
    files.distinct_outputs([out_dir], [folder for folders in places.values() for folder in folders])
    groups = {label: [report.read(folder) for folder in folders] for label, folders in places.items()}
    _check_comparable(groups)
    comparison, metrics = _compared(groups)
    (first, _), *_ = next(iter(groups.values()))
    horizons = {r["horizon"] for group in groups.values() for r, _ in group}
    panels = [
        (report.title(metric, first), [(n, row[metric]["per_step"]) for n, row in comparison["rows"].items() if metric in row])
        for metric in metrics
    ]
    for name, entries in comparison["proper"]["rows"].items():
        panels.append((sample_scores.TITLES[name], [(label, row["per_step"]) for label, row in entries.items()]))
    with files.locked(out_dir, "writes a comparison into"):
        horizon = horizons.pop() if len(horizons) == 1 else None
        plots.curves(out_dir / "comparison.png", panels, first["options"]["n_past"], horizon)
        files.write(out_dir / "comparison.md", markdown(comparison, metrics, first))
        files.write_json(out_dir / "comparison.json", comparison, indent=1)
    return comparison


Groups = dict[str, list[tuple[dict, dict[str, np.ndarray]]]]  # label -> (report, scores) of each run


def _check_comparable(groups: Groups) -> None:
    """Raises `ValueError` where data or protocol differ."""
    first_label, ((first, _), *_) = next(iter(groups.items()))
    for label, other in ((label, r) for label, group in groups.items() for r, _ in group):
        facts = [("the data (SHA-256)", first["data_sha256"], other["data_sha256"])]
        facts += [(f"option {name}", first["options"][name], other["options"][name]) for name in _SHARED_OPTIONS]
        for what, a, b in facts:
            if a != b:
                raise ValueError(f"Evaluations cannot be compared: {what} is {a!r} for {first_label!r} and {b!r} for {label!r}.")


def _compared(groups: Groups) -> tuple[dict, list[str]]:
    """(the comparison, the metrics that all evaluations have)."""
    (first, _), *_ = next(iter(groups.values()))
    metrics = [m for m in first["results"] if all(m in r["results"] for group in groups.values() for r, _ in group)]
    n_past, labels = first["options"]["n_past"], list(groups)
    pooled = {
        label: {m: np.mean([scores[f"best_{m}"] for _, scores in group], axis=0, dtype=np.float64) for m in metrics}
        for label, group in groups.items()
    }
    rows = {label: {m: report.statistics(values, n_past) for m, values in pooled[label].items()} for label in labels}
    for label, row in rows.items():
        for m in metrics:
            row[m]["runs"] = [r["results"][m]["best"]["all"]["mean"] for r, _ in groups[label]]
    baselines = {
        "copy of the last frame (moving only)": _row(first, "copy_last", "moving", metrics),
        "blank frame": _row(first, "blank", "all", metrics),
        "simulator": _row(first, "simulator_best", "all", metrics),
    }
    for label, group in groups.items():
        if all(f"redrawn_{m}" in scores for _, scores in group for m in metrics):
            redrawn = {m: np.mean([scores[f"redrawn_{m}"] for _, scores in group], axis=0, dtype=np.float64) for m in metrics}
            baselines[f"{label}: true frames redrawn from their codes"] = {
                m: report.statistics(values, n_past) for m, values in redrawn.items()
            }
    shares = {label: _shares(pooled[label], *groups[labels[0]][0], metrics) for label in labels}
    comparison = {
        "options": {name: first["options"][name] for name in _SHARED_OPTIONS},
        "samples": {label: group[0][0]["drawn_samples"] for label, group in groups.items()},
        "runs": {label: len(group) for label, group in groups.items()},
        "evaluation_seeds": {label: [r["options"]["seed"] for r, _ in group] for label, group in groups.items()},
        "weights_sha256": {label: [r["weights_sha256"] for r, _ in group] for label, group in groups.items()},
        "data_sha256": first["data_sha256"],
        "n_sequences": first["n_sequences"],
        "rows": rows | {name: row for name, row in baselines.items() if row},
        "shares": {label: entries for label, entries in shares.items() if entries},
        "paired_differences": [
            {"of": a, "minus": b}
            | {m: _paired(pooled[a][m] - pooled[b][m], _runs(rows[a][m], rows[b][m]), n_past) for m in metrics}
            for a, b in zip(labels, labels[1:], strict=False)
        ],
        "proper": _proper(groups, n_past),
        "digit_motion": _digit_motion(groups),
        "versions": first["versions"],
    }
    return comparison, metrics


def _folders(entry) -> list:
    folders = [entry] if isinstance(entry, str | os.PathLike) else list(entry)
    if not folders:
        raise ValueError("A label of compare needs at least one evaluation.")
    return folders


def _row(result: dict, row: str, subset: str, metrics) -> dict:
    entries = {m: result["results"][m].get(row, {}).get(subset) for m in metrics}
    return {m: entry for m, entry in entries.items() if entry}


def _shares(best: dict, first: dict, scores: dict, metrics) -> dict:
    """{metric: `ceiling.share`} of pooled best-of-S scores; floor and ceiling are those of the first evaluation."""
    known = [m for m in metrics if m in first.get("shares", {})]

    def of_sequences(values):
        return values.mean(axis=1, dtype=np.float64)

    ends = {m: [of_sequences(scores[f"{row}_{m}"]) for row in ("blank", "simulator_best")] for m in known}
    return {m: ceiling.share(of_sequences(best[m]), *ends[m], first["higher_is_better"][m]) for m in known}


def _proper(groups: Groups, n_past: int) -> dict:
    """{"rows": {score: {label: statistics}}, "paired_differences": {score: [...]}, "calibration": {which: {label: error}}} of
    the scores that all evaluations have; runs of several seeds pooled. The simulator is that of the first evaluation."""
    labels = list(groups)
    (first, scores), *_ = groups[labels[0]]
    everyone = [own for group in groups.values() for _, own in group]
    result: dict = {"rows": {}, "paired_differences": {}, "calibration": {}}
    for name in sample_scores.TITLES:
        if not all(f"model_{name}" in own for own in everyone):
            continue
        runs = {label: [own[f"model_{name}"] for _, own in group] for label, group in groups.items()}
        pooled = {label: np.mean(values, axis=0, dtype=np.float64) for label, values in runs.items()}
        ends = {sample_scores.ROWS[row]: scores.get(f"{row}_{name}") for row in ("blank", "simulator")}
        rows = pooled | {row: values for row, values in ends.items() if values is not None}
        result["rows"][name] = {label: report.statistics(values, n_past) for label, values in rows.items()}
        result["paired_differences"][name] = [
            {"of": a, "minus": b} | _paired(pooled[a] - pooled[b], [], n_past) for a, b in zip(labels, labels[1:], strict=False)
        ]
    for name in sample_scores.ERRORS:
        errors = {}
        for label, group in groups.items():
            own = [r.get("proper", {}).get("calibration", {}).get(name, {}).get("model") for r, _ in group]
            if all(own):
                errors[label] = float(np.mean([entry["error"] for entry in own]))
        if errors:
            known = first["proper"]["calibration"].get(name, {}) if "proper" in first else {}
            simulator = known.get("simulator")
            result["calibration"][name] = errors | ({"simulator": simulator["error"]} if simulator else {})
    return result


def _digit_motion(groups: Groups) -> dict:
    """{label: [the distance of each run]} of the evaluations that have one, and the simulator's of the first."""
    known = {label: [r["digit_motion"] for r, _ in group if "digit_motion" in r] for label, group in groups.items()}
    result = {label: [entry["model"]["value"] for entry in entries] for label, entries in known.items()}
    (first, _), *_ = next(iter(groups.values()))
    if "digit_motion" in first:
        result["simulator"] = [first["digit_motion"]["simulator"]["value"]]
    return {label: values for label, values in result.items() if values}


def _proper_lines(entry: dict) -> list[str]:
    """The proper scores as a table; none where no evaluation has them."""
    if not entry["rows"]:
        return []
    scores, errors = list(entry["rows"]), list(entry["calibration"])
    titles = [*(sample_scores.TITLES[name] for name in scores), *(sample_scores.ERRORS[name] for name in errors)]
    lines = ["", "Proper scores (smaller is better) and calibration:", ""]
    lines += ["| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    for label in entry["rows"][scores[0]]:
        cells = [report.with_interval(entry["rows"][name].get(label), 4 if name == "energy" else 2) for name in scores]
        known = [entry["calibration"][name].get(label) for name in errors]
        cells += ["" if error is None else f"{error:.3f}" for error in known]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    for number in range(len(entry["paired_differences"][scores[0]])):
        pairs = [entry["paired_differences"][name][number] for name in scores]
        digits = [4 if name == "energy" else 2 for name in scores]
        cells = [report.with_interval(pair, d, signed=True) for pair, d in zip(pairs, digits, strict=True)] + [""] * len(errors)
        lines.append(f"| {pairs[0]['of']} − {pairs[0]['minus']} | " + " | ".join(cells) + " |")
    return lines


def _runs(a: dict, b: dict) -> list[float]:
    """Differences of runs of the same rank in their groups, where the groups are equally large."""
    return [x - y for x, y in zip(a["runs"], b["runs"], strict=True)] if len(a["runs"]) == len(b["runs"]) else []


def _paired(difference: np.ndarray, runs: list[float], n_past: int) -> dict:
    """difference [N, T] of scores, over sequences: overall, in the late half of the predicted steps, per step."""
    steps = difference.shape[1]
    result = report.statistics(difference, n_past) | {"runs": runs}
    mean, half = video.mean_interval(difference[:, steps // 2 :].mean(axis=1))
    result["late_half"] = {"from_t": n_past + steps // 2, "mean": float(mean), "half_width": report.number(half)}
    return result


def markdown(comparison: dict, metrics, first: dict) -> str:
    o = comparison["options"]
    digits = {m: 2 if m == "psnr" else 4 for m in metrics}
    titles = [report.title(m, first) for m in metrics]
    shared = list(next(iter(comparison["shares"].values()), {}))
    lines = [
        "# Comparison",
        "",
        f"{comparison['n_sequences']} sequences, {o['n_past']} context frames, {o['n_future']} predicted, SSIM protocol "
        f"`{o['protocol']}`. Best of S per sequence and metric; means over sequences ± 95 % confidence"
        + ("; in brackets the single runs, which differ in their seed." if max(comparison["runs"].values()) > 1 else "."),
        "",
        "| | S | " + " | ".join([*titles, *(f"share in {report.title(m, first)}" for m in shared)]) + " |",
        "|---" * (len(metrics) + len(shared) + 2) + "|",
    ]
    samples = comparison["samples"] | {"simulator": first.get("ceiling", {}).get("samples", "")}
    for label, row in comparison["rows"].items():
        cells = [_cell(row.get(m), digits[m]) for m in metrics]
        fixed = {"blank frame": "0", "simulator": "1"}.get(label, "")
        cells += [fixed or ceiling.text(comparison["shares"].get(label, {}).get(m)) for m in shared]
        lines.append(f"| {label} | {samples.get(label, '')} | " + " | ".join(cells) + " |")
    if "ceiling" in first:
        lines += ["", ceiling.sentence(first["ceiling"])]
    lines += ["", "Paired differences (sequence by sequence), overall and in the late half of the predicted steps:", ""]
    lines += ["| | steps | " + " | ".join(titles) + " |", "|---" * (len(metrics) + 2) + "|"]
    for pair in comparison["paired_differences"]:
        name = f"{pair['of']} − {pair['minus']}"
        for steps, entries in (("all", [pair[m] for m in metrics]), ("late", [pair[m]["late_half"] for m in metrics])):
            cells = [_cell(e, digits[m], signed=True) for m, e in zip(metrics, entries, strict=True)]
            lines.append(f"| {name} | {steps} | " + " | ".join(cells) + " |")
    lines += _proper_lines(comparison["proper"])
    if comparison["digit_motion"]:
        values = [f"{label} {', '.join(format(v, '.1f') for v in runs)}" for label, runs in comparison["digit_motion"].items()]
        lines += ["", f"Digit-motion distance (not FVD): {'; '.join(values)}."]
    return "\n".join([*lines, "", "![Curves](comparison.png)", ""])


def _cell(entry: dict | None, digits: int, signed: bool = False) -> str:
    text = report.with_interval(entry, digits, signed)
    runs = (entry or {}).get("runs", [])
    form = f"{'+' if signed else ''}.{digits}f"
    return f"{text} ({', '.join(format(r, form) for r in runs)})" if len(runs) > 1 else text
