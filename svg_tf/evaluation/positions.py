"""Where digits are in frames: by cross-correlation with their images, as Fig. 5 locates a single one.

A frame is taken for a sum of known digits, each at an unknown place. Least squares over all places is what cross-correlation
finds for one digit; with several, each is located in turn, less what the others' present places explain.
"""

import numpy as np

_SWEEPS = 2


class Locator:
    """Finds the digits of one sequence.

    images: float [N, d, d], digits as they are drawn, with their margins: places are those of true states.
    side: height and width of a frame.
    """

    def __init__(self, images, side: int):
        images = np.asarray(images, np.float32)
        self.side, self.size = side, images.shape[-1]
        self._spectra = np.conj(np.fft.rfft2(images, (side, side)))
        wide = 2 * self.size
        among = np.fft.rfft2(images, (wide, wide))
        # overlap[i, j][v]: the inner product of digit i moved by v with digit j; v wraps around
        self._overlap = np.fft.irfft2(np.conj(among)[:, None] * among[None], (wide, wide)).astype(np.float32)

    def __call__(self, frames) -> np.ndarray:
        """frames: float [M, side, side] -> int64 [M, N, 2], (x, y) of each digit's top left corner."""
        spectrum = np.fft.rfft2(np.asarray(frames, np.float32))
        places = self.side - self.size + 1
        count = len(self._spectra)
        maps = [np.fft.irfft2(spectrum * own, (self.side, self.side))[:, :places, :places] for own in self._spectra]
        found = np.stack([_argmax(m) for m in maps], axis=1)
        for _ in range(_SWEEPS if count > 1 else 0):
            for i in range(count):
                explained = sum(self._explained(i, j, found[:, j], places) for j in range(count) if j != i)
                found[:, i] = _argmax(maps[i] - explained)
        return found

    def _explained(self, i, j, at, places) -> np.ndarray:
        """What digit j at `at` [M, 2] adds to the correlation of digit i at each place: [M, places, places]."""
        wide, grid = self._overlap.shape[-1], np.arange(places)
        x, y = ((grid[None] - at[:, axis, None]) for axis in (0, 1))
        near = (np.abs(y)[:, :, None] < self.size) & (np.abs(x)[:, None, :] < self.size)
        return np.where(near, self._overlap[i, j][(y % wide)[:, :, None], (x % wide)[:, None, :]], 0.0)


def _argmax(maps) -> np.ndarray:
    """[M, h, w] -> int64 [M, 2], (x, y)"""
    y, x = np.unravel_index(maps.reshape(len(maps), -1).argmax(axis=1), maps.shape[1:])
    return np.stack([x, y], axis=1)
