"""Samples of a model that has frames between frames, beside those at the rate of its training."""

import numpy as np

from svg_tf.evaluation.figures import common
from svg_tf.families.compiled import check_counts
from svg_tf.families.interface import AnyFrameRate


def frame_rate_clips(model, frames, n_past: int, frame_rate: int, seed: int = 0):
    """Rows truth, sample at the rate of the training, sample at `frame_rate` times that rate, for each sequence.

    frames: float [N, T > n_past, H, W, C]. Frames of the lower rate are held, so that all rows have T * frame_rate steps.
    Returns (clips for `visualization.grid`, the samples at both rates [N, 1, ..., H, W, C]).
    """
    check_counts(n_past=n_past, frame_rate=frame_rate)
    model.need(AnyFrameRate, "Frames between frames")
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
