"""The data layer: videos in, batches of frames out. Start with `data_pipelines.load`."""

import os

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as svg_tf does, whichever is imported first

from data_pipelines.load import load  # noqa: E402
from data_pipelines.reader import ClipsTooShort  # noqa: E402

__all__ = ["ClipsTooShort", "load"]
