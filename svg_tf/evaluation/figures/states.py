"""What a model whose motion lives in a small state can show (SRVP): any frame rate, the content of one video with the motion of
another, and what lies between two states.

A model without these methods is refused (`ValueError`).
"""

import pathlib

import numpy as np

from svg_tf import visualization
from svg_tf.evaluation.figures import common
from svg_tf.evaluation.metrics import frame
from svg_tf.families.compiled import check_counts


def frame_rate_clips(model, frames, n_past: int, frame_rate: int, seed: int = 0):
    """Rows truth, sample at the rate of the training, sample at `frame_rate` times that rate, for each sequence.

    frames: float [N, T > n_past, H, W, C]. Frames of the lower rate are held, so that all rows have T * frame_rate steps.
    Returns (clips for `visualization.grid`, the samples at both rates [N, 1, ..., H, W, C]).
    """
    check_counts(n_past=n_past, frame_rate=frame_rate)
    if not model.config.any_frame_rate:
        raise ValueError(f"Frames between frames need a model with Euler steps; this one is {model.config.summary}.")
    frames = common.check_frames(model, frames, n_past + 1)
    future = frames.shape[1] - n_past
    slow, fast = (np.asarray(model.generate(frames[:, :n_past], future, 1, seed, frame_rate=r)) for r in (1, frame_rate))
    clips = []
    for truth, a, b in zip(frames, slow[:, 0], fast[:, 0], strict=True):
        held = np.repeat(truth, frame_rate, axis=0)
        context = held[: n_past * frame_rate]
        clips.append(
            [
                ("truth, held", held),
                ("rate 1, held", np.concatenate([context, np.repeat(a, frame_rate, axis=0)])),
                (f"rate {frame_rate}", np.concatenate([context, b])),
            ]
        )
    return clips, (slow, fast)


def frame_rate_figure(model, frames, out_dir, *, n_past: int, frame_rate: int = 2, seed: int = 0, fps: int = 6) -> dict:
    """{frame_rate}.gif, a filmstrip of the first sequence, and the PSNR of both rates at the times of true frames."""
    clips, samples = frame_rate_clips(model, frames, n_past, frame_rate, seed)
    out_dir, future = pathlib.Path(out_dir), np.asarray(frames)[:, n_past:]
    psnr = [
        float(np.mean(frame.psnr(future, drawn[:, 0, r - 1 :: r]))) for drawn, r in zip(samples, (1, frame_rate), strict=True)
    ]
    start = n_past * frame_rate
    strip = visualization.filmstrip(clips[0], start, range(start - frame_rate, min(start + 12, clips[0][0][1].shape[0])))
    files = {
        "frame_rate/strip": visualization.save_png(out_dir / "frame_rate.png", strip),
        "frame_rate/animation": visualization.save_gif(
            out_dir / "frame_rate.gif", visualization.grid(clips, start), min(50, fps * frame_rate)
        ),
    }
    result = {"frame_rate": frame_rate, "seed": seed, "psnr_at_rate_1": psnr[0], "psnr_at_this_rate": psnr[1]}
    common.write_json(out_dir / "frame_rate.json", result)
    return result | {"files": files}


def swap_figure(model, frames, out_dir, *, n_past: int, seed: int = 0, fps: int = 6) -> dict:
    """swap.gif and filmstrips: the first n_past frames of each sequence give the motion, those of the next one the content."""
    check_counts(n_past=n_past)
    _require_states(model)
    frames = common.check_frames(model, frames, n_past + 1)
    if len(frames) < 2:
        raise ValueError(f"Swapping content needs at least 2 sequences, got {len(frames)}.")
    content = np.roll(frames, -1, axis=0)
    swapped = np.asarray(model.swap_content(content[:, :n_past], frames[:, :n_past], frames.shape[1] - n_past, seed))
    clips = [
        [("truth: motion", motion), ("truth: content", other), ("swapped", made)]
        for motion, other, made in zip(frames, content, swapped, strict=True)
    ]
    out_dir = pathlib.Path(out_dir)
    files = {"swap/animation": visualization.save_gif(out_dir / "swap.gif", visualization.grid(clips, 0), fps)}
    for b, rows in enumerate(clips):
        strip = visualization.filmstrip(rows, 0, range(0, frames.shape[1], 2))
        files[f"swap/{b}"] = visualization.save_png(out_dir / f"swap-{b}.png", strip)
    return {"files": files}


def interpolation_figure(model, frames, out_dir, *, n_past: int, n_frames: int = 11, fps: int = 6) -> dict:
    """interpolation.png and .gif: from the state after each sequence's context to that after the next one's, content held."""
    check_counts(n_past=n_past)
    _require_states(model)
    frames = common.check_frames(model, frames, n_past)[:, :n_past]
    if len(frames) < 2:
        raise ValueError(f"Interpolation needs at least 2 sequences, got {len(frames)}.")
    between = np.asarray(model.interpolate(frames, np.roll(frames, -1, axis=0), n_frames))
    rows = [(f"{b + 1} to {(b + 1) % len(frames) + 1}", made) for b, made in enumerate(between)]
    out_dir = pathlib.Path(out_dir)
    files = {
        "interpolation/strip": visualization.save_png(out_dir / "interpolation.png", visualization.filmstrip(rows, 0)),
        "interpolation/animation": visualization.save_gif(out_dir / "interpolation.gif", visualization.grid([rows], 0), fps),
    }
    return {"files": files}


def _require_states(model) -> None:
    if not model.config.has_states:
        raise ValueError(f"This figure needs a model with a state and a content (SRVP); this one is {model.config.summary}.")
