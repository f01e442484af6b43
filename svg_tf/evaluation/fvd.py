"""FVD as the papers compute it: which frames are compared, how many draws, and what is said of the result.

Two numbers are comparable only where the convention, the resize, the number of sequences and that of frames are the same: all of
these stand in the report.
"""

from typing import NamedTuple

import numpy as np

from svg_tf.evaluation.metrics import video
from svg_tf.evaluation.metrics.perceptual import FVD

MAX_DRAWS = 20


class Convention(NamedTuple):
    """How a paper computes FVD."""

    context: bool
    """The context frames stand before the true and the predicted ones."""
    draws: int
    """Random samples of each sequence; each gives one FVD, over all sequences."""


CONVENTIONS = {"srvp": Convention(context=True, draws=5), "predicted": Convention(context=False, draws=1)}


def name_of(options) -> str:
    """The convention of `evaluation.Options`: by name, or that of its protocol (srvp), or predicted frames only."""
    return options.fvd_convention or (options.protocol if options.protocol in CONVENTIONS else "predicted")


def draws(options, drawn: int) -> int:
    """How many of `drawn` samples of a sequence count."""
    return min(drawn, options.fvd_draws or CONVENTIONS[name_of(options)].draws)


def check(network: FVD, options) -> None:
    """Raises `ValueError` where the clips are too short for the network."""
    frames = options.n_future + options.n_past * CONVENTIONS[name_of(options)].context
    if frames < network.least_frames:
        raise ValueError(
            f"FVD by the convention {name_of(options)!r} takes clips of {frames} frames here; I3D needs at least "
            f"{network.least_frames}."
        )


def features(network: FVD, options, context, future, samples, drawn: int) -> dict[str, np.ndarray]:
    """context [B, P, ...], future [B, F, ...], samples [B, S >= draws, F, ...] -> fvd_real [B, 400], fvd_model
    [B, draws, 400]."""
    with_context = CONVENTIONS[name_of(options)].context

    def clips(predicted):
        return np.concatenate([context, predicted], axis=1) if with_context else predicted

    model = [network.features(clips(samples[:, i])) for i in range(draws(options, drawn))]
    return {"fvd_real": network.features(clips(future)), "fvd_model": np.stack(model, axis=1)}


def summary(header: dict, scores: dict) -> dict:
    """The report's entry: the mean over draws and its 95 % half-width, where there are several."""
    options, real, model = header["options"], scores["fvd_real"], scores["fvd_model"]
    values = np.array([FVD.distance(real, model[:, i]) for i in range(model.shape[1])])
    mean, half = video.mean_interval(values)
    facts = header["fvd_settings"]
    with_context = CONVENTIONS[facts["convention"]].context
    return {
        **facts,
        "value": float(mean),
        "half_width": float(half) if np.isfinite(half) else None,
        "draws": [float(value) for value in values],
        "n": len(real),
        "frames": options["n_future"] + options["n_past"] * with_context,
        "context_included": with_context,
        "range": [-1, 1],
        "biased": len(real) < FVD.dimensions,
    }


def line(entry: dict) -> str:
    """The entry as a sentence of report.md."""
    half = "" if entry["half_width"] is None else f" ± {entry['half_width']:.1f}"
    frames = "context frames included" if entry["context_included"] else "predicted frames only"
    count = len(entry["draws"])
    draws_text = "one random sample of each sequence" if count == 1 else f"mean of {count} draws of one sample of each sequence"
    note = ", fewer than 400 sequences: biased" if entry["biased"] else ""
    return (
        f"FVD: {entry['value']:.1f}{half} (convention `{entry['convention']}`: {frames}, {draws_text}; resize "
        f"`{entry['resize']}`; N {entry['n']}, T {entry['frames']}{note})."
    )
