"""Reading clips: video files, animations and folders of pictures, for training and for prediction.

Needs NumPy and Pillow, and PyAV for video files; neither TensorFlow nor TFDS.
"""

from data_pipelines.clips.errors import ClipError, ExtraNeeded
from data_pipelines.clips.pictures import picture_files
from data_pipelines.clips.reading import read_clip
from data_pipelines.clips.shaping import Box, Fit, Wanted
from data_pipelines.clips.videos import require_av

__all__ = ["Box", "ClipError", "ExtraNeeded", "Fit", "Wanted", "picture_files", "read_clip", "require_av"]
