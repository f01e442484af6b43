"""Keras callbacks: videos and scalars in TensorBoard, progress, checkpoints, and a stop at the first NaN."""

from svg_tf.training.callbacks.checkpointing import Checkpoints, Preempted, StopAtNaN, termination
from svg_tf.training.callbacks.describe import Describe
from svg_tf.training.callbacks.health import Health
from svg_tf.training.callbacks.means import IntervalMeans
from svg_tf.training.callbacks.progress import Progress
from svg_tf.training.callbacks.scalars import Scalars
from svg_tf.training.callbacks.video import VideoSummary, sample_grid

__all__ = [
    "Checkpoints",
    "Describe",
    "Health",
    "IntervalMeans",
    "Preempted",
    "Progress",
    "Scalars",
    "StopAtNaN",
    "VideoSummary",
    "sample_grid",
    "termination",
]
