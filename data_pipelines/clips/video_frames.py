"""A decoded video frame -> uint8, as FFmpeg's players show it.

It is turned and mirrored by its display matrix. Its pixels' aspect ratio counts where the ratio is to be kept. Samples of more
than 8 bits are rounded, not cut off. Transparent parts are composited over black.
"""

import functools
from typing import NamedTuple

import numpy as np
from PIL import Image

from data_pipelines.clips.errors import ClipError
from data_pipelines.clips.shaping import Wanted, over_black, shape_picture, to_bytes

_MOST_PIXELS = 1 << 24  # of a frame that is scaled before it is cropped


class Turn(NamedTuple):
    """How a stored frame is turned to be shown: transposed first, then mirrored left-right and upside down."""

    transposed: bool = False
    mirrored: bool = False
    upside_down: bool = False

    def array(self, frame: np.ndarray) -> np.ndarray:
        """frame: [H, W, ...] as stored -> as shown."""
        frame = frame.swapaxes(0, 1) if self.transposed else frame
        return frame[:: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]


def turn_of(frame, name: str) -> Turn:
    """From the display matrix: pixel (p, q) is shown at (a p + c q, b p + d q), up to a shift.

    Raises `ClipError` for other angles than multiples of 90 degrees.
    """
    try:
        a, b, _, c, d = np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), np.int32)[:5].astype(float)
    except (KeyError, ValueError):
        return Turn()
    straight, crossed = max(abs(a), abs(d)), max(abs(b), abs(c))
    if min(straight, crossed) > 0.02 * max(straight, crossed):
        raise ClipError(f"{name}: is shown turned by an angle that is no multiple of 90 degrees; encode it again upright.")
    return Turn(True, c < 0, b < 0) if crossed > straight else Turn(False, a < 0, d < 0)


class _Kind(NamedTuple):
    deep: bool
    alpha: bool


@functools.lru_cache
def _kind(format_name: str) -> _Kind:
    import av

    components = av.VideoFormat(format_name).components
    return _Kind(any(part.bits > 8 for part in components), any(part.is_alpha for part in components))


class VideoPicture:
    """A decoded frame, shaped only if it is wanted, and once."""

    def __init__(self, frame, turn: Turn, aspect: float):
        """turn, aspect (a pixel's width / height): those of the stream."""
        self._frame, self._turn, self._aspect = frame, turn, aspect
        self._shaped: np.ndarray | None = None

    def shape(self, wanted: Wanted) -> np.ndarray:
        """uint8 [height, width, channels]."""
        if self._shaped is None:
            kind = _kind(self._frame.format.name)
            to_height, to_width = self._scaled(wanted)
            if kind.alpha or wanted.box is not None or to_height * to_width > _MOST_PIXELS:
                self._shaped = self._by_pillow(wanted, kind)
            else:
                self._shaped = self._by_swscale(wanted, kind.deep, to_height, to_width)
            self._frame = None
        return self._shaped

    def _scaled(self, wanted: Wanted) -> tuple[int, int]:
        """(height, width) to scale the stored frame to: in a crop, the smallest of the shown aspect ratio that covers."""
        height, width = (wanted.width, wanted.height) if self._turn.transposed else (wanted.height, wanted.width)
        if wanted.fit == "squash":
            return height, width
        shown_width = self._frame.width * self._aspect
        scale = max(width / shown_width, height / self._frame.height)
        return max(height, round(self._frame.height * scale)), max(width, round(shown_width * scale))

    def _by_swscale(self, wanted: Wanted, deep: bool, to_height: int, to_width: int) -> np.ndarray:
        gray = wanted.channels == 1
        pixels = ("gray16le" if gray else "rgb48le") if deep else ("gray" if gray else "rgb24")
        # swscale's bilinear filter is anti-aliased where it shrinks, as Pillow's is. Gray is the luma plane, range expanded.
        array = self._frame.to_ndarray(format=pixels, width=to_width, height=to_height, interpolation="BILINEAR")
        array = self._turn.array(array)
        top, left = (array.shape[0] - wanted.height) // 2, (array.shape[1] - wanted.width) // 2
        array = np.ascontiguousarray(array[top : top + wanted.height, left : left + wanted.width])
        array = to_bytes(array) if deep else array
        return array[..., None] if gray else array

    def _by_pillow(self, wanted: Wanted, kind: _Kind) -> np.ndarray:
        """Composited before it is scaled (colors of transparent pixels must not bleed into others), cropped before as well."""
        layout = ("rgba64le" if kind.deep else "rgba") if kind.alpha else ("rgb48le" if kind.deep else "rgb24")
        array = self._frame.to_ndarray(format=layout)
        array = over_black(array) if kind.alpha else array
        array = self._turn.array(to_bytes(array) if kind.deep else array)
        aspect = 1 / self._aspect if self._turn.transposed else self._aspect
        return shape_picture(Image.fromarray(np.ascontiguousarray(array)), wanted, aspect)
