"""Best-of-S evaluation of a video predictor (paper §4) that can be interrupted, repeated and trusted.

Sequences are regrouped into chunks of a fixed number, whatever batch size they come in, and sequence i is sampled with
the seed pair (seed, i): the same options give the same report. Of the samples only scores are kept, one file for each
chunk; the shown samples are drawn again by number. Finished chunks are not computed twice: an interrupted evaluation
goes on where it stopped. All devices of a machine, and several processes (`shards`), may work on one evaluation.
"""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from data_pipelines import claims, files
from data_pipelines.checks import require
from svg_tf import config, visualization
from svg_tf.evaluation import chunks as chunk_files
from svg_tf.evaluation import devices, report, scoring, shards
from svg_tf.evaluation import fvd as fvd_scores
from svg_tf.evaluation.ceiling import STATES, Ceiling
from svg_tf.evaluation.chunks import CHUNK, Chunk
from svg_tf.evaluation.metrics import frame, perceptual
from svg_tf.evaluation.options import Options

_STILL = 1e-6
HIGHER_IS_BETTER = {"psnr": True, "ssim": True, "mse": False, "lpips": False}


def evaluate(
    model,
    data,
    options: Options,
    out_dir,
    *,
    description: dict | None = None,
    horizon: int | None = None,
    progress=print,
    shard: shards.Shard | None = None,
    ceiling: Ceiling = Ceiling(),  # noqa: B008
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
      progress: called with a line of text after each chunk; it tells of all processes together.
      ceiling: futures by the data's own rules, scored as the model's (see `svg_tf.evaluation.ceiling`).
      shard: which of several processes this is, that do this evaluation together in one `out_dir`; None: it does it alone.

    Returns: the report as a dict. Raises `ValueError`, before any work is done, for sequences that are too short or do not fit
    the model, weight files that are missing or have another checksum, an `out_dir` of another evaluation, or one in which another
    process evaluates alone (`files.InUseError`).
    """
    out_dir = files.located(out_dir, "the evaluation's folder")
    report.require_matplotlib()
    files.distinct_outputs([out_dir], [path for path in (options.lpips, options.fvd) if path])
    batches = _batches(data)
    first = next(iter(batches), None)
    _check_first(model, first, options)
    ceiling = ceiling.checked(first)
    networks = [_Networks.load(options, device) for device in devices.of(model)]
    lpips, fvd = networks[0]
    if fvd:
        fvd_scores.check(fvd, options)
    header = {
        "options": dataclasses.asdict(options),
        "model": config.to_dict(model.config),
        "weights_sha256": weights_checksum(model),
        "description": description or {},
        "horizon": horizon,
        "drawn_samples": scoring.drawn_samples(model, options),
        "ceiling": ceiling.facts(options.n_samples),
        "lpips_sha256": lpips.sha256 if lpips else None,
        "fvd_sha256": fvd.sha256 if fvd else None,
        "fvd_settings": {"convention": fvd_scores.name_of(options), "resize": fvd.resize} if fvd else None,
    }
    with contextlib.ExitStack() as stack:
        if shard is None:
            stack.enter_context(files.locked(out_dir, "evaluates into"))
        work = _open(out_dir, header, together=shard is not None)
        finished = out_dir / "report.json"
        if not finished.exists():
            held = stack.enter_context(claims.Claims(work / "claims"))
            count = _score_all(model, batches, options, work, networks, ceiling, held, shard or shards.Shard(), progress)
            if shards.wait_for_turn(held, finished.exists):
                return _report(model, batches, options, work, header, count)
    files.remove_folder(work)  # what a slow process has left in it
    return json.loads(finished.read_text(encoding="utf-8"))


class _Networks(NamedTuple):
    """LPIPS and FVD of one device."""

    lpips: perceptual.LPIPS | None
    fvd: perceptual.FVD | None

    @classmethod
    def load(cls, options: Options, device: str) -> "_Networks":
        def made(_):
            lpips = perceptual.LPIPS(options.lpips, options.lpips_sha256) if options.lpips else None
            return cls(
                lpips, perceptual.FVD(options.fvd, options.fvd_sha256, options.fvd_resize or "") if options.fvd else None
            )

        return devices.on(device, made)(None)


def _report(model, batches, options: Options, work: pathlib.Path, header: dict, count: int) -> dict:
    """Writes the report of chunks that are all there."""
    out_dir, scores = work.parent, chunk_files.gather(work, count)
    np_scores, result = report.summarize(header, scores, HIGHER_IS_BETTER)
    chunk_files.save(out_dir / "scores.npz", np_scores)
    result["shown"] = _show(model, batches, scores, options, out_dir)
    report.write(result, out_dir)
    files.remove_folder(work)
    return result


def _score_all(model, batches, options: Options, work: pathlib.Path, networks, ceiling, held, shard, progress) -> int:
    """Returns the number of sequences once all chunks are scored, here or by other processes."""
    total, start = _total(batches, options), time.monotonic()
    require(total > 0, "The data holds no sequence.")
    finished = work.parent / "report.json"
    before: list[int] = []

    def tell() -> None:
        done = min(total, CHUNK * chunk_files.how_many(work))
        if done in before[-1:]:
            return
        before.append(done)
        seconds = int((time.monotonic() - start) / max(1, done - before[0]) * (total - done))
        left = f", {seconds // 60}:{seconds % 60:02d} left" if done > before[0] else ""
        progress(f"{done}/{total} sequences{left}")

    functions = []
    for device, (lpips, fvd) in zip(devices.of(model), networks, strict=True):
        own = devices.copy(model, device) if functions else model
        settings = (options, ceiling, lpips, fvd)
        functions.append(devices.on(device, lambda chunk, own=own, rest=settings: scoring.score(own, chunk, *rest)))
    pieces = shards.Pieces(
        read=lambda: _chunks(batches, options),
        count=-(-total // CHUNK),
        is_done=lambda chunk: chunk_files.is_done(work, chunk),
        seems_done=lambda number: chunk_files.path_of(work, number).exists(),
        save=lambda chunk, scores: chunk_files.save(chunk_files.path_of(work, chunk.number), scores),
    )
    shards.score_all(pieces, functions, held, shard, over=finished.exists, progress=tell)
    return total


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


def _total(batches, options: Options) -> int:
    """Sequences to come. Data of unknown length are read once: next to the samples, that costs little."""
    count = 0
    for batch in batches:
        count += len(batch["frames"])
        if options.sequences and count >= options.sequences:
            return options.sequences
    return count


def _chunks(batches, options: Options) -> Iterator[Chunk]:
    """Regroups batches of any size into chunks of CHUNK sequences, cut to the evaluated frames."""
    pending: list[tuple[np.ndarray, bool, dict]] = []
    number = seen = 0
    steps = options.n_past + options.n_future

    def take():
        nonlocal number
        count = min(len(pending), CHUNK)
        rows, pending[:CHUNK] = pending[:CHUNK], []
        filled = rows + [rows[-1]] * (CHUNK - count)
        frames, states = np.stack([row for row, *_ in filled]), {k: np.stack([row[2][k] for row in filled]) for k in rows[0][2]}
        number += 1
        return Chunk(number - 1, frames, count, np.array([moving for _, moving, _ in rows]), states)

    for batch in batches:
        frames = np.asarray(batch["frames"], np.float32)[:, :steps]
        if options.sequences:
            frames = frames[: options.sequences - seen]
        seen += len(frames)
        states = {k: np.asarray(batch[k])[: len(frames)] for k in STATES if k in batch}
        of_rows = [{k: value[i] for k, value in states.items()} for i in range(len(frames))]
        pending += zip(frames, _moving(frames, batch.get("velocities"), options), of_rows, strict=True)
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
        context, seeds = chunk.frames[:, : options.n_past], scoring.seeds_of(options.seed, chunk.number)
        for name, b in wanted:
            if b // CHUNK != chunk.number:
                continue
            drawn = means.shape[1]
            others = [int(s) for s in random.choice(drawn, min(3, drawn), replace=False)] if drawn > 1 else []
            truth, rows = chunk.frames[b % CHUNK], []
            for label, s in [("best sample", int(means[b].argmax())), *((f"sample {s}", s) for s in others)]:
                # Drawn with the whole chunk, as when it was scored, so that every option gives the same frames again.
                samples = np.asarray(scoring.generate(model, context, options, 1, seeds, s))
                rows.append((label, np.concatenate([truth[: options.n_past], samples[b % CHUNK, 0]])))
            file = f"{name}.gif"
            visualization.save_gif(out_dir / file, visualization.grid([[("truth", truth), *rows]], options.n_past), options.fps)
            shown.append(
                {"file": file, "sequence": b, "psnr_of_best_sample": float(best[b]), "samples": [int(means[b].argmax()), *others]}
            )
        if chunk.number >= last:
            break
    return shown


def _open(out_dir: pathlib.Path, header: dict, together: bool) -> pathlib.Path:
    """The folder for chunks. Raises `ValueError` where `out_dir` holds another evaluation, or a complete one that no other
    process (together) has just written."""
    work = out_dir / "unfinished"
    path = work / "evaluation.json"
    text = json.dumps(header, indent=1, sort_keys=True)
    finished = out_dir / "report.json"
    if finished.exists():
        wanted = json.loads(text)
        if together and report.read(out_dir)[0].items() >= wanted.items():
            return work
        raise ValueError(f"{finished} exists: the evaluation there is complete. Choose another folder, or remove this one.")
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{out_dir} holds an unfinished evaluation of another model, data set or other options (see {path}). "
            "Continue it with those, choose another folder, or remove this one."
        )
    if not path.exists():
        files.write(path, text)
    return work
