"""What is kept of a chunk of sequences: scores of the model's samples, of baselines and of the simulator, and the bound."""

from typing import Any

import numpy as np

from svg_tf.evaluation import digit_motion, report, sample_scores
from svg_tf.evaluation import fvd as fvd_scores
from svg_tf.evaluation.ceiling import Ceiling
from svg_tf.evaluation.chunks import CHUNK, Chunk
from svg_tf.evaluation.metrics import frame, video
from svg_tf.evaluation.options import Options
from svg_tf.families.interface import BoundsLikelihood, RedrawsFrames

SAMPLES_AT_ONCE = 20
_DIVERSITY_SAMPLES = 10  # diversity compares all pairs, whose frames must be in memory together


def score(model, chunk: Chunk, options: Options, ceiling: Ceiling, lpips, fvd) -> dict[str, np.ndarray]:
    """All that is kept of a chunk: scores [count, S, n_future] of each metric, baselines, the bound, features for FVD."""
    frames, past = chunk.frames, options.n_past
    context, future = frames[:, :past], frames[:, past:]
    seeds = seeds_of(options.seed, chunk.number)
    out: dict[str, Any] = {}
    drawn = drawn_samples(model, options)

    def of_model(n, first):
        samples = np.asarray(generate(model, context, options, n, seeds, first))
        if first == 0:
            if n > 1:
                out["diversity"] = video.diversity(samples[:, :_DIVERSITY_SAMPLES])
            if fvd:
                out.update(fvd_scores.features(fvd, options, context, future, samples, drawn))
        return samples

    places = ceiling.places(chunk, options)
    last = context[:, -1:] if places and digit_motion.fits(frames.shape[2:]) else None
    if last is not None:
        out |= digit_motion.features("truth", last, future[:, None])
    settings = (future, last, options, chunk.number, lpips, places)
    out |= _score_samples("model", of_model, drawn, *settings)
    if ceiling.simulator:
        out |= _score_samples("simulator", ceiling.continuing(chunk, options), options.n_samples, *settings)
        out |= ceiling.information(chunk, places)
    copied = np.broadcast_to(context[:, -1:], future.shape)
    others = [("copy_last", copied, places and places.last), ("blank", np.zeros_like(future), None)]
    if model.can(RedrawsFrames):
        others.append(("redrawn", np.asarray(model.redraw(frames))[:, past - 1 :], None))
    for row, predicted, where in others:
        out |= {f"{row}_{name}": value for name, value in _metrics(future, predicted, options.protocol, lpips).items()}
        if row != "redrawn":  # no prediction
            out |= sample_scores.of_point(row, future, predicted, places, where)
    counted = (model.bound_frames or frames.shape[1]) if model.can(BoundsLikelihood) else None
    if counted is not None and counted <= frames.shape[1]:  # a model may bound just so many frames: the first ones
        bound = model.bound(frames[:, :counted], seeds)
        out |= {f"{report.TERM}{name}": np.asarray(values) for name, values in bound.terms.items()}
        out |= {"nats": np.asarray(bound.nats)} if bound.nats is not None else {}
    out = {name: value[: chunk.count] for name, value in out.items()}
    return out | {"moving": chunk.moving, "frames_sha256": chunk.frames_checksum()}


def _score_samples(
    row: str, draw, count: int, future, last, options: Options, number: int, lpips, places
) -> dict[str, np.ndarray]:
    """Scores {row_metric: [B, count, n_future]}, and those of the samples as a whole, of what `draw` (how many, the first one's
    number) gives in parts: frames, or frames and the places of their digits.

    last: the frame before them, [B, 1, H, W, C], where their digits' motion is compared; number: of the chunk.
    """
    kept: dict[str, list] = {}
    size = min(SAMPLES_AT_ONCE, count)
    out: dict[str, np.ndarray] = {}
    proper = sample_scores.SampleScores(row, future, size, (options.seed, number, len(row)), places)
    for first in range(0, count, SAMPLES_AT_ONCE):
        samples = draw(min(SAMPLES_AT_ONCE, count - first), first)
        samples, where = samples if isinstance(samples, tuple) else (samples, None)
        proper.add(samples, where)
        if first == 0 and last is not None:
            out |= digit_motion.features(row, last, samples)
        for name, value in _metrics(future[:, None], samples, options.protocol, lpips).items():
            kept.setdefault(f"{row}_{name}", []).append(value)
    out |= {name: np.concatenate(parts, axis=1) for name, parts in kept.items()}
    return out | proper.result() | {f"{row}_group": np.full(len(future), size)}


def _metrics(truth, predicted, protocol, lpips) -> dict[str, np.ndarray]:
    """float32 [..., n_future] for each metric; `truth` may broadcast."""
    values = {
        "psnr": frame.psnr(truth, predicted),
        "ssim": frame.ssim(truth, predicted, protocol),
        "mse": frame.mse(truth, predicted),
    }
    if lpips:
        values["lpips"] = lpips(np.broadcast_to(truth, predicted.shape), predicted)
    return {name: np.asarray(value) for name, value in values.items()}


def drawn_samples(model, options: Options) -> int:
    """Samples drawn of each sequence: a deterministic model has one future only."""
    return 1 if model.deterministic else options.n_samples


def seeds_of(seed: int, chunk_number: int) -> np.ndarray:
    """int32 [CHUNK, 2]: the pair (seed, number of the sequence)."""
    return np.stack([np.full(CHUNK, seed), chunk_number * CHUNK + np.arange(CHUNK)], axis=1).astype(np.int32)


def generate(model, context, options: Options, n: int, seeds, first: int):
    statistics = {"batch_statistics": True} if options.batch_statistics else {}
    return model.generate(context, options.n_future, n, seeds, first_sample=first, **statistics)
