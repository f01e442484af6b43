"""Scores to reports: numbers with their confidence intervals, tables, curves, and the comparison of several runs."""

import json
import pathlib
import zipfile

import numpy as np

from data_pipelines import files
from svg_tf import versions
from svg_tf.evaluation import ceiling, digit_motion, fvd, information, plots, sample_scores
from svg_tf.evaluation.metrics import video

FORMAT = 2
TERM = "bound_"  # before the names of the objective's terms among the scores
TITLES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "mse": "MSE", "lpips": "LPIPS"}
ROWS = {
    "best": "best of S",
    "mean": "mean over samples",
    "redrawn": "true frames redrawn from their codes",  # what prediction could reach (`RedrawsFrames`)
    "copy_last": "copy of the last frame",
    "blank": "blank frame",
    "simulator_best": "simulator, best of S",
    "simulator_mean": "simulator, mean over samples",
}


def require_matplotlib() -> None:
    """Raises `ValueError` where matplotlib, an optional package, is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ValueError('Reports and figures need matplotlib: pip install "svg_tf[plots]".') from None


def summarize(header: dict, scores: dict, higher_is_better: dict[str, bool]) -> tuple[dict[str, np.ndarray], dict]:
    """Best of S, means and intervals.

    scores: model_* [N, S, T], copy_last_*, blank_* and, of some models, redrawn_* [N, T], moving [N], bound_* [N, frames],
      nats [N], ... as evaluation keeps them.
    Returns (arrays for scores.npz: per sequence and step, row_metric [N, T]; the report).
    """
    options, moving = header["options"], scores["moving"].astype(bool)
    metrics = [name for name in higher_is_better if f"model_{name}" in scores]
    kept = {"moving": moving}
    for name in metrics:
        kept[f"best_{name}"], _ = video.best_of(scores[f"model_{name}"], higher_is_better[name])
        kept[f"mean_{name}"] = scores[f"model_{name}"].mean(axis=1)
        kept |= {f"{row}_{name}": scores[f"{row}_{name}"] for row in ROWS if f"{row}_{name}" in scores}
        if name not in ceiling.WITHOUT and f"simulator_{name}" in scores:
            kept[f"simulator_best_{name}"], _ = video.best_of(scores[f"simulator_{name}"], higher_is_better[name])
            kept[f"simulator_mean_{name}"] = scores[f"simulator_{name}"].mean(axis=1)
    subsets = {"all": np.ones_like(moving), "moving": moving}
    results = {name: {} for name in metrics}
    for name in metrics:
        for row in (row for row in ROWS if f"{row}_{name}" in kept):
            # A copy of the last frame is perfect where nothing moves: its row exists for moving sequences only.
            for subset in ("moving",) if row == "copy_last" else tuple(subsets):
                values = kept.get(f"{row}_{name}", np.empty(0))
                values = values[subsets[subset]] if len(values) else values
                if len(values):
                    results[name].setdefault(row, {})[subset] = statistics(values, options["n_past"])
    report = {
        "format": FORMAT,
        **header,
        "versions": versions.installed(),
        "data_sha256": scores["data_sha256"],
        "n_sequences": len(moving),
        "n_moving": int(moving.sum()),
        "higher_is_better": {name: higher_is_better[name] for name in metrics},
        "results": results,
    }
    shares = ceiling.shares(kept, {name: higher_is_better[name] for name in metrics})
    if shares:
        report["shares"] = shares
    if "model_energy" in scores:
        report["proper"] = sample_scores.summary(scores, lambda v: statistics(v, options["n_past"]), ceiling.share)
        names = [f"{row}_{score}" for row in sample_scores.ROWS for score in sample_scores.TITLES]
        kept |= {name: scores[name] for name in names if name in scores}
    bound = _bound(scores)
    if bound:
        report["bound"] = bound
    if "information" in scores and information.TERM in bound.get("terms", {}):
        parts = scores[f"{TERM}{information.TERM}"], scores["information"], scores["new_velocity"]
        report["information"] = information.summary(*parts, options["n_past"])
    if "diversity" in scores:
        report["diversity"] = {**_mean(scores["diversity"]), "unit": "RMS pixel difference"}
    if "truth_digit_motion" in scores and len(moving) > 1:
        report["digit_motion"] = digit_motion.summary(scores)
    if "fvd_real" in scores and len(moving) > 1:
        report["fvd"] = fvd.summary(header, scores)
    return kept, report


def number(value) -> float | None:
    """A float, or None (null in JSON) where it is unknown."""
    return float(value) if np.isfinite(value) else None


def statistics(values: np.ndarray, n_past: int) -> dict:
    """values: [n, T] -> overall (over sequence means) and per step: mean, 95 % half-width, n."""
    mean, half = video.mean_interval(values.mean(axis=1, dtype=np.float64))
    step_mean, step_half = video.mean_interval(values)
    return {
        "n": len(values),
        "mean": float(mean),
        "half_width": number(half),
        "per_step": {
            "t": list(range(n_past, n_past + values.shape[1])),
            "mean": [float(v) for v in step_mean],
            "half_width": [number(v) for v in step_half],
        },
    }


def _bound(scores: dict) -> dict:
    """Of true frames with posterior latents: the terms of the objective by name, per frame, and the negative ELBO in nats.

    Empty for a model that bounds no likelihood; without nats where its objective is none for any observation.
    """
    terms = {name.removeprefix(TERM): values for name, values in scores.items() if name.startswith(TERM)}
    if not terms:
        return {}
    n_frames = next(iter(terms.values())).shape[1]
    of_terms = {name: _mean(values.mean(axis=1, dtype=np.float64)) for name, values in terms.items()}
    result = {"n_frames": n_frames, "terms": of_terms}
    if "nats" in scores:
        nats = scores["nats"].astype(np.float64)
        result |= {"nats": _mean(nats), "nats_per_frame": _mean(nats / n_frames)}
    return result


def _mean(values: np.ndarray) -> dict:
    """values [N] -> their mean and 95 % half-width."""
    mean, half = video.mean_interval(values)
    return {"mean": float(mean), "half_width": number(half), "n": len(values)}


def write(report: dict, out_dir) -> None:
    """curves.png, report.md and, last (its presence says that the evaluation is complete), report.json."""
    out_dir = files.located(out_dir)
    past, horizon = report["options"]["n_past"], report["horizon"]
    panels = []
    for metric, rows in report["results"].items():
        curves = [
            (heading(row, report), (subsets.get("all") or subsets["moving"])["per_step"])
            for row, subsets in rows.items()
        ]
        panels.append((title(metric, report), curves))
    for name in (name for name in sample_scores.TITLES if name in report.get("proper", {})):
        rows = report["proper"][name].items()
        panels.append((sample_scores.TITLES[name], [(sample_scores.ROWS[row], entry["per_step"]) for row, entry in rows]))
    plots.curves(out_dir / "curves.png", panels, past, horizon)
    files.write(out_dir / "report.md", markdown(report))
    files.write_json(out_dir / "report.json", report, indent=1)


def heading(row: str, report: dict) -> str:
    """A row's heading, with its number of samples."""
    count = report.get("ceiling", {}).get("samples") if row.startswith("simulator") else report["drawn_samples"]
    return ROWS[row].replace("of S", f"of {count}")


def title(metric: str, report: dict) -> str:
    """A metric's heading; SSIM's names the protocol."""
    return f"SSIM ({report['options']['protocol']})" if metric == "ssim" else TITLES[metric]


def with_interval(entry: dict | None, digits: int, signed: bool = False) -> str:
    """`mean ± half-width` as text; empty for None."""
    if entry is None:
        return ""
    half = "n/a" if entry["half_width"] is None else f"{entry['half_width']:.{digits}f}"
    return f"{entry['mean']:{'+' if signed else ''}.{digits}f} ± {half}"


def markdown(report: dict) -> str:
    """The report as a page: what was measured, a table with 95 % intervals, likelihood, diversity, pictures."""
    o, n = report["options"], report["n_sequences"]
    metrics, shares = list(report["results"]), report.get("shares", {})
    titles = [*(title(m, report) for m in metrics), *(f"share in {title(m, report)}" for m in shares)]
    lines = [
        "# Evaluation",
        "",
        f"{n} sequences ({report['n_moving']} in which everything moves), {o['n_past']} context frames, "
        f"{o['n_future']} predicted, {report['drawn_samples']} samples each, seed {o['seed']}, SSIM protocol `{o['protocol']}`"
        + (", batch statistics in generation" if o["batch_statistics"] else "")
        + ". Means over sequences ± 95 % confidence (1.96 sd / √n); the best of S is taken per metric by its mean over predicted "
        "frames; context frames are not scored.",
        "",
        "| | sequences | " + " | ".join(titles) + " |",
        "|---" * (len(titles) + 2) + "|",
    ]
    for subset in ("all", "moving"):
        for row in ROWS:
            entries = [report["results"][m].get(row, {}).get(subset) for m in metrics]
            if any(entries):
                cells = [with_interval(e, 2 if m == "psnr" else 4) for m, e in zip(metrics, entries, strict=True)]
                cells += [_share(shares[m], row, subset) for m in shares]
                lines.append(f"| {heading(row, report)} | {subset} | " + " | ".join(cells) + " |")
    if "ceiling" in report:
        lines += ["", ceiling.sentence(report["ceiling"])]
    if "proper" in report:
        label = f"{report['drawn_samples']} samples"
        lines += ["", *sample_scores.table(report["proper"], with_interval, ceiling.text, label)]
        lines += ["", sample_scores.sentence(report["proper"])]
    lines += _bound_lines(report.get("bound", {}))
    if "information" in report:
        lines.append(information.sentence(report["information"], lambda entry: with_interval(entry, 3)))
    if "diversity" in report:
        lines.append(f"Diversity (mean pairwise RMS difference of samples): {with_interval(report['diversity'], 4)}.")
    if "digit_motion" in report:
        lines.append(digit_motion.sentence(report["digit_motion"]))
    if "fvd" in report:
        lines.append(fvd.line(report["fvd"]))
    lines += ["", "![Curves](curves.png)", ""]
    lines += [f"- ![{s['file']}]({s['file']}) sequence {s['sequence']}" for s in report.get("shown", [])]
    lines += ["", f"Weights SHA-256 `{report['weights_sha256']}`, data SHA-256 `{report['data_sha256']}`."]
    lines += [f"{key}: {value}" for key, value in report["description"].items()]
    return "\n".join(lines) + "\n"


def _share(of_rows: dict, row: str, subset: str) -> str:
    """A cell of the table; shares are those of all sequences."""
    if subset != "all":
        return ""
    fixed = {"blank": "0"} | {f"simulator_{name}": "1" for name, entry in of_rows.items() if entry["mean"] is not None}
    return fixed.get(row) or ceiling.text(of_rows.get(row))


def _bound_lines(bound: dict) -> list[str]:
    """The terms and the bound as sentences; none for a model that bounds no likelihood."""
    if not bound:
        return [""]
    terms = ", ".join(
        f"{name} {with_interval(entry, 6 if abs(entry['mean']) < 0.1 else 3)}" for name, entry in bound["terms"].items()
    )
    lines = ["", f"Per frame, with posterior latents: {terms}."]
    if "nats" in bound:
        lines.append(
            f"Negative ELBO: {with_interval(bound['nats'], 1)} nats a sequence of {bound['n_frames']} frames, "
            f"{with_interval(bound['nats_per_frame'], 1)} a frame."
        )
    elif "nats_per_frame" in bound:
        lines.append(f"Negative ELBO: {with_interval(bound['nats_per_frame'], 1)} nats a frame.")
    return lines


def read(directory) -> tuple[dict, dict[str, np.ndarray]]:
    """(report, scores) of an evaluation's folder, of 0.1.0 too. Raises `ValueError` where it is absent, unfinished or damaged."""
    directory = files.located(directory)
    try:
        report = upgraded(json.loads((directory / "report.json").read_text(encoding="utf-8")))
        with (directory / "scores.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            scores = {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise ValueError(f"{directory} holds no finished evaluation ({pathlib.Path(error.filename).name} is missing).") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zipfile.BadZipFile) as error:
        raise ValueError(f"{directory} holds an evaluation that cannot be read ({error}).") from error
    return report, scores


def upgraded(report: dict) -> dict:
    """A report of 0.1.0 (format 1) as this version writes it. Raises `ValueError` for other formats.

    Format 1 gives the bound per frame alone, and does not say of how many frames.
    """
    if report["format"] == FORMAT:
        return report
    if report["format"] != 1:
        raise ValueError(f"format {report['format']}, expected {FORMAT}")
    dropped = ("negative_elbo", "kl_weight", "likelihood_variance")
    new = {name: value for name, value in report.items() if name not in dropped} | {"format": FORMAT}
    old = report.get("negative_elbo", {})
    names = {"mse": "mse", "kl_nats": "kl", "objective": "objective"}
    terms = {now: old[before] for before, now in names.items() if before in old}
    if terms:
        new["bound"] = {"terms": terms} | ({"nats_per_frame": old["nats"]} if "nats" in old else {})
    options = report["options"].items()
    new["options"] = {name: None if value in ("", 0) and name in _NOW_NONE else value for name, value in options}
    return new


_NOW_NONE = ("sequences", "lpips", "lpips_sha256", "fvd", "fvd_sha256")
