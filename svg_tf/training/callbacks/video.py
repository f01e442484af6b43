"""Sample videos in TensorBoard."""


import keras
import numpy as np
import tensorflow as tf

from data_pipelines import files
from svg_tf import markers, summaries, visualization
from svg_tf.evaluation.metrics import frame
from svg_tf.families.interface import ShowsKeypoints


class VideoSummary(keras.callbacks.Callback):
    """An animated GIF of fixed clips in TensorBoard's Images tab at the end of each epoch.

    Rows of a clip: the truth, the best of `n_samples` samples by PSNR, three random samples. Of a model that shows keypoints a
    second one has their tracks drawn over the frames.

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
        self._writer = tf.summary.create_file_writer(str(files.located(log_dir) / "videos"))

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        with self._writer.as_default():
            clips = (self.model, self.frames, self.n_past, self.n_samples, self.seed)
            summaries.gif("samples/validation", sample_grid(*clips), step=self.model.step, fps=self.fps)
            if self.model.can(ShowsKeypoints):
                summaries.gif("keypoints/validation", keypoint_grid(*clips), step=self.model.step, fps=self.fps)
        self.flush()

    def flush(self):
        self._writer.flush()


def sample_grid(model, frames, n_past: int, n_samples: int, seed: int = 0) -> np.ndarray:
    """Draws futures of `frames` [N, T, H, W, C] and lays them out: uint8 [T, height, width, 3] for a GIF."""
    frames = np.asarray(frames, np.float32)
    clips = [
        [("truth", truth)] + [(name, np.concatenate([truth[:n_past], drawn[s]])) for name, s in shown]
        for truth, drawn, shown in zip(frames, *_samples(model, frames, n_past, n_samples, seed), strict=True)
    ]
    return visualization.grid(clips, n_past)


def keypoint_grid(model, frames, n_past: int, n_samples: int, seed: int = 0) -> np.ndarray:
    """As `sample_grid`, the same samples, with keypoints and tracks drawn over them; in the truth they are detected."""
    frames = np.asarray(frames, np.float32)
    found = np.asarray(model.keypoints(frames))
    predicted = np.asarray(model.predict_keypoints(frames, frames.shape[1] - n_past, n_samples, seed, n_past=n_past))
    samples, chosen = _samples(model, frames, n_past, n_samples, seed)
    clips = []
    for b, (truth, drawn, shown) in enumerate(zip(frames, samples, chosen, strict=True)):
        rows = [("truth", markers.with_tracks(truth, found[b]))]
        for name, s in shown[:2]:
            points = np.concatenate([found[b, :n_past], predicted[b, s]])
            rows.append((name, markers.with_tracks(np.concatenate([truth[:n_past], drawn[s]]), points)))
        clips.append(rows)
    return visualization.grid(clips, n_past, 1)


def _samples(model, frames, n_past: int, n_samples: int, seed: int):
    """(samples [N, S, T - n_past, H, W, C], of each sequence the (name, number) of those shown)."""
    samples = model.generate(frames, frames.shape[1] - n_past, n_samples, seed, n_past=n_past).numpy()
    future = frames[:, None, n_past:]
    scores = frame.psnr(np.broadcast_to(future, samples.shape), samples).numpy().mean(-1)
    order = np.random.default_rng(seed)
    chosen = []
    for score in scores:
        random = order.choice(n_samples, min(3, n_samples), replace=False)
        chosen.append([("best", int(score.argmax())), *((f"random {i + 1}", int(s)) for i, s in enumerate(random))])
    return samples, chosen
