"""How good a prediction can be: futures by the data's own rules, and the share of the way to them.

A model's number lies between a floor, the blank frame, and a ceiling: the score of futures that are drawn from all that the
context shows of the true state. The ceiling exists where the rules and the true states are known. There is none in PSNR: a
future that is hit exactly has no finite one, and what is measured then is the cap.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from svg_tf import sources
from svg_tf.evaluation.chunks import CHUNK, Chunk
from svg_tf.evaluation.figures.moving_digits import visible_collisions
from svg_tf.evaluation.metrics import video
from svg_tf.evaluation.sample_scores import Places

STATES = ("positions", "collisions", "digit_ids")
"""True states that an evaluation uses where batches give them."""
ROWS = ("best", "mean")
"""Rows of a model that have a share: best of S, and the mean over samples."""
WITHOUT = ("psnr",)
"""Metrics without a ceiling."""


@dataclass(frozen=True)
class Ceiling:
    """simulator: a `data_pipelines.simulator.Simulator`, or None. why_not: in words, where there is none."""

    simulator: Any = None
    why_not: str | None = "the true states were not given"

    def checked(self, batch: Mapping) -> "Ceiling":
        """Without the simulator where it cannot continue the sequences of the data's first batch."""
        missing = self.simulator.why_not(batch) if self.simulator else None
        return Ceiling(None, missing) if missing else self

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of the tensors that the data must give besides the frames."""
        return STATES if self.simulator else ()

    def facts(self, n_samples: int) -> dict:
        """For the report."""
        return {"samples": n_samples} if self.simulator else {"why_not": self.why_not}

    def continuing(self, chunk: Chunk, options) -> Callable[[int, int], tuple]:
        """The function (number of samples, number of the first) -> `data_pipelines.simulator.Futures`."""
        known = self.simulator.watch(chunk.states["positions"][:, : options.n_past], chunk.states["digit_ids"])
        numbers = chunk.number * CHUNK + np.arange(CHUNK)

        def draw(n, first):
            return self.simulator.futures(known, numbers, options.n_future, n, first, options.seed)

        return draw

    def places(self, chunk: Chunk, options) -> Places | None:
        """Where the digits of the chunk's futures are; None where that is unknown."""
        if not self.simulator:
            return None
        at, images = chunk.states["positions"], self.simulator.digit_images(chunk.states["digit_ids"])
        past = options.n_past
        return Places(chunk.frames[:, past:], at[:, past:], at[:, past - 1], images)

    def information(self, chunk: Chunk, places: Places) -> dict[str, np.ndarray]:
        """Scores of the data itself: nats of each frame's motion, and where a digit's new velocity first shows, [CHUNK, T]."""
        shows = visible_collisions(chunk.states["collisions"], self.simulator.physics.variant).any(axis=2)
        nats = self.simulator.information(chunk.states["positions"])
        return {"information": nats, "new_velocity": shows, "locating_error": places.locating_error}


def of(experiment, split: str, **chosen) -> Ceiling:
    """That of an experiment's data. chosen: what `Source.selection` gave."""
    source = sources.of(experiment)
    rules = source.rules
    if rules is None:
        return Ceiling(None, f"no rules are known by which {source.name} moves")
    if experiment.data.frame_stride > 1:
        return Ceiling(None, f"only each frame {experiment.data.frame_stride} of the motion is seen")
    from data_pipelines import simulator

    lacking = simulator.lacking(source.name, experiment.data.data_dir, STATES) if source.sized else None
    if lacking:
        return Ceiling(None, lacking)
    try:
        return Ceiling(simulator.Simulator(split, **rules, moving=chosen.get("moving", False)), None)
    except ValueError as error:
        return Ceiling(None, str(error))


def share(model, floor, ceiling, higher_is_better: bool) -> dict:
    """How far on the way from floor to ceiling a model stands, in means over sequences: 0 at the floor, 1 at the ceiling.

    model, floor, ceiling: float [N], scores of the same sequences. Returns {"mean", "half_width", "n"}: the ratio of mean
    differences, and its 95 % half-width over sequences by the delta method (None for a single one); mean None where the
    ceiling is not better than the floor by more than its own 95 % half-width: then there is no way to go.
    """
    gain, way = (np.asarray(values, np.float64) - np.asarray(floor, np.float64) for values in (model, ceiling))
    mean, half = video.mean_interval(way)
    if not (mean if higher_is_better else -mean) > (half if len(way) > 1 else 0):
        return {"mean": None, "half_width": None, "n": len(way)}
    ratio = float(gain.mean() / mean)
    _, half = video.mean_interval(gain - ratio * way)
    return {"mean": ratio, "half_width": float(half / abs(mean)) if np.isfinite(half) else None, "n": len(way)}


def shares(kept: Mapping[str, np.ndarray], higher_is_better: Mapping[str, bool]) -> dict:
    """{metric: {row: `share`}} of scores [N, T] by name, `{row}_{metric}`; empty where there is no ceiling."""

    def of_sequences(name):
        return kept[name].mean(axis=1, dtype=np.float64)

    return {
        metric: {
            row: share(*(of_sequences(f"{name}_{metric}") for name in (row, "blank", f"simulator_{row}")), higher)
            for row in ROWS
        }
        for metric, higher in higher_is_better.items()
        if metric not in WITHOUT and f"simulator_best_{metric}" in kept
    }


def text(entry: Mapping | None, digits: int = 2) -> str:
    """A share as text; empty where there is none."""
    if not entry or entry["mean"] is None:
        return ""
    half = "n/a" if entry["half_width"] is None else f"{entry['half_width']:.{digits}f}"
    return f"{entry['mean']:.{digits}f} ± {half}"


def sentence(facts: Mapping) -> str:
    """What the report says of the ceiling."""
    if facts.get("why_not"):
        return f"No ceiling: {facts['why_not'].rstrip('.')}."
    return (
        f"Simulator: {facts['samples']} futures of each sequence by the data's own rules, from what the context shows of "
        "the true state, scored as the model's. Share: of the way from the blank frame to the simulator's row of the same kind, "
        "in means over sequences, ± 95 % paired over sequences (delta method); none where the simulator is not better. PSNR has "
        "no useful ceiling: a future that is hit exactly has no finite one."
    )
