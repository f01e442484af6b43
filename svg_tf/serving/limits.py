"""What one request may ask of an exported model, baked into its graph so that none can exhaust a server; what names it takes.

No TensorFlow.
"""

import re
from dataclasses import dataclass

from data_pipelines import checks

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_VERSION = re.compile(r"[0-9]{1,18}")  # ASCII digits that fit in 64 bits: what a server takes for a version


@dataclass(frozen=True)
class Limits:
    """B sequences of T frames in a request, S samples of F future frames for each in the answer.

    A request beyond a limit comes back as INVALID_ARGUMENT. With the defaults, a server process with `smmnist_lp` (64 px)
    peaked at 1.7 GB for the largest reconstruction (8 x 128 frames) and at 0.9 GB for 256 samples of 16 frames.
    Raises `ValueError` for a limit below 1.
    """

    max_steps: int = 128
    """Largest T, and largest F."""
    max_given_frames: int = 1024
    """Largest B * T."""
    max_samples: int = 256
    """Largest B * S: these run together, and the memory for activations grows with them."""
    max_predicted_frames: int = 16384
    """Largest B * S * F."""

    def __post_init__(self):
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            checks.integer(name, value, 1, 2**31 - 1)

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
