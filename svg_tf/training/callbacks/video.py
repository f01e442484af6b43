"""Sample videos in TensorBoard."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from svg_tf import summaries, visualization
from svg_tf.evaluation.metrics import frame


class VideoSummary(keras.callbacks.Callback):
    """An animated GIF of fixed clips in TensorBoard's Images tab at the end of each epoch.

    Rows of a clip: the truth, the best of `n_samples` samples by PSNR, three random samples.

    Args:
      log_dir: TensorBoard folder; the summary is written to its subfolder "videos".
      frames: float [N, T, H, W, C] in [0, 1], N >= 1: the clips (a few; all are shown).
      n_past: context frames; the remaining T - n_past are predicted.
      n_samples, seed: as `SVG.generate`.
      every: epochs between summaries.
      fps: frames a second of the GIF.
    """

    def __init__(self, log_dir, frames, n_past: int, n_samples: int = 10, seed: int = 0, every: int = 1, fps: int = 6):
        super().__init__()
        frames = np.asarray(frames)
        if frames.ndim != 5 or not 1 <= n_past < frames.shape[1]:
            raise ValueError(f"frames must be [N, T > n_past = {n_past}, H, W, C], got shape {frames.shape}.")
        if every < 1 or n_samples < 1:
            raise ValueError(f"every and n_samples must be at least 1, got {every} and {n_samples}.")
        self.frames, self.n_past, self.n_samples, self.seed = frames, n_past, n_samples, seed
        self.every, self.fps = every, fps
        self._writer = tf.summary.create_file_writer(str(pathlib.Path(log_dir) / "videos"))

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        with self._writer.as_default():
            tiles = sample_grid(self.model, self.frames, self.n_past, self.n_samples, self.seed)
            summaries.gif("samples/validation", tiles, step=self.model.step, fps=self.fps)
        self.flush()

    def flush(self):
        self._writer.flush()


def sample_grid(model, frames, n_past: int, n_samples: int, seed: int = 0) -> np.ndarray:
    """Draws futures of `frames` [N, T, H, W, C] and lays them out: uint8 [T, height, width, 3] for a GIF."""
    frames = np.asarray(frames, np.float32)
    samples = model.generate(frames, frames.shape[1] - n_past, n_samples, seed, n_past=n_past).numpy()
    future = frames[:, None, n_past:]
    scores = frame.psnr(np.broadcast_to(future, samples.shape), samples).numpy().mean(-1)
    order = np.random.default_rng(seed)
    clips = []
    for truth, drawn, score in zip(frames, samples, scores, strict=True):
        shown = [("best", int(score.argmax()))]
        random = order.choice(n_samples, min(3, n_samples), replace=False)
        shown += [(f"random {i + 1}", int(s)) for i, s in enumerate(random)]
        rows = [("truth", truth)] + [(name, np.concatenate([truth[:n_past], drawn[s]])) for name, s in shown]
        clips.append(rows)
    return visualization.grid(clips, n_past)
