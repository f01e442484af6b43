"""Which frame sizes the DCGAN and VGG backbones take; families that use them check their configuration here."""

from typing import Literal

from data_pipelines import frame_size
from data_pipelines.checks import require

BackboneName = Literal["dcgan", "vgg"]
IMAGE_SIZES = {"dcgan": (32, 64, 128), "vgg": (64, 128)}


def check_backbone(backbone: str, image_size: frame_size.Size) -> None:
    """Raises `ValueError` for a size that `backbone` does not take."""
    sizes = IMAGE_SIZES[backbone]
    got = frame_size.text(image_size)
    require(image_size in sizes, f"image_size of backbone {backbone!r} must be one of {sizes}, of a square; got {got}.")
