"""What a model whose motion lives in a small state can show (SRVP): any frame rate, the content of one video with the motion of
another, and what lies between two states.

A model that cannot do these is refused (`ValueError`).
"""

import numpy as np

from data_pipelines.files import located
from svg_tf import visualization
from svg_tf.evaluation.figures import common
from svg_tf.evaluation.figures.figure import Figure, evaluated_clips
from svg_tf.evaluation.figures.frame_rates import frame_rate_clips
from svg_tf.evaluation.metrics import frame
from svg_tf.families.compiled import check_counts
from svg_tf.families.interface import AnyFrameRate, SwapsContent


def frame_rate_figure(model, frames, out_dir, *, n_past: int, frame_rate: int = 2, seed: int = 0, fps: int = 6) -> dict:
    """{frame_rate}.gif, a filmstrip of the first sequence, and the PSNR of both rates at the times of true frames."""
    clips, samples = frame_rate_clips(model, frames, n_past, frame_rate, seed)
    out_dir, future = located(out_dir), np.asarray(frames)[:, n_past:]
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
    model.need(SwapsContent, "This figure: a state beside a content")
    frames = common.check_frames(model, frames, n_past + 1)
    if len(frames) < 2:
        raise ValueError(f"Swapping content needs at least 2 sequences, got {len(frames)}.")
    content = np.roll(frames, -1, axis=0)
    swapped = np.asarray(model.swap_content(content[:, :n_past], frames[:, :n_past], frames.shape[1] - n_past, seed))
    clips = [
        [("truth: motion", motion), ("truth: content", other), ("swapped", made)]
        for motion, other, made in zip(frames, content, swapped, strict=True)
    ]
    out_dir = located(out_dir)
    files = {"swap/animation": visualization.save_gif(out_dir / "swap.gif", visualization.grid(clips, 0), fps)}
    for b, rows in enumerate(clips):
        strip = visualization.filmstrip(rows, 0, range(0, frames.shape[1], 2))
        files[f"swap/{b}"] = visualization.save_png(out_dir / f"swap-{b}.png", strip)
    return {"files": files}


def interpolation_figure(model, frames, out_dir, *, n_past: int, n_frames: int = 11, fps: int = 6) -> dict:
    """interpolation.png and .gif: from the state after each sequence's context to that after the next one's, content held."""
    check_counts(n_past=n_past)
    model.need(SwapsContent, "This figure: a state beside a content")
    frames = common.check_frames(model, frames, n_past)[:, :n_past]
    if len(frames) < 2:
        raise ValueError(f"Interpolation needs at least 2 sequences, got {len(frames)}.")
    between = np.asarray(model.interpolate(frames, np.roll(frames, -1, axis=0), n_frames))
    rows = [(f"{b + 1} to {(b + 1) % len(frames) + 1}", made) for b, made in enumerate(between)]
    out_dir = located(out_dir)
    files = {
        "interpolation/strip": visualization.save_png(out_dir / "interpolation.png", visualization.filmstrip(rows, 0)),
        "interpolation/animation": visualization.save_gif(out_dir / "interpolation.gif", visualization.grid([rows], 0), fps),
    }
    return {"files": files}


def _drawn_by(function):
    return lambda setting, batch: function(
        setting.model, batch["frames"], setting.out_dir, n_past=setting.n_past, seed=setting.seed
    )


FIGURES = (
    Figure(
        "frame_rate", "frames between frames", evaluated_clips, _drawn_by(frame_rate_figure), needs=(AnyFrameRate,),
        say=lambda result: f"PSNR {result['psnr_at_rate_1']:.2f} dB at the rate of the training, "
        f"{result['psnr_at_this_rate']:.2f} dB at {result['frame_rate']} times it",
    ),
    Figure("swap", "motion and content", evaluated_clips, _drawn_by(swap_figure), needs=(SwapsContent,)),
    Figure(
        "interpolation", "between two states", lambda setting: setting.clips(setting.n_past + 1),
        lambda setting, batch: interpolation_figure(setting.model, batch["frames"], setting.out_dir, n_past=setting.n_past),
        needs=(SwapsContent,),
    ),
)  # fmt: skip
