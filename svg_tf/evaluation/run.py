"""Best-of-S evaluation of a video predictor (paper §4) that can be interrupted, repeated and trusted.

Sequences are regrouped into chunks of a fixed number, whatever batch size they come in, and sequence i is sampled with
the seed pair (seed, i): the same options give the same report. Of the samples only scores are kept, one file for each
chunk; the shown samples are drawn again by number. Finished chunks are not computed twice: an interrupted evaluation
goes on where it stopped.
"""

import dataclasses
import hashlib
import io
import json
import pathlib
import shutil
import time
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from data_pipelines import files
from data_pipelines.checks import integer, one_of, require
from svg_tf import config, protocols, visualization
from svg_tf.evaluation import fvd as fvd_scores
from svg_tf.evaluation import report
from svg_tf.evaluation.metrics import frame, perceptual, video
from svg_tf.families.interface import BoundsLikelihood

CHUNK = 8  # sequences computed together; the last chunk is filled up with copies
SAMPLES_AT_ONCE = 20
_DIVERSITY_SAMPLES = 10  # diversity compares all pairs, whose frames must be in memory together
_STILL = 1e-6
HIGHER_IS_BETTER = {"psnr": True, "ssim": True, "mse": False, "lpips": False}


@dataclass(frozen=True)
class Options:
    """What is measured; every field but `random_shown` and `fps` changes the numbers and stands in the report."""

    n_past: int = 5
    n_future: int = 25
    n_samples: int = 100
    protocol: protocols.SSIM = "srvp"
    """SSIM's definition, see `svg_tf.evaluation.metrics.frame`."""
    seed: int = 0
    sequences: int | None = None
    """Sequences evaluated, the first ones of the data; None: all."""
    batch_statistics: bool = False
    """Normalize generation by the statistics of each chunk, as the reference's SVG-LP program does."""
    lpips: str | None = None
    """.npz file of LPIPS weights (svg-tf import-lpips); without it there is no LPIPS."""
    lpips_sha256: str | None = None
    fvd: str | None = None
    """Folder of the I3D network (svg-tf import-i3d, or a SavedModel); without it there is no FVD."""
    fvd_sha256: str | None = None
    fvd_convention: protocols.FVD | None = None
    """Which frames FVD compares and in how many draws, see `svg_tf.evaluation.fvd`; None: srvp for the protocol srvp, else
    predicted."""
    fvd_draws: int | None = None
    """Samples of each sequence for so many values of FVD, with an interval; None: as the convention says."""
    fvd_resize: protocols.Resize | None = None
    """How FVD enlarges frames; None: as usual for the network's weights."""
    random_shown: int = 3
    """Randomly chosen sequences shown as GIFs, besides the best and the worst one."""
    fps: int = 6

    def __post_init__(self):
        for name, low, high in (("n_past", 1, None), ("n_future", 1, None), ("n_samples", 1, None), ("random_shown", 0, None),
                                ("seed", 0, 2**31 - 1), ("fps", 1, 50)):  # fmt: skip
            integer(name, getattr(self, name), low, high)
        for name, high in (("sequences", None), ("fvd_draws", fvd_scores.MAX_DRAWS)):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), 1, high)
        one_of("protocol", self.protocol, frame.PROTOCOLS)
        if self.fvd_convention is not None:
            one_of("fvd_convention", self.fvd_convention, fvd_scores.CONVENTIONS)


class _Chunk(NamedTuple):
    number: int
    frames: np.ndarray  # float32 [CHUNK, T, H, W, C], the last ones copies where `count` < CHUNK
    count: int
    moving: np.ndarray  # bool [count]


def evaluate(
    model, data, options: Options, out_dir, *, description: dict | None = None, horizon: int | None = None, progress=print
) -> dict:
    """Samples futures of every sequence, scores them, and writes report.json, report.md, scores.npz, curves.png and GIFs.

    Args:
      model: a `VideoPredictor`. All it must do is predict; where it bounds the likelihood, the report says so.
      data: float array [N, T, H, W, C] in [0, 1], or a re-iterable of batches {"frames": [B, T, H, W, C]} of any size
        (a tf.data.Dataset) that gives the same sequences each time. With "velocities" [B, T, D, 2], sequences in which a
        digit stands still are known; else those are still whose future frames equal the last context frame.
      options: see `Options`.
      out_dir: folder of the report. One that holds an unfinished evaluation of the same model, data and options is
        continued; one with another evaluation is refused.
      description: JSON-serializable facts about run and data (names, step, split) for the report.
      horizon: frames of a training sequence (n_past + n_future there), marked in the curves; None: unknown.
      progress: called with a line of text after each chunk.

    Returns: the report as a dict. Raises `ValueError`, before any work is done, for sequences that are too short or do not fit
    the model, weight files that are missing or have another checksum, an `out_dir` of another evaluation, or one in which another
    process evaluates (`files.InUseError`).
    """
    out_dir = files.local(out_dir, "the evaluation's folder")
    report.require_matplotlib()
    files.distinct_outputs([out_dir], [path for path in (options.lpips, options.fvd) if path])
    batches = _batches(data)
    _check_first(model, next(iter(batches), None), options)
    lpips = perceptual.LPIPS(options.lpips, options.lpips_sha256) if options.lpips else None
    fvd = perceptual.FVD(options.fvd, options.fvd_sha256, options.fvd_resize or "") if options.fvd else None
    if fvd:
        fvd_scores.check(fvd, options)
    header = {
        "options": dataclasses.asdict(options),
        "model": config.to_dict(model.config),
        "weights_sha256": weights_checksum(model),
        "description": description or {},
        "horizon": horizon,
        "drawn_samples": _drawn(model, options),
        "lpips_sha256": lpips.sha256 if lpips else None,
        "fvd_sha256": fvd.sha256 if fvd else None,
        "fvd_settings": {"convention": fvd_scores.name_of(options), "resize": fvd.resize} if fvd else None,
    }
    with files.locked(out_dir, "evaluates into"):
        work = _open(out_dir, header)
        count = _score_all(model, batches, options, work, lpips, fvd, progress)
        scores = _gather(work, count)
        np_scores, result = report.summarize(header, scores, HIGHER_IS_BETTER)
        _save(out_dir / "scores.npz", np_scores)
        result["shown"] = _show(model, batches, scores, options, out_dir)
        report.write(result, out_dir)
        shutil.rmtree(work)
    return result


def _score_all(model, batches, options: Options, work: pathlib.Path, lpips, fvd, progress) -> int:
    """Scores every chunk that is not there yet. Returns the number of sequences."""
    total, start = _total(batches, options), time.monotonic()
    count = fresh = 0
    for chunk in _chunks(batches, options):
        path = work / f"chunk-{chunk.number:06d}.npz"
        if _load_chunk(path, chunk) is None:
            _save(path, _score(model, chunk, options, lpips, fvd))
            fresh += 1
        count += chunk.count
        left = ""
        if fresh and total:
            seconds = int((time.monotonic() - start) / fresh * (total - count) / CHUNK)
            left = f", {seconds // 60}:{seconds % 60:02d} left"
        progress(f"{count}/{total or '?'} sequences{left}")
    require(count > 0, "The data holds no sequence.")
    return count


def weights_checksum(model) -> str:
    """SHA-256 over the paths and values of all variables of a model."""
    digest = hashlib.sha256()
    for variable in sorted(model.weights, key=lambda v: v.path):
        digest.update(variable.path.encode() + np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()


def _batches(data) -> Iterable[dict]:
    if isinstance(data, dict) or hasattr(data, "ndim"):
        data = [data if isinstance(data, dict) else {"frames": data}]
    if isinstance(data, Iterator):
        raise ValueError(
            "data must be re-iterable (an array, a list or a tf.data.Dataset), got an iterator, which can be read once."
        )
    return data


def _check_first(model, batch, options: Options) -> None:
    if batch is None or not isinstance(batch, dict) or "frames" not in batch:
        raise ValueError(f'data must give batches {{"frames": float [B, T, H, W, C]}}, got {type(batch).__name__}.')
    frames = batch["frames"]
    c = model.config
    least, (height, width, channels) = options.n_past + options.n_future, c.frame_shape
    if frames.ndim != 5 or tuple(frames.shape[2:]) != (height, width, channels) or frames.shape[1] < least:
        raise ValueError(
            f"The sequences must be [B, T >= n_past + n_future = {least}, {height}, {width}, {channels}] for this model and "
            f"these options, got shape {tuple(frames.shape)}."
        )
    array = np.asarray(frames[:1])
    if array.dtype.kind != "f" or not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(f"frames must be floats in [0, 1], got {array.dtype} in [{array.min()}, {array.max()}].")
    if options.n_past < c.least_context:
        raise ValueError(f"n_past must be at least {c.least_context} for this model, got {options.n_past}.")
    if min(height, width) < len(frame.PROTOCOLS[options.protocol].weights):
        raise ValueError(f"SSIM protocol {options.protocol!r} needs larger frames than {height} x {width} pixels.")


def _total(batches, options: Options) -> int | None:
    """Sequences to come; None where unknown."""
    if isinstance(batches, list):
        known = sum(len(batch["frames"]) for batch in batches)
        return min(known, options.sequences) if options.sequences else known
    return options.sequences


def _chunks(batches, options: Options) -> Iterator[_Chunk]:
    """Regroups batches of any size into chunks of CHUNK sequences, cut to the evaluated frames."""
    pending: list[tuple[np.ndarray, bool]] = []
    number = seen = 0
    steps = options.n_past + options.n_future

    def take():
        nonlocal number
        count = min(len(pending), CHUNK)
        rows, pending[:CHUNK] = pending[:CHUNK], []
        frames = np.stack([row for row, _ in rows] + [rows[-1][0]] * (CHUNK - count))
        number += 1
        return _Chunk(number - 1, frames, count, np.array([moving for _, moving in rows]))

    for batch in batches:
        frames = np.asarray(batch["frames"], np.float32)[:, :steps]
        if options.sequences:
            frames = frames[: options.sequences - seen]
        seen += len(frames)
        pending += zip(frames, _moving(frames, batch.get("velocities"), options), strict=True)
        while len(pending) >= CHUNK:
            yield take()
        if options.sequences and seen >= options.sequences:
            break
    if pending:
        yield take()


def _moving(frames, velocities, options: Options) -> np.ndarray:
    """bool [B]: no digit stands still (where velocities are known), or the future differs from the last context frame."""
    if velocities is not None:
        speeds = np.abs(np.asarray(velocities)[: len(frames), options.n_past - 1]).max(axis=-1)
        return (speeds > 0).all(axis=-1)
    change = np.abs(frames[:, options.n_past :] - frames[:, options.n_past - 1 : options.n_past])
    return change.reshape(len(frames), -1).max(axis=1) > _STILL


def _score(model, chunk: _Chunk, options: Options, lpips, fvd) -> dict[str, np.ndarray]:
    """All that is kept of a chunk: scores [count, S, n_future] of each metric, baselines, the bound, features for FVD."""
    frames, past = chunk.frames, options.n_past
    context, future = frames[:, :past], frames[:, past:]
    seeds = _seeds(options.seed, chunk.number)
    kept: dict[str, list] = {}
    out: dict[str, Any] = {}
    drawn = _drawn(model, options)
    for first in range(0, drawn, SAMPLES_AT_ONCE):
        n = min(SAMPLES_AT_ONCE, drawn - first)
        samples = np.asarray(_generate(model, context, options, n, seeds, first))
        for name, value in _metrics(future[:, None], samples, options.protocol, lpips).items():
            kept.setdefault(name, []).append(value)
        if first == 0:
            if n > 1:
                out["diversity"] = video.diversity(samples[:, :_DIVERSITY_SAMPLES])
            if fvd:
                out |= fvd_scores.features(fvd, options, context, future, samples, drawn)
    out |= {f"model_{name}": np.concatenate(parts, axis=1) for name, parts in kept.items()}
    copied = np.broadcast_to(context[:, -1:], future.shape)
    for row, predicted in (("copy_last", copied), ("blank", np.zeros_like(future))):
        out |= {f"{row}_{name}": value for name, value in _metrics(future, predicted, options.protocol, lpips).items()}
    counted = (model.bound_frames or frames.shape[1]) if model.can(BoundsLikelihood) else None
    if counted is not None and counted <= frames.shape[1]:  # a model may bound just so many frames: the first ones
        bound = model.bound(frames[:, :counted], seeds)
        out |= {f"{report.TERM}{name}": np.asarray(values) for name, values in bound.terms.items()}
        out |= {"nats": np.asarray(bound.nats)} if bound.nats is not None else {}
    out = {name: value[: chunk.count] for name, value in out.items()}
    return out | {"moving": chunk.moving, "frames_sha256": _frames_checksum(chunk)}


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


def _drawn(model, options: Options) -> int:
    """Samples drawn of each sequence: a deterministic model has one future only."""
    return 1 if model.deterministic else options.n_samples


def _seeds(seed: int, chunk_number: int) -> np.ndarray:
    """int32 [CHUNK, 2]: the pair (seed, number of the sequence)."""
    return np.stack([np.full(CHUNK, seed), chunk_number * CHUNK + np.arange(CHUNK)], axis=1).astype(np.int32)


def _generate(model, context, options: Options, n: int, seeds, first: int):
    statistics = {"batch_statistics": True} if options.batch_statistics else {}
    return model.generate(context, options.n_future, n, seeds, first_sample=first, **statistics)


def _show(model, batches, scores, options: Options, out_dir: pathlib.Path) -> list[dict]:
    """GIFs of the sequences that the model predicts best and worst (PSNR of the best sample) and of random ones."""
    means = scores["model_psnr"].mean(axis=2)
    best = means.max(axis=1)
    wanted = [("best", int(best.argmax())), ("worst", int(best.argmin()))]
    random = np.random.default_rng(options.seed)
    chosen = random.choice(len(best), min(options.random_shown, len(best)), replace=False)
    wanted += [(f"random-{i + 1}", int(b)) for i, b in enumerate(chosen)]
    last, shown = max(b // CHUNK for _, b in wanted), []
    for chunk in _chunks(batches, options):
        for name, b in wanted:
            if b // CHUNK != chunk.number:
                continue
            drawn = means.shape[1]
            others = [int(s) for s in random.choice(drawn, min(3, drawn), replace=False)] if drawn > 1 else []
            truth, rows = chunk.frames[b % CHUNK], []
            for label, s in [("best sample", int(means[b].argmax())), *((f"sample {s}", s) for s in others)]:
                # Drawn with the whole chunk, as when it was scored, so that every option gives the same frames again.
                samples = np.asarray(
                    _generate(model, chunk.frames[:, : options.n_past], options, 1, _seeds(options.seed, chunk.number), s)
                )
                rows.append((label, np.concatenate([truth[: options.n_past], samples[b % CHUNK, 0]])))
            file = f"{name}.gif"
            visualization.save_gif(out_dir / file, visualization.grid([[("truth", truth), *rows]], options.n_past), options.fps)
            shown.append(
                {"file": file, "sequence": b, "psnr_of_best_sample": float(best[b]), "samples": [int(means[b].argmax()), *others]}
            )
        if chunk.number >= last:
            break
    return shown


def _open(out_dir: pathlib.Path, header: dict) -> pathlib.Path:
    """The folder for chunks. Raises `ValueError` where `out_dir` holds another evaluation."""
    work = out_dir / "unfinished"
    path = work / "evaluation.json"
    text = json.dumps(header, indent=1, sort_keys=True)
    finished = out_dir / "report.json"
    if finished.exists():
        raise ValueError(f"{finished} exists: the evaluation there is complete. Choose another folder, or remove this one.")
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{out_dir} holds an unfinished evaluation of another model, data set or other options (see {path}). "
            "Continue it with those, choose another folder, or remove this one."
        )
    if not path.exists():
        files.write(path, text)
    return work


def _frames_checksum(chunk: _Chunk) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(chunk.frames[: chunk.count].tobytes()).digest(), np.uint8)


def _save(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    files.write(path, stream.getvalue())


def _load_chunk(path: pathlib.Path, chunk: _Chunk | None = None) -> dict[str, np.ndarray] | None:
    """A finished chunk, or None where it is absent or damaged. Raises `ValueError` where it was made from other frames."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    if chunk is not None and not np.array_equal(arrays.get("frames_sha256"), _frames_checksum(chunk)):
        raise ValueError(
            f"{path} was computed from other frames than the data now gives: the data has changed. Remove {path.parent}."
        )
    return arrays


def _gather(work: pathlib.Path, count: int) -> dict[str, np.ndarray]:
    """The scores of all chunks, in order."""
    chunks = [_load_chunk(work / f"chunk-{i:06d}.npz") for i in range(-(-count // CHUNK))]
    scores = {name: np.concatenate([c[name] for c in chunks]) for name in chunks[0] if name != "frames_sha256"}
    scores["data_sha256"] = hashlib.sha256(b"".join(c["frames_sha256"].tobytes() for c in chunks)).hexdigest()
    return scores
