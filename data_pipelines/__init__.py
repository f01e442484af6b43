"""The data layer: videos in, batches of frames out. Start with `data_pipelines.load`."""

from data_pipelines.load import load

__all__ = ["load"]
