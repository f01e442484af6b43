"""What one request may ask of an exported model, baked into its graph so that none can exhaust a server; what names it takes.

No TensorFlow.
"""

import dataclasses
import re
from dataclasses import dataclass
from typing import NamedTuple

from data_pipelines import checks

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_VERSION = re.compile(r"[0-9]{1,18}")  # ASCII digits that fit in 64 bits: what a server takes for a version


class Footprint(NamedTuple):
    """Bytes that a request takes while it is answered."""

    per_frame: int
    """For each frame given, and for each sample: their maps are computed together."""
    per_predicted: int
    """For each frame of the answer."""


@dataclass(frozen=True)
class Limits:
    """B sequences of T frames in a request, S samples of F future frames for each in the answer.

    A request beyond a limit comes back as INVALID_ARGUMENT. An export takes lower counts where the model's own maps would
    exceed `max_bytes` (`within`). Raises `ValueError` for a limit below 1.
    """

    max_steps: int = 128
    """Largest T, and largest F."""
    max_given_frames: int = 1024
    """Largest B * T."""
    max_samples: int = 256
    """Largest B * S: these run together, and the memory for activations grows with them."""
    max_predicted_frames: int = 16384
    """Largest B * S * F."""
    max_bytes: int = 1 << 30
    """Memory for the maps of the frames given, for those of the samples, and for the answer, each."""

    def __post_init__(self):
        for name in self.__dataclass_fields__:
            checks.integer(name, getattr(self, name), 1, 2**40 if name == "max_bytes" else 2**31 - 1)

    def within(self, footprint: Footprint) -> "Limits":
        """These limits with counts that keep within `max_bytes`. Raises `ValueError` where not even one frame does."""
        frames, predicted = self.max_bytes // footprint.per_frame, self.max_bytes // footprint.per_predicted
        checks.require(
            min(frames, predicted) > 0,
            f"max_bytes must be at least {max(footprint)}, what one frame of this model takes, got {self.max_bytes}.",
        )
        return dataclasses.replace(
            self,
            max_given_frames=min(self.max_given_frames, frames),
            max_samples=min(self.max_samples, frames),
            max_predicted_frames=min(self.max_predicted_frames, predicted),
        )

    def max_batch(self, n_past: int, n_samples: int, n_future: int) -> int:
        """Largest B of requests with n_past frames a sequence and S = n_samples, F = n_future; 0: none fits."""
        if n_future > self.max_steps or n_past > self.max_steps:
            return 0
        return min(
            self.max_given_frames // n_past,
            self.max_samples // n_samples,
            self.max_predicted_frames // (n_samples * n_future),
        )

    def server_batch(self, n_past: int, n_samples: int, n_future: int) -> int:
        """Largest batch that a server may merge requests to: none that is within the limits alone is beyond them merged."""
        return max(1, min(self.max_batch(n_past, n_samples, n_future), self.max_given_frames // self.max_steps))


def version_number(name: str) -> int | None:
    """The version that a folder's name stands for; None for one that no server takes for a version ("\u0663", twenty digits)."""
    return int(name) if _VERSION.fullmatch(name) else None


def check_name(name: str) -> None:
    """Raises `ValueError` for a name that TensorFlow Serving or a file system may not take."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"A model's name must be letters, digits, '_', '-' and '.', begin with a letter or digit and have at most 128 "
            f"characters, got {name!r}."
        )
    if name.isdigit():
        raise ValueError(f"The folder of a model must not be a number, which would be a version, got {name!r}.")
