"""Which frame sizes the DCGAN and VGG backbones take; families that use them check their configuration here."""

from typing import Literal

from data_pipelines.checks import require

BackboneName = Literal["dcgan", "vgg"]
IMAGE_SIZES = {"dcgan": (32, 64, 128), "vgg": (64, 128)}


def check_backbone(backbone: str, image_size: int) -> None:
    """Raises `ValueError` for a size that `backbone` does not take."""
    sizes = IMAGE_SIZES[backbone]
    require(image_size in sizes, f"image_size of backbone {backbone!r} must be one of {sizes}, got {image_size}.")
