"""Keypoints and their tracks over truth and samples, and how well they tell where a digit is."""


import numpy as np

from data_pipelines.files import located
from svg_tf import markers, sources, visualization
from svg_tf.evaluation.figures import common
from svg_tf.evaluation.figures.figure import Figure, Setting, evaluated_clips
from svg_tf.evaluation.metrics import frame, tracks
from svg_tf.families.compiled import check_counts
from svg_tf.families.interface import RedrawsFrames, ShowsKeypoints

_SHOWN = 4
_FITTED = 64  # sequences for the linear map


def keypoint_figure(
    model, frames, out_dir, *, n_past: int, n_samples: int = 10, seed: int = 0, positions=None, shown: int = _SHOWN, fps: int = 6
) -> dict:
    """Rows truth with its keypoints, redrawn from these, best of S by PSNR and a random sample with their predicted tracks.

    Args:
      model: one that `ShowsKeypoints`.
      frames: float [N, T > n_past, H, W, C] in [0, 1]; the first `shown` sequences are drawn.
      out_dir: gets keypoints.gif, keypoints-{i}.png, keypoints.csv (of the shown sequences, detected in truth and predicted in
        each sample) and keypoints.json.
      positions: float [N, T, ...], where what moves truly is, or None: then the figure says by `tracks.linear_fit` how well the
        keypoints of true frames tell it.

    Returns {"files": {tag: path}, and what keypoints.json holds}. Raises `ValueError` for what does not fit the model.
    """
    check_counts(n_past=n_past, n_samples=n_samples, shown=shown)
    model.need(ShowsKeypoints, "This figure: keypoints")
    frames = common.check_frames(model, frames, n_past + 1)
    result: dict = {"n_past": n_past, "n_samples": n_samples, "seed": seed, "n_sequences": len(frames)}
    if positions is not None:
        parts = [np.asarray(model.keypoints(frames[b : b + shown])) for b in range(0, len(frames), shown)]
        result["positions"] = tracks.linear_fit(np.concatenate(parts), positions)._asdict()
    frames = frames[:shown]
    context, future = frames[:, :n_past], frames.shape[1] - n_past
    found = np.asarray(model.keypoints(frames))
    samples = np.asarray(model.generate(context, future, n_samples, seed))
    predicted = np.asarray(model.predict_keypoints(context, future, n_samples, seed))
    redrawn = np.asarray(model.redraw(frames)) if model.can(RedrawsFrames) else None
    clips, rows = [], []
    for b, truth in enumerate(frames):
        best = int(frame.psnr(truth[None, n_past:], samples[b]).numpy().mean(axis=-1).argmax())
        chosen = [(f"best of {n_samples}", best)] + ([("random", (best + 1) % n_samples)] if n_samples > 1 else [])
        lines = [("truth", markers.with_tracks(truth, found[b]))]
        if redrawn is not None:
            lines.append(("redrawn", markers.with_tracks(np.concatenate([truth[:1], redrawn[b]]))))
        for label, s in chosen:
            both = np.concatenate([truth[:n_past], samples[b, s]]), np.concatenate([found[b, :n_past], predicted[b, s]])
            lines.append((label, markers.with_tracks(*both)))
        clips.append(lines)
        rows += [(b, "truth", *row) for row in markers.numbered(found[b])]
        rows += [(b, s, *row) for s, track in enumerate(predicted[b]) for row in markers.numbered(track, n_past)]
    out_dir = located(out_dir)
    files = {"keypoints/animation": visualization.save_gif(out_dir / "keypoints.gif", visualization.grid(clips, n_past, 1), fps)}
    for b, lines in enumerate(clips):
        strip = visualization.filmstrip(lines, n_past, range(0, frames.shape[1], 2), 1)
        files[f"keypoints/{b}"] = visualization.save_png(out_dir / f"keypoints-{b}.png", strip)
    common.write_csv(out_dir / "keypoints.csv", ("sequence", "frames", *markers.COLUMNS), rows)
    common.write_json(out_dir / "keypoints.json", result)
    return {"files": files, **result}


def _data(setting: Setting):
    source = sources.of(setting.experiment)
    if "positions" not in source.states or source.num_digits != 1:  # of several digits it is not said which is which
        return evaluated_clips(setting)
    sequences = max(setting.sequences, _FITTED)
    return setting.clips(setting.n_past + setting.n_future, sequences=sequences, with_states=True)


def _draw(setting: Setting, batch) -> dict:
    count = 1 if setting.model.deterministic else setting.n_samples
    return keypoint_figure(
        setting.model, batch["frames"], setting.out_dir, n_past=setting.n_past, n_samples=count, seed=setting.seed,
        positions=batch.get("positions"), shown=setting.sequences,
    )  # fmt: skip


def _say(result: dict) -> str:
    if "positions" not in result:
        return f"{result['n_sequences']} sequences; true positions are not known, or not of one thing"
    fit = result["positions"]
    return (
        f"R² {fit['r2']:.3f} of the digit's position from the keypoints of true frames by the best linear map, on "
        f"{fit['n_sequences']} sequences that it was not fitted on ({fit['rms']:.2f} px)"
    )


FIGURE = Figure("keypoints", "keypoints and tracks", _data, _draw, needs=(ShowsKeypoints,), sequences=_SHOWN, say=_say)
